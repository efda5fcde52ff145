"""Put the page of two cohorts together."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment
from markupsafe import Markup

from ketamap.core.measures import measure_of
from ketamap.report import palette
from ketamap.report.comparisons import records
from ketamap.report.render import page_environment, script_json
from ketamap.report.simulation_beside import (
    ENCODED,
    PARTLY,
    BesideReport,
    Pair,
    agreement,
    differences,
    verdict,
)
from ketamap.report.simulation_beside_figures import COLOURS, MOST_ROWS, beside_figures, worth_a_row
from ketamap.report.simulation_contents import LABEL_MEANINGS
from ketamap.report.simulation_figures import LABEL_COLOURS
from ketamap.report.words import estimate, listing, number, plural, probability, signed


def render_beside(report: BesideReport) -> str:
    """Return the page: HTML that opens from disk and asks the network for nothing.

    Equal inputs give equal text: there is no date and nothing random in it.
    """
    figures = beside_figures(report)
    context = {
        "report": report,
        "pairs": _encoded_first([_pair(report, pair, figures) for pair in report.pairs]),
        "only": _only(report.only),
        "figures_json": script_json(figures),
    }
    return _environment().get_template("simulation_beside.html").render(context)


def _encoded_first(pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put comparisons into which something was planted before the others."""
    return sorted(pairs, key=lambda one: not one["agreement"].encoded)


def _pair(report: BesideReport, pair: Pair, figures: dict[str, Any]) -> dict[str, Any]:
    rows = report.of(pair)
    mine = report.shifts[report.shifts["key"] == pair.key]
    known = report.rows[report.rows["key"] == pair.key]
    strong = worth_a_row(rows, report.alpha)
    return {
        "pair": pair,
        "measure": measure_of(pair.measure).density,
        "short": measure_of(pair.measure).short,
        "agreement": agreement(rows, report.alpha),
        "drawn": f"scatter-{pair.key}" in figures,
        "paired": f"forest-{pair.key}" in figures,
        "cut": max(int(strong.sum()) - MOST_ROWS, 0),
        "shift": records(mine)[0] if len(mine) else None,
        "rows": _table(rows, report.alpha),
        "untested": known.loc[~known.index.isin(rows.index), "acronym"].astype(str).tolist(),
    }


def _table(rows: pd.DataFrame, alpha: float) -> list[dict[str, Any]]:
    gaps = differences(rows)
    shown = rows.assign(
        difference=gaps["difference"],
        gap_low=gaps["low"],
        gap_high=gaps["high"],
        apart=gaps["apart"],
        order=(~rows["label"].isin([ENCODED, PARTLY])).astype(int),
    ).sort_values(["order", "measured_relative_q"])
    return [_row(row, alpha) for row in records(shown)]


def _row(row: Any, alpha: float) -> dict[str, Any]:
    called = bool(row.measured_relative_q < alpha)
    cells: dict[str, Any] = {
        "acronym": str(row.acronym),
        "name": str(row.name),
        "label": str(row.label),
        "sources": str(row.sources),
        "planted": signed(row.planted_log2),
        "verdict": verdict(
            str(row.label), row.planted_log2, row.measured_relative_estimate, called=called
        ),
        "difference": estimate(row.difference, row.gap_low, row.gap_high),
        "apart": bool(row.apart),
        "called": called,
    }
    for side in ("simulated", "measured"):
        for estimand in ("relative", "absolute"):
            head = f"{side}_{estimand}"
            numbers = [getattr(row, f"{head}_{n}") for n in ("estimate", "low", "high")]
            cells[head] = estimate(*numbers)
        cells[f"{side}_q"] = probability(getattr(row, f"{side}_relative_q"))
    return cells


def _only(only: pd.DataFrame) -> list[dict[str, Any]]:
    """Group regions that one cohort lacks: encoded ones are named first."""
    found = []
    for (measure, side), part in only.groupby(["measure", "side"], sort=False):
        encoded = part["label"].isin([ENCODED, PARTLY])
        found.append(
            {
                "measure": measure_of(str(measure)).density,
                "side": side,
                "encoded": part.loc[encoded, "acronym"].astype(str).tolist(),
                "others": part.loc[~encoded, "acronym"].astype(str).tolist(),
            }
        )
    return found


def _environment() -> Environment:
    environment = page_environment()
    plotly = files("plotly") / "package_data" / "plotly.min.js"
    environment.globals.update(
        palette=palette,
        colours=COLOURS,
        label_colours=LABEL_COLOURS,
        label_meanings=LABEL_MEANINGS,
        plural=plural,
        listing=listing,
        estimate=estimate,
        number=number,
        plotly=Markup(plotly.read_text(encoding="utf-8")),
    )
    return environment
