"""Length of a skeleton: links between neighbouring voxels, in micrometres."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.space import Zyx
from ketamap.trace.board import Board, Places
from ketamap.trace.filters import F32

LINK_REACH = 4
"""Voxels around a link on which its length depends: two smoothings and the triangle rule."""


class Links(NamedTuple):
    """Links of a skeleton; arrays of one length."""

    voxel: NDArray[np.int64]
    """Shape ``(n, 3)``: the end that comes first in raster order; it owns the link."""
    middle: NDArray[np.float64]
    """Shape ``(n, 3)``: middle of the link in voxels relative to ``voxel``."""
    length_um: NDArray[np.float64]
    """Shape ``(n,)``."""


def measure_links(where: Places, board: Board, score: F32, spacing_um: Zyx[float]) -> Links:
    """Measure the links between 26-neighbours of a skeleton.

    A link whose ends are joined by two shorter ones through a common neighbour is left out
    (the redundant diagonal of a corner). Ends are first moved to the centre of weight of
    their neighbourhood in the image and then to the mean of themselves and their
    neighbours, which takes out the staircase.

    Parameters
    ----------
    where
        The voxels of the skeleton.
    board
        Scratch images of the block.
    score
        Shape of the block: how much of a fibre each voxel holds; less than 0 counts as 0.
    spacing_um
        Voxel edges.

    Returns
    -------
    Links
        Sorted by owner in raster order. Positions are relative to voxels of this block, so
        that the same link read from another block gives the same bits.
    """
    number = board.number
    number[where] = np.arange(1, len(where) + 1, dtype=np.int32)
    index = board.index(where)
    offset = _centres(index, score)
    for _ in range(SMOOTHINGS):
        offset = _smoothed(where, number, board.steps, offset)
    spacing = np.asarray(spacing_um, dtype=np.float64)
    owner, other, code = _pairs(where, number, board.steps, _triangles(spacing_um))
    number[where] = 0
    step = _PLACES[code]
    between = (step + offset[other] - offset[owner]) * spacing
    return Links(
        index[owner],
        0.5 * (step + offset[other] + offset[owner]),
        np.sqrt(np.sum(between * between, axis=1)),
    )


_PLACES = np.array(list(np.ndindex(3, 3, 3)), dtype=np.int64) - 1


def _triangles(spacing_um: Zyx[float]) -> NDArray[np.bool_]:
    """Tell for each step (27) and third place (27) whether the step is the longest side."""
    length = np.sum((_PLACES * np.asarray(spacing_um)) ** 2, axis=1)
    third = _PLACES[None] - _PLACES[:, None]
    far = np.sum((third * np.asarray(spacing_um)) ** 2, axis=2)
    near = np.abs(third).max(axis=2) == 1
    return np.asarray(near & (length[:, None] > length[None]) & (length[:, None] > far))


SMOOTHINGS = 2
"""Times that positions are averaged with their neighbours along the skeleton."""


@njit(nogil=True, cache=True)
def _centres(index: NDArray[np.int64], score: F32) -> NDArray[np.float64]:
    """Centre of weight of the 27 voxels around each, relative to it."""
    nz, ny, nx = score.shape
    out = np.zeros((index.shape[0], 3))
    for n in range(index.shape[0]):
        z, y, x = index[n]
        total = 0.0
        for k in range(max(z - 1, 0), min(z + 2, nz)):
            for j in range(max(y - 1, 0), min(y + 2, ny)):
                for i in range(max(x - 1, 0), min(x + 2, nx)):
                    w = max(float(score[k, j, i]), 0.0)
                    total += w
                    out[n, 0] += w * (k - z)
                    out[n, 1] += w * (j - y)
                    out[n, 2] += w * (i - x)
        if total > 0.0:
            out[n] /= total
    return out


@njit(nogil=True, cache=True)
def _smoothed(
    where: Places, number: NDArray[np.int32], steps: NDArray[np.int64], offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Move each voxel with two neighbours half way to their mean; ends and forks stay."""
    out = offset.copy()
    total = np.zeros(3)
    for n in range(where.shape[0]):
        count = 0
        total[:] = 0.0
        for code in range(27):
            m = number[where[n] + steps[code]] - 1
            if m >= 0 and code != 13:
                count += 1
                total[0] += offset[m, 0] + (code // 9 - 1)
                total[1] += offset[m, 1] + (code // 3 % 3 - 1)
                total[2] += offset[m, 2] + (code % 3 - 1)
        if count == 2:
            for a in range(3):
                out[n, a] = 0.5 * offset[n, a] + 0.25 * total[a]
    return out


@njit(nogil=True, cache=True)
def _pairs(
    where: Places,
    number: NDArray[np.int32],
    steps: NDArray[np.int64],
    triangles: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """List links (owner, other end, place of it), the longest of every triangle left out."""
    most = 13 * where.shape[0]
    owner, other, code = (
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
    )
    n = 0
    for m in range(where.shape[0]):
        for c in range(14, 27):
            q = number[where[m] + steps[c]] - 1
            if q < 0:
                continue
            longest = False
            for third in range(27):
                if triangles[c, third] and number[where[m] + steps[third]] > 0:
                    longest = True
                    break
            if not longest:
                owner[n], other[n], code[n] = m, q, c
                n += 1
    return owner[:n].copy(), other[:n].copy(), code[:n].copy()
