"""Rows of the full effects table, and the files behind its buttons."""

from __future__ import annotations

from collections.abc import Sequence
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
from ketamap.report.words import estimate, interval, probability, signed

SPAN_COLUMNS = ("count_low", "count_high")
"""Columns of the values that say how uncertain the measure itself is."""

FEW_GROUPS = 3
"""Up to so many groups the animals of each are always listed."""

PAYLOAD = ("estimate", "low", "high", "q")
"""Numbers of an effect that the page holds for every region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: what is read, and what is sorted by."""

    text: str
    value: str
    """To six digits, empty where there is none."""

    called: str = ""
    """``up`` or ``down`` where the region was called, else empty."""


NO_CELL = Cell(text="", value="")


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

    shrunken: tuple[Cell, ...] = ()
    """Relative and absolute estimate drawn towards the division; none where not asked."""


def effect_rows(
    report: StudyReport, comparisons: Sequence[Comparison], groups: Groups
) -> list[EffectRow]:
    """Prepare the table, comparison by comparison, strongest evidence first."""
    per_group = {
        measure: _animals_text(report, measure, groups)
        for measure in dict.fromkeys(c.measure for c in comparisons)
    }
    drawn = _shrunken(report)
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
            shrunken=tuple(
                drawn.get((comparison.measure, comparison.contrast, e, row.region_id), NO_CELL)
                for e in (BOTH if drawn else ())
            ),
        )
        for comparison in comparisons
        for row in records(comparison.regions.sort_values("evidence"))
    ]


def shrunken_quality(report: StudyReport) -> str:
    """Say how well the chains behind the shrunken effects agreed; empty where there are none."""
    frame = report.further.get("shrunken")
    if frame is None or frame.empty:
        return ""
    return (
        f"Shrunken: mean and 95 % posterior interval of effects drawn towards their division, for "
        f"estimates and ranking; no region is called by them. Over all regions R-hat is at most "
        f"{frame['rhat'].max():.3f} and the effective sample size at least {frame['ess'].min():,.0f}."
    )


def _shrunken(report: StudyReport) -> dict[tuple[str, str, str, int], Cell]:
    frame = report.further.get("shrunken")
    if frame is None:
        return {}
    return {
        (str(r.measure), str(r.contrast), str(r.estimand), int(r.region_id)): Cell(
            text=estimate(r.shrunken_log2, r.low_log2, r.high_log2), value=_precise(r.shrunken_log2)
        )
        for r in records(frame)
    }


def effects_csv(effects: pd.DataFrame) -> str:
    """Return the effects table as CSV, every number in full."""
    return effects.to_csv(index=False, lineterminator="\n")


def regions_payload(
    report: StudyReport, comparisons: Sequence[Comparison], groups: Groups
) -> dict[str, Any]:
    """Collect what the page needs to show the animals of any region on a click."""
    measures = dict.fromkeys(c.measure for c in comparisons)
    cells = _cells_of(report)
    names = {r.region_id: [r.acronym, r.name] for c in comparisons for r in records(c.regions)}
    return {
        "animals": list(groups.of_animal),
        "groupOf": [groups.names.index(g) for g in groups.of_animal.values()],
        "groups": list(groups.names),
        "regions": {str(i): named for i, named in names.items()},
        "values": {m: _values_payload(report, m, groups) for m in measures},
        "spans": {m: _spans_payload(report, m, groups) for m in measures},
        "comparisons": [
            {
                "key": c.key,
                "label": c.label,
                "contrast": c.contrast,
                "measure": c.measure,
                **cells.get(c.contrast, {}),
                "effects": {str(r.region_id): _effect_payload(r) for r in records(c.regions)},
            }
            for c in comparisons
        ],
    }


def _cells_of(report: StudyReport) -> dict[str, dict[str, float | None]]:
    """Dose and day of each comparison, for a design with doses."""
    return {
        str(row.contrast): {"dose": float(row.dose), "day": rounded(row.day)}
        for row in records(report.cells)
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
        Cell(text=signed(value), value=_precise(value), called=way),
        Cell(text=interval(low, high), value=_precise(width)),
        Cell(text=probability(q), value=_precise(q), called=way),
    )


def _precise(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else ""


def _animals_text(report: StudyReport, measure: str, groups: Groups) -> dict[int, str]:
    column = next((c for c in VALUES_SHOWN.values() if c in report.values.columns), "")
    wide = wide_values(report, measure, column, groups)
    counts = counts_per_group(wide, groups)
    return {
        int(region): _n_text(row.tolist())
        for region, row in zip(counts.index, counts.to_numpy(), strict=True)
    }


def _n_text(counts: list[int]) -> str:
    """Animals of each group; one number where many groups have the same."""
    if len(counts) > FEW_GROUPS and len(set(counts)) == 1:
        return f"{counts[0]} each"
    return " / ".join(str(n) for n in counts)


def _values_payload(
    report: StudyReport, measure: str, groups: Groups
) -> dict[str, dict[str, list[float | None]]]:
    found: dict[str, dict[str, list[float | None]]] = {}
    for estimand, column in VALUES_SHOWN.items():
        wide = wide_values(report, measure, column, groups)
        for region, row in zip(wide.index, wide.to_numpy(), strict=True):
            found.setdefault(str(int(region)), {})[estimand] = plain_numbers(row, 3)
    return found


def _spans_payload(
    report: StudyReport, measure: str, groups: Groups
) -> dict[str, list[list[float | None]]]:
    """How far each animal's log2 density reaches by the measure's own uncertainty."""
    if not set(SPAN_COLUMNS) <= set(report.values.columns):
        return {}
    value = wide_values(report, measure, "count", groups)
    ends = [wide_values(report, measure, column, groups) for column in SPAN_COLUMNS]
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = (
            np.log2(end.reindex(value.index).to_numpy() / value.to_numpy()) for end in ends
        )
    return {
        str(int(region)): [plain_numbers(a, 3), plain_numbers(b, 3)]
        for region, a, b in zip(value.index, low, high, strict=True)
        if np.isfinite(b).any()
    }


def rounded(value: float) -> float | None:
    """Shorten a number to four significant digits for the page; None where there is none."""
    return float(f"{value:.4g}") if np.isfinite(value) else None


def _effect_payload(row: Any) -> list[float | None] | str:
    """Estimate, interval and q, relative then absolute; or why there are none."""
    if not row.testable:
        return f"not testable: {row.reason or 'no reason given'}"
    return [rounded(getattr(row, f"{e}_{x}")) for e in BOTH for x in PAYLOAD]
