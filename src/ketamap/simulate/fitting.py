"""Calibrate chosen parameters to a user's concentrations, with honest intervals.

Least squares of logarithms (constant relative error), parameters on a log scale.  Intervals
come from the profile likelihood: a parameter is moved away from its best value and all
others are fitted again, until the likelihood says that this is no longer believable.  Where
that never happens the data do not identify the parameter, and it is named.

References
----------
Raue et al. (2009), Structural and practical identifiability analysis of partially observed
dynamical models by exploiting the profile likelihood, Bioinformatics 25:1923.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq, least_squares
from scipy.stats import chi2

from ketamap.core.dosing import DosingPlan
from ketamap.core.errors import InputError
from ketamap.core.progress import Progress, silent
from ketamap.core.space import FloatArray
from ketamap.simulate.engine import shared_engine
from ketamap.simulate.parameters import EVERY_SPECIES, parameter_table, parameters_for

FARTHEST_LN = float(np.log(100.0))
"""A profile is followed this far from the best value; beyond counts as not identified."""

_FIRST_STEP_LN = 0.05
_TOLERANCE = 1e-9
_FLOOR = 1e-12
_SMALLEST_SUM = 1e-16


@dataclass(frozen=True, eq=False, kw_only=True)
class Fit:
    """Result of a calibration."""

    estimates: pd.DataFrame
    """Per parameter: ``parameter, start, value, low_95, high_95, identified``; an end that
    the data do not bound is 0 or infinite."""

    not_identified: tuple[str, ...]
    """Parameters with an open interval."""

    residual_sd_ln: float
    """Residual standard deviation, ln units (about the coefficient of variation)."""

    predicted: FloatArray
    """Predictions at the data's times."""

    profiles: pd.DataFrame
    """Points of each profile: ``parameter, value, deviance`` (above the best; intervals end
    where it reaches the chi-square quantile)."""

    @property
    def parameters(self) -> dict[str, float]:
        """Overrides for `simulate`."""
        return dict(zip(self.estimates["parameter"], self.estimates["value"], strict=True))


@dataclass(frozen=True, eq=False, kw_only=True)
class _Problem:
    plan: DosingPlan
    column: str
    times_h: FloatArray
    at: NDArray[np.intp]
    observed_ln: FloatArray
    names: tuple[str, ...]
    fixed: Mapping[str, float]

    def predict(self, logs: FloatArray) -> FloatArray:
        engine = shared_engine((self.column,), _TOLERANCE)
        values = dict(zip(self.names, np.exp(logs).tolist(), strict=True))
        frame = engine.simulate(
            self.plan, parameters={**self.fixed, **values}, times_h=self.times_h
        )
        curve = np.asarray(frame[self.column], dtype=np.float64)
        return np.asarray(curve[self.at])

    def residuals(self, logs: FloatArray) -> FloatArray:
        return np.asarray(np.log(np.maximum(self.predict(logs), _FLOOR)) - self.observed_ln)


def fit_parameters(
    plan: DosingPlan,
    data: pd.DataFrame,
    names: Sequence[str],
    *,
    column: str = "plasma_ketamine_ng_per_ml",
    parameters: Mapping[str, float] | None = None,
    level: float = 0.95,
    progress: Progress = silent,
) -> Fit:
    """Fit parameters to one subject's or a mean curve's concentrations.

    Parameters
    ----------
    plan
        What was given.
    data
        Columns ``time_h`` and ``value`` in the unit of ``column``; values positive (leave out
        what is below quantification), times may repeat.
    names
        Parameters to fit, all positive.
    column
        State or readout that was measured.
    parameters
        Other values to use instead of the table's; also starting values.
    level
        Of the intervals.
    progress
        Told after the best fit and after each parameter's profile.

    Returns
    -------
    Fit

    Raises
    ------
    InputError
        If there are not more data than parameters, values or times are impossible, or a
        parameter is unknown or not positive.
    """
    start = parameters_for(plan.subject.species, parameters)
    _check(data, names, start)
    times, at = np.unique(data["time_h"].to_numpy(dtype=np.float64), return_inverse=True)
    problem = _Problem(
        plan=plan,
        column=column,
        times_h=times,
        at=at,
        observed_ln=np.log(data["value"].to_numpy(dtype=np.float64)),
        names=tuple(names),
        fixed={k: v for k, v in (parameters or {}).items() if k not in names},
    )
    first = np.log([start[name] for name in names])
    bounds = _log_bounds(plan.subject.species, names)
    best = _minimise(problem.residuals, first, bounds)
    visited: list[tuple[str, float, float]] = []
    ends = []
    for k in range(len(names)):
        progress(1 + k, 1 + len(names))
        ends.append(_profile(problem, best, k, bounds, level, visited))
    progress(1, 1)
    table = pd.DataFrame(
        {
            "parameter": list(names),
            "start": np.exp(first),
            "value": np.exp(best),
            "low_95": [low for low, _ in ends],
            "high_95": [high for _, high in ends],
        }
    )
    table["identified"] = (table["low_95"] > 0.0) & np.isfinite(table["high_95"])
    residuals = problem.residuals(best)
    return Fit(
        estimates=table,
        not_identified=tuple(table.loc[~table["identified"], "parameter"]),
        residual_sd_ln=float(np.sqrt((residuals**2).sum() / (len(residuals) - len(names)))),
        predicted=problem.predict(best),
        profiles=pd.DataFrame(visited, columns=["parameter", "value", "deviance"]),
    )


def _check(data: pd.DataFrame, names: Sequence[str], start: Mapping[str, float]) -> None:
    faults = []
    missing = {"time_h", "value"} - set(data.columns)
    unknown = [name for name in names if name not in start]
    if missing:
        faults.append(f"the data lack the columns {', '.join(sorted(missing))}")
    elif not (np.isfinite(data[["time_h", "value"]]).all(axis=None) and (data["value"] > 0).all()):
        faults.append("times and values must be finite and values positive; leave others out")
    if not names or len(set(names)) < len(names):
        faults.append("name at least one parameter, each once")
    if unknown:
        faults.append(f"no parameter is called {', '.join(unknown)}")
    faults += [f"{n} is not positive" for n in names if n in start and start[n] <= 0.0]
    if len(data) <= len(names):
        faults.append(f"{len(data)} values cannot fit {len(names)} parameters and an error")
    if faults:
        msg = f"Nothing can be fitted: {'; '.join(faults)}."
        raise InputError(msg)


def _log_bounds(species: str, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    table = parameter_table()
    ours = table[table["species"].isin([EVERY_SPECIES, species])].set_index("name")
    lower = np.log(np.maximum(ours.loc[list(names), "lower"].to_numpy(dtype=float), _FLOOR))
    return lower, np.log(ours.loc[list(names), "upper"].to_numpy(dtype=float))


def _minimise(
    residuals: Callable[[FloatArray], FloatArray],
    start: FloatArray,
    bounds: tuple[FloatArray, FloatArray],
) -> FloatArray:
    lower, upper = bounds
    inside = np.clip(start, lower + 1e-9, upper - 1e-9)
    solved = least_squares(residuals, inside, bounds=bounds, diff_step=1e-4, xtol=1e-10)
    return np.asarray(solved.x)


def _profile(
    problem: _Problem,
    best: FloatArray,
    k: int,
    bounds: tuple[FloatArray, FloatArray],
    level: float,
    visited: list[tuple[str, float, float]],
) -> tuple[float, float]:
    """Follow one parameter down and up until the likelihood ratio test rejects it.

    Every point on the way is added to ``visited``.
    """
    n = len(problem.observed_ln)
    least = max(float((problem.residuals(best) ** 2).sum()), _SMALLEST_SUM)
    limit = float(chi2.ppf(level, 1))
    lower, upper = bounds
    others = np.arange(len(best)) != k
    nearest = best.copy()

    def excess(shift: float) -> float:
        fixed = float(np.clip(best[k] + shift, lower[k], upper[k]))

        def rest(logs: FloatArray) -> FloatArray:
            whole = np.insert(logs, k, fixed)
            return problem.residuals(whole)

        if others.any():
            nearest[others] = _minimise(rest, nearest[others], (lower[others], upper[others]))
        cost = max(float((rest(nearest[others]) ** 2).sum()), _SMALLEST_SUM)
        deviance = n * float(np.log(cost / least))
        visited.append((problem.names[k], float(np.exp(fixed)), deviance))
        return deviance - limit

    ends = []
    for side in (-1.0, 1.0):
        nearest[:] = best
        visited.append((problem.names[k], float(np.exp(best[k])), 0.0))
        ends.append(_crossing(excess, side))
    low, high = ends
    return (
        float(np.exp(best[k] + low)) if np.isfinite(low) else 0.0,
        float(np.exp(best[k] + high)) if np.isfinite(high) else float("inf"),
    )


def _crossing(excess: Callable[[float], float], side: float) -> float:
    """Return where the profile crosses its limit, or an infinite shift."""
    inner, outer = 0.0, _FIRST_STEP_LN
    while excess(side * outer) < 0.0:
        if outer >= FARTHEST_LN:
            return side * float("inf")
        inner, outer = outer, min(2.0 * outer, FARTHEST_LN)
    found = brentq(lambda s: excess(side * s), inner, outer, xtol=1e-3)
    return side * float(found)
