"""Coarser levels of an image: where they are and what their voxels are.  No files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketamap.core.errors import ImageError
from ketamap.core.space import VoxelGrid

_COARSEST_VOXELS = 128
"""Levels are added until no axis is longer: a viewer's first picture is then one request."""

_SUM_OF_EIGHT = {1: np.int32, 2: np.int32, 4: np.int64}
"""Type that holds the sum of eight whole numbers, by bytes per voxel."""


def level_grids(grid: VoxelGrid) -> list[VoxelGrid]:
    """Return the grids of all levels, finest first.

    Each level halves every axis of two or more voxels.  A coarse voxel's centre lies in
    the middle of the voxels it stands for, half a fine voxel further for each halving.
    """
    grids = [grid]
    while max(grids[-1].shape) > _COARSEST_VOXELS:
        z, y, x = (2 if n > 1 else 1 for n in grids[-1].shape)
        grids.append(grids[-1].binned((z, y, x)))
    return grids


def check_can_average(dtype: np.dtype[Any], name: str) -> None:
    """Refuse types whose mean would not be exact.

    Raises
    ------
    ImageError
        If voxels are 64-bit whole numbers: identifiers, most likely.
    """
    if dtype.kind in "iu" and dtype.itemsize not in _SUM_OF_EIGHT:
        msg = f"{name}: {dtype} voxels are identifiers; write them with labels=True, or as uint32."
        raise ImageError(msg)


def halve(block: NDArray[Any], *, labels: bool) -> NDArray[Any]:
    """Halve a block along every axis of two or more voxels.

    Parameters
    ----------
    block
        Shape ``(z, y, x)``.
    labels
        Take the first voxel of each 2 x 2 x 2 (all eight are equally near its centre)
        instead of their mean.

    Returns
    -------
    ndarray
        Of the same type, shape halved and rounded up.  Whole numbers are rounded, half
        upwards; where an axis is odd, the last voxels are the mean of those there are.
    """
    steps = tuple(slice(None, None, 2 if n > 1 else 1) for n in block.shape)
    if labels or block.dtype.kind == "b":
        return np.ascontiguousarray(block[steps])
    whole = block.dtype.kind in "iu"
    total: NDArray[Any] = block
    count = 1
    for axis, n in enumerate(block.shape):
        if n > 1:
            total = _pair_sums(total, axis, _SUM_OF_EIGHT[block.dtype.itemsize] if whole else None)
            count *= 2
    mean = (total + count // 2) // count if whole else total / count
    return np.asarray(mean, dtype=block.dtype)


def _pair_sums(values: NDArray[Any], axis: int, dtype: Any) -> NDArray[Any]:
    """Add neighbours along an axis; the last counts twice where the axis is odd."""
    n = values.shape[axis]
    before = (slice(None),) * axis
    first, second = values[(*before, slice(0, None, 2))], values[(*before, slice(1, None, 2))]
    if n % 2:
        second = np.concatenate([second, values[(*before, slice(n - 1, n))]], axis=axis)
    return np.asarray(np.add(first, second, dtype=dtype))
