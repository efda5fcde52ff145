"""Which share of cells is estimated to be found, and whether groups differ in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, ttest_ind

from ketamap.report.contents import BrainQuality
from ketamap.report.groups import Groups
from ketamap.report.words import percent, signed

LEAST_LOG2 = 0.1
"""A difference of 7 % in efficiency; smaller ones are not worth a warning."""

ALPHA = 0.05
"""False discovery rate over all regions and groups that are looked at."""

FEWEST_ANIMALS = 2
"""With fewer animals with cells in a group their spread is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficiencyRow:
    """A region in which one group's cells are found more completely than another's."""

    acronym: str
    group: str
    reference: str
    share: str
    share_in_reference: str
    apparent: str
    """Change of counts, log2, that the difference alone would show as."""


def region_efficiencies(regions: pd.DataFrame) -> pd.Series:
    """Join both hemispheres of an animal's region table.

    Parameters
    ----------
    regions
        Columns of `ketamap.core.tables.REGIONS`.

    Returns
    -------
    pandas.Series
        Detection efficiency by acronym, the structure with most cells first; empty where it was
        not estimated.
    """
    if "detection_efficiency" not in regions.columns:
        return pd.Series(dtype=np.float64)
    mine = regions[(regions["measure"] == "cells") & regions["detection_efficiency"].notna()]
    there = mine["total"] / mine["detection_efficiency"]
    sums = pd.DataFrame({"found": mine["total"], "there": there}).groupby(mine["acronym"]).sum()
    sums = sums[sums["there"] > 0].sort_values("found", ascending=False, kind="stable")
    return sums["found"] / sums["there"]


def efficiency_rows(brains: Sequence[BrainQuality], groups: Groups) -> list[EfficiencyRow]:
    """List the regions whose efficiency differs between the first group and another one.

    The groups' mean log2 efficiencies must differ by `LEAST_LOG2`, and by Welch's test (1938,
    Biometrika 29:350) at a false discovery rate of `ALPHA` (Benjamini-Hochberg).
    """
    shares = {b.animal: b.efficiency for b in brains if len(b.efficiency)}
    if not shares or not groups.names:
        return []
    known = pd.DataFrame(shares).astype(np.float64)
    table = pd.DataFrame(np.log2(known.to_numpy()), index=known.index, columns=known.columns)
    reference, *others = groups.names
    base = table[[a for a in groups.members(reference) if a in table]]
    rows, chances = [], []
    for group in others:
        mine = table[[a for a in groups.members(group) if a in table]]
        for acronym in table.index:
            one, two = mine.loc[acronym].dropna(), base.loc[acronym].dropna()
            if min(len(one), len(two)) >= FEWEST_ANIMALS:
                rows.append((str(acronym), group, one, two))
                chances.append(_chance(one.to_numpy(), two.to_numpy()))
    q = false_discovery_control(chances) if chances else []
    told = [
        (abs(float(one.mean() - two.mean())), _row(acronym, group, reference, one, two))
        for (acronym, group, one, two), at in zip(rows, q, strict=True)
        if at < ALPHA
    ]
    return [row for apart, row in sorted(told, key=lambda t: -t[0]) if apart >= LEAST_LOG2]


def _chance(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """Welch's p; without any spread 0 where the groups differ and 1 where they do not."""
    if np.ptp(one) + np.ptp(two) < 1e-12:
        return float(abs(one[0] - two[0]) < 1e-12)
    return float(ttest_ind(one, two, equal_var=False).pvalue)


def _row(acronym: str, group: str, reference: str, one: pd.Series, two: pd.Series) -> EfficiencyRow:
    return EfficiencyRow(
        acronym=acronym,
        group=group,
        reference=reference,
        share=percent(round(float(2.0 ** one.mean()), 3)),
        share_in_reference=percent(round(float(2.0 ** two.mean()), 3)),
        apparent=signed(float(one.mean() - two.mean())),
    )


def efficiency_warnings(rows: Sequence[EfficiencyRow]) -> list[str]:
    """One sentence for the page's warnings; none without rows."""
    if not rows:
        return []
    names = list(dict.fromkeys(row.acronym for row in rows))
    return [
        f"Cells are not found equally completely in all groups in {len(names)} "
        f"{'region' if len(names) == 1 else 'regions'} ({', '.join(names[:8])}"
        f"{', ...' if len(names) > 8 else ''}): a difference in detection efficiency mimics an "
        "effect. See the quality section."
    ]
