"""Pictures of two cohorts: estimates against each other, and in pairs below each other.

Regions whose change was put into the simulation are brown diamonds with a cross, as encoded
marks are brown and hatched everywhere; regions left alone are grey dots.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ketamap.report.axes import Figure, base_layout, log2_axis, reach, region_hover
from ketamap.report.comparisons import records
from ketamap.report.groups import plain_numbers
from ketamap.report.palette import INK, NO_CALL_MARK, SOFT_INK
from ketamap.report.simulation_beside import ENCODED, PARTLY, BesideReport
from ketamap.report.simulation_figures import LABEL_COLOURS
from ketamap.report.words import equation, interval, signed

SCATTER_PX = 560
"""Height of a scatter."""

ROW_PX = 30
"""Height of a region in the forest."""

MOST_ROWS = 36
"""Regions of the forest, at most: the encoded ones first, then the measured calls."""

COLOURS = {"simulated": LABEL_COLOURS["encoded"], "measured": "#0b6e99"}
"""Side to its colour."""

PLACES = ("top left", "bottom right", "top right", "bottom left")
"""Where names stand, in turn from left to right, so that neighbours hide each other less."""

_APART = 0.17
"""Distance of the two marks of a region in the forest, rows."""


def beside_figures(report: BesideReport) -> dict[str, Figure]:
    """Draw every pair: keys ``scatter-b0`` and ``forest-b0``."""
    found: dict[str, Figure] = {}
    for pair in report.pairs:
        rows = report.of(pair)
        if len(rows):
            found[f"scatter-{pair.key}"] = scatter(rows, report.alpha)
            if worth_a_row(rows, report.alpha).any():
                found[f"forest-{pair.key}"] = forest(rows, report.alpha)
    return found


def worth_a_row(rows: pd.DataFrame, alpha: float) -> pd.Series[bool]:
    """Mark the encoded regions and the measured calls."""
    return rows["label"].isin([ENCODED, PARTLY]) | (rows["measured_relative_q"] < alpha)


def scatter(rows: pd.DataFrame, alpha: float) -> Figure:
    """Draw simulated against measured estimates, relative, with their intervals.

    Parameters
    ----------
    rows
        What `BesideReport.of` returns.
    alpha
        False discovery rate of a call.
    """
    encoded = rows["label"].isin([ENCODED, PARTLY])
    strong = worth_a_row(rows, alpha)
    shown = [
        *(f"{side}_relative_{n}" for side in ("simulated", "measured") for n in ("low", "high")),
    ]
    ends = rows.loc[strong, shown].to_numpy(dtype=float).ravel()
    points = rows[["simulated_relative_estimate", "measured_relative_estimate"]]
    low, high = reach([*ends, *points.to_numpy(dtype=float).ravel()])
    end = max(-low, high)
    data = [
        _cloud(rows[~strong], alpha),
        _marked(rows[strong & ~encoded], alpha, "measured"),
        _marked(rows[encoded], alpha, "simulated"),
    ]
    layout = base_layout(SCATTER_PX, margin={"l": 84, "r": 16, "t": 28, "b": 70})
    layout["xaxis"] = log2_axis(-end, end, "measured, relative log2 change (factor)")
    layout["yaxis"] = log2_axis(-end, end, "simulated, relative log2 change (factor)")
    layout["yaxis"]["scaleanchor"] = "x"
    layout["shapes"] = _quadrants(end)
    layout["annotations"] = [
        _corner("up in both", 0.99, 0.99), _corner("down in both", 0.01, 0.01),
        _corner("put in down, measured up", 0.99, 0.01),
        _corner("put in up, measured down", 0.01, 0.99),
    ]  # fmt: skip
    return {"data": data, "layout": layout}


def forest(rows: pd.DataFrame, alpha: float) -> Figure:
    """Draw the encoded regions and the measured calls in pairs, strongest measured first."""
    encoded = rows["label"].isin([ENCODED, PARTLY])
    chosen = rows.assign(first=(~encoded).astype(int))[worth_a_row(rows, alpha)]
    chosen = chosen.sort_values(["first", "measured_relative_q"]).head(MOST_ROWS)
    chosen = chosen.sort_values("measured_relative_estimate")
    places = np.arange(len(chosen), dtype=float)
    data = [
        _side(chosen, places + _APART, "measured", alpha),
        _side(chosen, places - _APART, "simulated", alpha),
    ]
    numbers = [
        f"{side}_relative_{n}"
        for side in ("simulated", "measured")
        for n in ("estimate", "low", "high")
    ]
    low, high = reach(chosen[numbers].to_numpy(dtype=float).ravel())
    layout = base_layout(
        90 + ROW_PX * max(len(chosen), 1), margin={"l": 92, "r": 16, "t": 10, "b": 66}
    )
    layout["xaxis"] = log2_axis(low, high, "relative log2 change (factor)")
    layout["yaxis"] = {
        "tickvals": places.tolist(),
        "ticktext": [str(a) for a in chosen["acronym"]],
        "range": [-0.7, len(chosen) - 0.3],
        "fixedrange": True,
        "showgrid": False,
        "zeroline": False,
    }
    layout["shapes"] = [
        _band(k) for k, label in enumerate(chosen["label"]) if label in (ENCODED, PARTLY)
    ]
    return {"data": data, "layout": layout}


def _cloud(rows: pd.DataFrame, alpha: float) -> Figure:
    return {
        **_points(rows, alpha),
        "mode": "markers",
        "marker": {"size": 5, "color": NO_CALL_MARK, "opacity": 0.5},
    }


def _marked(rows: pd.DataFrame, alpha: float, side: str) -> Figure:
    encoded = side == "simulated"
    rows = rows.sort_values("measured_relative_estimate")
    called = (rows["measured_relative_q"] < alpha).tolist()
    return {
        **_points(rows, alpha),
        "mode": "markers+text",
        "text": [str(a) for a in rows["acronym"]],
        "textposition": [PLACES[k % len(PLACES)] for k in range(len(rows))],
        "textfont": {"size": 11, "color": INK},
        "marker": {
            "size": 11 if encoded else 8,
            "color": [COLOURS[side] if c or not encoded else "#ffffff" for c in called],
            "symbol": "diamond" if encoded else "circle",
            "line": {"color": COLOURS[side] if encoded else "#ffffff", "width": 1.4},
        },
        "error_x": _bars(rows, "measured", COLOURS[side]),
        "error_y": _bars(rows, "simulated", COLOURS[side]),
    }  # fmt: skip


def _points(rows: pd.DataFrame, alpha: float) -> Figure:
    return {
        "type": "scatter",
        "x": plain_numbers(rows["measured_relative_estimate"]),
        "y": plain_numbers(rows["simulated_relative_estimate"]),
        "hovertext": [_hover(row, alpha) for row in records(rows)],
        "hoverinfo": "text",
        "cliponaxis": True,
    }


def _bars(rows: pd.DataFrame, side: str, colour: str) -> dict[str, Any]:
    value = rows[f"{side}_relative_estimate"]
    return {
        "type": "data",
        "symmetric": False,
        "array": plain_numbers(rows[f"{side}_relative_high"] - value),
        "arrayminus": plain_numbers(value - rows[f"{side}_relative_low"]),
        "color": colour,
        "thickness": 0.9,
        "width": 0,
    }


def _side(rows: pd.DataFrame, places: Any, side: str, alpha: float) -> Figure:
    called = (rows[f"{side}_relative_q"] < alpha).tolist()
    colour = COLOURS[side]
    shape = "diamond" if side == "simulated" else "circle"
    return {
        "type": "scatter",
        "mode": "markers",
        "x": plain_numbers(rows[f"{side}_relative_estimate"]),
        "y": places.tolist(),
        "marker": {
            "size": 9,
            "symbol": shape,
            "color": [colour if c else "#ffffff" for c in called],
            "line": {"color": colour, "width": 1.6},
        },
        "error_x": {**_bars(rows, side, colour), "thickness": 1.5},
        "hovertext": [_hover(row, alpha) for row in records(rows)],
        "hoverinfo": "text",
    }


def _hover(row: Any, alpha: float) -> str:
    lines = [region_hover(str(row.name), str(row.acronym))]
    for side in ("measured", "simulated"):
        value, low, high, q = (
            getattr(row, f"{side}_relative_{n}") for n in ("estimate", "low", "high", "q")
        )
        mark = " (called)" if q < alpha else ""
        lines.append(f"{side} {signed(value)} {interval(low, high)}, {equation('q', q)}{mark}")
    if row.label == ENCODED:
        lines.append(f"put in {signed(row.planted_log2)} (encoded, {row.sources})")
    else:
        lines.append(str(row.label))
    return "<br>".join(line.replace("q <", "q &lt;") for line in lines)


def _quadrants(end: float) -> list[dict[str, Any]]:
    common = {"type": "rect", "layer": "below", "line": {"width": 0}, "fillcolor": "#eef4f1"}
    diagonal = {"color": SOFT_INK, "width": 1, "dash": "dot"}
    return [
        {**common, "x0": 0, "x1": end, "y0": 0, "y1": end},
        {**common, "x0": -end, "x1": 0, "y0": -end, "y1": 0},
        {"type": "line", "layer": "below", "x0": -end, "x1": end, "y0": -end, "y1": end,
         "line": diagonal},
    ]  # fmt: skip


def _corner(text: str, x: float, y: float) -> dict[str, Any]:
    return {
        "text": text, "x": x, "y": y, "xref": "paper", "yref": "paper", "showarrow": False,
        "xanchor": "right" if x > 0.5 else "left", "yanchor": "top" if y > 0.5 else "bottom",
        "font": {"size": 11.5, "color": SOFT_INK},
    }  # fmt: skip


def _band(place: int) -> dict[str, Any]:
    return {
        "type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": place - 0.46, "y1": place + 0.46,
        "layer": "below", "line": {"width": 0}, "fillcolor": "rgba(107,90,58,0.08)",
    }  # fmt: skip
