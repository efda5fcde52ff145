"""Which share of a region's cells is found, from the share that is found of each one's like."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ketamap.core.atlas import Atlas
from ketamap.core.space import FloatArray


def add_detection_efficiency(
    regions: pd.DataFrame, placed: pd.DataFrame, atlas: Atlas
) -> pd.DataFrame:
    """Add the column ``detection_efficiency`` to a region table of cells.

    Counts stay as they are.

    Parameters
    ----------
    regions
        Columns of `ketamap.core.tables.REGIONS`.
    placed
        The cells that were counted, from `ketamap.quantify.place_cells`; without a column
        ``efficiency`` the table is returned as it is.
    atlas
        The same atlas.
    """
    if "efficiency" not in placed.columns:
        return regions
    shares = detection_efficiencies(placed, atlas)
    rows = atlas.structures.rows_of(regions["region_id"].to_numpy(dtype=np.int64))
    side = (regions["hemisphere"].to_numpy() == "right").astype(np.int64)
    return regions.assign(detection_efficiency=shares[rows, side])


def detection_efficiencies(placed: pd.DataFrame, atlas: Atlas) -> FloatArray:
    """Estimate the share that was found of the cells of each structure and side.

    A cell of a kind of which a share p is found stands for 1 / p cells (Horvitz and Thompson
    1952, J Am Stat Assoc 47:663, eq. 8): n cells were found of the sum of 1 / p.

    Parameters
    ----------
    placed
        Result of `ketamap.quantify.place_cells`, with ``efficiency`` in (0, 1] or NaN.
    atlas
        The same atlas.

    Returns
    -------
    ndarray
        Shape ``(n structures, 2)``, descendants included; left, right.  NaN where no cell has
        an estimate.
    """
    share = placed["efficiency"].to_numpy(dtype=np.float64)
    row = atlas.structures.rows_of(placed["region_id"].to_numpy(dtype=np.int64))
    side = (placed["hemisphere"].to_numpy() == "right").astype(np.int64)
    known = (row >= 0) & np.isfinite(share)
    found = np.zeros((len(atlas.structures), 2))
    there = np.zeros_like(found)
    np.add.at(found, (row[known], side[known]), 1.0)
    np.add.at(there, (row[known], side[known]), 1.0 / share[known])
    found, there = atlas.structures.roll_up(found), atlas.structures.roll_up(there)
    return np.divide(found, there, out=np.full_like(there, np.nan), where=there > 0)
