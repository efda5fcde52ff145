"""The scorecard: every validation row, predicted and observed, nominal and over draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from ketamap.core.errors import InputError
from ketamap.core.progress import Progress, silent
from ketamap.simulate.population import in_order
from ketamap.simulate.scorecard_draws import (
    NOMINAL,
    Score,
    calibrated_draws,
    passes,
    score_draws,
    scorecard_rows,
)

DEFAULT_DRAWS = 300
"""Draws of the committed scorecard, of the prior and of the conditioned ensemble."""

DEFAULT_SEED = 2023
"""Seed of the committed scorecard."""

ENSEMBLES = ("prior", "conditioned")
"""Draws from the priors, and those among them that pass every calibration row."""

FIRST_DRAWS = 8
"""Draws from the priors whose passes are kept by number, so that a check of a few seconds sees
whether a scorecard is of this model."""

_DRAWS_PER_TASK = 5
_LEVELS = {"median": 50.0, "low_95": 2.5, "high_95": 97.5}


def run_scorecard(
    n_draws: int = DEFAULT_DRAWS,
    *,
    seed: int = DEFAULT_SEED,
    workers: int = 1,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Score the model against every validation row.

    Parameters
    ----------
    n_draws
        Draws from the priors, and as many of the conditioned ensemble; 0 gives nominal
        values alone.
    seed
        Of the draws; the number of workers changes nothing.
    workers
        Processes.
    progress
        Told how far it is: a third each for the prior, the search for calibrated draws and
        the conditioned ensemble.

    Returns
    -------
    DataFrame
        The columns of `scorecard_rows` and ``predicted`` (nominal, text), ``values``
        (tuple), ``nominal_in`` (bool); over the prior ``pass_percent``, ``median``,
        ``low_95`` and ``high_95`` of the first number, ``ensemble`` (medians of all numbers,
        text), ``ensemble_in`` (whether the medians pass), ``unsolved`` (draws in which an
        experiment could not be solved; they count as not passed); the same over the
        conditioned ensemble with ``conditioned_`` in front; ``tried`` (draws tried to find
        it) and ``first_passes`` (passes among the first `FIRST_DRAWS` from the priors).
        Without draws these are NaN, empty, False and 0.

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
    frame = scorecard_rows()
    frame["values"] = [nominal[row] for row in frame["id"]]
    frame["predicted"] = [_text(nominal[row]) for row in frame["id"]]
    frame["nominal_in"] = [passes(row, nominal[row]) for row in frame["id"]]
    run = _Run(n_draws, seed, workers, progress)
    prior = run.scores(tuple(range(n_draws)), 0)
    frame = _with_ensemble(frame, prior, "")
    frame["first_passes"] = first_passes(prior)
    chosen, frame["tried"] = run.calibrated()
    return _with_ensemble(frame, run.scores(chosen, 2), "conditioned_")


def first_passes(scores: Sequence[Score | None]) -> list[int]:
    """Count for every row the passes among the first `FIRST_DRAWS` draws; unsolved: none."""
    first = [one for one in scores[:FIRST_DRAWS] if one is not None]
    return [sum(passes(row, one[row]) for one in first) for row in scorecard_rows()["id"]]


@dataclass(frozen=True, slots=True)
class _Run:
    """How the draws of a scorecard are made."""

    n_draws: int
    seed: int
    workers: int
    progress: Progress

    def calibrated(self) -> tuple[tuple[int, ...], int]:
        if not self.n_draws:
            return (), 0
        return calibrated_draws(
            self.n_draws,
            seed=self.seed,
            workers=self.workers,
            progress=lambda done, _: self.progress(self.n_draws + done, 3 * self.n_draws),
        )

    def scores(self, draws: tuple[int, ...], third: int) -> list[Score | None]:
        step = _DRAWS_PER_TASK
        tasks = [draws[k : k + step] for k in range(0, len(draws), step)]
        found: list[Score | None] = []
        for part in in_order(partial(_scored, self.seed), tasks, self.workers):
            found += part
            self.progress(third * self.n_draws + len(found), 3 * self.n_draws)
        return found


def _scored(seed: int, draws: tuple[int, ...]) -> list[Score | None]:
    return score_draws(draws, seed)


def _with_ensemble(frame: pd.DataFrame, scores: list[Score | None], prefix: str) -> pd.DataFrame:
    """Add what an ensemble says of every row, in columns with a prefix."""
    solved = [one for one in scores if one is not None]
    rows = [_summary(row, [one[row] for one in solved], len(scores)) for row in frame["id"]]
    found = pd.DataFrame(rows, index=frame.index).assign(unsolved=len(scores) - len(solved))
    return frame.join(found.add_prefix(prefix))


def _summary(row: str, values: list[tuple[float, ...]], n: int) -> dict[str, object]:
    if not values:
        empty = dict.fromkeys(("pass_percent", *_LEVELS), np.nan)
        return {**empty, "ensemble": "", "ensemble_in": False}
    numbers = np.array(values)
    levels = {name: _percentile(numbers[:, 0], level) for name, level in _LEVELS.items()}
    medians = tuple(_percentile(numbers[:, k], 50.0) for k in range(numbers.shape[1]))
    return {
        "pass_percent": 100.0 * sum(passes(row, one) for one in values) / n,
        **levels,
        "ensemble": _text(medians),
        "ensemble_in": passes(row, medians),
    }


def _percentile(values: np.ndarray, level: float) -> float:
    finite = values[np.isfinite(values)]
    return float(np.percentile(finite, level)) if finite.size else float("nan")


def _text(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)
