"""The t test of every region alone, for comparison with published figures; not the analysis."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from ketamap.core.errors import DesignError
from ketamap.stats.analyse import Analysis
from ketamap.stats.families import bh
from ketamap.stats.rows import listed


def t_tests(analysis: Analysis, treated: str, control: str) -> pd.DataFrame:
    """Compare two groups by Welch's t test of log2 density in every region alone.

    This is what most papers report.  It takes no animal factor out, shares no variance
    between regions and finds a fraction of what the analysis finds; a region missing in
    some animals is compared among the others only.

    Parameters
    ----------
    analysis
        Of the table; its values are used, its effects are not.
    treated, control
        Groups.

    Returns
    -------
    pandas.DataFrame
        One row per region with two animals of each group: region_id, acronym, measure,
        n_treated, n_control, estimate_log2, ci_low_log2, ci_high_log2 (95 %), p, q (BH).

    Raises
    ------
    DesignError
        If there is no such group.

    References
    ----------
    Welch BL (1947) Biometrika 34:28.
    """
    group = analysis.animal_factors.set_index("animal")["group"]
    for name in (treated, control):
        if name not in set(group):
            have = listed(sorted(set(group)))
            msg = f"There is no group {name!r}; there are {have}."
            raise DesignError(msg)
    values = analysis.values.assign(group=analysis.values["animal"].map(group))
    rows = []
    for region_id, part in values.groupby("region_id", sort=False):
        known = part.dropna(subset=["log2_density"])
        a, b = (known.loc[known["group"] == g, "log2_density"] for g in (treated, control))
        if min(len(a), len(b)) < 2:
            continue
        test = stats.ttest_ind(a, b, equal_var=False)
        low, high = test.confidence_interval()
        rows.append(
            {
                "region_id": region_id,
                "acronym": part["acronym"].iloc[0],
                "measure": part["measure"].iloc[0],
                "n_treated": len(a),
                "n_control": len(b),
                "estimate_log2": a.mean() - b.mean(),
                "ci_low_log2": low,
                "ci_high_log2": high,
                "p": float(np.asarray(test.pvalue)),
            }
        )
    frame = pd.DataFrame(rows)
    return frame.assign(q=bh(frame["p"])) if rows else frame
