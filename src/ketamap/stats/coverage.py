"""Regions that images show only in part: what a reader must know of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.stats.rows import listed

COVERED_FRACTION = "covered_fraction"
"""Column of a region table: part of the region that the image shows."""

SCANTLY_COVERED = 0.5
"""Less of a region than this may not stand for all of it: densities differ within regions."""


def coverage_warnings(
    table: pd.DataFrame, region_ids: NDArray[np.int64], measure: str
) -> list[str]:
    """Name the regions of which some animal shows less than `SCANTLY_COVERED`.

    Parameters
    ----------
    table
        Region table; one without `COVERED_FRACTION` gives no warning.
    region_ids
        Regions that are analysed.
    measure
        The measure to take.
    """
    if COVERED_FRACTION not in table or "region_id" not in table:
        return []
    mine = table[table["region_id"].isin(region_ids)]
    if "measure" in mine:
        mine = mine[mine["measure"] == measure]
    counted = mine["total"].notna() if "total" in mine else mine[COVERED_FRACTION].notna()
    cut = mine[counted & (mine[COVERED_FRACTION] < SCANTLY_COVERED)]
    if cut.empty:
        return []
    regions = cut["acronym"].unique()
    rows = [
        f"{row.acronym} {row.hemisphere} in {row.animal} ({row.covered_fraction:.0%})"
        for row in cut.sort_values([COVERED_FRACTION, "acronym"]).itertuples()
    ]
    return [
        f"Less than half of {len(regions)} {'region' if len(regions) == 1 else 'regions'} is "
        f"in the image of some animal: {listed(rows)}. Counts and volumes are of the part that is "
        f"there; take these animals out where density may differ within the region."
    ]
