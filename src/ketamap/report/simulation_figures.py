"""Small pictures of a simulation: a median with its bands, members as thin lines, doses.

Every picture shows one quantity.  All have the same time axis, which the page moves for all
of them at once.  Encoded quantities have a dashed line and a hatched band.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.report.axes import Figure, axis, base_layout
from ketamap.report.comparisons import records
from ketamap.report.groups import plain_numbers
from ketamap.report.palette import GROUPS, SOFT_INK
from ketamap.report.simulation_contents import Layer, Panel, SimulationReport
from ketamap.report.words import NO_VALUE

PANEL_PX = 168
"""Height of a small picture."""

LABEL_COLOURS = {
    "predicted": "#16776c",
    "compatible": "#3d55a8",
    "encoded": "#6b5a3a",
    "known failure": "#8c1d40",
}
"""Line of a quantity by its label; the band's hatching and the badge say the same."""

SAME_COURSE = 0.02
"""A member is left out of a picture where it stays this near the nominal course, as a share
of the picture's height."""

CORE_ROOM = 5.0
"""Height of a picture, at most, in heights of its medians, members and 50 % band; what the
95 % band reaches beyond is written down."""

CORE, WHOLE = ("median", "q25", "q75"), ("median", "q025", "q975")
"""Columns that a picture must hold, and those it holds where there is room."""

MEMBER_COLOURS = (*GROUPS[1:], GROUPS[0])
"""Members of the ensemble, in order; each also carries its number."""


def panel_figures(report: SimulationReport) -> dict[str, Figure]:
    """Draw every panel of every layer; keys are quantities."""
    found: dict[str, Figure] = {}
    for layer in report.layers:
        shared = _common_range(report, layer) if layer.same_scale else None
        for panel in layer.panels:
            found[panel.quantity] = panel_figure(report, panel, shared)
    return found


def panel_figure(
    report: SimulationReport, panel: Panel, y_range: tuple[float, float] | None = None
) -> Figure:
    """Draw one quantity.

    Parameters
    ----------
    report
        Holds the courses.
    panel
        What to draw.
    y_range
        Ends of the vertical axis; left out: what the bands and members need.

    Returns
    -------
    Figure
        Data and layout; ``meta`` holds times, medians and intervals for the page's read-off.
    """
    rows = report.course_rows(panel.quantity)
    ours = report.course(panel.quantity, report.reference)
    label = label_of(report, panel.quantity)
    low, high = y_range or _range_of(rows, panel)
    colour = LABEL_COLOURS[label]
    data = [*_bands(ours, colour, label), *_members(report, panel.quantity, high - low)]
    data.append(_median(ours, colour, label))
    layout = base_layout(PANEL_PX, margin={"l": 46, "r": 8, "t": 6, "b": 24}, hovermode="x")
    layout["xaxis"] = axis(range=[0.0, _end_h(report)], showgrid=False, tickfont={"size": 11})
    layout["yaxis"] = axis(
        range=[low, high], nticks=4, tickfont={"size": 11}, exponentformat="power", tickformat="~r"
    )
    layout["shapes"] = [*_dose_marks(report), *_baseline(panel)]
    layout["annotations"] = _beyond(ours, low, high)
    return {"data": data, "layout": layout, "meta": _read_off(ours)}


def label_of(report: SimulationReport, quantity: str) -> str:
    """Return the label of a quantity."""
    return str(report.labels.loc[report.labels["quantity"] == quantity, "label"].iloc[0])


def differing_members(report: SimulationReport, quantity: str) -> list[str]:
    """Names of the members that leave the nominal course, in the order of the report."""
    low, high = _span(report.course_rows(quantity), CORE)
    return [m for m, _ in _apart(report, quantity, high - low)]


def time_views(report: SimulationReport) -> list[dict[str, Any]]:
    """Return the stretches of time a reader can choose: label, range and ticks of each."""
    end = _end_h(report)
    wanted = [(3.0, "first 3 h"), (24.0, "first 24 h"), (72.0, "first 3 days"), (168.0, "7 days")]
    starts = [] if report.doses.empty else sorted(set(report.doses["time_h"]))
    begin = starts[0] if starts else 0.0
    views = [_view("all", 0.0, end)]
    views += [
        _view(text, max(0.0, begin - 0.06 * hours), min(begin + hours, end))
        for hours, text in wanted
        if begin + hours < 0.9 * end
    ]
    if len(starts) > 1:
        views.append(_view("last dose, 24 h", starts[-1] - 1.0, min(starts[-1] + 24.0, end)))
    return views


def course_numbers(values: pd.Series) -> list[float | None]:
    """Write five significant digits, so that small curves stay smooth; None where nothing is."""
    return [float(f"{v:.5g}") if np.isfinite(v) else None for v in values.astype(float)]


def short_number(value: float | None) -> str:
    """Write three significant digits."""
    if value is None or not np.isfinite(value):
        return NO_VALUE
    if value != 0.0 and (abs(value) >= 1e5 or abs(value) < 1e-3):
        return f"{value:.2g}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _view(text: str, start: float, stop: float) -> dict[str, Any]:
    length = stop - start
    in_days = length > 60.0
    unit = 24.0 if in_days else 1.0
    steps = (0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 12.0, 24.0) if not in_days else (1, 2, 5, 7, 14, 28, 56)
    step = next((s for s in steps if length / unit / s <= 5.0), steps[-1]) * unit
    ticks = [k * step for k in range(int(np.ceil(start / step)), int(stop / step) + 1)]
    return {
        "label": text,
        "range": [start, stop],
        "tickvals": ticks,
        "ticktext": [f"{t / unit:g}" for t in ticks],
        "unit": "days" if in_days else "hours",
    }


def _bands(ours: pd.DataFrame, colour: str, label: str) -> list[Figure]:
    if ours["q025"].isna().all():
        return []
    found: list[Figure] = []
    for low, high, opacity in (("q025", "q975", 0.16), ("q25", "q75", 0.30)):
        edge: Figure = {
            "type": "scatter",
            "mode": "lines",
            "x": plain_numbers(ours["time_h"]),
            "line": {"width": 0},
            "hoverinfo": "skip",
        }
        fill: Figure = {"fill": "tonexty", "fillcolor": _faded(colour, opacity)}
        if label == "encoded":
            fill["fillpattern"] = {
                "shape": "/", "size": 6, "solidity": 0.28 if low == "q025" else 0.45,
                "fgcolor": _faded(colour, 0.75), "bgcolor": _faded(colour, 0.06),
            }  # fmt: skip
        found.append({**edge, "y": course_numbers(ours[low])})
        found.append({**edge, "y": course_numbers(ours[high]), **fill})
    return found


def _median(ours: pd.DataFrame, colour: str, label: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": plain_numbers(ours["time_h"]),
        "y": course_numbers(ours["median"]),
        "line": {
            "color": colour,
            "width": 2.2,
            "dash": {"encoded": "dash", "known failure": "dot"}.get(label, "solid"),
        },
        "hoverinfo": "none",
    }


def _members(report: SimulationReport, quantity: str, height: float) -> list[Figure]:
    """Draw the members that differ, numbered where they differ most, over the nominal course."""
    apart = _apart(report, quantity, height)
    base = report.course(quantity, report.nominal)
    if not apart:
        return []
    found = [] if base.empty else [_thin(base, report.nominal, SOFT_INK, "", at=0)]
    places = list(report.members)
    for name, gap in apart:
        place = places.index(name)
        colour = MEMBER_COLOURS[place % len(MEMBER_COLOURS)]
        mine = report.course(quantity, name)
        found.append(_thin(mine, name, colour, str(place + 1), at=int(np.argmax(gap))))
    return found


def _thin(rows: pd.DataFrame, name: str, colour: str, number: str, *, at: int) -> Figure:
    text = [""] * len(rows)
    text[at] = number
    return {
        "type": "scatter",
        "mode": "lines+text",
        "x": plain_numbers(rows["time_h"]),
        "y": course_numbers(rows["median"]),
        "text": text,
        "textposition": "top right",
        "textfont": {"size": 11, "color": colour},
        "line": {"color": colour, "width": 1.1},
        "meta": name,
        "hoverinfo": "none",
    }


def _apart(
    report: SimulationReport, quantity: str, height: float
) -> list[tuple[str, NDArray[np.float64]]]:
    """Find the members that leave the nominal course, with their distance over time."""
    base = report.course(quantity, report.nominal)
    if base.empty:
        base = report.course(quantity, report.reference)
    level = base["median"].to_numpy(dtype=np.float64)
    found = []
    for name in report.members:
        mine = report.course(quantity, name)["median"].to_numpy(dtype=np.float64)
        if mine.size == level.size and np.max(np.abs(mine - level)) > SAME_COURSE * height:
            found.append((name, np.abs(mine - level)))
    return found


def _dose_marks(report: SimulationReport) -> list[dict[str, Any]]:
    """Mark doses with a tick at the top; infusions also shade the time they run."""
    marks = []
    for dose in records(report.doses):
        start, stop = float(dose.time_h), float(dose.stop_h)
        common = {"xref": "x", "yref": "paper", "x0": start, "y1": 1, "layer": "below"}
        tick = {"color": SOFT_INK, "width": 1.5}
        marks.append({**common, "type": "line", "x1": start, "y0": 0.92, "line": tick})
        if stop > start:
            shade = {"fillcolor": "rgba(91,99,110,0.16)", "line": {"width": 0}}
            marks.append({**common, "type": "rect", "x1": stop, "y0": 0, **shade})
    return marks


def _beyond(ours: pd.DataFrame, low: float, high: float) -> list[dict[str, Any]]:
    """Say how far the 95 % band reaches where the picture ends before it."""
    words = []
    if ours["q975"].max() > high:
        words.append(f"95 % band up to {short_number(float(ours['q975'].max()))}")
    if ours["q025"].min() < low:
        words.append(f"95 % band down to {short_number(float(ours['q025'].min()))}")
    if not words:
        return []
    return [
        {
            "text": "; ".join(words), "x": 1, "y": 1, "xref": "paper", "yref": "paper",
            "xanchor": "right", "yanchor": "top", "showarrow": False,
            "font": {"size": 10.5, "color": SOFT_INK}, "bgcolor": "rgba(255,255,255,0.8)",
        }
    ]  # fmt: skip


def _baseline(panel: Panel) -> list[dict[str, Any]]:
    if panel.baseline is None:
        return []
    return [
        {
            "type": "line", "xref": "paper", "yref": "y", "x0": 0, "x1": 1, "layer": "below",
            "y0": panel.baseline, "y1": panel.baseline, "line": {"color": SOFT_INK, "width": 1},
        }
    ]  # fmt: skip


def _read_off(ours: pd.DataFrame) -> dict[str, Any]:
    text = [
        f"{short_number(m)} [{short_number(a)} to {short_number(b)}]"
        if np.isfinite(a)
        else short_number(m)
        for m, a, b in ours[["median", "q025", "q975"]].to_numpy(dtype=float)
    ]
    return {"text": text}


def _span(rows: pd.DataFrame, columns: tuple[str, ...]) -> tuple[float, float]:
    values = rows[list(columns)].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)


def _range_of(rows: pd.DataFrame, panel: Panel) -> tuple[float, float]:
    anchor = 0.0 if panel.baseline is None else panel.baseline
    core_low, core_high = _span(rows, CORE)
    core_low, core_high = min(core_low, anchor), max(core_high, anchor)
    room = (CORE_ROOM - 1.0) * max(core_high - core_low, 0.02 * max(abs(anchor), 1e-9))
    low, high = _span(rows, WHOLE)
    low, high = max(min(low, anchor), core_low - room), min(max(high, anchor), core_high + room)
    if high - low < 1e-3 * max(abs(anchor), 1e-6):
        low, high = low - 0.05 * max(abs(anchor), 1.0), high + 0.05 * max(abs(anchor), 1.0)
    margin = 0.07 * (high - low)
    return (low if low == 0.0 else low - margin), high + margin


def _common_range(report: SimulationReport, layer: Layer) -> tuple[float, float]:
    ends = [_range_of(report.course_rows(p.quantity), p) for p in layer.panels]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _end_h(report: SimulationReport) -> float:
    return float(report.courses["time_h"].max())


def _faded(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
