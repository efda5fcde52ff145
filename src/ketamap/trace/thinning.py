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
"""Parities (z, y, x) of the classes: z and y change twice in a cycle, x four times."""


def thinning_reach() -> Zyx[int]:
    """Voxels around a voxel on which its place in the skeleton depends.

    Per round one voxel for the border and as many as the parity of the axis changes in a
    cycle of classes (2, 2, 4); then one per voxel of spur for clipping and two for growing.
    """
    more = 1 + 3 * SPUR_VOXELS
    return (3 * ROUNDS + more, 3 * ROUNDS + more, 5 * ROUNDS + more)


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
_ALL_BUT_MIDDLE = (1 << 27) - 1 - (1 << 13)
_EIGHTEEN = int(
    sum(
        1 << i for i, p in enumerate(np.ndindex(3, 3, 3)) if 1 <= np.abs(np.array(p) - 1).sum() <= 2
    )
)


def thin(
    mask: NDArray[np.bool_],
    origin: Zyx[int],
    spacing_um: Zyx[float],
    *,
    spur_voxels: int = SPUR_VOXELS,
) -> U8:
    """Thin a mask to lines one voxel wide with the same topology, and clip short spurs.

    Parameters
    ----------
    mask
        Shape ``(z, y, x)``.
    origin
        Index of the first voxel in the volume: parities are those of the volume, so that
        every block decides alike.
    spacing_um
        Voxel edges.
    spur_voxels
        Longest side branch that is clipped.

    Returns
    -------
    numpy.ndarray of uint8
        Shape of ``mask``; 1 on the skeleton. Exact farther than `thinning_reach` from any
        border of the block that is not a border of the volume.
    """
    padded = np.zeros([n + 2 for n in mask.shape], dtype=np.uint8)
    padded[1:-1, 1:-1, 1:-1] = mask
    flat = padded.reshape(-1)
    where = np.flatnonzero(flat)
    strides = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    steps = _steps(strides)
    members = _by_class(where, padded.shape, origin)
    for k in range(ROUNDS):
        gone = _thin_once(flat, members, steps[_open_faces(k, spacing_um)], steps, _NEARS)
        if gone == 0 and k >= EVEN_ROUNDS:
            break
    where = where[flat[where] > 0]
    _clip_spurs(flat, where, steps, spur_voxels)
    return padded[1:-1, 1:-1, 1:-1]


_FACES_OF_AXIS = ((4, 22), (10, 16), (12, 14))
"""Places across the faces of z, y and x."""


def _open_faces(k: int, spacing_um: Zyx[float]) -> list[int]:
    """Faces from which round ``k`` takes: the finest axis always, others as often as due."""
    finest = min(spacing_um)
    faces: list[int] = []
    for um, pair in zip(spacing_um, _FACES_OF_AXIS, strict=True):
        rate = finest / um
        due = int((k + 1) * rate + 0.5) > int(k * rate + 0.5)
        faces.extend(pair if due or k >= EVEN_ROUNDS else ())
    return faces


def _steps(strides: NDArray[np.int64]) -> NDArray[np.int64]:
    """Offsets of the 27 places in a flat array."""
    places = np.array(list(np.ndindex(3, 3, 3)), dtype=np.int64) - 1
    return np.asarray(places @ strides, dtype=np.int64)


def _by_class(
    where: NDArray[np.int64], shape: tuple[int, ...], origin: Zyx[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sort flat indices by class; returns them and the first of each class."""
    index = np.unravel_index(where, shape)
    z, y, x = ((i + o - 1) & 1 for i, o in zip(index, origin, strict=True))
    rank = np.zeros((2, 2, 2), dtype=np.int64)
    rank[tuple(_GRAY.T)] = np.arange(8)
    group = rank[z, y, x]
    order = np.argsort(group, kind="stable")
    return where[order], np.searchsorted(group[order], np.arange(9)).astype(np.int64)


@njit(nogil=True, cache=True)
def _thin_once(
    flat: U8,
    members: tuple[NDArray[np.int64], NDArray[np.int64]],
    faces: NDArray[np.int64],
    steps: NDArray[np.int64],
    nears: NDArray[np.int64],
) -> int:
    """Delete the simple points of the border as it is at the beginning; returns how many."""
    where, first = members
    _mark_border(flat, where, faces)
    gone = 0
    for c in range(first.shape[0] - 1):
        for m in range(first[c], first[c + 1]):
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
def _mark_border(flat: U8, where: NDArray[np.int64], faces: NDArray[np.int64]) -> None:
    for p in where:
        if flat[p] != 0:
            for step in faces:
                if flat[p + step] == 0:
                    flat[p] = 2
                    break


@njit(nogil=True, cache=True)
def _around(flat: U8, p: int, steps: NDArray[np.int64]) -> tuple[int, int]:
    """Places of the object around a voxel as bits, and how many they are."""
    around, n = 0, 0
    for k in range(27):
        if k != 13 and flat[p + steps[k]] != 0:
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
    done = 0
    grown = seed
    while grown != done:
        fresh = grown & ~done
        done = grown
        for k in range(27):
            if fresh >> k & 1:
                grown |= near[k] & allowed
        if grown == allowed:
            break
    return grown


@njit(nogil=True, cache=True)
def _clip_spurs(flat: U8, where: NDArray[np.int64], steps: NDArray[np.int64], rounds: int) -> None:
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
        if k != 13 and flat[p + steps[k]] != 0:
            n += 1
    return n


@njit(nogil=True, cache=True)
def _touches_end(flat: U8, p: int, steps: NDArray[np.int64]) -> bool:
    for k in range(27):
        if k != 13 and flat[p + steps[k]] != 0 and _count(flat, p + steps[k], steps) <= 1:
            return True
    return False
