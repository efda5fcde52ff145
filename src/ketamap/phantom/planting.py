"""Putting cells into a sample: so many per structure and side, never too close."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.atlas import Atlas
from ketamap.core.errors import InputError
from ketamap.core.space import FloatArray, VoxelGrid, Zyx
from ketamap.core.transform import Transform

MOST_CELLS_PER_CUBE = 0.5
"""Largest density in cells per cube of the minimum distance.

Random sequential placement of spheres jams at a volume fraction of 0.384 (Widom 1966;
Zhang and Torquato 2013), which is 0.73 cells per cube; two thirds of it fill quickly.
"""

_ROUNDS = 300
"""Rounds of candidates before the rest is given up."""

_LEAST_PLANTED = 0.98
"""Planted below this fraction of asked is an error: cells must not be lost silently."""


@dataclass(frozen=True, eq=False, slots=True)
class Planted:
    """Cells in a sample."""

    positions_um: FloatArray
    """Shape ``(n, 3)``, sample (z, y, x)."""

    atlas_um: FloatArray
    """Shape ``(n, 3)``, the same places in the atlas."""

    units: NDArray[np.int64]
    """Structure and side of each cell, see `warping.unit_volume`."""

    asked: NDArray[np.int64]
    """Number of cells asked per unit, after the density cap."""


def most_cells_per_mm3(min_distance_um: float) -> float:
    """Largest density that can be planted at a minimum distance, cells/mm3."""
    return MOST_CELLS_PER_CUBE * (1000.0 / min_distance_um) ** 3


def plant(
    atlas: Atlas,
    transform: Transform,
    labels: NDArray[np.int16],
    grid: VoxelGrid,
    asked: NDArray[np.int64],
    min_distance_um: float,
    rng: np.random.Generator,
) -> Planted:
    """Plant cells uniformly in their structures.

    Parameters
    ----------
    atlas, transform
        Decide, exactly, which structure and side each position belongs to.
    labels
        Unit of each voxel of ``grid`` (a proposal: positions are checked one by one).
    grid
        Sample grid of ``labels``.
    asked
        Cells per unit.
    min_distance_um
        No two cells are closer, in whatever structures.
    rng
        Source of chance.

    Raises
    ------
    InputError
        If fewer than 98 % of the cells find a place.
    """
    order, first = voxels_by_unit(labels, len(asked))
    size = np.diff(first)
    # densest first: the sparse still find room between the dense, not the other way round
    turn = np.argsort(-asked / np.maximum(size, 1), kind="stable")
    room = _Room(grid, min_distance_um, int(asked.sum()))
    need = np.where(size > 0, asked, 0)
    found: list[tuple[FloatArray, FloatArray, NDArray[np.int64]]] = []
    for attempt in range(_ROUNDS):
        units = np.repeat(turn, (need * (1 if attempt == 0 else 6))[turn])
        if not len(units):
            break
        voxel = order[first[units] + (rng.random(len(units)) * size[units]).astype(np.int64)]
        index = np.column_stack(np.unravel_index(voxel, grid.shape))
        positions = grid.to_um(index + rng.uniform(-0.5, 0.5, index.shape))
        atlas_um = transform.to_atlas(positions)
        right_place = np.flatnonzero(units_at(atlas, atlas_um) == units)
        taken = right_place[room.add(positions[right_place], units[right_place], need)]
        found.append((positions[taken], atlas_um[taken], units[taken]))
    n_asked, n_left = int(asked.sum()), int(asked.sum()) - sum(len(f[2]) for f in found)
    if n_left > (1.0 - _LEAST_PLANTED) * n_asked:
        msg = (
            f"{n_left} of {n_asked} cells do not fit at {min_distance_um:g} um apart. Lower the "
            f"densities or the soma diameter."
        )
        raise InputError(msg)
    where, atlas_where, which = (
        (np.concatenate(part) for part in zip(*found, strict=True))
        if found
        else (np.empty((0, 3)), np.empty((0, 3)), np.empty(0, dtype=np.int64))
    )
    return Planted(where, atlas_where, which, asked)


def units_at(atlas: Atlas, atlas_um: FloatArray) -> NDArray[np.int64]:
    """Structure and side at atlas positions, -1 in none; see `warping.unit_volume`."""
    rows = atlas.structures.rows_of(atlas.regions_at(atlas_um))
    side = np.where(atlas.is_left(atlas_um), 0, 1)
    return np.where(rows >= 0, 2 * rows + side, -1)


_Shelves: TypeAlias = tuple[NDArray[np.int32], NDArray[np.int32], FloatArray]
"""First cell of each box, next cell in the same box (-1: none), position of each cell."""


class _Room:
    """Cells planted so far, in boxes as wide as the minimum distance."""

    def __init__(self, grid: VoxelGrid, min_distance_um: float, n_most: int) -> None:
        corner = grid.to_um(np.zeros(3)) - 0.5 * np.asarray(grid.spacing_um)
        extent = np.asarray(grid.shape) * np.asarray(grid.spacing_um)
        self._corner = corner
        self._distance = min_distance_um
        boxes = np.ceil(extent / min_distance_um).astype(np.int64) + 1
        self._heads = np.full(tuple(boxes), -1, dtype=np.int32)
        self._next = np.full(max(n_most, 1), -1, dtype=np.int32)
        self._places = np.empty((max(n_most, 1), 3))
        self._n = 0

    def add(
        self, places_um: FloatArray, units: NDArray[np.int64], need: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Accept candidates in order while needed; lowers ``need``, returns those accepted."""
        taken = np.zeros(len(places_um), dtype=np.bool_)
        self._n = _accept(
            taken, places_um - self._corner, units, need, self._distance,
            (self._heads, self._next, self._places), self._n,
        )  # fmt: skip
        return np.flatnonzero(taken)


@njit(nogil=True, cache=True)
def _accept(
    taken: NDArray[np.bool_],
    places: FloatArray,
    units: NDArray[np.int64],
    need: NDArray[np.int64],
    distance: float,
    room: _Shelves,
    n: int,
) -> int:
    """Go through candidates in order, keep those needed and free; return the cells kept so far."""
    heads, following, kept = room
    for c in range(len(places)):
        if need[units[c]] <= 0:
            continue
        box = (
            int(places[c, 0] / distance),
            int(places[c, 1] / distance),
            int(places[c, 2] / distance),
        )
        if _is_free(places[c], box, distance, room):
            kept[n] = places[c]
            following[n] = heads[box]
            heads[box] = n
            n += 1
            need[units[c]] -= 1
            taken[c] = True
    return n


@njit(nogil=True, cache=True)
def _is_free(place: FloatArray, box: Zyx[int], distance: float, room: _Shelves) -> bool:
    """Whether no cell in this box and its 26 neighbours is closer than the distance."""
    heads, following, kept = room
    for z in range(max(box[0] - 1, 0), min(box[0] + 2, heads.shape[0])):
        for y in range(max(box[1] - 1, 0), min(box[1] + 2, heads.shape[1])):
            for x in range(max(box[2] - 1, 0), min(box[2] + 2, heads.shape[2])):
                other = heads[z, y, x]
                while other >= 0:
                    gap = kept[other] - place
                    if gap[0] ** 2 + gap[1] ** 2 + gap[2] ** 2 < distance**2:
                        return False
                    other = following[other]
    return True


@njit(nogil=True, cache=True)
def voxels_by_unit(
    labels: NDArray[np.int16], n_units: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Sort voxels by unit: flat indices, and where each unit's run starts (and the last ends)."""
    flat = labels.ravel()
    first = np.zeros(n_units + 1, dtype=np.int64)
    for v in range(flat.size):
        if flat[v] >= 0:
            first[flat[v] + 1] += 1
    first = np.cumsum(first)
    spot = first[:-1].copy()
    order = np.empty(first[-1], dtype=np.int32)
    for v in range(flat.size):
        if flat[v] >= 0:
            order[spot[flat[v]]] = v
            spot[flat[v]] += 1
    return order, first
