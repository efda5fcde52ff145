"""`ketamap voxelwise`: group maps of density, permutation inference, clusters and a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.errors import InputError, MissingInputError
from ketamap.core.settings import Design
from ketamap.core.tables import TableSchema
from ketamap.core.units import LN2
from ketamap.io.files import replacing
from ketamap.io.manifests import read_json, write_json
from ketamap.io.ome_zarr import write_image
from ketamap.io.studies import read_design
from ketamap.io.tables import read_animals, write_table
from ketamap.workflow.analysis import ANALYSIS
from ketamap.workflow.brain import DEFAULT_MEMORY_BYTES
from ketamap.workflow.manifest import versions
from ketamap.workflow.progress import Quiet, Reporter
from ketamap.workflow.voxel_inputs import MappedCohort, Mapping, map_cohort
from ketamap.workflow.workers import cores, require_workers

if TYPE_CHECKING:
    from ketamap.report.voxel_maps import VoxelReport
    from ketamap.stats.design import DesignMatrix
    from ketamap.stats.variances import GroupVariances
    from ketamap.stats.voxel_clusters import Clusters
    from ketamap.stats.voxelwise import VoxelTest, VoxelTesting

RECORD = "voxelwise.json"
"""What was mapped and how, in a result folder."""

PAGE = "voxelwise.html"

ESTIMANDS = ("relative", "absolute")
"""What is tested: log density less the animal's brain-wide level, and log density."""

CLUSTERS = TableSchema(name="clusters", columns=())
"""See `ketamap.stats.voxel_clusters`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class VoxelMap:
    """One contrast and estimand."""

    contrast: str
    estimand: str
    test: VoxelTest
    clusters: Clusters


@dataclass(frozen=True, eq=False, kw_only=True)
class VoxelwiseResult:
    """What `voxelwise` found."""

    maps: tuple[VoxelMap, ...]
    """Each contrast, relative and absolute."""

    clusters: pd.DataFrame
    """`ketamap.stats.voxel_clusters.CLUSTER_COLUMNS` after ``contrast, estimand``."""

    shares: pd.DataFrame
    """`SHARE_COLUMNS` likewise."""

    warnings: tuple[str, ...]
    page: Path


def voxelwise(
    folder: Path,
    *,
    out: Path,
    design: Path | None = None,
    mapping: Mapping | None = None,
    permutations: int = 1000,
    seed: int = 0,
    connectivity: int = 6,
    workers: int | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    atlas_dir: Path | None = None,
    accept_failed: bool = False,
    reporter: Reporter | None = None,
) -> VoxelwiseResult:
    """Map density in atlas space and test every voxel of a study.

    Parameters
    ----------
    folder
        Study folder written by `ketamap.workflow.run`.
    out
        Folder to write: ``voxelwise.html``, ``clusters.parquet``, ``cluster_regions.parquet``,
        ``maps/*.ome.zarr`` and ``voxelwise.json``.
    design
        Design, as YAML; None: that of the study.
    mapping
        Measure, kernel and voxel size; None: cells, 150 um, 100 um.
    permutations
        Random relabelings; all are used once where the design has no more.
    seed
        Of the permutations.
    connectivity
        Neighbours of a voxel, 6 or 26.
    workers
        Threads; None: all cores.  They change nothing but the time.
    memory_bytes
        Memory to stay within.
    atlas_dir
        Where the atlas is now; None: where it was.
    accept_failed
        Use brains whose registration was judged a failure.
    reporter
        Shows progress.

    Raises
    ------
    DesignError
        If the design cannot be estimated, or permutations cannot reach significance.
    InputError, MissingInputError, RegistrationError, TableError, ResourceError
        See `ketamap.workflow.voxel_inputs.map_cohort`; also if ``out`` holds other files.
    """
    from ketamap.stats.design import build_design
    from ketamap.stats.tfce import Enhancement
    from ketamap.stats.voxelwise import VoxelTesting, require_permutations

    show, what = reporter or Quiet(), mapping or Mapping()
    _require_folders(folder, out)
    declared = read_design(design) if design else _design_of(folder)
    animals = read_animals(folder / "animals.csv")
    plan = build_design(animals, declared)
    blocks = _blocks(animals, plan, declared)
    how = VoxelTesting(
        permutations=permutations,
        alpha=declared.alpha,
        seed=seed,
        enhancement=Enhancement(connectivity=connectivity),
        workers=_workers(workers),
    )
    require_permutations(plan.matrix, blocks, how)
    with show.stage(f"density maps of {len(plan.animals)} animals") as progress:
        cohort = map_cohort(
            folder,
            plan.animals,
            what,
            atlas_dir=atlas_dir,
            memory_bytes=memory_bytes,
            accept_failed=accept_failed,
            progress=progress,
        )
    maps, notes = _test_all(cohort, plan, blocks, how, show)
    return _write(
        out, folder, cohort, plan, maps, notes=notes, what=what, how=how, declared=declared
    )


def _workers(asked: int | None) -> int:
    if asked is None:
        return cores()
    require_workers(asked)
    return asked


def _require_folders(folder: Path, out: Path) -> None:
    if not (folder / "animals.csv").is_file() or not (folder / "animals").is_dir():
        msg = (
            f"{folder} is not a study folder (no animals.csv with animals/). Give a folder written "
            f"by `ketamap run` or `ketamap demo` (its run/)."
        )
        raise MissingInputError(msg)
    if out.is_file():
        msg = f"{out} is a file; --out needs a folder."
        raise InputError(msg)
    if out.is_dir() and any(out.iterdir()) and not (out / RECORD).exists():
        msg = f"{out} holds something else than voxel-wise maps. Give a new folder with --out."
        raise InputError(msg)


def _design_of(folder: Path) -> Design:
    """Read the design of a study from its analysis."""
    if not (folder / ANALYSIS).is_file():
        msg = (
            f"{folder} has no {ANALYSIS}, so its design is not known. Give one with --design, or "
            f"finish the run."
        )
        raise MissingInputError(msg)
    stated = read_json(folder / ANALYSIS)["settings"]["design"]
    names = ("control", "factor", "dose", "duration", "formula", "batch", "alpha")
    return Design(**{name: stated[name] for name in names if stated.get(name) is not None})


def _blocks(animals: pd.DataFrame, plan: DesignMatrix, design: Design) -> list[str]:
    if design.batch is None:
        return ["all"] * len(plan.animals)
    return [str(b) for b in animals[design.batch]]


def _test_all(
    cohort: MappedCohort,
    plan: DesignMatrix,
    blocks: Sequence[str],
    how: VoxelTesting,
    show: Reporter,
) -> tuple[tuple[VoxelMap, ...], list[str]]:
    """Test every contrast, relative and absolute."""
    from ketamap.stats.tfce import Lattice
    from ketamap.stats.voxel_clusters import BrainVoxels, cluster_change, clusters_of
    from ketamap.stats.voxelwise import VoxelDesign, animal_levels, voxel_test, weighting_of

    levels = animal_levels(cohort.log_density)
    relative = (cohort.log_density - levels[:, None]).astype(np.float32)
    weighting = weighting_of(cohort.log_density, plan.matrix, plan.groups)
    brain = BrainVoxels(
        grid=cohort.tissue.grid,
        lattice=Lattice.of(cohort.mask, how.enhancement.connectivity),
        region_id=cohort.tissue.region_id[cohort.mask],
        structures=cohort.atlas.structures,
    )
    maps = []
    for contrast in plan.contrasts:
        what = VoxelDesign(
            matrix=plan.matrix, contrast=contrast.vector, blocks=blocks, weighting=weighting
        )
        for estimand, values in zip(ESTIMANDS, (relative, cohort.log_density), strict=True):
            with show.stage(f"{contrast.name}, {estimand}") as progress:
                test = voxel_test(values, what, brain.lattice, how, progress)
            change = partial(cluster_change, values, plan.matrix, contrast.vector)
            found = clusters_of(test, brain, how.alpha, change)
            maps.append(
                VoxelMap(contrast=contrast.name, estimand=estimand, test=test, clusters=found)
            )
    notes = [*plan.warnings, *cohort.notes, *_shift_notes(levels, plan, how.alpha)]
    if weighting.compared is not None:
        notes.append(_variance_note(weighting.compared))
    return tuple(maps), notes


def _variance_note(compared: GroupVariances) -> str:
    each = ", ".join(f"{g} {m:.2g}" for g, m in zip(compared.labels, compared.medians, strict=True))
    return (
        f"Groups differ in variance (median over voxels, relative to their mean: {each}). Animals "
        f"are weighted by their group's; false findings are then somewhat more frequent than the "
        f"level says (docs/benchmarks.md)."
    )


def _shift_notes(levels: NDArray[np.float64], plan: DesignMatrix, alpha: float) -> list[str]:
    """Warn where the brain-wide level differs: relative maps then speak of the rest."""
    from ketamap.stats.model import Estimates, fit_linear

    fit = fit_linear(levels[:, None], plan.matrix, plan.contrast_matrix)
    shift = Estimates(
        estimate=fit.effect[0],
        se=np.sqrt(fit.variance[0] * fit.scale[0]),
        df=np.full(len(plan.contrasts), fit.df[0]),
    )
    low, high = (v / LN2 for v in shift.interval(1 - alpha))
    return [
        f"{contrast.name}: the brain-wide level differs ({g / LN2:+.2f} log2 [{a:+.2f}, {b:+.2f}]); "
        f"relative maps show changes beside it, and a relative decrease need not be a loss."
        for contrast, g, a, b in zip(plan.contrasts, shift.estimate, low, high, strict=True)
        if a > 0 or b < 0
    ]


def _write(
    out: Path,
    folder: Path,
    cohort: MappedCohort,
    plan: DesignMatrix,
    maps: tuple[VoxelMap, ...],
    *,
    notes: list[str],
    what: Mapping,
    how: VoxelTesting,
    declared: Design,
) -> VoxelwiseResult:
    from ketamap.report.voxel_maps import render_voxel_page

    out.mkdir(parents=True, exist_ok=True)
    means = _group_means(cohort, plan)
    _write_maps(out / "maps", cohort, maps, means)
    clusters, shares = (
        pd.concat([_named(getattr(m.clusters, part), m) for m in maps], ignore_index=True)
        for part in ("table", "shares")
    )
    write_table(out / "clusters.parquet", clusters, CLUSTERS)
    write_table(out / "cluster_regions.parquet", shares, CLUSTERS)
    report = _report(
        folder, cohort, plan, maps,
        means=means, notes=notes, what=what, how=how, batch=declared.batch,
    )  # fmt: skip
    with replacing(out / PAGE) as temporary:
        temporary.write_text(render_voxel_page(report), encoding="utf-8")
    write_json(
        out / RECORD,
        {
            "study": str(folder.resolve()),
            "atlas": cohort.atlas.name,
            "settings": {
                **asdict(what),
                "permutations": how.permutations,
                "seed": how.seed,
                "enhancement": asdict(how.enhancement),
                "design": asdict(declared),
            },
            "formula": plan.formula,
            "n_per_group": plan.n_per_group,
            "tested_voxels": int(cohort.mask.sum()),
            "sparse_voxels": cohort.sparse_voxels,
            "offset_per_mm3": cohort.offset_per_mm3,
            "points": cohort.points.to_dict("records"),
            "maps": [
                {
                    "contrast": m.contrast,
                    "estimand": m.estimand,
                    "relabelings": m.test.relabelings,
                    "exhaustive": m.test.exhaustive,
                    "critical_tfce": m.test.critical_tfce,
                    "df": m.test.df,
                    "clusters": len(m.clusters.table),
                }
                for m in maps
            ],
            "warnings": notes,
            "versions": versions(),
        },
    )
    return VoxelwiseResult(
        maps=maps, clusters=clusters, shares=shares, warnings=tuple(notes), page=out / PAGE
    )


def _named(frame: pd.DataFrame, one: VoxelMap) -> pd.DataFrame:
    frame = frame.copy()
    frame.insert(0, "contrast", one.contrast)
    frame.insert(1, "estimand", one.estimand)
    return frame


def _group_means(cohort: MappedCohort, plan: DesignMatrix) -> dict[str, NDArray[np.float32]]:
    """Geometric mean density of each group at each tested voxel, per mm3."""
    groups = np.array(plan.groups)
    return {
        name: np.maximum(
            np.exp(cohort.log_density[groups == name].mean(axis=0)) - cohort.offset_per_mm3, 0.0
        ).astype(np.float32)
        for name in plan.n_per_group
    }


def _write_maps(
    out: Path,
    cohort: MappedCohort,
    maps: Sequence[VoxelMap],
    means: dict[str, NDArray[np.float32]],
) -> None:
    def put(name: str, values: NDArray[Any], fill: float = 0.0, *, labels: bool = False) -> None:
        volume = np.full(cohort.mask.shape, fill, dtype=values.dtype)
        volume[cohort.mask] = values
        write_image(out / f"{name}.ome.zarr", volume, cohort.tissue.grid, labels=labels)

    put("tested", np.ones(int(cohort.mask.sum()), dtype=np.uint8), labels=True)
    for group, values in means.items():
        put(f"density_{_slug(group)}", values)
    for one in maps:
        name = f"{_slug(one.contrast)}_{one.estimand}"
        put(f"{name}_log2", (one.test.effect_ln / LN2).astype(np.float32))
        put(f"{name}_t", one.test.t)
        put(f"{name}_p_fwe", one.test.p_fwe, 1.0)
        put(f"{name}_clusters", one.clusters.labels, labels=True)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _report(
    folder: Path,
    cohort: MappedCohort,
    plan: DesignMatrix,
    maps: Sequence[VoxelMap],
    *,
    means: dict[str, NDArray[np.float32]],
    notes: Sequence[str],
    what: Mapping,
    how: VoxelTesting,
    batch: str | None,
) -> VoxelReport:
    from ketamap.report.voxel_maps import VoxelPanel, VoxelReport

    about = read_json(folder / ANALYSIS) if (folder / ANALYSIS).is_file() else {}
    return VoxelReport(
        title=str(about.get("title", folder.resolve().name)),
        note=str(about.get("note", "")),
        measure=what.measure,
        kernel_um=what.kernel_um,
        atlas=cohort.atlas.name,
        citation=cohort.atlas.citation,
        grid=cohort.tissue.grid,
        region_id=cohort.tissue.region_id,
        structures=cohort.atlas.structures,
        mask=cohort.mask,
        groups=plan.n_per_group,
        means=means,
        formula=plan.formula,
        batch=batch,
        alpha=how.alpha,
        seed=how.seed,
        connectivity=how.enhancement.connectivity,
        offset_per_mm3=cohort.offset_per_mm3,
        sparse_voxels=cohort.sparse_voxels,
        points=cohort.points,
        panels=tuple(
            VoxelPanel(
                contrast=m.contrast,
                estimand=m.estimand,
                effect_log2=m.test.effect_ln / np.float32(LN2),
                tfce=m.test.tfce,
                p_fwe=m.test.p_fwe,
                critical_tfce=m.test.critical_tfce,
                relabelings=m.test.relabelings,
                exhaustive=m.test.exhaustive,
                df=m.test.df,
                clusters=m.clusters.table,
            )
            for m in maps
        ),
        warnings=tuple(notes),
        versions=versions(),
    )
