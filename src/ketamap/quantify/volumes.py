"""The annotation carried into a sample, and how large each structure is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ketamap.core.atlas import OUTSIDE_BRAIN, Atlas
from ketamap.core.errors import InputError, RegistrationError
from ketamap.core.registration import Registration, TissueMask
from ketamap.core.settings import Extent
from ketamap.core.space import FloatArray, VoxelGrid
from ketamap.core.transform import Transform, grid_points_um

LATTICE_PER_VOXEL = 2
"""Lattice points per atlas voxel along each axis: 8 samples of every atlas voxel, so that
a structure of 0.01 mm3 (10 voxels of 100 um) is measured with about 80 points."""

LEAST_STEP_UM = 25.0
"""Finest lattice: one brain is then about 40 million points, 0.2 GB, whatever the atlas."""

LEFT, RIGHT = 1, 2
"""Values of a hemisphere image, as in BrainGlobe."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class CarriedAnnotation:
    """The atlas's annotation in the sample's own space."""

    grid: VoxelGrid
    """Lattice in the sample."""

    region_id: NDArray[np.uint32]
    """Structure at each point, shape ``grid.shape``; 0 outside the brain."""

    hemisphere: NDArray[np.uint8]
    """`LEFT` or `RIGHT`, 0 outside the brain."""

    missing: tuple[str, ...] = ()
    """Acronyms of structures that the image does not show: 0 here, with all they hold."""

    extent: Extent = "whole"
    """Which part of the brain the image shows; the rest is 0 here."""

    tissue: TissueMask | None = None
    """Where there is tissue; holes are 0 here.  None: wherever the image shows the brain."""

    def __post_init__(self) -> None:
        if not self.region_id.shape == self.hemisphere.shape == self.grid.shape:
            msg = (
                f"Annotation {self.region_id.shape}, hemispheres {self.hemisphere.shape} and "
                f"grid {self.grid.shape} must have one shape."
            )
            raise InputError(msg)


def measuring_grid(
    sample_grid: VoxelGrid, transform: Transform, atlas: Atlas, *, spacing_um: float | None = None
) -> VoxelGrid:
    """Make the lattice on which the annotation is carried into a sample.

    It fills exactly the part of the sample's box in which the brain can lie, at no more than
    half the atlas's voxel size (25 um at the finest) unless said otherwise; every lattice point
    stands for one lattice voxel, so that a structure cut by the box has the volume that is in it.

    Parameters
    ----------
    sample_grid
        Grid of the image; its box is the space there is.
    transform
        Sample <-> atlas.
    atlas
        The atlas.
    spacing_um
        Greatest distance between lattice points, um.
    """
    step = spacing_um or max(min(atlas.grid.spacing_um) / LATTICE_PER_VOXEL, LEAST_STEP_UM)
    low, high = _box(sample_grid)
    reach_low, reach_high = _brain_box_in_sample(transform, atlas)
    low, high = np.maximum(low, reach_low), np.minimum(high, reach_high)
    count = np.maximum(1, np.ceil((high - low) / step - 1e-9)).astype(int)
    size = np.maximum(high - low, 1e-3 * step)  # the brain may lie beside the box altogether
    spacing, start = size / count, low + 0.5 * size / count
    return VoxelGrid(
        shape=(int(count[0]), int(count[1]), int(count[2])),
        spacing_um=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        origin_um=(float(start[0]), float(start[1]), float(start[2])),
    )


def carry_annotation(
    transform: Transform,
    atlas: Atlas,
    grid: VoxelGrid,
    *,
    extent: Extent = "whole",
    missing: tuple[str, ...] = (),
    tissue: TissueMask | None = None,
) -> CarriedAnnotation:
    """Carry the annotation into the sample.

    Parameters
    ----------
    transform
        Sample <-> atlas.
    atlas
        The atlas.
    grid
        Lattice in the sample, for instance from `measuring_grid`.
    extent
        Which part of the brain the image shows; the other hemisphere of a half brain is
        not there, whatever empty space the image has on that side.
    missing
        Acronyms of structures that the image does not show.
    tissue
        Where there is tissue; what is torn or cut away belongs to no structure.
    """
    shown = atlas.without(missing)
    region_id = np.zeros(grid.shape, dtype=np.uint32)
    hemisphere = np.zeros(grid.shape, dtype=np.uint8)
    for planes, sample_um in grid_points_um(grid):
        atlas_um = transform.to_atlas(sample_um)
        found = np.maximum(shown.regions_at(atlas_um), OUTSIDE_BRAIN)
        side = np.where(atlas.is_left(atlas_um), LEFT, RIGHT)
        if extent != "whole":
            found[side != (LEFT if extent == "left" else RIGHT)] = OUTSIDE_BRAIN
        if tissue is not None:
            found[~tissue.at(sample_um)] = OUTSIDE_BRAIN
        shape = region_id[planes].shape
        region_id[planes] = found.reshape(shape)
        hemisphere[planes] = np.where(found > 0, side, 0).reshape(shape)
    return CarriedAnnotation(
        grid=grid,
        region_id=region_id,
        hemisphere=hemisphere,
        missing=missing,
        extent=extent,
        tissue=tissue,
    )


def annotation_in_sample(registration: Registration, atlas: Atlas) -> CarriedAnnotation:
    """Carry the annotation into a registered sample, on its `measuring_grid`.

    Parameters
    ----------
    registration
        The sample and what it shows of the brain.
    atlas
        Its atlas.
    """
    return carry_annotation(
        registration.transform,
        atlas,
        measuring_grid(registration.sample_grid, registration.transform, atlas),
        extent=registration.extent,
        missing=registration.missing,
        tissue=registration.tissue,
    )


def own_volumes_mm3(
    carried: CarriedAnnotation, atlas: Atlas, *, seen: VoxelGrid | None = None
) -> FloatArray:
    """Volume of each structure in the sample.

    Parameters
    ----------
    carried
        The annotation in the sample.
    atlas
        The atlas.
    seen
        Grid of the image in which cells were looked for: what lies beyond its box is not
        counted.  Left out: everything was seen.

    Returns
    -------
    ndarray
        Shape ``(n structures, 2)``: the structure itself without its descendants, left
        and right, mm3.

    Raises
    ------
    RegistrationError
        If the annotation was carried from another atlas.
    """
    n = len(atlas.structures)
    points = np.zeros(2 * n, dtype=np.int64)
    window = _window(carried.grid, seen)
    for labels, side in zip(carried.region_id[window], carried.hemisphere[window], strict=True):
        inside = side > 0
        ids, index = np.unique(labels[inside], return_inverse=True)
        rows = atlas.structures.rows_of(ids.astype(np.int64))
        if (rows < 0).any():
            msg = (
                f"The annotation in this registration has ids that atlas {atlas.name} lacks "
                f"({ids[rows < 0][:5].tolist()}). Register again with this atlas."
            )
            raise RegistrationError(msg)
        points += np.bincount(2 * rows[index] + (side[inside] == RIGHT), minlength=2 * n)
    return np.asarray(points.reshape(n, 2) * carried.grid.voxel_volume_mm3, dtype=np.float64)


def _window(grid: VoxelGrid, seen: VoxelGrid | None) -> tuple[slice, slice, slice]:
    """Lattice points whose centres lie in the box of ``seen``."""
    if seen is None:
        return (slice(None), slice(None), slice(None))
    low, high = _box(seen)
    first = np.maximum(np.ceil(grid.to_index(low) - 1e-9), 0).astype(int)
    last = np.minimum(np.floor(grid.to_index(high) + 1e-9), np.asarray(grid.shape) - 1).astype(int)
    z, y, x = (slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))
    return z, y, x


def _box(grid: VoxelGrid) -> tuple[FloatArray, FloatArray]:
    """Outer corners of a grid's voxels, um."""
    half = 0.5 * np.asarray(grid.spacing_um)
    return grid.to_um((0, 0, 0)) - half, grid.to_um(np.asarray(grid.shape) - 1) + half


def in_box(points_um: FloatArray, grid: VoxelGrid) -> NDArray[np.bool_]:
    """Whether positions, ``(n, 3)`` um, lie within a grid's voxels; NaN does not."""
    low, high = _box(grid)
    with np.errstate(invalid="ignore"):
        return np.asarray(((points_um >= low) & (points_um <= high)).all(axis=1))


def _brain_box_in_sample(transform: Transform, atlas: Atlas) -> tuple[FloatArray, FloatArray]:
    """Corners of the box around the brain, carried to the sample, plus two atlas voxels."""
    mask = atlas.brain_mask
    some = np.argwhere(mask)[:: max(1, int(mask.sum()) // 200_000)]
    carried = transform.to_sample(atlas.grid.to_um(some))
    margin = 2.0 * max(atlas.grid.spacing_um)
    return np.nanmin(carried, axis=0) - margin, np.nanmax(carried, axis=0) + margin
