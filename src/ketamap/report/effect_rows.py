"""Rows of the full effects table, and the files behind its buttons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ketamap.report.comparisons import BOTH, Comparison, records
from ketamap.report.contents import StudyReport
from ketamap.report.groups import (
    VALUES_SHOWN,
    Groups,
    counts_per_group,
    plain_numbers,
    wide_values,
)
from ketamap.report.words import equation, fold, interval, probability, signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: what is read, and what is sorted by."""

    text: str
    value: str
    """Full precision, empty where there is none."""

    called: str = ""
    """``up`` or ``down`` where the region was called, else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRow:
    """One region of one comparison."""

    key: str
    comparison: str
    measure: str
    region_id: int
    acronym: str
    name: str
    status: str
    """``called``, ``not called`` or ``not testable``."""

    reason: str
    animals: str
    """Animals with a value, group by group."""

    cells: tuple[Cell, ...]
    """Relative estimate, interval, q; absolute estimate, interval, q."""


def effect_rows(
    report: StudyReport, comparisons: Sequence[Comparison], groups: Groups
) -> list[EffectRow]:
    """Prepare the table, comparison by comparison, strongest evidence first."""
    per_group = {
        measure: _animals_text(report, measure, groups)
        for measure in dict.fromkeys(c.measure for c in comparisons)
    }
    return [
        EffectRow(
            key=comparison.key,
            comparison=comparison.label,
            measure=comparison.measure,
            region_id=row.region_id,
            acronym=row.acronym,
            name=row.name if row.name != row.acronym else "",
            status=_status(row),
            reason=row.reason,
            animals=per_group[comparison.measure].get(row.region_id, ""),
            cells=tuple(cell for estimand in BOTH for cell in _cells(row, estimand)),
        )
        for comparison in comparisons
        for row in records(comparison.regions.sort_values("evidence"))
    ]


def effects_csv(effects: pd.DataFrame) -> str:
    """Return the effects table as CSV, every number in full."""
    return effects.to_csv(index=False, lineterminator="\n")


def regions_payload(
    report: StudyReport, comparisons: Sequence[Comparison], groups: Groups
) -> dict[str, Any]:
    """Collect what the page needs to show the animals of any region on a click."""
    measures = dict.fromkeys(c.measure for c in comparisons)
    return {
        "animals": list(groups.of_animal),
        "groupOf": [groups.names.index(g) for g in groups.of_animal.values()],
        "groups": list(groups.names),
        "values": {m: _values_payload(report, m, groups) for m in measures},
        "comparisons": [
            {
                "key": c.key,
                "label": c.label,
                "measure": c.measure,
                "effects": {str(r.region_id): _effect_payload(r) for r in records(c.regions)},
            }
            for c in comparisons
        ],
    }


def _status(row: Any) -> str:
    if not row.testable:
        return "not testable"
    return "called" if row.relative_called or row.absolute_called else "not called"


def _cells(row: Any, estimand: str) -> tuple[Cell, Cell, Cell]:
    value, low, high, q, called = (
        getattr(row, f"{estimand}_{x}") for x in ("estimate", "low", "high", "q", "called")
    )
    way = ("up" if value > 0 else "down") if called else ""
    width = high - low
    return (
        Cell(text=signed(value), value=_full(value), called=way),
        Cell(text=interval(low, high), value=_full(width)),
        Cell(text=probability(q), value=_full(q), called=way),
    )


def _full(value: float) -> str:
    return repr(float(value)) if np.isfinite(value) else ""


def _animals_text(report: StudyReport, measure: str, groups: Groups) -> dict[int, str]:
    column = next((c for c in VALUES_SHOWN.values() if c in report.values.columns), "")
    wide = wide_values(report, measure, column, groups)
    counts = counts_per_group(wide, groups)
    return {
        int(region): " / ".join(str(n) for n in row)
        for region, row in zip(counts.index, counts.to_numpy(), strict=True)
    }


def _values_payload(
    report: StudyReport, measure: str, groups: Groups
) -> dict[str, dict[str, list[float | None]]]:
    found: dict[str, dict[str, list[float | None]]] = {}
    for estimand, column in VALUES_SHOWN.items():
        wide = wide_values(report, measure, column, groups)
        for region, row in zip(wide.index, wide.to_numpy(), strict=True):
            found.setdefault(str(int(region)), {})[estimand] = plain_numbers(row, 3)
    return found


def _effect_payload(row: Any) -> Mapping[str, Any]:
    texts = {}
    for e in BOTH:
        value, low, high, q = (getattr(row, f"{e}_{x}") for x in ("estimate", "low", "high", "q"))
        texts[e] = [
            signed(value),
            interval(low, high),
            fold(value),
            probability(q),
            equation("q", q),
        ]
    reason = "" if row.testable else f"not testable: {row.reason or 'no reason given'}"
    return {"a": row.acronym, "n": row.name, "why": reason, **texts}
