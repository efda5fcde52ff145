"""One draw of the parameters: its experiments, its verdicts, and whether it is calibrated.

The conditioned ensemble is the prior given calibration rows (column ``conditions``: order):
draws are taken in their order and kept where they pass every one of those rows (rejection
sampling, Rubin 1984; approximate Bayesian computation with the rows' own intervals).  No
held-out row takes part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import get_args

import numpy as np
import pandas as pd

from ketamap.core.dosing import Species
from ketamap.core.errors import InputError
from ketamap.core.progress import Progress, silent
from ketamap.simulate.draws import draw_parameters, uniform_of
from ketamap.simulate.engine import Engine, SolveError, shared_engine
from ketamap.simulate.facts import read_data_table
from ketamap.simulate.members import world
from ketamap.simulate.parameters import parameters_for
from ketamap.simulate.population import in_order
from ketamap.simulate.scorecard_intervals import INTERVALS
from ketamap.simulate.scorecard_patterns import PATTERNS
from ketamap.simulate.scorecard_results import Results, WhenAsked
from ketamap.simulate.scorecard_scenarios import COLUMNS, Scenario, all_scenarios

NOMINAL = -1
"""Number of the draw that is no draw: the table's values."""

DRAWS_TRIED_AT_MOST = 100_000
"""Draws after which the search for calibrated ones is given up."""

_TOLERANCE = 1e-6
_TRIED_PER_TASK = 50
_BLIND_LN = (np.log(0.02), np.log(2.0))

Score = dict[str, tuple[float, ...]]
"""Numbers of every row in one draw."""


@lru_cache(maxsize=1)
def _rows() -> pd.DataFrame:
    rows = read_data_table("scorecard_rows.csv")
    for column in ("low", "high", "prototype_pass_percent", "conditions"):
        rows[column] = pd.to_numeric(rows[column].replace("", np.nan))
    rows["counts"] = rows["counts"] == "yes"
    return rows


def scorecard_rows() -> pd.DataFrame:
    """Return the validation rows as data: what was observed, the rule, the prototype's score."""
    return _rows().copy()


@lru_cache(maxsize=1)
def _intervals() -> dict[str, tuple[float, float]]:
    rows = _rows()
    return dict(zip(rows["id"], zip(rows["low"], rows["high"], strict=True), strict=True))


@lru_cache(maxsize=1)
def condition_ids() -> tuple[str, ...]:
    """Rows that the conditioned ensemble must pass, cheap and selective ones first."""
    rows = _rows().dropna(subset="conditions").sort_values("conditions")
    return tuple(rows["id"])


@lru_cache(maxsize=1)
def _scenarios() -> dict[str, Scenario]:
    return all_scenarios()


def results_of(
    engine: Engine, draw: int, seed: int, changed: Mapping[str, float] | None = None
) -> Results:
    """Return the experiments of nominal values or one draw; each is simulated when first read.

    ``changed`` are values that replace drawn ones: what the model would say without a part.
    """

    def simulated(name: str) -> pd.DataFrame:
        one = _scenarios()[name]
        parameters = _overrides(one, draw, seed) | dict(changed or {})
        return engine.simulate(one.plan, parameters=parameters, times_h=one.times_h)

    def drawn(species: str) -> dict[str, float]:
        return parameters_for(species, _drawn(species, (), draw, seed) | dict(changed or {}))

    low, high = _BLIND_LN
    where = 0.5 if draw == NOMINAL else uniform_of(seed, draw, "blind threshold")
    return Results(
        frames=WhenAsked(tuple(_scenarios()), simulated),
        parameters=WhenAsked(get_args(Species), drawn),
        blind_threshold=float(np.exp(low + where * (high - low))),
    )


def measured(row: str, results: Results) -> tuple[float, ...]:
    """Return the numbers of one row."""
    if row in PATTERNS:
        return tuple(float(v) for v in PATTERNS[row].measure(results))
    return (float(INTERVALS[row](results)),)


def passes(row: str, values: tuple[float, ...]) -> bool:
    """Judge the numbers of one row; NaN passes nothing."""
    if not np.isfinite(values).all():
        return False
    if row in PATTERNS:
        return bool(PATTERNS[row].verdict(values))
    low, high = _intervals()[row]
    return low <= values[0] <= high


def score(results: Results) -> Score:
    """Measure every row on the experiments of one draw."""
    return {row: measured(row, results) for row in _rows()["id"]}


def score_draws(draws: Sequence[int], seed: int) -> list[Score | None]:
    """Score some draws in this process; None where an experiment could not be solved."""
    engine = shared_engine(COLUMNS, _TOLERANCE)
    found: list[Score | None] = []
    for draw in draws:
        try:
            found.append(score(results_of(engine, draw, seed)))
        except SolveError:  # counted, and shown as ``unsolved``
            found.append(None)
    return found


def first_failed(draw: int, seed: int) -> str:
    """Return the first calibration row that a draw fails; empty: it passes all.

    Experiments of rows after that one are not simulated.
    """
    try:
        results = results_of(shared_engine(COLUMNS, _TOLERANCE), draw, seed)
        for row in condition_ids():
            if not passes(row, measured(row, results)):
                return row
    except SolveError:
        return "unsolved"
    return ""


def _first_failed(seed: int, draws: range) -> list[str]:
    return [first_failed(draw, seed) for draw in draws]


def calibrated_draws(
    n: int,
    *,
    seed: int,
    workers: int = 1,
    progress: Progress = silent,
) -> tuple[tuple[int, ...], int]:
    """Find the first draws that pass every calibration row.

    Parameters
    ----------
    n
        How many.
    seed
        Of the draws.
    workers
        Processes; their number changes nothing.
    progress
        Told how many of ``n`` are found.

    Returns
    -------
    tuple of int
        Their numbers, rising; for `draw_parameters`.
    int
        Draws that were tried to find them.

    Raises
    ------
    InputError
        If there are not so many among the first `DRAWS_TRIED_AT_MOST`.
    """
    found: list[int] = []
    step = _TRIED_PER_TASK
    chunks = [range(k, k + step) for k in range(0, DRAWS_TRIED_AT_MOST, step)]
    results = in_order(partial(_first_failed, seed), chunks, workers)
    for chunk, failed in zip(chunks, results, strict=False):
        found += [draw for draw, row in zip(chunk, failed, strict=True) if not row]
        progress(min(len(found), n), n)
        if len(found) >= n:
            results.close()
            return tuple(found[:n]), (found[n - 1] + 1 if n else 0)
    msg = (
        f"Only {len(found)} of {DRAWS_TRIED_AT_MOST} draws pass every calibration row, {n} were "
        "asked for. Ask for fewer."
    )
    raise InputError(msg)


def _overrides(scenario: Scenario, draw: int, seed: int) -> dict[str, float]:
    species = scenario.plan.subject.species
    return _drawn(species, scenario.members, draw, seed) | dict(scenario.parameters)


@lru_cache(maxsize=16)
def _drawn(species: str, members: tuple[str, ...], draw: int, seed: int) -> dict[str, float]:
    centre = world(*members).parameters(species)
    if draw == NOMINAL:
        return centre
    return draw_parameters(species, seed=seed, draw=draw, centre=centre)
