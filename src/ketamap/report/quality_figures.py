"""Figure of all registrations of a study: which brain is unlike the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketamap.core.registration import VERDICTS, RegistrationQuality
from ketamap.report.axes import Figure, axis, base_layout, caption
from ketamap.report.contents import BrainQuality
from ketamap.report.groups import Groups
from ketamap.report.palette import LINE, SOFT_INK
from ketamap.report.quality import VERDICT_WORDS, in_group_order
from ketamap.report.words import number

OUTLIER_SD = 3.5
"""Brains farther from the median than so many robust standard deviations are named
(Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers)."""

SD_PER_MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""

LEAST_BRAINS = 5
"""With fewer brains the spread between them cannot be told."""

PANEL_PX = 96
"""Height of one panel."""

LEVEL_NAMES = 8
"""More names than that are written aslant."""

MARKS = {
    "pass": ("circle", "#16877a"),
    "look": ("diamond", "#c98a00"),
    "fail": ("x", "#7d1f3f"),
}
"""Shape and colour of a brain by its verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One figure of registration quality."""

    name: str
    """Field of `RegistrationQuality`."""

    title: str
    digits: int


PANELS = (
    Panel(name="ncc", title="Likeness to template, whole (NCC)", digits=2),
    Panel(name="lncc", title="Likeness to template, local (LNCC)", digits=2),
    Panel(name="least_jacobian", title="Least local volume ratio", digits=2),
    Panel(name="inverse_error_p95_um", title="Round trip, 95th percentile, µm", digits=1),
    Panel(name="error_median_um", title="Estimated position error, median, µm", digits=0),
)
"""Panels from top to bottom; one that no brain has a number for is left out."""


def registration_outliers(brains: Sequence[BrainQuality], groups: Groups) -> Figure | None:
    """Draw every figure of every brain's registration side by side.

    Each panel is one figure; a dot is a brain, marked by its verdict.  The band is the
    cohort's `usual_range`; brains beyond it are named.

    Returns
    -------
    Figure or None
        None with fewer than two registered brains.
    """
    pairs = [(b.animal, b.quality) for b in in_group_order(brains, groups) if b.quality]
    if len(pairs) < 2:
        return None
    names, found = [escape(name) for name, _ in pairs], [quality for _, quality in pairs]
    panels = [p for p in PANELS if np.isfinite(_values(found, p)).any()]
    below = _names_px(names)
    layout = base_layout(
        36 + below + PANEL_PX * len(panels), margin={"l": 56, "r": 16, "t": 36, "b": below}
    )
    layout |= {"annotations": [], "shapes": [], "showlegend": True, "legend": _legend()}
    layout["xaxis"] = _animals_axis(names, len(panels))
    data: list[Figure] = []
    for row, panel in enumerate(panels):
        bottom = 1.0 - (row + 1) / len(panels)
        top = bottom + 0.74 / len(panels)
        layout[f"yaxis{_suffix(row)}"] = axis(domain=[bottom, top], nticks=4)
        title = caption(panel.title, 0.0, top, yshift=2, font={"size": 12, "color": SOFT_INK})
        values = _values(found, panel)
        usual = usual_range(values)
        layout["annotations"] += [title, *_named(names, values, usual, row)]
        layout["shapes"] += [] if usual is None else [_band(usual, row)]
        data += _dots(names, found, panel, row)
    return {"data": data, "layout": layout}


def usual_range(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Find the ends of the range in which a brain like the others lies.

    The median and `OUTLIER_SD` robust standard deviations; None where there are fewer than
    `LEAST_BRAINS` numbers, or no spread between them.
    """
    finite = values[np.isfinite(values)]
    if finite.size < LEAST_BRAINS:
        return None
    middle = float(np.median(finite))
    reach = OUTLIER_SD * SD_PER_MAD * float(np.median(np.abs(finite - middle)))
    return (middle - reach, middle + reach) if reach > 0.0 else None


def _values(found: Sequence[RegistrationQuality], panel: Panel) -> NDArray[np.float64]:
    return np.array([getattr(quality, panel.name) for quality in found], dtype=np.float64)


def _suffix(row: int) -> str:
    return "" if row == 0 else str(row + 1)


def _legend() -> dict[str, Any]:
    return {"orientation": "h", "x": 1.0, "xanchor": "right", "y": 1.0, "yanchor": "bottom"}


def _names_px(names: Sequence[str]) -> int:
    """Room below the panels for the names, which stand steep where there are many."""
    longest = max(map(len, names)) if len(names) > LEVEL_NAMES else 0
    return 40 + round(6.2 * longest)


def _animals_axis(names: Sequence[str], panels: int) -> dict[str, Any]:
    return axis(
        tickvals=list(range(len(names))),
        ticktext=list(names),
        range=[-0.6, len(names) - 0.4],
        tickangle=-60 if len(names) > LEVEL_NAMES else 0,
        showgrid=False,
        anchor=f"y{_suffix(panels - 1)}",
    )


def _dots(
    names: Sequence[str], found: Sequence[RegistrationQuality], panel: Panel, row: int
) -> list[Figure]:
    """One trace per verdict that any brain has; the legend is that of the first panel."""
    traces = []
    for verdict in VERDICTS:
        mine = [
            (k, float(getattr(quality, panel.name)))
            for k, quality in enumerate(found)
            if quality.verdict == verdict and isfinite(getattr(quality, panel.name))
        ]
        symbol, colour = MARKS[verdict]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": VERDICT_WORDS[verdict],
                "legendgroup": verdict,
                "showlegend": row == 0 and bool(mine),
                "x": [k for k, _ in mine],
                "y": [round(value, 4) for _, value in mine],
                "yaxis": f"y{_suffix(row)}",
                "marker": {"size": 9, "symbol": symbol, "color": colour},
                "hovertext": [
                    f"<b>{names[k]}</b>, {VERDICT_WORDS[verdict]}<br>{panel.title}: "
                    f"{number(value, panel.digits)}"
                    for k, value in mine
                ],
                "hoverinfo": "text",
            }
        )
    return [trace for trace in traces if trace["x"]]


def _band(usual: tuple[float, float], row: int) -> dict[str, Any]:
    low, high = usual
    return {
        "type": "rect", "xref": "paper", "x0": 0, "x1": 1, "yref": f"y{_suffix(row)}",
        "y0": round(low, 4), "y1": round(high, 4), "fillcolor": LINE, "opacity": 0.5,
        "line": {"width": 0}, "layer": "below",
    }  # fmt: skip


def _named(
    names: Sequence[str],
    values: NDArray[np.float64],
    usual: tuple[float, float] | None,
    row: int,
) -> list[dict[str, Any]]:
    """Write the names of the brains beyond the usual range beside their dots."""
    if usual is None:
        return []
    return [
        {
            "text": names[k], "x": k, "y": round(float(values[k]), 4), "xref": "x",
            "yref": f"y{_suffix(row)}", "showarrow": False, "xanchor": "left" if 2 * k < len(names) else "right",
            "xshift": 8 if 2 * k < len(names) else -8, "font": {"size": 11, "color": SOFT_INK},
        }
        for k in np.flatnonzero((values < usual[0]) | (values > usual[1])).tolist()
    ]  # fmt: skip
