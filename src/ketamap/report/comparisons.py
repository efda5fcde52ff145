"""The effects table by comparison: one row per region, both estimands side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ketamap.core.atlas import Atlas
from ketamap.core.measures import measure_of
from ketamap.report.contents import StudyReport

BOTH = ("relative", "absolute")
"""Estimands a region has, in the order shown."""

NUMBERS = {
    "estimate_log2": "estimate",
    "ci_low_log2": "low",
    "ci_high_log2": "high",
    "se_log2": "se",
    "df": "df",
    "p": "p",
    "q": "q",
}
"""Column of the effects table to its short name; wide columns are ``relative_low`` etc."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """The brain-wide shift of one comparison, log2."""

    estimate: float
    low: float
    high: float
    p: float

    @property
    def known(self) -> bool:
        """Whether it could be estimated with an interval."""
        return bool(np.isfinite([self.estimate, self.low, self.high]).all())

    @property
    def off_zero(self) -> bool:
        """Whether the interval excludes no change."""
        return self.known and (self.low > 0 or self.high < 0)


NO_SHIFT = Shift(estimate=np.nan, low=np.nan, high=np.nan, p=np.nan)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Comparison:
    """One contrast of one measure."""

    key: str
    """Name for use in the page: ``c0``, ``c1``, ..."""

    label: str
    """What is compared with what, with the measure where there are several."""

    contrast: str
    measure: str
    shift: Shift

    regions: pd.DataFrame
    """One row per region: ``region_id, acronym, name, testable, reason``, for each estimand
    ``<estimand>_estimate, _low, _high, _se, _df, _p, _q, _called``, and ``evidence``
    (rank 1 = smallest relative p; not testable last)."""

    @property
    def tested(self) -> pd.DataFrame:
        """Regions that were tested, strongest evidence first."""
        return self.regions[self.regions["testable"]].sort_values("evidence")

    @property
    def untestable(self) -> pd.DataFrame:
        """Regions that could not be tested."""
        return self.regions[~self.regions["testable"]]

    def called(self, estimand: str) -> pd.DataFrame:
        """Regions called in one estimand, strongest evidence first."""
        tested = self.tested
        return tested[tested[f"{estimand}_called"]]


def comparisons_of(report: StudyReport) -> tuple[Comparison, ...]:
    """Split the effects table by measure and contrast, in order of appearance."""
    effects = report.effects
    several = effects["measure"].nunique() > 1
    found = []
    pairs = effects[["measure", "contrast"]].drop_duplicates().itertuples(index=False)
    for k, (measure, contrast) in enumerate(pairs):
        rows = effects[(effects["measure"] == measure) & (effects["contrast"] == contrast)]
        found.append(
            Comparison(
                key=f"c{k}",
                label=f"{contrast} ({measure_of(str(measure)).short})"
                if several
                else str(contrast),
                contrast=str(contrast),
                measure=str(measure),
                shift=_shift(rows),
                regions=_regions(rows, report.alpha, report.atlas),
            )
        )
    return tuple(found)


def records(regions: pd.DataFrame) -> list[Any]:
    """Rows as named tuples, whose columns the type checker does not know."""
    return list(regions.itertuples(index=False))


def name_of(region_id: int, acronym: str, atlas: Atlas | None) -> str:
    """Full name of a region, its acronym where no atlas knows it."""
    if atlas is not None and region_id in atlas.structures:
        return atlas.structures.name_of(region_id)
    return acronym


def _shift(rows: pd.DataFrame) -> Shift:
    shift = rows[rows["estimand"] == "shift"]
    if shift.empty:
        return NO_SHIFT
    columns = ["estimate_log2", "ci_low_log2", "ci_high_log2", "p"]
    estimate, low, high, p = shift.iloc[0][columns].astype(float)
    return Shift(estimate=estimate, low=low, high=high, p=p)


def _regions(rows: pd.DataFrame, alpha: float, atlas: Atlas | None) -> pd.DataFrame:
    rows = rows[rows["estimand"].isin(BOTH)]
    wide = rows[["region_id", "acronym"]].drop_duplicates("region_id").set_index("region_id")
    wide["testable"] = rows.groupby("region_id")["testable"].any().astype(bool)
    reasons = rows[rows["reason"].fillna("").astype(str) != ""].drop_duplicates("region_id")
    wide["reason"] = reasons.set_index("region_id")["reason"].astype(str)
    wide["reason"] = wide["reason"].fillna("")
    for estimand in BOTH:
        mine = rows[rows["estimand"] == estimand].set_index("region_id")
        for column, short in NUMBERS.items():
            wide[f"{estimand}_{short}"] = mine[column].astype(float)
        q, low = wide[f"{estimand}_q"], wide[f"{estimand}_low"]
        wide[f"{estimand}_called"] = (q < alpha) & low.notna() & wide["testable"]
    wide = wide.reset_index()
    wide["region_id"] = wide["region_id"].astype(int)
    wide["acronym"] = wide["acronym"].astype(str)
    pairs = zip(wide["region_id"], wide["acronym"], strict=True)
    wide["name"] = [name_of(int(i), a, atlas) for i, a in pairs]
    wide["evidence"] = _evidence(wide)
    return wide


def _evidence(wide: pd.DataFrame) -> pd.Series[int]:
    """Rank by relative p (absolute where there is none), larger effects first at ties."""
    p = wide["relative_p"].fillna(wide["absolute_p"]).where(wide["testable"])
    size = -wide["relative_estimate"].fillna(wide["absolute_estimate"]).abs()
    keys = pd.DataFrame({"p": p, "size": size, "acronym": wide["acronym"]})
    order = keys.sort_values(["p", "size", "acronym"], na_position="last").index
    return pd.Series(np.arange(1, len(order) + 1), index=order).reindex(wide.index)
