"""How large each structure is in the sample's own space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ketamap.core.atlas import OUTSIDE_BRAIN, Atlas
from ketamap.core.space import FloatArray, VoxelGrid
from ketamap.core.transform import Transform, grid_points_um

LATTICE_PER_VOXEL = 2
"""Lattice points per atlas voxel along each axis: 8 samples of every atlas voxel, so that
a structure of 0.01 mm3 (10 voxels of 100 um) is measured with about 80 points."""


def measuring_grid(
    sample_grid: VoxelGrid, transform: Transform, atlas: Atlas, *, spacing_um: float | None = None
) -> VoxelGrid:
    """Make the lattice on which the annotation is carried into a sample.

    It fills the part of the sample's box in which the atlas can lie, at half the atlas's
    voxel size unless said otherwise; every lattice point stands for one lattice voxel.

    Parameters
    ----------
    sample_grid
        Grid of the image; its box is the space there is.
    transform
        Sample <-> atlas.
    atlas
        The atlas.
    spacing_um
        Distance between lattice points, um.
    """
    step = spacing_um or min(atlas.grid.spacing_um) / LATTICE_PER_VOXEL
    half = 0.5 * np.asarray(sample_grid.spacing_um)
    low = sample_grid.to_um((0, 0, 0)) - half
    high = sample_grid.to_um(np.asarray(sample_grid.shape) - 1) + half
    reach_low, reach_high = _brain_box_in_sample(transform, atlas)
    low, high = np.maximum(low, reach_low), np.minimum(high, reach_high)
    count = np.maximum(1, np.floor((high - low) / step)).astype(int)
    start = 0.5 * (low + high) - 0.5 * (count - 1) * step
    return VoxelGrid(
        shape=(int(count[0]), int(count[1]), int(count[2])),
        spacing_um=(step, step, step),
        origin_um=(float(start[0]), float(start[1]), float(start[2])),
    )


def carry_annotation(transform: Transform, atlas: Atlas, grid: VoxelGrid) -> NDArray[np.int64]:
    """Carry the annotation into the sample: region id at each point of ``grid``."""
    return transform.image_to_sample(
        atlas.annotation, atlas.grid, grid, order=0, fill=OUTSIDE_BRAIN
    )


def own_volumes_mm3(transform: Transform, atlas: Atlas, grid: VoxelGrid) -> FloatArray:
    """Volume of each structure in the sample.

    Parameters
    ----------
    transform
        Sample <-> atlas.
    atlas
        The atlas.
    grid
        Lattice in the sample (`measuring_grid`).

    Returns
    -------
    ndarray
        Shape ``(n structures, 2)``: the structure itself without its descendants, left
        and right, mm3.  Counted with the same look-up that places cells.
    """
    n = len(atlas.structures)
    points = np.zeros((n, 2), dtype=np.int64)
    for _, sample_um in grid_points_um(grid):
        atlas_um = transform.to_atlas(sample_um)
        rows = atlas.structures.rows_of(atlas.regions_at(atlas_um))
        inside = rows >= 0
        side = (~atlas.is_left(atlas_um[inside])).astype(np.int64)
        points += np.bincount(2 * rows[inside] + side, minlength=2 * n).reshape(n, 2)
    return np.asarray(points * grid.voxel_volume_mm3, dtype=np.float64)


def _brain_box_in_sample(transform: Transform, atlas: Atlas) -> tuple[FloatArray, FloatArray]:
    """Corners of the box around the brain's surface, carried to the sample, plus a voxel."""
    mask = atlas.brain_mask
    shell = np.argwhere(mask)[:: max(1, int(mask.sum()) // 200_000)]
    carried = transform.to_sample(atlas.grid.to_um(shell))
    margin = 2.0 * max(atlas.grid.spacing_um)
    return np.nanmin(carried, axis=0) - margin, np.nanmax(carried, axis=0) + margin
