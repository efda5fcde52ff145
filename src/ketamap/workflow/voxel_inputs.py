"""From a study folder to the log densities of all animals on one grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import Atlas
from ketamap.core.errors import (
    InputError,
    MissingInputError,
    RegistrationError,
    ResourceError,
    TableError,
)
from ketamap.core.progress import Progress
from ketamap.core.registration import Registration
from ketamap.core.space import FloatArray
from ketamap.core.tables import ATLAS_POSITION, AXONS, CELLS, TableSchema
from ketamap.core.units import UM_PER_MM, gib_from_bytes
from ketamap.io.registrations import load_registration
from ketamap.io.tables import read_table
from ketamap.quantify.density_maps import (
    LEAST_TISSUE,
    DensityMap,
    SampleVolume,
    Tissue,
    density_map,
    kernel_volume_mm3,
    map_grid,
    require_kernel,
    sample_volume,
    tissue_of,
)
from ketamap.workflow.atlases import open_atlas

LEAST_MEAN_POINTS = 3.0
"""Points behind the kernel, mean over all animals, from which a voxel is tested: a rule blind
to the groups.  Below, the half point added before the logarithm decides its value."""

ADDED_POINTS = 0.5
"""Points added before the logarithm, as in the region analysis."""

_BYTES_PER_VALUE = 16
"""Memory per animal and voxel: density, log density, weighted copy and residuals, 4 bytes each."""

_BYTES_PER_VOXEL = 200
"""Memory per voxel of the map besides: trees of clusters, sums and the maps that are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSource:
    """Where the points of a measure are."""

    file: str
    """Table of one animal in its folder."""

    schema: TableSchema
    """Its columns."""

    weight: str | None
    """Column of what a point counts, in um; None: each counts one."""

    maker: str
    """What writes it."""


SOURCES = {
    "cells": PointSource(file="cells.parquet", schema=CELLS, weight=None, maker="ketamap run"),
    "axon_length_mm": PointSource(
        file="axons.parquet", schema=AXONS, weight="length_um", maker="ketamap trace"
    ),
}
"""Measures that can be mapped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """What is mapped, and how finely."""

    measure: str = "cells"
    """``cells`` or ``axon_length_mm``."""

    kernel_um: float = 150.0
    """Standard deviation of the Gaussian kernel, um."""

    resolution_um: float = 100.0
    """Voxel size of the maps, um."""

    def __post_init__(self) -> None:
        if self.measure not in SOURCES:
            msg = f"Measure {self.measure!r} cannot be mapped; give one of {', '.join(SOURCES)}."
            raise InputError(msg)


@dataclass(frozen=True, eq=False, kw_only=True)
class MappedCohort:
    """All animals on one grid."""

    atlas: Atlas
    tissue: Tissue

    mask: NDArray[np.bool_]
    """Voxels that are tested, shape of the grid."""

    log_density: NDArray[np.float32]
    """ln(density + offset), shape ``(animal, voxel)``."""

    offset_per_mm3: float
    """Added before the logarithm: half a point of mean weight in the kernel's volume."""

    points: pd.DataFrame
    """One row per animal: ``animal, used, left_out`` and the brain's ``volume_mm3``."""

    sparse_voxels: int
    """Voxels imaged in all animals but with too few points to be tested."""

    notes: tuple[str, ...]
    """What a reader must know."""


def map_cohort(
    folder: Path,
    animals: Sequence[str],
    what: Mapping,
    *,
    atlas_dir: Path | None,
    memory_bytes: int,
    accept_failed: bool,
    progress: Progress,
) -> MappedCohort:
    """Map the density of every animal of a study folder.

    Parameters
    ----------
    folder
        Study folder, with ``animals/<id>/registration`` and the table of points.
    animals
        Identifiers, the order of the rows.
    what
        Measure, kernel and voxel size.
    atlas_dir
        Where the atlas is now; None: where it was.
    memory_bytes
        Memory to stay within.
    accept_failed
        Use brains whose registration was judged a failure.
    progress
        Told how many animals are done.

    Raises
    ------
    MissingInputError
        If an animal has no folder, registration or table of points.
    InputError
        If animals were registered to different atlases, or nothing can be tested.
    RegistrationError
        If a registration failed.
    TableError
        If an animal has no points in its brain, or they have no atlas positions.
    ResourceError
        If the maps would not fit into memory.
    """
    _require_files(folder, animals, SOURCES[what.measure])
    first = load_registration(folder / "animals" / animals[0] / "registration")
    atlas = open_atlas(first.atlas, atlas_dir=atlas_dir or first.atlas_dir)
    grid = map_grid(atlas, what.resolution_um)
    require_kernel(what.kernel_um, grid)
    tissue = tissue_of(atlas, grid, extent=first.extent)
    place = np.flatnonzero(tissue.fraction.ravel() >= LEAST_TISSUE)
    _require_memory(len(animals), place.size, grid.n_voxels, memory_bytes)
    density = np.empty((len(animals), place.size), dtype=np.float32)
    rows, weights, notes = [], [], []
    for k, (name, registration) in enumerate(
        _registrations(folder, animals, first, accept_failed=accept_failed)
    ):
        points, each = _points(folder, name, SOURCES[what.measure])
        sample = _sample_volume(atlas, tissue, registration)
        made = density_map(points, each, sample, grid, what.kernel_um)
        _require_points(name, made, what.measure)
        density[k] = made.density_per_mm3.ravel()[place]
        weights.append(1.0 if each is None else float(np.mean(each)))
        rows.append((name, made.used, made.left_out, float(sample.volume_mm3.sum())))
        if registration.missing or registration.tissue is not None:
            notes.append(
                f"{name}: tissue is missing ({', '.join(registration.missing) or 'holes'}); voxels "
                f"there are tested in no animal."
            )
        if registration.quality.verdict != "pass":
            reasons = " ".join(registration.quality.reasons)
            notes.append(f"{name}: registration {registration.quality.verdict}. {reasons}".strip())
        progress(k + 1, len(animals))
    volume = kernel_volume_mm3(what.kernel_um)
    weight = float(np.mean(weights))
    imaged = np.isfinite(density).all(axis=0)
    expected = np.where(imaged, density, 0.0).mean(axis=0) * volume / weight
    tested = imaged & (expected >= LEAST_MEAN_POINTS)
    if not tested.any():
        msg = (
            f"No voxel can be tested: none is imaged in all {len(animals)} animals with a mean of "
            f"{LEAST_MEAN_POINTS:g} points behind the kernel. Widen the kernel."
        )
        raise InputError(msg)
    mask = np.zeros(grid.n_voxels, dtype=np.bool_)
    mask[place[tested]] = True
    offset = ADDED_POINTS * weight / volume
    return MappedCohort(
        atlas=atlas,
        tissue=tissue,
        mask=mask.reshape(grid.shape),
        log_density=np.log(density[:, tested] + np.float32(offset)),
        offset_per_mm3=offset,
        points=pd.DataFrame(rows, columns=["animal", "used", "left_out", "volume_mm3"]),
        sparse_voxels=int(imaged.sum() - tested.sum()),
        notes=tuple(notes),
    )


def _sample_volume(atlas: Atlas, tissue: Tissue, registration: Registration) -> SampleVolume:
    """Measure what an animal's image shows of the brain: no part left behind, no hole."""
    there = tissue
    if registration.missing:
        shown = atlas.without(registration.missing)
        there = tissue_of(shown, tissue.grid, extent=registration.extent)
    return sample_volume(
        there, registration.transform, registration.sample_grid, mask=registration.tissue
    )


def _require_files(folder: Path, animals: Sequence[str], source: PointSource) -> None:
    gone = [
        f"{name} ({'no folder' if not (folder / 'animals' / name).is_dir() else needed})"
        for name in animals
        for needed in ("registration", source.file)
        if not (folder / "animals" / name / needed).exists()
    ]
    if gone:
        msg = (
            f"{folder} lacks, of its animals: {', '.join(dict.fromkeys(gone))}. Every animal needs "
            f"registration/ and {source.file} (written by `{source.maker}`); finish the run, or "
            f"give a folder that has them."
        )
        raise MissingInputError(msg)


def _registrations(
    folder: Path, animals: Sequence[str], first: Registration, *, accept_failed: bool
) -> Iterator[tuple[str, Registration]]:
    """Load each animal's registration and refuse what cannot be put together."""
    for name in animals:
        one = load_registration(folder / "animals" / name / "registration")
        if one.atlas != first.atlas or one.extent != first.extent:
            msg = (
                f"{name} was registered to {one.atlas} ({one.extent}) but {animals[0]} to "
                f"{first.atlas} ({first.extent}). Register all animals to one atlas."
            )
            raise InputError(msg)
        if one.quality.verdict == "fail" and not accept_failed:
            msg = (
                f"The registration of {name} failed: {' '.join(one.quality.reasons)} Register "
                f"again, leave the animal out, or go on with --accept-failed."
            )
            raise RegistrationError(msg)
        yield name, one


def _points(folder: Path, name: str, source: PointSource) -> tuple[FloatArray, FloatArray | None]:
    """Read the points of one animal that lie in a structure, and what each counts."""
    path = folder / "animals" / name / source.file
    table = read_table(path, source.schema)
    missing = [c for c in (*ATLAS_POSITION, "region_id") if c not in table]
    if missing:
        msg = f"{path} lacks {', '.join(missing)}. Run `ketamap quantify` on it."
        raise TableError(msg)
    inside = table[table["region_id"] > 0]
    points = inside[list(ATLAS_POSITION)].to_numpy(dtype=np.float64)
    if source.weight is None:
        return points, None
    return points, inside[source.weight].to_numpy(dtype=np.float64) / UM_PER_MM


def _require_points(name: str, made: DensityMap, measure: str) -> None:
    if not made.used or not np.nanmax(made.density_per_mm3) > 0:
        msg = (
            f"{name} has no {measure} in imaged tissue ({made.left_out} elsewhere): nothing to map. "
            f"Was it detected and registered?"
        )
        raise TableError(msg)


def _require_memory(animals: int, voxels: int, whole: int, memory_bytes: int) -> None:
    need = animals * voxels * _BYTES_PER_VALUE + whole * _BYTES_PER_VOXEL
    if need > memory_bytes:
        msg = (
            f"Maps of {voxels:,} voxels for {animals} animals need about "
            f"{gib_from_bytes(need):.1f} GiB, but --memory is {gib_from_bytes(memory_bytes):.1f} GiB. "
            f"Give more, or a coarser --resolution-um."
        )
        raise ResourceError(msg)
