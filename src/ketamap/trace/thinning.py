"""Thinning a mask to lines, so that the answer at a voxel depends on its surroundings only.

Voxels are deleted by subfields: the eight classes of voxels whose coordinates have the same
parities. Members of a class are never neighbours, so all simple points of one class can go
at once without a change of topology (Bertrand and Aktouf 1995, Proc SPIE 2356:113), and no
order inside a class matters. The classes follow one another in Gray code; along an axis
information then travels at most as many voxels per round as that axis' parity changes.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.space import Zyx
from ketamap.trace.board import OUTSIDE, Board, Places

U8 = NDArray[np.uint8]

ROUNDS = 6
"""Rounds of thinning at most: objects up to twice as many voxels thick become lines."""

EVEN_ROUNDS = 4
"""In so many of them an axis with coarse voxels is thinned less often, so that as many
micrometres go from every side; the rest takes what is still thick."""

SPUR_VOXELS = 3
"""Side branches of at most this many voxels are surface roughness, not fibres."""

_GRAY = np.array(
    [[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1], [1, 0, 0]]
)
"""Parities of the classes along three axes; they change once, twice and four times."""


def thinning_reach() -> Zyx[int]:
    """Voxels around a voxel on which its place in the skeleton depends.

    What a voxel becomes in a round depends on its neighbours before the round, and on those
    of earlier classes during it. A chain of ever earlier classes moves along an axis at most
    as often as the axis' parity changes in the order of the classes (1, 2 and 4 times), and
    the voxel at its end looks one farther. The axes take turns in these roles. Clipping then
    looks three voxels far per voxel of spur.
    """
    per_three_rounds = (1 + 1) + (2 + 1) + (4 + 1)
    reach = per_three_rounds * ROUNDS // 3 + 3 * SPUR_VOXELS
    return (reach, reach, reach)


def _adjacency(limit: int, within: int) -> NDArray[np.int64]:
    """For each of the 27 places a bit mask of its neighbours among the places.

    ``limit`` is the city-block distance of neighbours (3: 26-neighbours, 1: 6-neighbours),
    ``within`` the same for places counted from the middle.
    """
    places = np.array(list(np.ndindex(3, 3, 3))) - 1
    masks = np.zeros(27, dtype=np.int64)
    for i, a in enumerate(places):
        for j, b in enumerate(places):
            step = np.abs(a - b)
            near = step.max() == 1 and step.sum() <= limit
            if near and j != 13 and np.abs(b).sum() <= within:
                masks[i] |= 1 << j
    return masks


_NEAR_26 = _adjacency(3, 3)
_NEAR_6 = _adjacency(1, 2)
_NEARS = np.stack([_NEAR_26, _NEAR_6])
_FACES = int(_NEAR_6[13])
_BIT_NUMBER = np.zeros(37, dtype=np.int64)
_BIT_NUMBER[[(1 << k) % 37 for k in range(27)]] = np.arange(27)
"""Number of a bit by its value modulo 37, in which all powers of two differ."""

_EIGHTEEN = int(
    sum(
        1 << i for i, p in enumerate(np.ndindex(3, 3, 3)) if 1 <= np.abs(np.array(p) - 1).sum() <= 2
    )
)


def thin(
    where: Places,
    board: Board,
    origin: Zyx[int],
    spacing_um: Zyx[float],
    *,
    spur_voxels: int = SPUR_VOXELS,
) -> NDArray[np.bool_]:
    """Thin a mask to lines one voxel wide with the same topology, and clip short spurs.

    Fibres that leave the block go on to its face: nothing is taken from there.

    Parameters
    ----------
    where
        The voxels of the mask.
    board
        Scratch images of the block.
    origin
        Index of the block's first voxel in the volume: parities are those of the volume, so
        that every block decides alike.
    spacing_um
        Voxel edges.
    spur_voxels
        Longest side branch that is clipped.

    Returns
    -------
    numpy.ndarray of bool
        Same shape: whether a voxel is on the skeleton. Exact farther than `thinning_reach`
        from any border of the block that is not a border of the volume.
    """
    flat = board.state
    flat[where] = 1
    left, parity = where, _parities(where, board.strides, np.asarray(origin))
    for k in range(ROUNDS):
        members = _by_class(parity, _ranks(k % 3, spacing_um))
        faces = _open_faces(k, spacing_um)
        gone = _thin_once(flat, left, members, faces, board.steps, _NEARS)
        if gone == 0 and (k >= EVEN_ROUNDS or len(faces) == 6):
            break
        still = flat[left] > 0
        left, parity = left[still], parity[still]
    _clip_spurs(flat, left, board.steps, spur_voxels)
    on = flat[where] > 0
    flat[where] = 0
    return np.asarray(on)


def _ranks(turn: int, spacing_um: Zyx[float]) -> NDArray[np.int64]:
    """Rank of the eight classes, numbered 4 z + 2 y + x, with the axes turned in their roles.

    The coarsest axis begins in the first role: swapping axes with their spacing swaps roles.
    """
    coarsest_first = np.argsort(-np.asarray(spacing_um), kind="stable")
    parity = np.empty_like(_GRAY)
    parity[:, coarsest_first] = np.roll(_GRAY, turn, axis=1)
    rank = np.empty(8, dtype=np.int64)
    rank[parity @ np.array([4, 2, 1])] = np.arange(8)
    return rank


_FACES_OF_AXIS = ((4, 22), (10, 16), (12, 14))
"""Places across the faces of z, y and x."""


def _open_faces(k: int, spacing_um: Zyx[float]) -> NDArray[np.int64]:
    """Faces from which round ``k`` takes: the finest axis always, others as often as due."""
    finest = min(spacing_um)
    faces: list[int] = []
    for um, pair in zip(spacing_um, _FACES_OF_AXIS, strict=True):
        rate = finest / um
        due = int((k + 1) * rate + 0.5) > int(k * rate + 0.5)
        faces.extend(pair if due or k >= EVEN_ROUNDS else ())
    return np.array(faces, dtype=np.int64)


@njit(nogil=True, cache=True)
def _parities(
    where: Places, strides: NDArray[np.int64], origin: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Parities of the voxels' indices in the volume as 4 z + 2 y + x."""
    out = np.empty(where.shape[0], dtype=np.uint8)
    for m in range(where.shape[0]):
        z, rest = where[m] // strides[0], where[m] % strides[0]
        y, x = rest // strides[1], rest % strides[1]
        out[m] = (
            4 * ((z - 1 + origin[0]) & 1)
            + 2 * ((y - 1 + origin[1]) & 1)
            + ((x - 1 + origin[2]) & 1)
        )
    return out


@njit(nogil=True, cache=True)
def _by_class(
    parity: NDArray[np.uint8], rank: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Sort voxels by class; returns their numbers and the first of each class."""
    first = np.zeros(9, dtype=np.int64)
    for p in parity:
        first[rank[p] + 1] += 1
    first = np.cumsum(first)
    at = first.copy()
    out = np.empty(parity.shape[0], dtype=np.int32)
    for m in range(parity.shape[0]):
        c = rank[parity[m]]
        out[at[c]] = m
        at[c] += 1
    return out, first


@njit(nogil=True, cache=True)
def _thin_once(
    flat: U8,
    where: Places,
    members: tuple[NDArray[np.int32], NDArray[np.int64]],
    faces: NDArray[np.int64],
    steps: NDArray[np.int64],
    nears: NDArray[np.int64],
) -> int:
    """Delete the simple points of the border as it is at the beginning; returns how many."""
    order, first = members
    gone = 0
    for p in where:
        if flat[p] != 0:
            for place in faces:
                if flat[p + steps[place]] == 0:
                    flat[p] = 2
                    break
    for c in range(first.shape[0] - 1):
        for m in order[first[c] : first[c + 1]]:
            p = where[m]
            if flat[p] == 2:
                around, n = _around(flat, p, steps)
                if n >= 2 and _is_simple(around, nears[0], nears[1]):
                    flat[p] = 0
                    gone += 1
    for p in where:
        flat[p] = min(flat[p], 1)
    return gone


@njit(nogil=True, cache=True)
def _around(flat: U8, p: int, steps: NDArray[np.int64]) -> tuple[int, int]:
    """Places of the object around a voxel as bits, and how many they are."""
    around, n = 0, 0
    for k in range(27):
        if k != 13 and 0 < flat[p + steps[k]] < OUTSIDE:
            around |= 1 << k
            n += 1
    return around, n


@njit(nogil=True, cache=True)
def _is_simple(around: int, near26: NDArray[np.int64], near6: NDArray[np.int64]) -> bool:
    """Tell whether deleting the middle voxel leaves the topology as it is.

    One 26-component of the object around it, and one 6-component of the background among
    the 18 nearest that touches a face (Bertrand and Malandain 1994, Pattern Recogn Lett
    15:169).
    """
    back = _EIGHTEEN & ~around
    if back & _FACES == 0:
        return False
    found = _flood(back & _FACES & -(back & _FACES), back, near6)
    if back & _FACES & ~found:
        return False
    return _flood(around & -around, around, near26) == around


@njit(nogil=True, cache=True)
def _flood(seed: int, allowed: int, near: NDArray[np.int64]) -> int:
    """Grow a set of places (bits) within the allowed ones."""
    grown = seed
    fresh = seed
    while fresh != 0 and grown != allowed:
        bit = fresh & -fresh
        more = near[_BIT_NUMBER[bit % 37]] & allowed & ~grown
        grown |= more
        fresh = (fresh ^ bit) | more
    return grown


@njit(nogil=True, cache=True)
def _clip_spurs(flat: U8, where: Places, steps: NDArray[np.int64], rounds: int) -> None:
    """Take ends off ``rounds`` times, then let the ends that are left grow back.

    A branch of at most ``rounds`` voxels vanishes; a longer one is as long as before.
    """
    n = where.shape[0]
    taken = np.zeros(n, dtype=np.int64)
    for r in range(1, rounds + 1):
        for m in range(n):
            if flat[where[m]] == 1 and _count(flat, where[m], steps) <= 1:
                taken[m] = r
        for m in range(n):
            if taken[m] == r:
                flat[where[m]] = 0
    back = np.zeros(n, dtype=np.uint8)
    for r in range(rounds, 0, -1):
        for m in range(n):
            back[m] = taken[m] == r and _touches_end(flat, where[m], steps)
        for m in range(n):
            if back[m]:
                flat[where[m]] = 1


@njit(nogil=True, cache=True)
def _count(flat: U8, p: int, steps: NDArray[np.int64]) -> int:
    n = 0
    for k in range(27):
        if k != 13 and 0 < flat[p + steps[k]] < OUTSIDE:
            n += 1
    return n


@njit(nogil=True, cache=True)
def _touches_end(flat: U8, p: int, steps: NDArray[np.int64]) -> bool:
    for k in range(27):
        if k != 13 and 0 < flat[p + steps[k]] < OUTSIDE and _count(flat, p + steps[k], steps) <= 1:
            return True
    return False
