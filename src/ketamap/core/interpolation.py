"""Vectors known on a grid, read between its voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ketamap.core.space import FloatArray


def linear_vectors(vectors: NDArray[np.float32], index: FloatArray) -> FloatArray:
    """Interpolate vectors linearly between voxel centres.

    Parameters
    ----------
    vectors
        Shape ``(3, z, y, x)``.
    index
        Shape ``(3, n)``: fractional voxel indices, finite; beyond the outermost centres the
        nearest one counts.

    Returns
    -------
    numpy.ndarray
        Shape ``(3, n)``.
    """
    shape = np.asarray(vectors.shape[1:])
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    steps = np.where(shape > 1, strides, 0)
    at = np.clip(index, 0.0, (shape - 1.0)[:, None])
    low = np.minimum(at.astype(np.int64), np.maximum(shape - 2, 0)[:, None])
    share = at - low
    near_far = (1.0 - share, share)
    first = low[0] * strides[0] + low[1] * strides[1] + low[2]
    flat = vectors.reshape(3, -1)
    found = np.zeros(index.shape)
    for z in range(2):
        for y in range(2):
            beside = near_far[z][0] * near_far[y][1]
            for x in range(2):
                voxel = first + (z * steps[0] + y * steps[1] + x * steps[2])
                found += beside * near_far[x][2] * flat.take(voxel, axis=1)
    return found
