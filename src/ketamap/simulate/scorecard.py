"""The scorecard: every validation row, predicted and observed, nominal and over draws."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from itertools import repeat
from multiprocessing import get_context

import numpy as np
import pandas as pd

from ketamap.core.dosing import Species
from ketamap.core.errors import InputError
from ketamap.simulate.draws import draw_parameters, uniform_of
from ketamap.simulate.engine import Engine, SolveError, shared_engine
from ketamap.simulate.facts import read_data_table
from ketamap.simulate.members import world
from ketamap.simulate.parameters import parameters_for
from ketamap.simulate.scorecard_intervals import INTERVALS
from ketamap.simulate.scorecard_patterns import PATTERNS
from ketamap.simulate.scorecard_results import Results
from ketamap.simulate.scorecard_scenarios import COLUMNS, Scenario, all_scenarios

NOMINAL = -1
"""Number of the draw that is no draw: the table's values."""

DEFAULT_DRAWS = 300
"""Draws of the committed scorecard."""

DEFAULT_SEED = 2023
"""Seed of the committed scorecard."""

_TOLERANCE = 1e-6
_DRAWS_PER_TASK = 5
_BLIND_LN = (np.log(0.02), np.log(2.0))

Score = dict[str, tuple[tuple[float, ...], bool]]
"""Numbers and verdict of every row in one draw."""


@lru_cache(maxsize=1)
def _rows() -> pd.DataFrame:
    rows = read_data_table("scorecard_rows.csv")
    for column in ("low", "high", "prototype_pass_percent"):
        rows[column] = pd.to_numeric(rows[column].replace("", np.nan))
    rows["counts"] = rows["counts"] == "yes"
    return rows


def scorecard_rows() -> pd.DataFrame:
    """Return the validation rows as data: what was observed, the rule, the prototype's score."""
    return _rows().copy()


def run_scorecard(
    n_draws: int = DEFAULT_DRAWS, *, seed: int = DEFAULT_SEED, workers: int = 1
) -> pd.DataFrame:
    """Score the model against every validation row.

    Parameters
    ----------
    n_draws
        Draws from the priors; 0 gives nominal values alone.
    seed
        Of the draws; the number of workers changes nothing.
    workers
        Processes.

    Returns
    -------
    DataFrame
        The columns of `scorecard_rows` and ``predicted`` (nominal, text), ``values``
        (tuple), ``nominal_in`` (bool), ``pass_percent`` (of draws; NaN without draws),
        ``median``, ``low_95`` and ``high_95`` of the first number over draws, ``unsolved``
        (draws in which an experiment could not be solved; they count as not passed).

    Raises
    ------
    InputError
        If ``n_draws`` is negative or there is no worker.
    """
    if n_draws < 0 or workers < 1:
        msg = f"n_draws must be 0 or more and workers 1 or more, got {n_draws} and {workers}."
        raise InputError(msg)
    nominal = score_draws([NOMINAL], seed)[0]
    if nominal is None:
        msg = "The nominal parameters could not be solved: see the model's tests."
        raise InputError(msg)
    scores = _scores(n_draws, seed, workers)
    frame = scorecard_rows()
    ids = list(frame["id"])
    frame["values"] = [nominal[i][0] for i in ids]
    frame["predicted"] = [", ".join(f"{v:.3g}" for v in nominal[i][0]) for i in ids]
    frame["nominal_in"] = [nominal[i][1] for i in ids]
    solved = [s for s in scores if s is not None]
    passes = np.array([[s[i][1] for i in ids] for s in solved]).reshape(len(solved), len(ids))
    firsts = np.array([[s[i][0][0] for i in ids] for s in solved]).reshape(len(solved), len(ids))
    frame["pass_percent"] = 100.0 * passes.sum(axis=0) / n_draws if n_draws else np.nan
    for column, level in (("median", 50.0), ("low_95", 2.5), ("high_95", 97.5)):
        frame[column] = np.nanpercentile(firsts, level, axis=0) if solved else np.nan
    frame["unsolved"] = n_draws - len(solved)
    return frame


def _scores(n_draws: int, seed: int, workers: int) -> list[Score | None]:
    tasks = [
        list(range(first, min(first + _DRAWS_PER_TASK, n_draws)))
        for first in range(0, n_draws, _DRAWS_PER_TASK)
    ]
    if workers == 1 or len(tasks) < 2:
        parts = [score_draws(task, seed) for task in tasks]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            parts = list(pool.map(score_draws, tasks, repeat(seed)))
    return [score for part in parts for score in part]


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


def results_of(engine: Engine, draw: int, seed: int) -> Results:
    """Simulate every experiment once, with nominal values or one draw."""
    frames = {
        name: engine.simulate(
            scenario.plan, parameters=_overrides(scenario, draw, seed), times_h=scenario.times_h
        )
        for name, scenario in all_scenarios().items()
    }
    low, high = _BLIND_LN
    where = 0.5 if draw == NOMINAL else uniform_of(seed, draw, "blind threshold")
    return Results(
        frames=frames,
        human=parameters_for("human", _drawn("human", (), draw, seed)),
        mouse=parameters_for("mouse", _drawn("mouse", (), draw, seed)),
        blind_threshold=float(np.exp(low + where * (high - low))),
    )


def score(results: Results) -> Score:
    """Judge every row on the experiments of one draw."""
    found: Score = {}
    rows = _rows()
    intervals = (rows[column].tolist() for column in ("id", "low", "high"))
    for name, low, high in zip(*intervals, strict=True):
        if name in PATTERNS:
            values, passed = PATTERNS[name](results)
        else:
            value = INTERVALS[name](results)
            values, passed = (value,), low <= value <= high
        found[name] = (tuple(float(v) for v in values), bool(passed))
    return found


def _overrides(scenario: Scenario, draw: int, seed: int) -> dict[str, float]:
    species = scenario.plan.subject.species
    return _drawn(species, scenario.members, draw, seed) | dict(scenario.parameters)


@lru_cache(maxsize=16)
def _drawn(species: Species, members: tuple[str, ...], draw: int, seed: int) -> dict[str, float]:
    centre = world(*members).parameters(species)
    if draw == NOMINAL:
        return centre
    return draw_parameters(species, seed=seed, draw=draw, centre=centre)
