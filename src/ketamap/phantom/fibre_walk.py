"""Growing one fibre after the other through a brain: the walk, step by step.

A fibre goes on in its direction, bends slowly, turns away where it may not go, and ends
where there is no way on.  It may go where the structure still wants length and no other
fibre is in the way: fibres that touch could not be told apart in coarse voxels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.space import FloatArray
from ketamap.phantom.noise import keyed_hash, normal_from_hash

TURNS = 6
"""Other directions tried where the way on is barred."""

_DRAWS = 8192
"""Random numbers set aside for one fibre."""


class Ground(NamedTuple):
    """Where fibres may grow: a lattice over the sample."""

    labels: NDArray[np.int16]
    """Unit of each lattice voxel (`warping.unit_volume`), shape ``(z, y, x)``."""

    owner: NDArray[np.int32]
    """Fibre in each lattice voxel, counted from 1; 0 is free.  Same shape; written."""

    spacing_um: float
    """Edge of a lattice voxel, um."""

    need_um: FloatArray
    """Length still wanted in each unit, um.  Written."""


class Gait(NamedTuple):
    """How fibres walk."""

    step_um: float
    """Length of a step."""

    bend_per_um: float
    """Standard deviation of the curvature, 1/um."""

    bend_um: float
    """Length over which the curvature changes."""

    least_um: float
    """Shorter fibres are taken back."""

    seed: int
    """Of the walk, see `noise.stream_seed`."""


@njit(nogil=True, cache=True)
def walk_fibres(
    ground: Ground,
    gait: Gait,
    starts: FloatArray,
    headings: FloatArray,
    lengths_um: FloatArray,
    first_fibre: int,
) -> tuple[FloatArray, NDArray[np.int32]]:
    """Grow fibres in the order given.

    Parameters
    ----------
    ground
        Where they may go; need and owners are brought up to date.
    gait
        How they walk.
    starts
        Lattice positions (fractional index), shape ``(n, 3)``.
    headings
        First directions, unit vectors, same shape.
    lengths_um
        Length each would like, ``(n,)``.
    first_fibre
        Number of the first fibre, from 1.

    Returns
    -------
    points
        Lattice positions, one per step and fibre in order, ``(m, 3)``.
    fibre
        Number of each point's fibre, ``(m,)``; fibres that stayed short are not there.
    """
    most = int(np.sum(np.ceil(lengths_um / gait.step_um))) + len(starts) + 1
    points = np.empty((most, 3))
    fibre = np.empty(most, dtype=np.int32)
    n = 0
    for f in range(len(starts)):
        number = first_fibre + f
        grown = _walk(ground, gait, starts[f], headings[f], lengths_um[f], number, points[n:])
        if grown * gait.step_um < gait.least_um:
            _take_back(ground, gait, points[n : n + grown], number)
            continue
        fibre[n : n + grown] = number
        n += grown
    return points[:n], fibre[:n]


@njit(nogil=True, cache=True)
def _walk(
    ground: Ground,
    gait: Gait,
    start: FloatArray,
    heading: FloatArray,
    length_um: float,
    number: int,
    points: FloatArray,
) -> int:
    """Grow one fibre into ``points``; return its number of steps."""
    place, direction = start.copy(), heading.copy()
    bend = np.zeros(3)
    fade = np.exp(-gait.step_um / gait.bend_um)
    stir = np.sqrt(1.0 - fade * fade) * gait.bend_per_um
    steps = min(int(length_um / gait.step_um), len(points))
    drawn = number * _DRAWS
    for k in range(steps):
        if not _enter(ground, place, gait.step_um, number):
            return k
        points[k] = place
        for axis in range(3):
            bend[axis] = fade * bend[axis] + stir * _normal(gait.seed, drawn + axis)
        drawn += 3
        direction = _unit(direction + gait.step_um * bend)
        onward = place + direction * (gait.step_um / ground.spacing_um)
        tries = 0
        while not _is_open(ground, onward, gait.step_um, number):
            if tries == TURNS:
                return k + 1
            turn = np.empty(3)
            for axis in range(3):
                turn[axis] = direction[axis] + 0.5 * _normal(gait.seed, drawn + axis)
            drawn += 3
            turn = _unit(turn)
            onward = place + turn * (gait.step_um / ground.spacing_um)
            tries += 1
            if _is_open(ground, onward, gait.step_um, number):
                direction = turn
        place = onward
    return steps


@njit(nogil=True, cache=True, inline="always")
def _normal(seed: int, index: int) -> float:
    return np.float64(normal_from_hash(keyed_hash(seed, index)))


@njit(nogil=True, cache=True)
def _unit(vector: FloatArray) -> FloatArray:
    size = np.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)
    unit: FloatArray = vector / max(size, 1e-12)
    return unit


@njit(nogil=True, cache=True)
def _is_open(ground: Ground, place: FloatArray, step_um: float, number: int) -> bool:
    """Whether a fibre may take a step to a place."""
    shape = ground.labels.shape
    z, y, x = int(place[0] + 0.5), int(place[1] + 0.5), int(place[2] + 0.5)
    if not (0 <= z < shape[0] and 0 <= y < shape[1] and 0 <= x < shape[2]):
        return False
    unit = ground.labels[z, y, x]
    if unit < 0 or ground.need_um[unit] < step_um:
        return False
    for k in range(max(z - 1, 0), min(z + 2, shape[0])):
        for j in range(max(y - 1, 0), min(y + 2, shape[1])):
            for i in range(max(x - 1, 0), min(x + 2, shape[2])):
                if ground.owner[k, j, i] != 0 and ground.owner[k, j, i] != number:
                    return False
    return True


@njit(nogil=True, cache=True)
def _enter(ground: Ground, place: FloatArray, step_um: float, number: int) -> bool:
    """Take a place for a fibre, if it is open."""
    if not _is_open(ground, place, step_um, number):
        return False
    z, y, x = int(place[0] + 0.5), int(place[1] + 0.5), int(place[2] + 0.5)
    ground.owner[z, y, x] = number
    ground.need_um[ground.labels[z, y, x]] -= step_um
    return True


@njit(nogil=True, cache=True)
def _take_back(ground: Ground, gait: Gait, points: FloatArray, number: int) -> None:
    """Free the places of a fibre and want its length again."""
    for k in range(len(points)):
        z, y, x = int(points[k, 0] + 0.5), int(points[k, 1] + 0.5), int(points[k, 2] + 0.5)
        ground.need_um[ground.labels[z, y, x]] += gait.step_um
        if ground.owner[z, y, x] == number:
            ground.owner[z, y, x] = 0
