"""The scorecard as files: a table, a text, and the frame that a page shows."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from math import isfinite
from typing import Any

import pandas as pd

from ketamap.simulate.scorecard_text import PASSING_PERCENT, scorecard_summary

VERDICTS = {True: "IN", False: "OUT"}
"""Verdict of a row with nominal parameters."""


PRIOR, CONDITIONED = "passes, % of draws", "passes, % of conditioned draws"
"""Columns of the page: draws from the priors, and those that pass every calibration row."""


def scorecard_frame(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scorecard as a page shows it.

    Parameters
    ----------
    scores
        What `ketamap.simulate.scorecard.run_scorecard` returns.
    """
    shown = pd.DataFrame(
        {
            "row": scores["id"],
            "what": scores["title"],
            "predicted": scores["predicted"],
            "observed": scores["observed"],
            "rule": [_rule(row) for row in scores.to_dict("records")],
            "verdict": scores["nominal_in"].map(VERDICTS),
            PRIOR: scores["pass_percent"],
            CONDITIONED: scores["conditioned_pass_percent"],
            "used for": scores["kind"],
            "sources": scores["source_rows"],
        }
    )
    if scores["pass_percent"].isna().all():
        shown = shown.drop(columns=[PRIOR, CONDITIONED])
    return shown


def scorecard_text(scores: pd.DataFrame) -> str:
    """Say how many held-out rows are in with nominal values, and what that is worth."""
    found = scorecard_summary(scores)
    return (
        f"Of {found['rows']} held-out rows that count, {found['nominal_in']} are in with the "
        "nominal parameters, which is weak evidence; ketamap simulate scorecard counts how many "
        "draws pass."
    )


def _rule(row: Mapping[Hashable, Any]) -> str:
    low, high = float(row["low"]), float(row["high"])
    if not (isfinite(low) and isfinite(high)):
        return str(row["rule"])
    interval = f"{low:g} to {high:g}"
    return f"{interval} ({row['rule']})" if row["rule"] else interval


def scorecard_lines(scores: pd.DataFrame) -> Iterator[str]:
    """Show one line per row, and the count at the end."""
    drawn = not scores["pass_percent"].isna().all()
    if drawn:
        yield f"row, verdict of nominal values, {PRIOR}, {CONDITIONED}"
    for row in scores.to_dict("records"):
        share = (
            f"{row['pass_percent']:5.0f} %{row['conditioned_pass_percent']:5.0f} %" if drawn else ""
        )
        verdict = VERDICTS[bool(row["nominal_in"])]
        yield f"{row['id']:<8}{verdict:<5}{share}  {row['title']}: {row['predicted']} ({row['kind']})"
    counted = scores[scores["counts"]]
    yield f"{int(counted['nominal_in'].sum())} of {len(counted)} held-out rows are in nominally"
    if drawn:
        found = scorecard_summary(scores)
        for prefix, name in (("", "draws from the priors"), ("conditioned_", "conditioned draws")):
            yield (
                f"{found[f'{prefix}passing']} in at least {PASSING_PERCENT:g} % of {name}, "
                f"{found[f'{prefix}passing_informative']} of them not near-forced"
            )
