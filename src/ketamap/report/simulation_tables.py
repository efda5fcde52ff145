"""Tables of a simulation's page: heat map, pathways, scorecard, parameters, labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, isfinite
from typing import Any

import pandas as pd

from ketamap.report.comparisons import records
from ketamap.report.palette import NOT_ANALYSED_FILL, effect_fill
from ketamap.report.simulation_contents import LABELS, SimulationReport
from ketamap.report.simulation_figures import short_number
from ketamap.report.words import MINUS, NO_VALUE, fold, interval, signed

LEAST_LIMIT_LOG2 = 0.25
"""Smallest change that is drawn in the strongest colour."""

CERTAINTY = {
    "exact": "fixed by definition or a switch",
    "abstract": "read in an abstract, table or text",
    "secondary": "read in a secondary source",
    "derived": "arithmetic on values read",
    "memory": "from memory, not verified",
    "guess": "a guess: no source gives it",
}
"""Certainty class of a parameter to its meaning."""

UNCERTAIN = ("guess", "memory")
"""Classes that are never shown without their width."""


@dataclass(frozen=True, slots=True)
class HeatCell:
    """One cell of the heat map."""

    text: str
    """log2 change, or a dash."""

    fill: str
    """Background."""

    label: str
    """What may be claimed."""

    tip: str
    """Text on hover."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Regions x (dose, day)."""

    doses: tuple[tuple[str, int], ...]
    """Dose and the number of days under it."""

    days: tuple[float, ...]
    """Day of each column."""

    rows: tuple[tuple[str, str, tuple[HeatCell, ...]], ...]
    """Region, its name, its cells."""

    limit_log2: float
    """Change at which the colour is strongest."""


def heat_map(report: SimulationReport) -> HeatMap | None:
    """Arrange the heat map; None if there is none.  Regions, doses and days keep their order."""
    frame = report.heat
    if frame.empty:
        return None
    largest = float(frame["value_log2"].abs().max())
    limit = max(largest if isfinite(largest) else 0.0, LEAST_LIMIT_LOG2)
    columns = list(frame[["dose", "day"]].drop_duplicates().itertuples(index=False, name=None))
    doses = tuple(
        (d, sum(c[0] == d for c in columns)) for d in dict.fromkeys(c[0] for c in columns)
    )
    columns = [c for dose, _ in doses for c in columns if c[0] == dose]
    at = {(r.region, r.name, r.dose, r.day): r for r in records(frame)}
    names = dict.fromkeys(zip(frame["region"], frame["name"], strict=True))
    rows = tuple(
        (
            str(region),
            str(name),
            tuple(_heat_cell(at.get((region, name, *column)), limit) for column in columns),
        )
        for region, name in names
    )
    return HeatMap(doses, tuple(c[1] for c in columns), rows, limit)


def _heat_cell(row: Any, limit: float) -> HeatCell:
    if row is None or not isfinite(row.value_log2):
        return HeatCell(NO_VALUE, "#ffffff", "", "Nothing is known or modelled here.")
    spread = interval(row.low_log2, row.high_log2)
    tip = (
        f"{row.name} ({row.region}), {row.dose}, day {row.day:g}\n"
        f"{signed(row.value_log2)} log2 ({fold(row.value_log2)}), 95 % of draws {spread}\n"
        f"{row.label}: {row.reason}{_sources(row.sources)}"
    )
    none = signed(row.value_log2) == signed(0.0)
    fill = NOT_ANALYSED_FILL if none else effect_fill(row.value_log2, limit)
    return HeatCell(signed(row.value_log2), fill, row.label, tip)


def pathway_cards(report: SimulationReport) -> list[dict[str, Any]]:
    """Describe each dopamine pathway: where from, where to, its peak and what is left at a day."""
    cards = []
    for row in records(report.pathways):
        known = isfinite(row.peak_percent)
        cards.append(
            {
                "name": row.pathway,
                "origin": row.origin,
                "target": row.target,
                "known": known,
                "peak": percent_change(row.peak_percent),
                "spread": f"{percent_change(row.low_percent)} to {percent_change(row.high_percent)}"
                if isfinite(row.low_percent)
                else "",
                "when": clock(row.peak_time_h) if known else NO_VALUE,
                "day": percent_change(row.day_percent),
                "width": min(abs(row.peak_percent), 150.0) / 150.0 if known else 0.0,
                "label": row.label,
                "tip": badge_tip(row.label, row.reason, row.sources),
                "reason": row.reason,
            }
        )
    return cards


def badge_tip(label: str, reason: str, sources: str) -> str:
    """Text shown over a badge."""
    return f"{label}: {reason}{_sources(sources)}"


def label_rows(report: SimulationReport) -> list[dict[str, str]]:
    """Return every shown quantity with its label, in the order of the pages."""
    rows = report.labels.set_index("quantity")
    return [
        {
            "title": panel.title,
            "layer": layer.title,
            "label": str(rows.at[panel.quantity, "label"]),
            "reason": str(rows.at[panel.quantity, "reason"]),
            "sources": str(rows.at[panel.quantity, "sources"]),
            "tip": badge_tip(*(str(rows.at[panel.quantity, c]) for c in ("label", "reason", "sources"))),
            "quantity": panel.quantity,
        }
        for layer in report.layers
        for panel in layer.panels
    ]  # fmt: skip


def label_counts(report: SimulationReport) -> dict[str, int]:
    """Count the shown quantities by label."""
    shown = [row["label"] for row in label_rows(report)]
    return {label: shown.count(label) for label in LABELS}


def certainty_counts(parameters: pd.DataFrame) -> list[tuple[str, str, int]]:
    """Count parameters by certainty, guesses last: class, meaning, number."""
    if parameters.empty:
        return []
    classes = [c for c in CERTAINTY if c in set(parameters["certainty"])]
    classes += sorted(set(parameters["certainty"]) - set(CERTAINTY))
    return [(c, CERTAINTY.get(c, ""), int((parameters["certainty"] == c).sum())) for c in classes]


def parameter_rows(parameters: pd.DataFrame) -> Iterator[dict[str, str]]:
    """Write parameters with the width they are drawn from."""
    for row in records(parameters):
        yield {
            "name": str(row.name),
            "value": short_number(float(row.value)),
            "unit": "" if row.unit == "dimensionless" else unit_text(str(row.unit)),
            "width": _width(float(row.value), float(row.prior_sd_ln)),
            "certainty": str(row.certainty),
            "role": str(row.role),
            "sources": str(row.source_rows),
            "meaning": str(row.meaning),
        }


def table_rows(frame: pd.DataFrame) -> list[list[str]]:
    """Write a frame's cells: numbers in three digits, nothing for what is missing."""
    return [[_plain(v) for v in row] for row in frame.itertuples(index=False, name=None)]


def percent_change(value: float) -> str:
    """Write a change in percent with its sign."""
    if not isfinite(value):
        return NO_VALUE
    text = f"{abs(value):.0f}"
    return f"{'' if text == '0' else '+' if value > 0 else MINUS}{text}\N{NO-BREAK SPACE}%"


def clock(hours: float) -> str:
    """Write a time: minutes below two hours, hours below three days, days above."""
    if hours < 2.0:
        return f"{60 * hours:.0f} min"
    return f"{hours:.3g} h" if hours < 72.0 else f"{hours / 24:.3g} days"


def unit_text(unit: str) -> str:
    """Write a unit's identifier as people do: ``per_h`` is ``1/h``, ``ng_per_ml`` ``ng/ml``."""
    if unit.startswith("per_"):
        return "1/" + unit.removeprefix("per_").replace("_", "\N{MIDDLE DOT}")
    return unit.replace("_per_", "/").replace("_", "\N{MIDDLE DOT}")


def _width(value: float, sd_ln: float) -> str:
    if sd_ln <= 0.0:
        return "fixed"
    factor = exp(1.96 * sd_ln)
    low, high = sorted((value / factor, value * factor))
    return f"{short_number(low)} to {short_number(high)}"


def _sources(sources: str) -> str:
    return f"\nSources: {sources}" if str(sources).strip() else ""


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return short_number(value)
    return "" if value is None else str(value)
