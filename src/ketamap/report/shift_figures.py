"""Figures of the brain-wide shift: its intervals, and every animal's level."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd

from ketamap.report.axes import Figure, axis, base_layout, log2_axis, reach
from ketamap.report.comparisons import Comparison
from ketamap.report.groups import Groups, plain_numbers, spread
from ketamap.report.palette import INK, direction_mark, group_colours
from ketamap.report.words import equation, fold, interval, shortened, signed

ROW_PX = 44
"""Height of one row of the forest."""


def shift_forest(comparisons: Sequence[Comparison]) -> Figure | None:
    """Draw the shift of each comparison with its 95 % interval; None if there is none."""
    shown = [c for c in comparisons if c.shift.known]
    if not shown:
        return None
    low, high = reach([v for c in shown for v in (c.shift.low, c.shift.high)])
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": plain_numbers([c.shift.estimate for c in shown]),
        "y": list(range(len(shown))),
        "marker": {
            "size": 12,
            "color": [direction_mark(c.shift.estimate, called=c.shift.off_zero) for c in shown],
        },
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": plain_numbers([c.shift.high - c.shift.estimate for c in shown]),
            "arrayminus": plain_numbers([c.shift.estimate - c.shift.low for c in shown]),
            "color": INK,
            "thickness": 1.6,
            "width": 5,
        },
        "hovertext": [_shift_hover(c) for c in shown],
        "hoverinfo": "text",
    }
    layout = base_layout(96 + ROW_PX * len(shown), margin={"l": 170, "r": 16, "t": 12, "b": 64})
    layout["xaxis"] = log2_axis(low, high, "brain-wide change, log2")
    layout["yaxis"] = axis(
        tickvals=list(range(len(shown))),
        ticktext=[_broken(c.label) for c in shown],
        range=[len(shown) - 0.5, -0.5],
        showgrid=False,
    )
    return {"data": [trace], "layout": layout}


def factors_of(factors: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the animals' levels in one measure; all rows where none is named."""
    return factors[factors["measure"] == measure] if "measure" in factors else factors


def factor_dots(factors: pd.DataFrame, groups: Groups) -> Figure | None:
    """Draw each animal's brain-wide level by group, with the mean of the group."""
    if factors.empty:
        return None
    level = dict(zip(factors["animal"].astype(str), factors["factor_log2"], strict=True))
    colours = group_colours(groups.names)
    data: list[Figure] = []
    for place, group in enumerate(groups.names):
        members = [a for a in groups.members(group) if a in level and np.isfinite(level[a])]
        if not members:
            continue
        y = [float(level[a]) for a in members]
        dots = {
            "type": "scatter",
            "mode": "markers",
            "x": [place + dx for dx in spread(len(members))],
            "y": plain_numbers(y),
            "marker": {"size": 10, "color": colours[group], "opacity": 0.85},
            "hovertext": [
                f"<b>{escape(a)}</b><br>{escape(group)}<br>{signed(v)} log2 ({fold(v)})"
                for a, v in zip(members, y, strict=True)
            ],
            "hoverinfo": "text",
        }
        data += [mean_bar(place, float(np.mean(y)), colours[group]), dots]
    layout = base_layout(300, margin={"l": 62, "r": 12, "t": 12, "b": 56})
    layout["xaxis"] = axis(
        tickvals=list(range(len(groups.names))),
        ticktext=[_broken(g, 14) for g in groups.names],
        range=[-0.6, len(groups.names) - 0.4],
        showgrid=False,
    )
    layout["yaxis"] = axis("animal's brain-wide level, log2", zeroline=True)
    return {"data": data, "layout": layout}


def mean_bar(place: float, mean: float, colour: str, *, axes: str = "") -> Figure:
    """Short horizontal bar at the mean of a group."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [place - 0.32, place + 0.32],
        "y": plain_numbers([mean, mean]),
        "xaxis": f"x{axes}",
        "yaxis": f"y{axes}",
        "line": {"color": colour, "width": 2.5},
        "hoverinfo": "skip",
    }


def _shift_hover(comparison: Comparison) -> str:
    s = comparison.shift
    return (
        f"<b>{escape(comparison.label)}</b><br>brain-wide shift {signed(s.estimate)} log2 "
        f"({fold(s.estimate)})<br>95 % interval {interval(s.low, s.high)}<br>"
        f"{equation('p', s.p)}"
    )


def _broken(label: str, most: int = 24) -> str:
    """Break a long label in two lines at a blank near its middle."""
    if len(label) <= most:
        return escape(label)
    blanks = [i for i, c in enumerate(label) if c == " "]
    if not blanks:
        return escape(shortened(label, most))
    at = min(blanks, key=lambda i: abs(i - len(label) / 2))
    first, second = label[:at], label[at + 1 :]
    return f"{escape(shortened(first, most))}<br>{escape(shortened(second, most))}"
