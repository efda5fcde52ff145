"""Threshold-free cluster enhancement, exact up to the rounding of its input.

The integral over thresholds has no steps here.  Voxels are taken from the highest down and
joined into a tree of clusters; between the height of a voxel and that of its parent in the
tree its cluster does not change, so that stretch of the integral has a closed form.

References
----------
Smith SM, Nichols TE (2009) Threshold-free cluster enhancement. NeuroImage 44:83, equation 1
(the integral) and section 2 (extent power 0.5, height power 2).
Tarjan RE (1975) Efficiency of a good but not linear set union algorithm. JACM 22:215.
Najman L, Couprie M (2006) Building the component tree in quasi-linear time. IEEE
Transactions on Image Processing 15:3531.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.errors import InputError

CONNECTIVITIES = (6, 26)
"""Neighbours of a voxel: those that share a face, or also an edge or a corner."""

_DIGIT_BITS = 11
"""Bits sorted at a time: three passes over 32-bit keys, with counters that fit a cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enhancement:
    """How extent and height are weighed."""

    extent_power: float = 0.5
    """E of Smith and Nichols 2009."""

    height_power: float = 2.0
    """H of Smith and Nichols 2009."""

    connectivity: int = 6
    """Neighbours of a voxel, 6 or 26."""

    def __post_init__(self) -> None:
        if self.connectivity not in CONNECTIVITIES:
            msg = f"connectivity must be 6 or 26, got {self.connectivity}."
            raise InputError(msg)
        if not (0.0 <= self.extent_power <= 10.0 and 0.0 <= self.height_power <= 10.0):
            msg = (
                f"extent_power and height_power must lie between 0 and 10, got "
                f"{self.extent_power:g} and {self.height_power:g}."
            )
            raise InputError(msg)


@dataclass(frozen=True, eq=False, kw_only=True)
class Lattice:
    """Which voxels are tested and which of them touch."""

    mask: NDArray[np.bool_]
    """Shape ``(z, y, x)``; values are given for its true voxels, in raster order."""

    places: NDArray[np.int32]
    """Place of each tested voxel in the volume with one voxel around it, raveled."""

    steps: NDArray[np.int64]
    """Differences of place between neighbours."""

    size: int
    """Voxels of that padded volume."""

    @classmethod
    def of(cls, mask: NDArray[np.bool_], connectivity: int = 6) -> Lattice:
        """Index the true voxels of a mask, shape ``(z, y, x)``."""
        padded = np.pad(np.asarray(mask, dtype=np.bool_), 1)
        if padded.size > np.iinfo(np.int32).max:
            msg = f"A map of {padded.size} voxels is too large; use a coarser resolution."
            raise InputError(msg)
        moves = [m for m in product((-1, 0, 1), repeat=3) if any(m)]
        kept = [m for m in moves if connectivity == 26 or sum(map(abs, m)) == 1]
        strides = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
        return cls(
            mask=np.asarray(mask, dtype=np.bool_),
            places=np.flatnonzero(padded).astype(np.int32),
            steps=np.array(kept, dtype=np.int64) @ strides,
            size=int(padded.size),
        )


def tfce(
    values: NDArray[np.floating],
    lattice: Lattice,
    how: Enhancement | None = None,
    *,
    voxel_extent: float = 1.0,
) -> NDArray[np.float64]:
    """Enhance a statistic, both signs.

    Parameters
    ----------
    values
        Statistic of each tested voxel, shape ``(voxel,)``, finite.
    lattice
        Where the voxels are.
    how
        Powers; its connectivity is that of ``lattice``.
    voxel_extent
        Extent of one voxel: 1 counts voxels, a volume gives a score that does not depend
        on the voxel size.

    Returns
    -------
    ndarray
        Shape ``(voxel,)``; the score of negative values is negative (their absolute value
        enhanced among negative voxels alone), that of zero is zero.

    Raises
    ------
    InputError
        If a value is not finite or there is not one for each voxel.

    Notes
    -----
    Values are rounded to single precision.  The integral rises with every value, so its
    relative error is below (1 + 2**-24)**(H + 1) - 1, that is 1.8e-7 for H = 2.
    """
    given = np.ascontiguousarray(values, dtype=np.float32)
    if given.shape != lattice.places.shape:
        msg = f"{given.shape} values were given for {lattice.places.size} voxels."
        raise InputError(msg)
    if not np.all(np.isfinite(given)):
        msg = "Only finite values can be enhanced."
        raise InputError(msg)
    score = np.zeros(given.shape)
    chosen = how or Enhancement()
    for sign in (1.0, -1.0):
        enhance_one_sign(
            given, sign, lattice.places, lattice.steps, lattice.size, powers(chosen), score
        )
    return np.asarray(score * voxel_extent**chosen.extent_power, dtype=np.float64)


def powers(how: Enhancement) -> tuple[float, float]:
    """Return E and H as the kernel takes them."""
    return (float(how.extent_power), float(how.height_power))


@njit(nogil=True, cache=True)
def enhance_one_sign(
    values: NDArray[np.float32],
    sign: float,
    places: NDArray[np.int32],
    steps: NDArray[np.int64],
    size: int,
    powers: tuple[float, float],
    score: NDArray[np.float64],
) -> float:
    """Enhance the voxels of one sign into ``score`` (others are left); return the largest size.

    Parameters
    ----------
    values
        Shape ``(voxel,)``, finite.
    sign
        1 or -1: of the voxels enhanced, and of their score.
    places, steps, size
        See `Lattice`.
    powers
        E and H.
    score
        Written, shape ``(voxel,)``; of length 0: only the largest score is wanted.

    Notes
    -----
    Voxels are numbered by rank, the highest first.  ``joined`` leads to the head of a voxel's
    cluster (union by size, path halving; Tarjan 1975) and ``lowest`` from there to its lowest
    voxel so far; ``parent`` is the voxel at which the cluster of a voxel next grew.  On the
    way back, from the lowest up, the score of a voxel is that of its parent plus extent**E
    times the integral of h**H between the two heights.
    """
    order = _descending(values, sign)
    n = order.size
    rank = np.full(size, -1, dtype=np.int32)
    joined = np.empty(n, dtype=np.int32)
    lowest = np.empty(n, dtype=np.int32)
    parent = np.full(n, -1, dtype=np.int32)
    extent = np.ones(n, dtype=np.int32)
    for r in range(n):
        place = places[order[r]]
        joined[r], lowest[r], rank[place] = r, r, r
        head = np.int32(r)
        for step in steps:
            other = rank[place + step]
            if other < 0:
                continue
            while joined[other] != other:
                joined[other] = joined[joined[other]]
                other = joined[other]
            if other == head:
                continue
            parent[lowest[other]] = r
            added = extent[lowest[other]]
            if added > extent[r]:
                joined[head], head = other, other
            else:
                joined[other] = head
            extent[r] += added
            lowest[head] = r
    return _integrate(values, sign, order, parent, extent, powers, score)


@njit(nogil=True, cache=True)
def _integrate(
    values: NDArray[np.float32],
    sign: float,
    order: NDArray[np.int32],
    parent: NDArray[np.int32],
    extent: NDArray[np.int32],
    powers: tuple[float, float],
    score: NDArray[np.float64],
) -> float:
    """Add up the integral from the lowest voxel to the highest; return the largest."""
    e, h = powers
    n = order.size
    total, height = np.empty(n), np.empty(n)
    largest = 0.0
    for r in range(n - 1, -1, -1):
        value = sign * np.float64(values[order[r]])
        height[r] = value * value * value / 3.0 if h == 2.0 else value ** (h + 1.0) / (h + 1.0)
        weight = sqrt(extent[r]) if e == 0.5 else np.float64(extent[r]) ** e
        at = parent[r]
        below = height[at] if at >= 0 else 0.0
        total[r] = weight * (height[r] - below) + (total[at] if at >= 0 else 0.0)
        largest = max(largest, total[r])
        if score.size:
            score[order[r]] = sign * total[r]
    return largest


@njit(nogil=True, cache=True)
def _descending(values: NDArray[np.float32], sign: float) -> NDArray[np.int32]:
    """Return voxels of one sign from the highest absolute value down, the first at ties.

    Radix sort of the bits: those of positive single-precision numbers order as the numbers.
    """
    index = np.empty(values.size, dtype=np.int32)
    heights = np.empty(values.size, dtype=np.float32)
    n = 0
    for v in range(values.size):
        if sign * values[v] > 0:
            heights[n] = abs(values[v])
            index[n] = v
            n += 1
    keys = heights[:n].view(np.uint32)
    index = index[:n]
    spare_keys, spare_index = np.empty_like(keys), np.empty_like(index)
    bins = 1 << _DIGIT_BITS
    for shift in (0, _DIGIT_BITS, 2 * _DIGIT_BITS):
        starts = np.zeros(bins + 1, dtype=np.int64)
        for k in range(n):
            starts[bins - ((keys[k] >> shift) & (bins - 1))] += 1
        for b in range(1, bins + 1):
            starts[b] += starts[b - 1]
        for k in range(n):
            digit = bins - 1 - ((keys[k] >> shift) & (bins - 1))
            to = starts[digit]
            spare_keys[to] = keys[k]
            spare_index[to] = index[k]
            starts[digit] = to + 1
        keys, spare_keys = spare_keys, keys
        index, spare_index = spare_index, index
    return index
