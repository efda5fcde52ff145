"""Planted effects beside the estimated ones, for studies made up by the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import log2
from typing import Any

import numpy as np
import pandas as pd

from ketamap.report.axes import (
    Figure,
    base_layout,
    caption,
    effect_hover,
    log2_axis,
    reach,
    region_hover,
)
from ketamap.report.comparisons import BOTH, Comparison, records
from ketamap.report.groups import plain_numbers
from ketamap.report.palette import SOFT_INK, direction_mark
from ketamap.report.region_figures import PANELS, TITLES
from ketamap.report.words import plural, signed

LARGE_LOG2 = log2(1.5)
"""Planted changes of at least 1.5-fold are counted on their own."""

ROUNDING = 1e-9
"""Planted values closer to 0 than this are no change."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class TruthCheck:
    """One comparison against what was planted."""

    key: str
    label: str
    summary: tuple[str, ...]
    """Counts, one sentence each."""

    rows: pd.DataFrame
    """Regions in which something was planted, largest first; columns of
    `Comparison.regions` and ``planted_absolute, planted_relative``."""

    figure: Figure


def truth_checks(truth: pd.DataFrame | None, comparisons: Sequence[Comparison]) -> list[TruthCheck]:
    """Set planted and estimated effects side by side, comparison by comparison."""
    if truth is None:
        return []
    found = []
    for comparison in comparisons:
        joined = planted_and_estimated(truth, comparison)
        if joined.empty:
            continue
        planted = joined[joined["planted_absolute"].abs() > ROUNDING]
        order = planted["planted_absolute"].abs().sort_values(ascending=False, kind="stable").index
        found.append(
            TruthCheck(
                key=comparison.key,
                label=comparison.label,
                summary=_summary(joined),
                rows=planted.loc[order],
                figure=_scatter(joined),
            )
        )
    return found


def planted_and_estimated(truth: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """Join the truth of one comparison to its regions.

    The planted relative effect is the planted one minus its median over the joined
    regions, as the estimated one is.
    """
    mine = truth[truth["contrast"] == comparison.contrast]
    if "measure" in mine:
        mine = mine[mine["measure"] == comparison.measure]
    planted = mine.drop_duplicates("region_id").set_index("region_id")["planted_log2"]
    joined = comparison.regions.copy()
    joined["planted_absolute"] = joined["region_id"].map(planted).astype(float)
    joined = joined[joined["planted_absolute"].notna()].reset_index(drop=True)
    joined["planted_relative"] = joined["planted_absolute"] - joined["planted_absolute"].median()
    return joined


def _summary(joined: pd.DataFrame) -> tuple[str, ...]:
    tested = joined[joined["testable"]]
    changed = tested[tested["planted_absolute"].abs() > ROUNDING]
    large = changed[changed["planted_absolute"].abs() >= LARGE_LOG2]
    lines = [
        f"Planted changes: {int((joined['planted_absolute'].abs() > ROUNDING).sum())}; "
        f"{len(changed)} of them in regions that could be tested."
    ]
    for label, rows in (("all", changed), ("1.5-fold or more", large)):
        if len(rows):
            right = np.sign(rows["relative_estimate"]) == np.sign(rows["planted_relative"])
            lines.append(
                f"Planted changes that could be tested, {label}: {int(right.sum())} of "
                f"{len(rows)} have the right direction, {int(rows['relative_called'].sum())} are "
                f"called (relative)."
            )
    nothing = tested[tested["planted_absolute"].abs() <= ROUNDING]
    if len(nothing):
        false = int(nothing["relative_called"].sum())
        lines.append(
            f"Of {plural(len(nothing), 'region')} with nothing planted, {false} are called."
        )
    lines += [_coverage(tested, estimand) for estimand in BOTH]
    return tuple(lines)


def _coverage(tested: pd.DataFrame, estimand: str) -> str:
    low, high = tested[f"{estimand}_low"], tested[f"{estimand}_high"]
    there = low.notna() & high.notna()
    planted = tested[f"planted_{estimand}"]
    covered = int(((low <= planted) & (planted <= high) & there).sum())
    return (
        f"The 95 % intervals of the {estimand} effects hold the planted value in {covered} of "
        f"{plural(int(there.sum()), 'region')}."
    )


def _scatter(joined: pd.DataFrame) -> Figure:
    tested = joined[joined["testable"]]
    low, high = reach(tested["planted_absolute"], least=0.75)
    y_columns = [f"{e}_{x}" for e in BOTH for x in ("low", "high")]
    y_low, y_high = reach(tested[y_columns].to_numpy().ravel(), least=0.75)
    layout = base_layout(440, margin={"l": 76, "r": 12, "t": 40, "b": 66})
    layout["annotations"] = [caption(TITLES[e], PANELS[e][0]) for e in BOTH]
    data: list[Figure] = []
    for at, estimand in enumerate(BOTH, start=1):
        suffix = str(at) if at > 1 else ""
        data += _panel(tested, estimand, suffix, (max(low, y_low), min(high, y_high)))
        layout[f"xaxis{suffix}"] = log2_axis(
            low, high, "planted, log2", domain=PANELS[estimand], anchor="y"
        )
    layout["yaxis"] = log2_axis(y_low, y_high, "estimated, log2 (factor)", beside=True)
    return {"data": data, "layout": layout}


def _panel(
    tested: pd.DataFrame, estimand: str, suffix: str, span: tuple[float, float]
) -> list[Figure]:
    rows = tested[tested[f"{estimand}_estimate"].notna()]
    axes = {"type": "scatter", "xaxis": f"x{suffix}", "yaxis": "y"}
    identity = {
        **axes,
        "mode": "lines",
        "x": list(span),
        "y": list(span),
        "line": {"color": SOFT_INK, "width": 1, "dash": "dot"},
        "hoverinfo": "skip",
    }
    nothing = rows["planted_absolute"].abs() <= ROUNDING
    return [
        identity,
        {**axes, **_marks(rows[nothing], estimand, span, size=5)},
        {
            **axes,
            **_marks(rows[~nothing], estimand, span, size=9),
            **_bars(rows[~nothing], estimand),
        },
    ]


def _marks(rows: pd.DataFrame, estimand: str, span: tuple[float, float], *, size: int) -> Figure:
    value, called = rows[f"{estimand}_estimate"], rows[f"{estimand}_called"]
    pairs = zip(value, called, strict=True)
    return {
        "mode": "markers",
        "x": plain_numbers(_apart(rows[f"planted_{estimand}"], span[1] - span[0])),
        "y": plain_numbers(value),
        "customdata": [int(i) for i in rows["region_id"]],
        "marker": {
            "size": size,
            "color": [direction_mark(v, called=bool(c)) for v, c in pairs],
            "opacity": 0.85,
        },
        "hovertext": [_hover(row, estimand) for row in records(rows)],
        "hoverinfo": "text",
    }


def _bars(rows: pd.DataFrame, estimand: str) -> Figure:
    value = rows[f"{estimand}_estimate"]
    return {
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": plain_numbers(rows[f"{estimand}_high"] - value),
            "arrayminus": plain_numbers(value - rows[f"{estimand}_low"]),
            "color": "rgba(91,99,110,0.5)",
            "thickness": 1.3,
            "width": 0,
        }
    }


def _apart(planted: pd.Series[float], width: float) -> list[float]:
    """Spread regions with the same planted value sideways, by up to 2 % of the axis."""
    order = planted.groupby(planted.round(6)).cumcount()
    size = planted.groupby(planted.round(6)).transform("size")
    share = (order + 0.5) / size - 0.5
    return list(planted + share * 0.04 * width * np.minimum(1.0, size / 10))


def _hover(row: Any, estimand: str) -> str:
    planted = getattr(row, f"planted_{estimand}")
    return (
        f"{region_hover(row.name, row.acronym)}<br>planted {signed(planted)} log2<br>"
        f"{effect_hover(escape(estimand), row, estimand)}"
    )
