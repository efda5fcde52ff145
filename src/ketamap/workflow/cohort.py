"""Write a phantom cohort to disk: images, truth and the study file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import Atlas
from ketamap.core.settings import Design, DetectionSettings, RegistrationSettings, TracingSettings
from ketamap.core.space import VoxelGrid, Zyx
from ketamap.core.study import Animal, Study
from ketamap.core.tables import PLANTED_EFFECTS, POINTS
from ketamap.io.files import replacing_folder
from ketamap.io.ome_zarr import block_bounds, create_image
from ketamap.io.studies import write_study
from ketamap.io.tables import write_table
from ketamap.phantom import (
    AXONS,
    CELLS,
    NOTE,
    BrainSettings,
    CohortPlan,
    PlannedAnimal,
    PlannedAxons,
    animal_densities,
    base_densities,
    base_lengths,
    effects_log2,
    plan_brain,
)
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.engine import Task

PHANTOM_ATLAS = "phantom_mouse_100um"
"""Atlas from which demo brains are made and to which they are aligned."""

FAST_REGISTRATION = RegistrationSettings(resolution_um=150.0, iterations=(30, 30, 10), refits=0)
"""Enough for the smooth deformation of phantom brains: median error about 20 um at 6 CPU-s,
against 16 um at 46 CPU-s with the default (benchmarks/registration.py)."""


CLEAR_SCORE = 0.7
"""Least score of a cell in a demo: its fibres are as thick as voxels allow, and a bead of one
looks like a faint cell. In a brain of seed 0 recall is .994 and precision .986 (.996 and .972 at
the default of .5)."""

DEMO_SPIKE_INS = 100
"""Somata planted into each brain of a demo: about two CPU-seconds."""

TRACE_THRESHOLD = 11.0
"""Threshold of the demo's fibres, in standard deviations of the local noise: between the one
that labels of a phantom brain calibrate to and the one that loses a tenth of the length."""

PICTURED = ("PL", "AUDp", "VISp", "CP")
"""Regions whose trace the demo's report shows."""


def demo_tracing(settings: BrainSettings) -> TracingSettings:
    """Return how the coarse, thick fibres of phantom brains are traced.

    Somata are left out with the rim that the ridge filter, as wide as a voxel, sees.
    """
    return TracingSettings(
        fibre_sigma_um=settings.fibres.diameter_um / 2.0,
        box_um=4.0 * max(settings.voxel_um),
        min_length_um=4.0 * max(settings.voxel_um),
        threshold=TRACE_THRESHOLD,
        soma_diameter_um=2.0 * settings.soma_diameter_um,
        vessel_diameter_um=6.0 * settings.fibres.diameter_um,
    )


def cohort_tasks(plan: CohortPlan, folder: Path, settings: BrainSettings) -> tuple[Task, ...]:
    """List the steps that make a cohort: one per brain."""
    return tuple(
        Task(
            step="phantom",
            subject=one.animal,
            call=write_brain,
            arguments={"plan": plan, "animal": one, "folder": folder, "settings": settings},
            inputs=lambda one=one: {  # type: ignore[misc]
                "animal": asdict(one),
                "noise": asdict(plan.noise),
                "settings": asdict(settings),
                "atlas": PHANTOM_ATLAS,
            },
            outputs=(
                f"images/{one.animal}",
                f"truth/{one.animal}_cells.parquet",
                f"truth/{one.animal}_axons.parquet",
            ),
        )
        for one in plan.animals
    )


def write_brain(
    *, plan: CohortPlan, animal: PlannedAnimal, folder: Path, settings: BrainSettings
) -> None:
    """Make one phantom brain: both images, the planted cells and the planted length of axon."""
    atlas = open_atlas(PHANTOM_ATLAS)
    tree = atlas.structures
    brain = plan_brain(
        atlas,
        animal.seed,
        densities_per_mm3=animal_densities(plan, animal, base_densities(atlas), tree),
        effects_log2=effects_log2(animal.group, tree),
        axons=PlannedAxons(
            lengths_per_mm3=animal_densities(
                plan, animal, base_lengths(atlas), tree, measure=AXONS
            ),
            effects_log2=effects_log2(animal.group, tree, measure=AXONS),
        ),
        settings=settings,
    )
    with replacing_folder(folder / "images" / animal.animal) as images:
        _write_channel(images / "signal.ome.zarr", brain.signal_grid, brain.signal_block)
        _write_channel(
            images / "background.ome.zarr", brain.background_grid, brain.background_block
        )
    truth = folder / "truth"
    write_table(truth / f"{animal.animal}_cells.parquet", brain.cells, POINTS)
    write_table(truth / f"{animal.animal}_axons.parquet", brain.lengths, POINTS)


def write_cohort_files(plan: CohortPlan, folder: Path, settings: BrainSettings) -> Path:
    """Write ``study.yaml`` and the planted effects; return the study file's path."""
    study = phantom_study(plan, folder, settings)
    write_table(
        folder / "truth" / "effects.parquet",
        planted_by_contrast(plan, open_atlas(PHANTOM_ATLAS)),
        PLANTED_EFFECTS,
    )
    write_study(folder / "study.yaml", study)
    return folder / "study.yaml"


def phantom_study(plan: CohortPlan, folder: Path, settings: BrainSettings) -> Study:
    """Describe a phantom cohort as a study."""
    return Study(
        name="Ketamine, dopamine neurons and their axons: a phantom cohort",
        note=(
            f"{NOTE} Somata are enlarged to {settings.soma_diameter_um:g} um, axons to "
            f"{settings.fibres.diameter_um:g} um, and there are fewer of them."
        ),
        atlas=PHANTOM_ATLAS,
        orientation=settings.orientation,
        animals=tuple(
            Animal(
                animal=one.animal,
                regimen=one.group.regimen,
                sex=one.sex,
                signal=(folder / "images" / one.animal / "signal.ome.zarr").resolve(),
                background=(folder / "images" / one.animal / "background.ome.zarr").resolve(),
            )
            for one in plan.animals
        ),
        design=Design(factor="group", control=_control(plan)),
        detection=DetectionSettings(
            soma_diameter_um=settings.soma_diameter_um,
            min_score=CLEAR_SCORE,
            spike_ins=DEMO_SPIKE_INS,
        ),
        registration=FAST_REGISTRATION,
        tracing=demo_tracing(settings),
        trace_regions=PICTURED,
    )


def planted_by_contrast(plan: CohortPlan, atlas: Atlas) -> pd.DataFrame:
    """Lay out the planted changes per contrast, for every structure with tissue.

    A structure in which nothing was planted has a planted change of zero.
    """
    tree = atlas.structures
    rows = tree.rows_of(np.unique(atlas.annotation[atlas.brain_mask]))
    control = _control(plan)
    base = next(g for g in plan.groups if g.regimen.group == control)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "region_id": tree.ids[rows],
                    "acronym": [tree.acronyms[row] for row in rows],
                    "measure": measure,
                    "contrast": f"{group.regimen.group} vs {control}",
                    "planted_log2": (
                        effects_log2(group, tree, measure=measure)
                        - effects_log2(base, tree, measure=measure)
                    )[rows],
                }
            )
            for measure in (CELLS, AXONS)
            for group in plan.groups
            if group.regimen.group != control
        ],
        ignore_index=True,
    )


def _control(plan: CohortPlan) -> str:
    return next(g.regimen.group for g in plan.groups if g.regimen.dose_mg_per_kg == 0)


def _write_channel(
    path: Path, grid: VoxelGrid, paint: Callable[[Zyx[int], Zyx[int]], NDArray[np.uint16]]
) -> None:
    with create_image(path, grid, np.uint16) as writer:
        for start, stop in block_bounds(grid.shape, writer.block_shape):
            writer.write(start, paint(start, stop))
        writer.finish()
