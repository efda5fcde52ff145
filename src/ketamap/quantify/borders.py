"""How many cells lie so close to a border that the registration's error may have moved them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import Atlas, Structures
from ketamap.core.registration import ErrorMap
from ketamap.core.space import FloatArray
from ketamap.core.tables import ATLAS_POSITION

_CHUNK_CELLS = 20_000
"""Cells looked at in one go: bounds the memory to about 100 MB."""


def add_border_fraction(
    regions: pd.DataFrame, placed: pd.DataFrame, atlas: Atlas, error: ErrorMap
) -> pd.DataFrame:
    """Add the column ``border_fraction`` to a region table of cells.

    Parameters
    ----------
    regions
        Columns of `ketamap.core.tables.REGIONS`.
    placed
        The cells that were counted, from `ketamap.quantify.place_cells`.
    atlas
        The same atlas.
    error
        Estimated position error of the registration.
    """
    places = placed[list(ATLAS_POSITION)].to_numpy(dtype=np.float64)
    fractions = border_fractions(placed, atlas, error.at(places))
    rows = atlas.structures.rows_of(regions["region_id"].to_numpy(dtype=np.int64))
    side = (regions["hemisphere"].to_numpy() == "right").astype(np.int64)
    return regions.assign(border_fraction=fractions[rows, side])


def border_fractions(placed: pd.DataFrame, atlas: Atlas, error_um: FloatArray) -> FloatArray:
    """Share of each structure's cells that lie within the position error of its border.

    A cell lies that close to the border of a structure if, of the 26 points around it at the
    distance of its error, any falls outside the structure and all that it holds.  A border
    between two of its own parts does not count.

    Parameters
    ----------
    placed
        Result of `ketamap.quantify.place_cells`.
    atlas
        The same atlas.
    error_um
        Position error of each cell, shape ``(n,)``; not finite: taken as 0.

    Returns
    -------
    ndarray
        Shape ``(n structures, 2)``, descendants included; left, right.  NaN without cells.
    """
    tree = atlas.structures
    line = _lineage(tree)
    near = np.zeros((len(tree), 2))
    every = np.zeros((len(tree), 2))
    rows = tree.rows_of(placed["region_id"].to_numpy(dtype=np.int64))
    side = (placed["hemisphere"].to_numpy() == "right").astype(np.int64)
    places = placed[list(ATLAS_POSITION)].to_numpy(dtype=np.float64)
    reach = np.nan_to_num(error_um, nan=0.0, posinf=0.0)
    inside = np.flatnonzero(rows >= 0)
    for start in range(0, len(inside), _CHUNK_CELLS):
        some = inside[start : start + _CHUNK_CELLS]
        own = line[rows[some]]
        shared = _shared_levels(own, places[some], reach[some], atlas, line)
        for depth in range(line.shape[1]):
            there = own[:, depth] >= 0
            where = (own[there, depth], side[some][there])
            np.add.at(every, where, 1.0)
            np.add.at(near, where, (shared[there] <= depth).astype(np.float64))
    return np.divide(near, every, out=np.full_like(near, np.nan), where=every > 0)


def _shared_levels(
    own: NDArray[np.int64],
    places_um: FloatArray,
    reach_um: FloatArray,
    atlas: Atlas,
    line: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Levels of the tree, from the root, that each cell shares with everything around it."""
    shared = np.full(len(own), line.shape[1], dtype=np.int64)
    for way in _directions():
        around = atlas.regions_at(places_um + reach_um[:, None] * way)
        rows = atlas.structures.rows_of(around)
        other = np.where(rows[:, None] >= 0, line[rows], -1)
        # below the cell's own structure there is no border to cross
        shares = (other == own) | (own < 0)
        levels = np.where(shares.all(axis=1), line.shape[1], shares.argmin(axis=1))
        shared = np.minimum(shared, levels)
    return shared


def _directions() -> FloatArray:
    """Return unit vectors to the 26 neighbours of a voxel, ``(26, 3)``."""
    steps = np.array([s for s in np.ndindex(3, 3, 3) if s != (1, 1, 1)], dtype=np.float64) - 1.0
    return np.asarray(steps / np.linalg.norm(steps, axis=1, keepdims=True))


def _lineage(tree: Structures) -> NDArray[np.int64]:
    """Rows from the root down to each structure itself, -1 below; ``(n, levels)``."""
    line = np.full((len(tree), int(tree.depths.max()) + 1), -1, dtype=np.int64)
    for row, region in enumerate(tree.ids):
        path = [tree.position(int(i)) for i in (*reversed(tree.ancestors(int(region))), region)]
        line[row, : len(path)] = path
    return line
