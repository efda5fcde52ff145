"""Put the page of a simulated regimen together."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment
from markupsafe import Markup

from ketamap.report import palette
from ketamap.report.render import flat_settings, page_environment, script_json
from ketamap.report.simulation_contents import LABEL_MEANINGS, SimulationReport
from ketamap.report.simulation_figures import (
    LABEL_COLOURS,
    MEMBER_COLOURS,
    differing_members,
    panel_figures,
    time_views,
)
from ketamap.report.simulation_tables import (
    UNCERTAIN,
    certainty_counts,
    heat_map,
    label_counts,
    label_rows,
    parameter_rows,
    pathway_cards,
    table_rows,
)
from ketamap.report.words import fold, listing, plural, signed

RESEARCH_LINE = "For research, not for dosing."
"""Stands on every page that shows doses and symptoms."""

SECTIONS = {
    "short": "In short",
    "courses": "Time courses",
    "pathways": "Dopamine pathways",
    "regions": "Dose, day and region",
    "exposure": "Exposure",
    "scorecard": "Scorecard",
    "labels": "What may be claimed",
    "parameters": "Parameters",
    "versions": "Versions and settings",
}
"""Anchor to title, in the order of the page."""


def render_simulation(report: SimulationReport) -> str:
    """Return the page: HTML that opens from disk and asks the network for nothing.

    Equal inputs give equal text: there is no date and nothing random in it.

    Parameters
    ----------
    report
        What to show; parts that are missing are named as missing.

    Returns
    -------
    str
        One HTML document with its styles, scripts and pictures inside.
    """
    rows = label_rows(report)
    views = time_views(report)
    parameters = report.parameters
    context = {
        "report": report,
        "sections": SECTIONS,
        "badges": {row["quantity"]: row for row in rows},
        "label_rows": rows,
        "label_counts": label_counts(report),
        "members": _members(report),
        "views": views,
        "heat": heat_map(report),
        "pathways": pathway_cards(report),
        "off_target": _table(report.off_target),
        "nca": _table(report.nca),
        "scorecard": _table(report.scorecard),
        "certainty": certainty_counts(parameters),
        "n_uncertain": 0
        if parameters.empty
        else int(parameters["certainty"].isin(UNCERTAIN).sum()),
        "parameter_rows": list(parameter_rows(parameters)),
        "settings": flat_settings(report.settings),
        "figures_json": script_json(panel_figures(report)),
        "views_json": script_json(views),
    }
    return _environment().get_template("simulation.html").render(context)


def _members(report: SimulationReport) -> list[dict[str, Any]]:
    shown = {p.quantity: p.title for layer in report.layers for p in layer.panels}
    apart: dict[str, list[str]] = {name: [] for name in report.members}
    for quantity, title in shown.items():
        for name in differing_members(report, quantity):
            apart[name].append(title)
    return [
        {
            "number": place + 1,
            "name": name,
            "what": what,
            "colour": MEMBER_COLOURS[place % len(MEMBER_COLOURS)],
            "differs": listing(apart[name]) or "nothing on this page",
        }
        for place, (name, what) in enumerate(report.members.items())
    ]


def _table(frame: pd.DataFrame) -> dict[str, Any] | None:
    if frame.empty:
        return None
    numeric = [pd.api.types.is_numeric_dtype(frame[c]) for c in frame.columns]
    heads = [str(c).replace("_", " ") for c in frame.columns]
    return {"heads": heads, "numeric": numeric, "rows": table_rows(frame)}


def _environment() -> Environment:
    environment = page_environment()
    plotly = files("plotly") / "package_data" / "plotly.min.js"
    script = files("ketamap.report") / "templates" / "simulation.js"
    environment.globals.update(
        palette=palette,
        label_colours=LABEL_COLOURS,
        label_meanings=LABEL_MEANINGS,
        research_line=RESEARCH_LINE,
        plural=plural,
        listing=listing,
        signed=signed,
        fold=fold,
        script=Markup(script.read_text(encoding="utf-8")),
        plotly=Markup(plotly.read_text(encoding="utf-8")),
    )
    return environment
