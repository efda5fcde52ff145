"""The scorecard as a page of text."""

from __future__ import annotations

import numpy as np
import pandas as pd

PASSING_PERCENT = 70.0
"""Pass rate over draws from which a row counts as passed."""

_HEAD = """# Scorecard of the simulator

For research, not for dosing.

Every validation row: what the model predicts with its nominal parameters, what was observed,
and in how many of {n} draws from the priors (seed {seed}) the row passes. The nominal column is
weak evidence: nominal values were chosen by people who knew the literature. The pass rate is
the honest column. Kinds: *calibration* (the fact was used to set a parameter), *held out*,
*near-forced* (held out, but the structure hardly allows another answer), *encoded* (a table
entry or an encoded delay). Rows that restate another one do not count (second table).
The prototype's figures are those of the first draft of this model.

Made by `ketamap simulate scorecard`; do not edit by hand.
"""


def scorecard_summary(frame: pd.DataFrame) -> dict[str, int]:
    """Count the held-out rows that pass, as the prototype's were counted.

    Parameters
    ----------
    frame
        What `run_scorecard` returns.

    Returns
    -------
    dict
        ``rows`` that count, ``nominal_in``, ``passing`` (at least 70 % of draws),
        ``passing_informative`` (without near-forced ones), and the last two of the
        prototype.
    """
    counted = frame[frame["counts"]]
    ours = counted["pass_percent"] >= PASSING_PERCENT
    theirs = counted["prototype_pass_percent"] >= PASSING_PERCENT
    informative = counted["kind"] == "held out"
    return {
        "rows": len(counted),
        "nominal_in": int(counted["nominal_in"].sum()),
        "passing": int(ours.sum()),
        "passing_informative": int((ours & informative).sum()),
        "prototype_passing": int(theirs.sum()),
        "prototype_passing_informative": int((theirs & informative).sum()),
    }


def scorecard_markdown(frame: pd.DataFrame, *, n_draws: int, seed: int) -> str:
    """Write the scorecard as Markdown.

    Parameters
    ----------
    frame
        What `run_scorecard` returns.
    n_draws, seed
        What it was made with.
    """
    summary = scorecard_summary(frame)
    count = (
        f"Of {summary['rows']} rows that count, {summary['nominal_in']} are in nominally; "
        f"**{summary['passing']} pass in at least {PASSING_PERCENT:.0f} % of draws, "
        f"{summary['passing_informative']} of them not near-forced** (prototype: "
        f"{summary['prototype_passing']} and {summary['prototype_passing_informative']}). "
        f"Draws that could not be solved, counted as not passed: {int(frame['unsolved'].max())}."
    )
    parts = [
        _HEAD.format(n=n_draws, seed=seed),
        count,
        "## Rows that count",
        _table(frame[frame["counts"]]),
        "## Calibration rows, restatements and rows with nominal figures only in the prototype",
        _table(frame[~frame["counts"]]),
        "## What changed against the prototype, and why",
        _changes(frame),
        "## Known failures",
        _failures(frame),
    ]
    return "\n\n".join(parts) + "\n"


_COLUMNS = (
    "row",
    "what",
    "unit",
    "observed",
    "predicted",
    "nominal",
    "pass",
    "95 % of draws",
    "prototype",
    "kind",
)


def _table(frame: pd.DataFrame) -> str:
    lines = [f"| {' | '.join(_COLUMNS)} |", "|" + "---|" * len(_COLUMNS)]
    lines += [f"| {' | '.join(_cells(row))} |" for row in frame.to_dict("records")]
    return "\n".join(lines)


def _cells(row: dict[str, object] | dict[object, object]) -> list[str]:
    get = {str(key): value for key, value in row.items()}
    prototype = " ".join(
        part
        for part in (
            str(get["prototype_predicted"]),
            f"({_percent(get['prototype_pass_percent'])})" if get["prototype_predicted"] else "",
        )
        if part
    )
    return [
        str(get["id"]),
        str(get["title"]),
        str(get["unit"]),
        str(get["observed"]),
        str(get["predicted"]),
        "in" if get["nominal_in"] else "**out**",
        _percent(get["pass_percent"]),
        f"{_number(get['low_95'])} to {_number(get['high_95'])}",
        prototype,
        str(get["kind"]),
    ]


def _percent(value: object) -> str:
    number = float(str(value))
    return "-" if np.isnan(number) else f"{number:.0f} %"


def _number(value: object) -> str:
    return f"{float(str(value)):.3g}"


def _changes(frame: pd.DataFrame) -> str:
    changed = frame[frame["changed"] != ""]
    pairs = zip(changed["id"], changed["changed"], strict=True)
    return "\n".join(f"- **{row}**: {what}" for row, what in pairs) or "Nothing."


def _failures(frame: pd.DataFrame) -> str:
    """List rows that are out nominally and pass in fewer than a third of draws."""
    failed = frame[~frame["nominal_in"] & (frame["pass_percent"] < 100.0 / 3.0)]
    lines = [
        f"- **{row['id']}** {row['title']}: predicted {row['predicted']}, observed "
        f"{row['observed']} ({row['source_rows']})"
        for row in failed.to_dict("records")
    ]
    return "\n".join(lines) or "None."
