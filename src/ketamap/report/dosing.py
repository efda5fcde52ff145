"""Dose and duration, region by region: any effect, its growth, its onset, its curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from ketamap.core.measures import measure_of
from ketamap.report.comparisons import BOTH, Comparison, records
from ketamap.report.contents import StudyReport
from ketamap.report.effect_rows import Cell, rounded
from ketamap.report.groups import plain_numbers
from ketamap.report.words import (
    equation,
    estimate,
    interval,
    listing,
    number,
    plural,
    probability,
    signed,
)

PANELS_SHOWN = 6
"""Regions whose dose and day panels stand in the page; the others open on a click."""

NAMED = 4
"""Regions named in a sentence."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class DoseRow:
    """One region over all doses and days."""

    region_id: int
    acronym: str
    name: str
    status: str
    """``called``, ``not called`` or ``not testable``."""

    reason: str
    cells: tuple[Cell, ...]
    """q of any dose relative and absolute, largest effect with its interval, closest shape,
    onset, growth with its interval, q of the growth."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class DoseSection:
    """What one measure says on dose and duration."""

    measure: str
    words: str
    """The measure in a sentence."""

    summary: tuple[str, ...]
    rows: tuple[DoseRow, ...]
    shown: tuple[int, ...]
    """Regions whose panels stand in the page."""

    lasts: bool
    """Whether the design has several days."""

    payload: dict[str, Any]
    """For the panels: by region what belongs to it beside the effects."""


def dose_sections(report: StudyReport, comparisons: Sequence[Comparison]) -> list[DoseSection]:
    """Prepare the answers of a dose design, measure by measure; none for other designs."""
    any_dose = report.further.get("any_dose")
    if any_dose is None or report.cells.empty:
        return []
    found = []
    for measure in dict.fromkeys(c.measure for c in comparisons):
        mine = [c for c in comparisons if c.measure == measure]
        answers = _Answers(report, measure, mine)
        if not answers.any_dose.empty:
            found.append(_section(answers))
    return found


class _Answers:
    """The frames of one measure, looked up by region."""

    def __init__(self, report: StudyReport, measure: str, comparisons: list[Comparison]) -> None:
        self.report, self.measure, self.comparisons = report, measure, comparisons
        frames = {
            name: frame[frame["measure"] == measure]
            for name, frame in report.further.items()
            if "measure" in frame
        }
        empty = pd.DataFrame()
        self.any_dose = frames.get("any_dose", empty)
        self.growth = frames.get("interaction", empty)
        self.onset = frames.get("onset", empty)
        self.curves = frames.get("dose_response", empty)
        self.any_of = _by_region(self.any_dose)
        self.growth_of = _by_region(self.growth)
        self.strongest = _strongest(comparisons)
        self.label_of = {
            float(row.dose): str(row.contrast).split(" vs ")[0] for row in records(report.cells)
        }
        self.days = sorted({float(r.day) for r in records(report.cells) if np.isfinite(r.day)})

    def called(self, estimand: str, frame: pd.DataFrame | None = None) -> pd.DataFrame:
        """Rows of an estimand below the level, strongest evidence first."""
        rows = self.any_dose if frame is None else frame
        rows = rows[(rows["estimand"] == estimand) & (rows["q"] < self.report.alpha)]
        return rows.sort_values("p", kind="stable")


def _by_region(frame: pd.DataFrame) -> dict[tuple[int, str], Any]:
    return {(int(r.region_id), str(r.estimand)): r for r in records(frame)}


def _section(a: _Answers) -> DoseSection:
    relative = a.any_dose[a.any_dose["estimand"] == "relative"]
    names = {r.region_id: r.name for c in a.comparisons for r in records(c.regions)}
    rows = [_row(a, r, names) for r in records(relative)]
    order = {int(r.region_id): _rank(a, int(r.region_id)) for r in records(relative)}
    rows.sort(key=lambda row: order[row.region_id])
    tested = [row.region_id for row in rows if row.status != "not testable"]
    return DoseSection(
        measure=a.measure,
        words=measure_of(a.measure).density,
        summary=tuple(s for s in _summary(a) if s),
        rows=tuple(rows),
        shown=tuple(tested[:PANELS_SHOWN]),
        lasts=len(a.days) > 1,
        payload=_payload(a),
    )


def _rank(a: _Answers, region: int) -> tuple[float, float]:
    """Smallest q first, then the smallest p; not testable last."""
    both = [a.any_of[region, e] for e in BOTH if (region, e) in a.any_of]
    q, p = ([x for r in both if np.isfinite(x := getattr(r, name))] for name in ("q", "p"))
    return (min(q, default=np.inf), min(p, default=np.inf))


def _row(a: _Answers, row: Any, names: dict[int, str]) -> DoseRow:
    region = int(row.region_id)
    both = [a.any_of.get((region, e)) for e in BOTH]
    called = any(r is not None and r.q < a.report.alpha for r in both)
    status = "not testable" if not row.testable else "called" if called else "not called"
    name = names.get(region, row.acronym)
    growth = a.growth_of.get((region, "relative"))
    return DoseRow(
        region_id=region,
        acronym=row.acronym,
        name="" if name == row.acronym else name,
        status=status,
        reason=row.reason,
        cells=(
            *(_q_cell(r, a.report.alpha) for r in both),
            _largest_cell(a, region),
            Cell(text=row.shape, value=""),
            Cell(text=_onset_text(a, region), value=""),
            _growth_cell(growth, a.report.alpha),
            _q_cell(growth, a.report.alpha),
        ),
    )


def _q_cell(row: Any, alpha: float) -> Cell:
    """Only q stands here: the estimate with its interval stands beside it."""
    if row is None or not np.isfinite(row.q):
        return Cell(text=probability(None), value="")
    way = getattr(row, "t", getattr(row, "estimate_log2", 0.0))
    mark = ("up" if way > 0 else "down") if row.q < alpha else ""
    return Cell(text=probability(row.q), value=f"{row.q:.6g}", called=mark)


def _largest_cell(a: _Answers, region: int) -> Cell:
    """Effect with the strongest evidence among all doses and days, with its interval."""
    if region not in a.strongest:
        return Cell(text="", value="")
    _, row, contrast = a.strongest[region]
    text = estimate(row.relative_estimate, row.relative_low, row.relative_high)
    return Cell(text=f"{text}, {_treatment(contrast)}", value=f"{row.relative_estimate:.6g}")


def _strongest(comparisons: Sequence[Comparison]) -> dict[int, tuple[float, Any, str]]:
    """For each region the comparison with the largest |t|, relative."""
    found: dict[int, tuple[float, Any, str]] = {}
    for c in comparisons:
        for row in records(c.tested):
            t = abs(row.relative_estimate) / row.relative_se if row.relative_se > 0 else -1.0
            if t >= 0 and t > found.get(row.region_id, (-1.0,))[0]:
                found[row.region_id] = (t, row, c.contrast)
    return found


def _treatment(contrast: str) -> str:
    """``100 mg/kg vs vehicle, 10 d`` becomes ``100 mg/kg 10 d``."""
    dose, _, rest = contrast.partition(" vs ")
    day = rest.partition(", ")[2]
    return f"{dose} {day}".strip()


def _growth_cell(row: Any, alpha: float) -> Cell:
    if row is None or not np.isfinite(row.estimate_log2):
        return Cell(text="", value="")
    text = estimate(row.estimate_log2, row.ci_low_log2, row.ci_high_log2)
    way = ("up" if row.estimate_log2 > 0 else "down") if row.q < alpha else ""
    return Cell(text=text, value=f"{row.estimate_log2:.6g}", called=way)


def _onset_text(a: _Answers, region: int) -> str:
    """Say from which day each dose has an effect, with the days it may be (relative)."""
    if a.onset.empty:
        return ""
    mine = a.onset[(a.onset["region_id"] == region) & (a.onset["estimand"] == "relative")]
    return "; ".join(
        f"{a.label_of.get(float(r.dose), f'{r.dose:g}')}: day {r.onset_days:g} "
        f"({_days(r.onset_low_days, r.onset_high_days)})"
        for r in records(mine[mine["established"].astype(bool)])
    )


def _days(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _summary(a: _Answers) -> list[str]:
    return [_shift_sentence(a), _any_sentence(a), _growth_sentence(a), *_onset_sentences(a),
            _missing_sentence(a)]  # fmt: skip


def _any_sentence(a: _Answers) -> str:
    relative = a.any_dose[a.any_dose["estimand"] == "relative"]
    tested = int(relative["testable"].sum())
    called, absolute = a.called("relative"), a.called("absolute")
    which = f": {listing(_named(called))}" if len(called) else ""
    return (
        f"Any effect of dose on any day (one test per region, q < {a.report.alpha:g}): "
        f"{len(called)} of {plural(tested, 'tested region')} relative to the brain-wide "
        f"change{which}; {len(absolute)} as a change of density. "
        f"{plural(len(relative) - tested, 'region')} could not be tested."
    )


def _named(rows: pd.DataFrame) -> list[str]:
    first = [str(x) for x in rows["acronym"].head(NAMED)]
    return [*first, f"{len(rows) - NAMED} more"] if len(rows) > NAMED else first


def _shift_sentence(a: _Answers) -> str:
    shift = a.any_dose[a.any_dose["estimand"] == "shift"]
    if shift.empty:
        return ""
    grown = a.growth[a.growth["estimand"] == "shift"] if not a.growth.empty else a.growth
    text = f"Brain-wide shift at any dose or day: {equation('p', float(shift['p'].iloc[0]))}"
    if grown.empty:
        return f"{text}."
    g = records(grown)[0]
    return (
        f"{text}; its growth with duration: "
        f"{estimate(g.estimate_log2, g.ci_low_log2, g.ci_high_log2)} log2, {equation('p', g.p)}."
    )


def _growth_sentence(a: _Answers) -> str:
    if a.growth.empty:
        return ""
    called = a.called("relative", a.growth)
    what = str(a.growth["contrast"].iloc[0])
    for dose, label in a.label_of.items():
        what = what.replace(f"effect of dose {dose:g} ", f"effect of {label} ")
    tested = int(((a.growth["estimand"] == "relative") & a.growth["testable"]).sum())
    head = f"Does the effect grow with duration? The {what} (linear trend in dose and days)"
    if called.empty:
        return (
            f"{head} is called in none of {plural(tested, 'tested region')}, which does not show "
            f"that it stays the same."
        )
    first = [
        f"{r.acronym} {estimate(r.estimate_log2, r.ci_low_log2, r.ci_high_log2)}"
        for r in records(called.head(NAMED))
    ]
    return (
        f"{head} is called in {len(called)} of {plural(tested, 'tested region')}, strongest "
        f"evidence: {listing(first)} (log2, 95 % interval)."
    )


def _onset_sentences(a: _Answers) -> list[str]:
    if a.onset.empty:
        return []
    rows = a.onset[(a.onset["estimand"] == "relative") & a.onset["established"].astype(bool)]
    found = []
    for dose in sorted(float(d) for d in rows["dose"].unique()):
        counts = rows.loc[rows["dose"] == dose, "onset_days"].value_counts().sort_index()
        days = [f"day {day:g} in {plural(int(n), 'region')}" for day, n in counts.items()]
        label = a.label_of.get(dose, f"dose {dose:g}")
        found.append(f"{label} is first established on {listing(days)}.")
    if found:
        found[0] = f"Onset (relative, over the regions with a dose effect): {found[0]}"
    return found


def _missing_sentence(a: _Answers) -> str:
    """Name cells of the design without a comparison."""
    there = {(float(r.dose), rounded(r.day)) for r in records(a.report.cells)}
    if not a.days:
        return ""
    gone = [
        f"{a.label_of[dose]} on day {day:g}"
        for day, dose in product(a.days, sorted(a.label_of))
        if (dose, day) not in there
    ]
    if not gone:
        return ""
    return (
        f"Not in the design: {listing(gone)} (no animals, or no control of that day). Shapes and "
        f"trends use the cells that are there."
    )


def _payload(a: _Answers) -> dict[str, Any]:
    """Answers of each region for its panels: any dose, growth, onset, curves."""
    found: dict[str, dict[str, Any]] = {}
    for (region, estimand), row in a.any_of.items():
        if estimand in BOTH and np.isfinite(row.q):
            mine = found.setdefault(str(region), {})
            mine.setdefault("any", {})[estimand] = [equation("q", row.q), row.shape]
    for (region, estimand), row in a.growth_of.items():
        if estimand in BOTH and np.isfinite(row.q) and str(region) in found:
            text = (
                f"{signed(row.estimate_log2)} {interval(row.ci_low_log2, row.ci_high_log2)}, "
                f"{equation('q', row.q)}"
            )
            found[str(region)].setdefault("growth", {})[estimand] = text
    for row in records(a.onset[a.onset["established"].astype(bool)] if len(a.onset) else a.onset):
        ends = [float(row.dose), row.onset_days, row.onset_low_days, row.onset_high_days]
        mine = found.setdefault(str(row.region_id), {})
        mine.setdefault("onset", {}).setdefault(row.estimand, []).append(ends)
    for row in records(a.curves) if "curve_log2" in a.curves else []:
        drawn = [row.curve_doses, row.curve_log2, row.curve_low_log2, row.curve_high_log2]
        lines = drawn if row.model != "neither" else [[], [], [], []]
        mine = found.setdefault(str(row.region_id), {}).setdefault("curves", {})
        mine.setdefault(row.estimand, []).append(
            {"day": rounded(row.days), "text": _curve_text(row),
             "lines": [plain_numbers(line, 3) for line in lines]}
        )  # fmt: skip
    return found


def _curve_text(row: Any) -> str:
    if row.model == "neither":
        return "neither a line nor Emax fits"
    if row.model == "linear":
        return "line"
    low = "0" if row.ed50_low == 0 else number(row.ed50_low, 1)
    high = "not bounded" if not np.isfinite(row.ed50_high) else number(row.ed50_high, 1)
    return f"Emax, half at {number(row.ed50, 1)} [{low}, {high}]"
