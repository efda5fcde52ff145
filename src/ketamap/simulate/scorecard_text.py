"""The scorecard as a page of text."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ketamap.simulate.scorecard import FIRST_DRAWS

PASSING_PERCENT = 70.0
"""Pass rate over draws from which a row counts as passed."""

COMMAND = "python benchmarks/simulation.py --only scorecard --write-scorecard docs/scorecard.md"
"""What makes the committed scorecard."""

_HEAD = """# Scorecard of the simulator

For research, not for dosing.

Every validation row: what the model predicts with its nominal parameters, what was observed,
and how often the row passes: of {n} draws from the priors (seed {seed}), and of {n}
draws of the conditioned ensemble, which are the first of {tried} draws from the priors that
pass every calibration row marked with a dagger ({share:.1f} % do). No held-out row takes part
in that choice. The nominal column is weak evidence: nominal values were chosen by people who
knew the literature. The pass rates are the honest columns. The ensemble median is judged by
the same rule as a draw. Kinds: *calibration* (the fact was used to set a parameter), *held
out*, *near-forced* (held out, but the structure hardly allows another answer), *encoded* (a
table entry or an encoded delay). Rows that restate another one do not count (second table).
The prototype's figures are those of the first draft of this model, over draws from its priors.

Made by `{command}`
(`ketamap simulate scorecard` writes the same page elsewhere); do not edit by hand.
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
        ``rows`` that count, ``nominal_in``; ``passing`` (at least 70 % of draws from the
        priors), ``passing_informative`` (without near-forced ones), the last two of the
        conditioned ensemble (``conditioned_``) and of the prototype (``prototype_``).
    """
    counted = frame[frame["counts"]]
    informative = counted["kind"] == "held out"
    found = {"rows": len(counted), "nominal_in": int(counted["nominal_in"].sum())}
    for prefix in ("", "conditioned_", "prototype_"):
        passed = counted[f"{prefix}pass_percent"] >= PASSING_PERCENT
        found[f"{prefix}passing"] = int(passed.sum())
        found[f"{prefix}passing_informative"] = int((passed & informative).sum())
    return found


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
    tried = int(frame["tried"].max())
    head = _HEAD.format(
        n=n_draws,
        seed=seed,
        tried=tried,
        share=100.0 * n_draws / tried if tried else 0.0,
        command=COMMAND,
    )
    parts = [
        head,
        _count(summary, frame),
        "## Rows that count",
        _table(frame[frame["counts"]]),
        "## Calibration rows, restatements and rows with nominal figures only in the prototype",
        _table(frame[~frame["counts"]]),
        "## Patterns in the ensemble median",
        _patterns(frame),
        "## What changed against the prototype, and why",
        _changes(frame),
        "## Known failures",
        _failures(frame),
        "## Check",
        _first(frame, n_draws),
    ]
    return "\n\n".join(parts) + "\n"


def _count(summary: dict[str, int], frame: pd.DataFrame) -> str:
    unsolved = int(frame["unsolved"].max() + frame["conditioned_unsolved"].max())
    return (
        f"Of {summary['rows']} rows that count, {summary['nominal_in']} are in nominally; "
        f"**{summary['passing']} pass in at least {PASSING_PERCENT:.0f} % of draws from the "
        f"priors, {summary['passing_informative']} of them not near-forced** (prototype: "
        f"{summary['prototype_passing']} and {summary['prototype_passing_informative']}); "
        f"**{summary['conditioned_passing']} and {summary['conditioned_passing_informative']} "
        f"over the conditioned ensemble**. Draws that could not be solved, counted as not "
        f"passed: {unsolved}."
    )


_COLUMNS = (
    "row",
    "what",
    "unit",
    "observed",
    "predicted",
    "nominal",
    "pass, priors",
    "pass, conditioned",
    "median of priors; conditioned",
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
        _verdict(get["nominal_in"]),
        _percent(get["pass_percent"]),
        _percent(get["conditioned_pass_percent"]),
        f"{_verdict(get['ensemble_in'])}; {_verdict(get['conditioned_ensemble_in'])}",
        f"{_number(get['low_95'])} to {_number(get['high_95'])}",
        prototype,
        str(get["kind"]) + ("" if np.isnan(float(str(get["conditions"]))) else " \N{DAGGER}"),
    ]


def _verdict(inside: object) -> str:
    return "in" if inside else "**out**"


def _percent(value: object) -> str:
    number = float(str(value))
    return "-" if np.isnan(number) else f"{number:.0f} %"


def _number(value: object) -> str:
    return f"{float(str(value)):.3g}"


def _patterns(frame: pd.DataFrame) -> str:
    """Write the medians of every row that is judged on several numbers at once."""
    lines = [
        "| row | what | observed | median of priors | | median of the conditioned ensemble | |",
        "|" + "---|" * 7,
    ]
    several = frame[frame["predicted"].str.contains(",")]
    lines += [
        f"| {row['id']} | {row['title']} | {row['observed']} | {row['ensemble']} | "
        f"{_verdict(row['ensemble_in'])} | {row['conditioned_ensemble']} | "
        f"{_verdict(row['conditioned_ensemble_in'])} |"
        for row in several.to_dict("records")
    ]
    return "\n".join(lines)


def _changes(frame: pd.DataFrame) -> str:
    changed = frame[frame["changed"] != ""]
    pairs = zip(changed["id"], changed["changed"], strict=True)
    return "\n".join(f"- **{row}**: {what}" for row, what in pairs) or "Nothing."


def _first(frame: pd.DataFrame, n_draws: int) -> str:
    counts = ", ".join(
        f"{row} {n}" for row, n in zip(frame["id"], frame["first_passes"], strict=True)
    )
    return (
        f"Passes among the first {min(n_draws, FIRST_DRAWS)} draws from the priors, by which a "
        f"changed model is noticed within seconds: {counts}."
    )


def _failures(frame: pd.DataFrame) -> str:
    """List rows that are out nominally and pass in fewer than a third of draws."""
    failed = frame[~frame["nominal_in"] & (frame["pass_percent"] < 100.0 / 3.0)]
    lines = [
        f"- **{row['id']}** {row['title']}: predicted {row['predicted']}, observed "
        f"{row['observed']} ({row['source_rows']})"
        for row in failed.to_dict("records")
    ]
    return "\n".join(lines) or "None."
