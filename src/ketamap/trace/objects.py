"""Connected objects of a mask, and which of them are too small to be fibres."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.space import Zyx
from ketamap.trace.board import Board, Places


def drop_small(
    where: Places, board: Board, longest: Zyx[int], open_faces: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], Places]:
    """Tell which voxels belong to objects (26-connected) that stay within a box.

    Parameters
    ----------
    where
        The voxels of the mask.
    board
        Scratch images of the block.
    longest
        An object of at most this many voxels along every axis is too small.
    open_faces
        Shape ``(3, 2)``: which faces of the block are cuts through the volume. Objects that
        touch a cut are kept: from anywhere farther than ``longest`` inside, they are longer.

    Returns
    -------
    keep
        Shape ``(n,)``: whether a voxel's object is large enough.
    removed
        The first voxel in raster order of each object that is not.
    """
    board.number[where] = np.arange(1, len(where) + 1, dtype=np.int32)
    parent = _join(where, board.number, board.steps)
    board.number[where] = 0
    shape = np.asarray(board.shape)
    keep, first = _judge(where, parent, board.strides, np.asarray(longest), open_faces, shape)
    return keep, where[first]


@njit(nogil=True, cache=True)
def _root(parent: NDArray[np.int32], n: int) -> int:
    while parent[n] != n:
        parent[n] = parent[parent[n]]
        n = parent[n]
    return n


@njit(nogil=True, cache=True)
def _join(where: Places, number: NDArray[np.int32], steps: NDArray[np.int64]) -> NDArray[np.int32]:
    """Root of every voxel: the first voxel of its object in raster order."""
    parent = np.arange(where.shape[0]).astype(np.int32)
    for n in range(where.shape[0]):
        for step in steps[:13]:
            m = number[where[n] + step] - 1
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
    where: Places,
    parent: NDArray[np.int32],
    strides: NDArray[np.int64],
    longest: NDArray[np.int64],
    open_faces: NDArray[np.bool_],
    shape: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Tell which voxels are kept, and list the roots of the objects that are not."""
    n = where.shape[0]
    object_of = np.empty(n, dtype=np.int32)
    objects = 0
    for m in range(n):
        if parent[m] == m:
            object_of[m] = objects
            objects += 1
    low = np.full((objects, 3), 2**30, dtype=np.int32)
    high = np.full((objects, 3), -1, dtype=np.int32)
    for m in range(n):
        o = object_of[parent[m]]
        rest = where[m]
        for a in range(3):
            i = rest // strides[a] - 1
            rest = rest % strides[a]
            low[o, a] = min(low[o, a], i)
            high[o, a] = max(high[o, a], i)
    large = np.zeros(objects, dtype=np.bool_)
    for a in range(3):
        large |= high[:, a] - low[:, a] + 1 > longest[a]
        large |= (low[:, a] == 0) & open_faces[a, 0]
        large |= (high[:, a] == shape[a] - 1) & open_faces[a, 1]
    keep = np.empty(n, dtype=np.bool_)
    lost = np.zeros(n, dtype=np.bool_)
    for m in range(n):
        keep[m] = large[object_of[parent[m]]]
        lost[m] = parent[m] == m and not keep[m]
    return keep, np.flatnonzero(lost)
