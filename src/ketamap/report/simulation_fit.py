"""The page of a fit: data and curves, estimates with intervals, what the data do not tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from ketamap.report import palette
from ketamap.report.axes import Figure, axis, base_layout
from ketamap.report.groups import plain_numbers
from ketamap.report.palette import GROUPS, INK, SOFT_INK
from ketamap.report.render import page_environment, script_json
from ketamap.report.simulation_figures import LABEL_COLOURS, short_number
from ketamap.report.simulation_render import RESEARCH_LINE
from ketamap.report.simulation_tables import table_rows
from ketamap.report.words import listing, plural

NEVER = {float("inf"): "no upper bound", 0.0: "no lower bound", float("-inf"): "no lower bound"}
"""Open ends of an interval."""

FIGURE_PX = 320
"""Height of a picture."""

MOST_PICTURES = 24
"""Regions that get a picture, those with the clearest reach first."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FitReport:
    """All that the page of a fit shows."""

    title: str
    """Name of the page."""

    what: tuple[str, ...]
    """What was fitted to what and how, one sentence per line."""

    estimates: pd.DataFrame
    """Table to show; columns are its heads."""

    further: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Second table (animals, or the shared parameter), may be empty."""

    further_title: str = ""
    """Its heading."""

    not_identified: tuple[str, ...] = ()
    """What the data do not bound, in words."""

    notes: tuple[str, ...] = ()
    """What a reader must know of the result, one sentence each."""

    figures: Mapping[str, Figure] = field(default_factory=dict)
    """Caption to picture, in order."""

    encoded: bool = False
    """Whether what was fitted is a table without a mechanism."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """Package to version."""

    settings: Mapping[str, object] = field(default_factory=dict)
    """Setting to value."""


def render_fit(report: FitReport) -> str:
    """Return the page: HTML that opens from disk and asks the network for nothing."""
    environment = page_environment()
    plotly = files("plotly") / "package_data" / "plotly.min.js"
    environment.globals.update(
        palette=palette, label_colours=LABEL_COLOURS, plural=plural, listing=listing,
        research_line=RESEARCH_LINE, plotly=Markup(plotly.read_text(encoding="utf-8")),
    )  # fmt: skip
    return environment.get_template("simulation_fit.html").render(
        report=report,
        estimates=_table(report.estimates),
        further=_table(report.further),
        captions=list(report.figures),
        figures_json=script_json(list(report.figures.values())),
    )


def bounds(low: float, high: float) -> str:
    """Write an interval; open ends are named."""
    if low in NEVER and high in NEVER:
        return "not bounded"
    if low in NEVER:
        return f"below {short_number(high)} ({NEVER[low]})"
    if high in NEVER:
        return f"above {short_number(low)} ({NEVER[high]})"
    return f"{short_number(low)} to {short_number(high)}"


def concentration_figure(
    data: pd.DataFrame, curves: pd.DataFrame, unit: str, *, bands: bool = False
) -> Figure:
    """Draw concentrations and fitted curves on a log axis.

    Parameters
    ----------
    data
        Columns ``animal, time_h, value``.
    curves
        Columns ``animal, time_h, value``; the animal ``""`` is the typical one.  With
        ``bands`` also ``low`` and ``high``.
    unit
        Of the values.
    bands
        Whether to shade between ``low`` and ``high``.
    """
    names = [str(name) for name in dict.fromkeys(data["animal"])]
    traces: list[Figure] = []
    for name, rows in curves.groupby("animal", sort=False):
        typical = str(name) == "" or len(names) == 1
        if bands and "low" in rows:
            traces += _band(rows)
        traces.append(
            {
                "type": "scatter", "mode": "lines", "x": plain_numbers(rows["time_h"]),
                "y": plain_numbers(rows["value"]), "hoverinfo": "skip",
                "line": {"color": INK if typical else _colour(names, str(name)),
                         "width": 2.4 if typical else 1.2},
            }
        )  # fmt: skip
    for name, rows in data.groupby("animal", sort=False):
        traces.append(
            {
                "type": "scatter", "mode": "markers", "x": plain_numbers(rows["time_h"]),
                "y": plain_numbers(rows["value"]),
                "marker": {"size": 8, "color": _colour(names, str(name)),
                           "line": {"color": "#ffffff", "width": 1}},
                "hovertext": [f"{str(name) or 'data'}: {short_number(v)} {unit} at {h:g} h"
                              for h, v in zip(rows["time_h"], rows["value"], strict=True)],
                "hoverinfo": "text",
            }
        )  # fmt: skip
    seen = data["value"].to_numpy(dtype=float)
    layout = base_layout(FIGURE_PX + 40, margin={"l": 66, "r": 16, "t": 12, "b": 52})
    layout["xaxis"] = axis("hours", rangemode="tozero")
    layout["yaxis"] = axis(
        unit, type="log", exponentformat="power",
        range=[float(np.log10(seen.min() / 3.0)), float(np.log10(seen.max() * 3.0))],
    )  # fmt: skip
    return {"data": traces, "layout": layout}


def profile_figure(profile: pd.DataFrame, name: str, limit: float) -> Figure:
    """Draw a profile likelihood: how much worse the fit gets away from the best value.

    Parameters
    ----------
    profile
        Columns ``value`` and ``deviance`` (above the least).
    name
        Of the parameter.
    limit
        Deviance at which values leave the interval.
    """
    rows = profile.sort_values("value")
    line = {"color": LABEL_COLOURS["compatible"], "width": 2}
    layout = base_layout(FIGURE_PX - 60, margin={"l": 56, "r": 16, "t": 12, "b": 52})
    layout["xaxis"] = axis(name, type="log", exponentformat="power")
    layout["yaxis"] = axis("loss of fit (-2 log likelihood)", range=[-0.3, 4.0 * limit])
    layout["shapes"] = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": limit, "y1": limit,
         "line": {"color": SOFT_INK, "dash": "dot", "width": 1}}
    ]  # fmt: skip
    return {
        "data": [
            {"type": "scatter", "mode": "lines+markers", "x": plain_numbers(rows["value"], 6),
             "y": plain_numbers(rows["deviance"]), "line": line, "marker": {"size": 4}}
        ],
        "layout": layout,
    }  # fmt: skip


def region_figure(measured: pd.DataFrame, fitted: pd.DataFrame) -> Figure:
    """Draw one region: measured changes by days with standard errors, and the fitted ones.

    Parameters
    ----------
    measured
        Columns ``dose_mg_per_kg, days, measured_log2, se_log2``.
    fitted
        Columns ``dose_mg_per_kg, days, fitted_log2``.
    """
    traces: list[Figure] = []
    for k, dose in enumerate(sorted(measured["dose_mg_per_kg"].unique().tolist())):
        rows = measured[measured["dose_mg_per_kg"] == dose]
        colour = GROUPS[(k + 1) % len(GROUPS)]
        line = fitted[fitted["dose_mg_per_kg"] == dose].sort_values("days")
        told = f"{dose:g} mg/kg"
        traces.append(
            {"type": "scatter", "mode": "lines", "x": plain_numbers(line["days"]),
             "y": plain_numbers(line["fitted_log2"]), "hoverinfo": "skip",
             "line": {"color": colour, "width": 2, "dash": "dash"}}
        )  # fmt: skip
        traces.append(
            {"type": "scatter", "mode": "markers", "x": plain_numbers(rows["days"] + 0.12 * k),
             "y": plain_numbers(rows["measured_log2"]), "name": told,
             "marker": {"size": 8, "color": colour},
             "error_y": {"type": "data", "array": plain_numbers(rows["se_log2"]),
                         "color": colour, "thickness": 1.4, "width": 0},
             "hovertemplate": told + ", day %{x:.0f}: %{y:+.2f} log2<extra></extra>"}
        )  # fmt: skip
    layout = base_layout(FIGURE_PX - 110, margin={"l": 46, "r": 8, "t": 8, "b": 40})
    layout["xaxis"] = axis("days", rangemode="tozero")
    layout["yaxis"] = axis("log2 change", zeroline=True, zerolinecolor=SOFT_INK)
    return {"data": traces, "layout": layout}


def _band(rows: pd.DataFrame) -> list[Figure]:
    edge: Figure = {"type": "scatter", "mode": "lines", "x": plain_numbers(rows["time_h"]),
                    "line": {"width": 0}, "hoverinfo": "skip"}  # fmt: skip
    fill = {"fill": "tonexty", "fillcolor": "rgba(61,85,168,0.14)"}
    return [
        {**edge, "y": plain_numbers(rows["low"])},
        {**edge, "y": plain_numbers(rows["high"]), **fill},
    ]


def _colour(names: Sequence[str], name: str) -> str:
    if len(names) < 2:
        return LABEL_COLOURS["compatible"]
    return GROUPS[(names.index(name) + 1) % len(GROUPS)]


def _table(frame: pd.DataFrame) -> dict[str, Any] | None:
    if frame.empty:
        return None
    numeric = [pd.api.types.is_numeric_dtype(frame[c]) for c in frame.columns]
    return {"heads": [str(c) for c in frame.columns], "numeric": numeric, "rows": table_rows(frame)}
