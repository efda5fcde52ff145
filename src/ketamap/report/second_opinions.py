"""Other ways to look at the findings of a comparison: by division, and by permutation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ketamap.report.comparisons import BOTH, Comparison, records
from ketamap.report.contents import StudyReport
from ketamap.report.words import estimate, plural, probability, signed


@dataclass(frozen=True, slots=True, kw_only=True)
class DivisionRow:
    """A division in which regions were selected."""

    division: str
    estimand: str
    p: str
    tested: int
    regions: str
    """Selected regions with their intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisagreementRow:
    """A region on which model and permutation differ."""

    region_id: int
    acronym: str
    effect: str
    t: str
    p_model: str
    p_permutation: str
    called_by: str


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Opinions:
    """Second opinions on one comparison."""

    key: str
    divisions: tuple[DivisionRow, ...]
    division_text: str
    """Empty where there are no divisions to read by."""

    disagreements: tuple[DisagreementRow, ...]
    permutation_text: str
    """Empty where nothing was permuted."""


def opinions_of(report: StudyReport, comparisons: Sequence[Comparison]) -> list[Opinions]:
    """Gather the second opinions, comparison by comparison."""
    selection = report.further.get("selection")
    permuted = report.further.get("permutation")
    if selection is None and permuted is None:
        return []
    found = []
    for c in comparisons:
        effects = {r.region_id: r for r in records(c.regions)}
        rows = _of(selection, c)
        shown = _of(permuted, c)
        differ = shown[shown["disagrees"].astype(bool)] if len(shown) else shown
        found.append(
            Opinions(
                key=c.key,
                divisions=tuple(_divisions(rows, effects)),
                division_text=_division_text(rows, c, report.alpha),
                disagreements=tuple(
                    _disagreement(r, effects, report.alpha) for r in records(differ)
                ),
                permutation_text=_permutation_text(shown, differ, report.alpha),
            )
        )
    return found


def _of(frame: pd.DataFrame | None, c: Comparison) -> pd.DataFrame:
    if frame is None:
        return pd.DataFrame()
    return frame[(frame["measure"] == c.measure) & (frame["contrast"] == c.contrast)]


def _divisions(rows: pd.DataFrame, effects: dict[int, Any]) -> list[DivisionRow]:
    found = []
    for estimand in BOTH:
        mine = rows[rows["estimand"] == estimand] if len(rows) else rows
        for division, part in mine.groupby("division", sort=False) if len(mine) else []:
            picked = part[part["selected"].astype(bool)].sort_values("p", kind="stable")
            if picked.empty:
                continue
            named = [_with_interval(effects.get(int(i)), estimand) for i in picked["region_id"]]
            found.append(
                DivisionRow(
                    division=str(division),
                    estimand=estimand,
                    p=probability(float(part["division_p"].iloc[0])),
                    tested=len(part),
                    regions="; ".join(n for n in named if n),
                )
            )
    return found


def _with_interval(row: Any, estimand: str) -> str:
    if row is None:
        return ""
    numbers = (getattr(row, f"{estimand}_{x}") for x in ("estimate", "low", "high"))
    return f"{row.acronym} {estimate(*numbers)}"


def _division_text(rows: pd.DataFrame, c: Comparison, alpha: float) -> str:
    if rows.empty:
        return ""
    relative = rows[rows["estimand"] == "relative"]
    picked = relative[relative["selected"].astype(bool)]
    if picked.empty:
        return (
            f"Read by division, no region is selected (relative; "
            f"{plural(relative['division'].nunique(), 'division')})."
        )
    return (
        f"Read by division, {plural(len(picked), 'region')} in "
        f"{plural(picked['division'].nunique(), 'division')} {'is' if len(picked) == 1 else 'are'} selected (relative), with at most "
        f"{alpha:g} false among regions and among divisions; all regions of this comparison read "
        f"together: {len(c.called('relative'))}."
    )


def _disagreement(row: Any, effects: dict[int, Any], alpha: float) -> DisagreementRow:
    return DisagreementRow(
        region_id=int(row.region_id),
        acronym=row.acronym,
        effect=_with_interval(effects.get(int(row.region_id)), "relative").partition(" ")[2],
        t=signed(float(row.t)),
        p_model=probability(float(row.p_model)),
        p_permutation=probability(float(row.p_permutation)),
        called_by="model only" if row.p_model < alpha else "permutation only",
    )


def _permutation_text(shown: pd.DataFrame, differ: pd.DataFrame, alpha: float) -> str:
    if shown.empty:
        return ""
    both = int(((shown["p_permutation"] < alpha) & (shown["p_model"] < alpha)).sum())
    head = (
        f"Permutation of {plural(len(shown), 'region')}, familywise over the brain: both call "
        f"{plural(both, 'region')} at {alpha:g}"
    )
    if differ.empty:
        return f"{head}, and they disagree on none."
    return f"{head}, and they disagree on {len(differ)}:"
