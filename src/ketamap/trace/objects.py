"""Connected objects of a mask, and which of them are too small to be fibres."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.space import Zyx


def drop_small(
    mask: NDArray[np.bool_], longest: Zyx[int], open_faces: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Remove objects (26-connected) that stay within a box.

    Parameters
    ----------
    mask
        Shape ``(z, y, x)``.
    longest
        An object of at most this many voxels along every axis is removed.
    open_faces
        Shape ``(3, 2)``: which faces of the block are cuts through the volume. Objects that
        touch a cut are kept: from anywhere farther than ``longest`` inside, they are longer.

    Returns
    -------
    kept
        Shape of ``mask``.
    removed
        Shape ``(n, 3)``: the first voxel in raster order of each removed object.
    """
    where = np.argwhere(mask)
    number = np.full([n + 2 for n in mask.shape], -1, dtype=np.int32)
    number[tuple(where.T + 1)] = np.arange(len(where), dtype=np.int32)
    parent = _join(where, number)
    shape = np.asarray(mask.shape)
    keep, first = _judge(where, parent, np.asarray(longest), open_faces, shape)
    kept = mask.copy()
    kept[tuple(where[~keep].T)] = False
    return kept, where[first]


@njit(nogil=True, cache=True)
def _root(parent: NDArray[np.int32], n: int) -> int:
    while parent[n] != n:
        parent[n] = parent[parent[n]]
        n = parent[n]
    return n


@njit(nogil=True, cache=True)
def _join(where: NDArray[np.int64], number: NDArray[np.int32]) -> NDArray[np.int32]:
    """Root of every voxel: the first voxel of its object in raster order."""
    parent = np.arange(where.shape[0]).astype(np.int32)
    for n in range(where.shape[0]):
        z, y, x = where[n, 0] + 1, where[n, 1] + 1, where[n, 2] + 1
        for code in range(13):
            m = number[z + code // 9 - 1, y + code // 3 % 3 - 1, x + code % 3 - 1]
            if m >= 0:
                a, b = _root(parent, n), _root(parent, m)
                if a < b:
                    parent[b] = a
                elif b < a:
                    parent[a] = b
    for n in range(where.shape[0]):
        parent[n] = _root(parent, n)
    return parent


@njit(nogil=True, cache=True)
def _judge(
    where: NDArray[np.int64],
    parent: NDArray[np.int32],
    longest: NDArray[np.int64],
    open_faces: NDArray[np.bool_],
    shape: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Tell which voxels are kept, and list the roots of the objects that are not."""
    n = where.shape[0]
    low = where.copy()
    high = where.copy()
    for m in range(n):
        p = parent[m]
        for a in range(3):
            low[p, a] = min(low[p, a], where[m, a])
            high[p, a] = max(high[p, a], where[m, a])
    keep = np.zeros(n, dtype=np.bool_)
    lost = np.zeros(n, dtype=np.bool_)
    for m in range(n):
        p = parent[m]
        for a in range(3):
            if high[p, a] - low[p, a] + 1 > longest[a]:
                keep[m] = True
            if (open_faces[a, 0] and low[p, a] == 0) or (
                open_faces[a, 1] and high[p, a] == shape[a] - 1
            ):
                keep[m] = True
        lost[m] = p == m and not keep[m]
    return keep, np.flatnonzero(lost)
