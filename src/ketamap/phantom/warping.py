"""The atlas seen from the sample: labels and tissue on a sample's grid.

Where a sample voxel lies in the atlas is computed exactly on coarse knots and linearly in
between; deformations here are smooth over much more than the distance of the knots.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.atlas import Atlas
from ketamap.core.space import FloatArray, VoxelGrid
from ketamap.core.transform import Transform

_KNOT_UM = 200.0
"""Distance between the knots at which positions are computed exactly, um."""

NO_UNIT = -1
"""Unit of voxels outside the brain."""


def unit_volume(atlas: Atlas) -> NDArray[np.int16]:
    """Give each structure and side a number: ``2 * row + side``, `NO_UNIT` outside the brain.

    Returns
    -------
    ndarray of int16
        Shape of the annotation; `row` is the structure's row in the tree, side 0 left and
        1 right, the order of `ketamap.core.atlas.HEMISPHERES`.
    """
    nz, ny, nx = atlas.grid.shape
    ml_um = atlas.grid.to_um(np.column_stack([np.zeros((nx, 2)), np.arange(nx)]))
    side = np.where(atlas.is_left(ml_um), 0, 1).astype(np.int16)
    units = np.empty((nz, ny, nx), dtype=np.int16)
    for z in range(nz):  # plane by plane: row look-up needs 8 bytes a voxel
        rows = atlas.structures.rows_of(atlas.annotation[z])
        units[z] = np.where(rows >= 0, 2 * rows + side, NO_UNIT)
    return units


def volumes_mm3(units: NDArray[np.int16], grid: VoxelGrid, n_structures: int) -> FloatArray:
    """Sum the volume of each structure itself, left and right, shape ``(n_structures, 2)``."""
    counts = np.bincount(units[units >= 0], minlength=2 * n_structures)
    return np.asarray(counts.reshape(n_structures, 2) * grid.voxel_volume_mm3, dtype=np.float64)


def carry_labels(
    units: NDArray[np.int16], atlas_grid: VoxelGrid, transform: Transform, sample: VoxelGrid
) -> NDArray[np.int16]:
    """Carry unit labels to a sample grid, nearest voxel; `NO_UNIT` beyond the atlas."""
    knots, ratio = _atlas_index_knots(atlas_grid, transform, sample)
    out = np.full(sample.shape, NO_UNIT, dtype=np.int16)
    _nearest(out, units, knots, ratio)
    return out


def carry_image(
    image: NDArray[np.float32], atlas_grid: VoxelGrid, transform: Transform, sample: VoxelGrid
) -> NDArray[np.float32]:
    """Carry an image to a sample grid, linear; 0 beyond the atlas."""
    knots, ratio = _atlas_index_knots(atlas_grid, transform, sample)
    out = np.zeros(sample.shape, dtype=np.float32)
    _linear(out, image, knots, ratio)
    return out


def _atlas_index_knots(
    atlas_grid: VoxelGrid, transform: Transform, sample: VoxelGrid
) -> tuple[NDArray[np.float32], FloatArray]:
    """Atlas voxel index at knots over the sample, ``(z, y, x, 3)``, and knots per voxel."""
    spacing = np.asarray(sample.spacing_um)
    step = np.maximum(1, np.round(_KNOT_UM / spacing))
    shape = [int(np.ceil((n - 1) / s)) + 2 for n, s in zip(sample.shape, step, strict=True)]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    points_um = sample.to_um(index.reshape(-1, 3) * step)
    atlas_index = atlas_grid.to_index(transform.to_atlas(points_um))
    return atlas_index.reshape(*shape, 3).astype(np.float32), np.asarray(1.0 / step)


@njit(nogil=True, cache=True)
def _row_knots(knots: NDArray[np.float32], z: float, y: float) -> NDArray[np.float32]:
    """Interpolate knots along z and y, shape ``(x, 3)``."""
    k, j = int(z), int(y)
    fz, fy = np.float32(z - k), np.float32(y - j)
    one = np.float32(1.0)
    front = knots[k, j] * (one - fy) + knots[k, j + 1] * fy
    back = knots[k + 1, j] * (one - fy) + knots[k + 1, j + 1] * fy
    row: NDArray[np.float32] = front * (one - fz) + back * fz
    return row


@njit(nogil=True, cache=True)
def _nearest(
    out: NDArray[np.int16],
    labels: NDArray[np.int16],
    knots: NDArray[np.float32],
    ratio: FloatArray,
) -> None:
    nz, ny, nx = labels.shape
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            row = _row_knots(knots, z * ratio[0], y * ratio[1])
            for x in range(out.shape[2]):
                t = x * ratio[2]
                i = int(t)
                f = np.float32(t - i)
                az = row[i, 0] + (row[i + 1, 0] - row[i, 0]) * f
                ay = row[i, 1] + (row[i + 1, 1] - row[i, 1]) * f
                ax = row[i, 2] + (row[i + 1, 2] - row[i, 2]) * f
                if (
                    -0.5 <= az < nz - 0.5 and -0.5 <= ay < ny - 0.5 and -0.5 <= ax < nx - 0.5
                ):  # false for NaN: beyond the transform
                    out[z, y, x] = labels[int(az + 0.5), int(ay + 0.5), int(ax + 0.5)]


@njit(nogil=True, cache=True)
def _linear(
    out: NDArray[np.float32],
    image: NDArray[np.float32],
    knots: NDArray[np.float32],
    ratio: FloatArray,
) -> None:
    nz, ny, nx = image.shape
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            row = _row_knots(knots, z * ratio[0], y * ratio[1])
            for x in range(out.shape[2]):
                t = x * ratio[2]
                i = int(t)
                f = np.float32(t - i)
                az = row[i, 0] + (row[i + 1, 0] - row[i, 0]) * f
                ay = row[i, 1] + (row[i + 1, 1] - row[i, 1]) * f
                ax = row[i, 2] + (row[i + 1, 2] - row[i, 2]) * f
                if 0 <= az < nz - 1 and 0 <= ay < ny - 1 and 0 <= ax < nx - 1:
                    out[z, y, x] = _trilinear(image, az, ay, ax)


@njit(nogil=True, cache=True, inline="always")
def _trilinear(image: NDArray[np.float32], z: float, y: float, x: float) -> float:
    k, j, i = int(z), int(y), int(x)
    fz, fy, fx = z - k, y - j, x - i
    a = image[k, j, i] + (image[k, j, i + 1] - image[k, j, i]) * fx
    b = image[k, j + 1, i] + (image[k, j + 1, i + 1] - image[k, j + 1, i]) * fx
    c = image[k + 1, j, i] + (image[k + 1, j, i + 1] - image[k + 1, j, i]) * fx
    d = image[k + 1, j + 1, i] + (image[k + 1, j + 1, i + 1] - image[k + 1, j + 1, i]) * fx
    low = a + (b - a) * fy
    value: float = low + (c + (d - c) * fy - low) * fz
    return value
