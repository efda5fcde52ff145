"""Length of a skeleton: links between neighbouring voxels, in micrometres."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.space import Zyx

F32 = NDArray[np.float32]

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


def measure_links(skeleton: NDArray[np.uint8], weight: F32, spacing_um: Zyx[float]) -> Links:
    """Measure the links between 26-neighbours of a skeleton.

    A link whose ends are joined by two shorter ones through a common neighbour is left out
    (the redundant diagonal of a corner). Ends are first moved to the centre of weight of
    their neighbourhood in the image and then to the mean of themselves and their
    neighbours, which takes out the staircase.

    Parameters
    ----------
    skeleton
        Shape ``(z, y, x)``, nonzero on the skeleton.
    weight
        Same shape, not negative: how much of a fibre each voxel holds.
    spacing_um
        Voxel edges.

    Returns
    -------
    Links
        Sorted by owner in raster order. Positions are relative to voxels of this block, so
        that the same link read from another block gives the same bits.
    """
    padded = np.pad(skeleton, 1)
    heavy = np.pad(weight, 1)
    number = np.full(padded.shape, -1, dtype=np.int32)
    where = np.argwhere(padded)
    number[tuple(where.T)] = np.arange(len(where), dtype=np.int32)
    spacing = np.asarray(spacing_um, dtype=np.float64)
    offset = _centres(where, heavy)
    for _ in range(SMOOTHINGS):
        offset = _smoothed(where, number, offset)
    owner, step = _pairs(where, number, spacing)
    other = number[tuple((where[owner] + step).T)]
    between = (step + offset[other] - offset[owner]) * spacing
    return Links(
        where[owner] - 1,
        0.5 * (step + offset[other] + offset[owner]),
        np.sqrt(np.sum(between * between, axis=1)),
    )


SMOOTHINGS = 2
"""Times that positions are averaged with their neighbours along the skeleton."""


@njit(nogil=True, cache=True)
def _centres(where: NDArray[np.int64], weight: F32) -> NDArray[np.float64]:
    """Centre of weight of the 27 voxels around each, relative to it."""
    out = np.zeros((where.shape[0], 3))
    for n in range(where.shape[0]):
        z, y, x = where[n]
        total = 0.0
        for k in range(-1, 2):
            for j in range(-1, 2):
                for i in range(-1, 2):
                    w = float(weight[z + k, y + j, x + i])
                    total += w
                    out[n, 0] += w * k
                    out[n, 1] += w * j
                    out[n, 2] += w * i
        if total > 0.0:
            out[n] /= total
    return out


@njit(nogil=True, cache=True)
def _smoothed(
    where: NDArray[np.int64], number: NDArray[np.int32], offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Move each voxel with two neighbours half way to their mean; ends and forks stay."""
    out = offset.copy()
    for n in range(where.shape[0]):
        z, y, x = where[n]
        count = 0
        total = np.zeros(3)
        for k in range(-1, 2):
            for j in range(-1, 2):
                for i in range(-1, 2):
                    m = number[z + k, y + j, x + i]
                    if m >= 0 and m != n:
                        count += 1
                        total[0] += offset[m, 0] + k
                        total[1] += offset[m, 1] + j
                        total[2] += offset[m, 2] + i
        if count == 2:
            for a in range(3):
                out[n, a] = 0.5 * offset[n, a] + 0.25 * total[a]
    return out


@njit(nogil=True, cache=True)
def _pairs(
    where: NDArray[np.int64], number: NDArray[np.int32], spacing: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List links (owner, step), the longest of every triangle left out."""
    owner = np.empty(13 * where.shape[0], dtype=np.int64)
    step = np.empty((13 * where.shape[0], 3), dtype=np.int64)
    n = 0
    for m in range(where.shape[0]):
        z, y, x = where[m]
        for code in range(14, 27):
            k, j, i = code // 9 - 1, code // 3 % 3 - 1, code % 3 - 1
            if number[z + k, y + j, x + i] < 0:
                continue
            if not _is_longest(number, (z, y, x), (k, j, i), spacing):
                owner[n] = m
                step[n, 0], step[n, 1], step[n, 2] = k, j, i
                n += 1
    return owner[:n], step[:n]


@njit(nogil=True, cache=True)
def _is_longest(
    number: NDArray[np.int32],
    at: tuple[int, int, int],
    step: tuple[int, int, int],
    spacing: NDArray[np.float64],
) -> bool:
    """Tell whether a third voxel makes a triangle in which this link is the longest."""
    (z, y, x), (k, j, i) = at, step
    own = _square(k, j, i, spacing)
    for c in range(-1, 2):
        for b in range(-1, 2):
            for a in range(-1, 2):
                if (c == 0 and b == 0 and a == 0) or (c == k and b == j and a == i):
                    continue
                if max(abs(c - k), abs(b - j), abs(a - i)) > 1:
                    continue
                if number[z + c, y + b, x + a] < 0:
                    continue
                if own > _square(c, b, a, spacing) and own > _square(c - k, b - j, a - i, spacing):
                    return True
    return False


@njit(nogil=True, cache=True)
def _square(k: int, j: int, i: int, spacing: NDArray[np.float64]) -> float:
    return float((k * spacing[0]) ** 2 + (j * spacing[1]) ** 2 + (i * spacing[2]) ** 2)
