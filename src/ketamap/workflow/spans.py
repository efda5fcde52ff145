"""How uncertain a measure itself is, region by region: from its own columns to the report."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ketamap.core.atlas import Structures

if TYPE_CHECKING:
    from ketamap.stats import Analysis

ENDS = ("low", "high")
"""Of the measure's own interval: columns ``own_low, own_high`` of a region table."""


def with_spans(analysis: Analysis, rows: pd.DataFrame, structures: Structures | None) -> Analysis:
    """Add the ends of the measure's own interval to the values of an analysis.

    Parameters
    ----------
    analysis
        Of one measure.
    rows
        The region table of that measure.
    structures
        The tree; None: the one that the table tells.

    Returns
    -------
    Analysis
        Values with ``count_low`` and ``count_high``, summed over the same partition as the
        counts; as it was where the table does not say.
    """
    from ketamap.stats import region_counts, structures_from_table

    needed = [f"{part}_{end}" for part in ("own", "total") for end in ENDS]
    if not set(needed) <= set(rows.columns) or rows[needed].isna().all().any():
        return analysis
    tree = structures_from_table(rows) if structures is None else structures
    values = analysis.values
    measure = str(values["measure"].iloc[0])
    for end in ENDS:
        at_end = rows.assign(own=rows[f"own_{end}"], total=rows[f"total_{end}"])
        regions = region_counts(at_end, tree, measure=measure)
        found = pd.DataFrame(
            {
                "animal": np.repeat(regions.animals, len(regions.region_ids)),
                "region_id": np.tile(regions.region_ids, len(regions.animals)),
                f"count_{end}": regions.counts.ravel(),
            }
        )
        values = values.merge(found, on=["animal", "region_id"], how="left")
    return replace(analysis, values=values)
