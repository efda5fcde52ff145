"""Fit several animals at once: a typical value of each parameter, and how animals differ.

Parameters of an animal are log-normal around the typical ones, errors of concentrations are
constant on the log scale.  The model is linearised at each animal's own most likely values
and the spread estimated by restricted likelihood in the linearised model; the two steps take
turns until nothing moves.  This is first-order conditional estimation in the form of
Lindstrom and Bates.

References
----------
Lindstrom MJ, Bates DM (1990), Nonlinear mixed effects models for repeated measures data,
Biometrics 46:673.
Savic RM, Karlsson MO (2009), Importance of shrinkage in empirical Bayes estimates for
diagnostics, AAPS J 11:558.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq, least_squares, minimize
from scipy.stats import chi2, t

from ketamap.core.dosing import DosingPlan
from ketamap.core.errors import InputError
from ketamap.core.progress import Progress, silent
from ketamap.core.space import FloatArray
from ketamap.simulate.engine import shared_engine
from ketamap.simulate.fitting import FARTHEST_LN
from ketamap.simulate.parameters import parameters_for

LEAST_ANIMALS = 3
"""Animals from which on a spread between them is estimated."""

SPREAD_RANGE = (1e-3, 5.0)
"""Standard deviations between animals that are looked at, ln units; an interval that
reaches an end is open there."""

_ROUNDS = 60
_STILL = 5e-3
"""Change of a turn, in standard errors (spreads: as a fraction), that counts as none."""

_LEAST_CHANGE = 1e-4
_FLAT = 1e-8
_FLOOR = 1e-12
_TOLERANCE = 1e-9
_LEAST_SD = 0.02
_START_SD_LN = 0.3

Prediction: TypeAlias = Callable[[FloatArray], FloatArray]
"""Log parameters, shape ``(p,)``, to log predictions at an animal's times."""


@dataclass(frozen=True, eq=False, slots=True)
class AnimalData:
    """Measurements of one animal and how parameters predict them."""

    name: str
    """Identifier."""

    observed_ln: FloatArray
    """Logs of measured values, shape ``(n,)``."""

    predict_ln: Prediction
    """Log predictions of the same."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PopulationFit:
    """Result of a fit of several animals."""

    estimates: pd.DataFrame
    """Per parameter: ``parameter, start, value`` (of the typical animal), ``low_95, high_95,
    identified, spread_sd_ln, spread_low_95, spread_high_95, spread_identified, shrinkage``.
    Ends that the data do not bound are 0 or infinite."""

    animals: pd.DataFrame
    """Most likely value of each parameter in each animal: ``animal, parameter, value``."""

    residual_sd_ln: float
    """Standard deviation of the error, ln units."""

    converged: bool
    """Whether the turns came to rest."""

    predicted_ln: Mapping[str, FloatArray]
    """Log predictions of each animal with its own values."""

    @property
    def not_identified(self) -> tuple[str, ...]:
        """Parameters whose typical value the data do not bound."""
        table = self.estimates
        return tuple(table.loc[~table["identified"], "parameter"])

    @property
    def parameters(self) -> dict[str, float]:
        """Typical values, as overrides for `simulate`."""
        return dict(zip(self.estimates["parameter"], self.estimates["value"], strict=True))


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class _State:
    """Where the turns have come to."""

    typical: FloatArray
    log_sds: FloatArray
    """Of the parameters between animals, then of the error."""

    own: FloatArray
    """Deviations of each animal, shape ``(animal, p)``."""

    sums: _Sums | None = None
    converged: bool = False

    @property
    def sds(self) -> FloatArray:
        return np.asarray(np.exp(self.log_sds))


@dataclass(frozen=True, eq=False, slots=True)
class _Linear:
    """The model of one animal as a straight line: ``target = slopes @ logs + error``."""

    slopes: FloatArray
    target: FloatArray


def fit_population(
    plans: Mapping[str, DosingPlan],
    data: pd.DataFrame,
    names: Sequence[str],
    *,
    column: str = "plasma_ketamine_ng_per_ml",
    parameters: Mapping[str, float] | None = None,
    progress: Progress = silent,
) -> PopulationFit:
    """Fit parameters to the concentrations of several animals.

    Parameters
    ----------
    plans
        What each animal was given, by its name.
    data
        Columns ``animal``, ``time_h`` and ``value`` in the unit of ``column``; values
        positive.
    names
        Parameters that differ between animals, all positive.
    column
        State or readout that was measured.
    parameters
        Other values to use instead of the table's; also starting values.
    progress
        As in `fit_animals`.

    Raises
    ------
    InputError
        If there are too few animals or values, or a parameter is unknown or not positive.
    """
    species = {plan.subject.species for plan in plans.values()}
    start = parameters_for(next(iter(plans.values())).subject.species, parameters)
    _check(data, names, start, plans, len(species))
    fixed = {k: v for k, v in (parameters or {}).items() if k not in names}
    animals = []
    for name, rows in data.groupby(data["animal"].astype(str), sort=False):
        times, at = np.unique(rows["time_h"].to_numpy(dtype=np.float64), return_inverse=True)
        animals.append(
            AnimalData(
                str(name),
                np.log(rows["value"].to_numpy(dtype=np.float64)),
                _prediction(plans[str(name)], column, times, at, names, fixed),
            )
        )
    return fit_animals(animals, names, np.log([start[n] for n in names]), progress=progress)


def fit_animals(
    animals: Sequence[AnimalData],
    names: Sequence[str],
    start_ln: FloatArray,
    *,
    progress: Progress = silent,
) -> PopulationFit:
    """Fit any model of log predictions to several animals.

    Parameters
    ----------
    animals
        At least `LEAST_ANIMALS`.
    names
        Of the parameters.
    start_ln
        Logs of their starting values, shape ``(p,)``.
    progress
        Told how many turns are done of those there may be; most fits need fewer.
    """
    state = _State(
        typical=np.asarray(start_ln, dtype=np.float64),
        log_sds=np.full(len(names) + 1, np.log(_START_SD_LN)),
        own=np.zeros((len(animals), len(names))),
    )
    for turn in range(1, _ROUNDS + 1):
        state = _turn(animals, state)
        progress(turn, _ROUNDS)
        if state.converged:
            break
    progress(_ROUNDS, _ROUNDS)
    return _result(animals, names, start_ln, state)


def _turn(animals: Sequence[AnimalData], before: _State) -> _State:
    """Find each animal's own values, then the typical ones and all spreads."""
    sds = before.sds
    solved = [
        _most_likely(one, before.typical, before.own[k], sds[:-1], float(sds[-1]))
        for k, one in enumerate(animals)
    ]
    sums = _sums([line for _, line in solved])
    log_sds = _minimise_sds(sums, before.log_sds, fixed=None)[0]
    now = np.exp(log_sds)
    typical, covariance, _ = _typical(sums, now[:-1], float(now[-1]), before.typical)
    still = np.maximum(_STILL * np.sqrt(np.diag(covariance)), _LEAST_CHANGE)
    at_rest = np.abs(typical - before.typical) < still
    alike = np.abs(now - sds) < _STILL * np.maximum(now, _LEAST_SD)
    return _State(
        typical=typical,
        log_sds=log_sds,
        own=np.array([shift for shift, _ in solved]),
        sums=sums,
        converged=bool(at_rest.all() and alike.all()),
    )


def animal_plans(plan: DosingPlan, data: pd.DataFrame) -> dict[str, DosingPlan]:
    """Give every animal of the data the plan, with its own weight where the data tell it.

    Raises
    ------
    InputError
        If an animal has several weights.
    """
    plans = {}
    for name, rows in data.groupby(data["animal"].astype(str), sort=False):
        one = plan
        if "weight_kg" in data.columns:
            weights = rows["weight_kg"].dropna().unique()
            if len(weights) > 1:
                msg = f"Animal {name} has {len(weights)} weights; give one weight_kg per animal."
                raise InputError(msg)
            if len(weights):
                one = replace(plan, subject=replace(plan.subject, weight_kg=float(weights[0])))
        plans[str(name)] = one
    return plans


def _prediction(
    plan: DosingPlan,
    column: str,
    times_h: FloatArray,
    at: NDArray[np.intp],
    names: Sequence[str],
    fixed: Mapping[str, float],
) -> Prediction:
    def predict(logs: FloatArray) -> FloatArray:
        engine = shared_engine((column,), _TOLERANCE)
        values = dict(zip(names, np.exp(logs).tolist(), strict=True))
        frame = engine.simulate(plan, parameters={**fixed, **values}, times_h=times_h)
        curve = np.asarray(frame[column], dtype=np.float64)
        return np.asarray(np.log(np.maximum(curve[at], _FLOOR)))

    return predict


def _check(
    data: pd.DataFrame,
    names: Sequence[str],
    start: Mapping[str, float],
    plans: Mapping[str, DosingPlan],
    n_species: int,
) -> None:
    missing = {"animal", "time_h", "value"} - set(data.columns)
    if missing:
        msg = f"Nothing can be fitted: the data lack the columns {', '.join(sorted(missing))}."
        raise InputError(msg)
    faults = []
    animals = set(data["animal"].astype(str))
    if not (np.isfinite(data[["time_h", "value"]]).all(axis=None) and (data["value"] > 0).all()):
        faults.append("times and values must be finite and values positive; leave others out")
    if len(animals) < LEAST_ANIMALS:
        faults.append(
            f"{len(animals)} animals cannot tell how animals differ (at least {LEAST_ANIMALS})"
        )
    if animals - set(plans):
        faults.append(f"no plan for {', '.join(sorted(animals - set(plans)))}")
    if not names or len(set(names)) < len(names):
        faults.append("name at least one parameter, each once")
    faults += [f"no parameter is called {name}" for name in names if name not in start]
    faults += [f"{n} is not positive" for n in names if n in start and start[n] <= 0.0]
    if n_species > 1:
        faults.append("all animals must be of one species")
    if len(data) <= len(animals) * 1 + len(names):
        faults.append(f"{len(data)} values are too few for {len(names)} parameters")
    if faults:
        msg = f"Nothing can be fitted: {'; '.join(faults)}."
        raise InputError(msg)


def _most_likely(
    animal: AnimalData, typical: FloatArray, start: FloatArray, sd: FloatArray, error_sd: float
) -> tuple[FloatArray, _Linear]:
    """Return an animal's most likely deviation, and its model made straight there."""

    def residuals(shift: FloatArray) -> FloatArray:
        misfit = (animal.predict_ln(typical + shift) - animal.observed_ln) / error_sd
        return np.concatenate([misfit, shift / sd])

    solved = least_squares(residuals, start, diff_step=1e-4, xtol=1e-8, max_nfev=30)
    shift = np.asarray(solved.x)
    n = len(animal.observed_ln)
    slopes = np.asarray(solved.jac)[:n] * error_sd
    left = -np.asarray(solved.fun)[:n] * error_sd
    return shift, _Linear(slopes, left + slopes @ (typical + shift))


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class _Sums:
    """All that the likelihood needs of the straight lines of all animals."""

    squares: FloatArray
    """Slopes against slopes, shape ``(animal, p, p)``."""

    products: FloatArray
    """Slopes against targets, shape ``(animal, p)``."""

    total: float
    """Targets against targets."""

    count: int
    """Values of all animals."""


def _sums(lines: Sequence[_Linear]) -> _Sums:
    return _Sums(
        squares=np.stack([line.slopes.T @ line.slopes for line in lines]),
        products=np.stack([line.slopes.T @ line.target for line in lines]),
        total=float(sum(line.target @ line.target for line in lines)),
        count=sum(len(line.target) for line in lines),
    )


def _typical(
    sums: _Sums, sd: FloatArray, error_sd: float, near: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Return typical values, their covariance, and -2 ln restricted likelihood.

    A direction that no animal's data touch stays at ``near`` with a huge variance.  An
    animal's covariance ``S diag(sd^2) S' + error_sd^2 I`` is inverted by Woodbury's identity.
    """
    identity = np.eye(len(near))
    scaled = sums.squares / error_sd**2
    inner = identity + scaled * sd**2
    weighted = np.linalg.solve(inner, scaled)
    products = sums.products / error_sd**2
    scores = np.linalg.solve(inner, products[..., None])[..., 0]
    information = _FLAT * identity + weighted.sum(axis=0)
    score = scores.sum(axis=0) - weighted.sum(axis=0) @ near
    step = np.linalg.solve(information, score)
    found = near + step
    deviance = sums.count * 2.0 * np.log(error_sd) + float(np.linalg.slogdet(inner)[1].sum())
    deviance += sums.total / error_sd**2 - float((products * sd**2 * scores).sum())
    deviance += float(found @ weighted.sum(axis=0) @ found) - 2.0 * float(
        found @ scores.sum(axis=0)
    )
    deviance += float(np.linalg.slogdet(information)[1])
    return np.asarray(found), np.asarray(np.linalg.inv(information), dtype=np.float64), deviance


def _minimise_sds(sums: _Sums, start: FloatArray, fixed: int | None) -> tuple[FloatArray, float]:
    free = np.array([k for k in range(len(start)) if k != fixed])
    near = np.zeros(len(start) - 1)
    bounds = [tuple(np.log(SPREAD_RANGE))] * len(free)

    def deviance(logs: FloatArray) -> float:
        whole = start.copy()
        whole[free] = logs
        return _typical(sums, np.exp(whole[:-1]), float(np.exp(whole[-1])), near)[2]

    inside = np.clip(start[free], *np.log(SPREAD_RANGE))
    solved = minimize(deviance, inside, method="L-BFGS-B", bounds=bounds)
    whole = start.copy()
    whole[free] = solved.x
    return np.asarray(whole, dtype=np.float64), float(solved.fun)


def _spread_interval(sums: _Sums, best: FloatArray, k: int) -> tuple[float, float]:
    """Profile one standard deviation between animals; open ends are 0 or infinite."""
    limit = float(chi2.ppf(0.95, 1))
    least = _minimise_sds(sums, best, fixed=None)[1]

    def excess(log_sd: float) -> float:
        moved = best.copy()
        moved[k] = log_sd
        return _minimise_sds(sums, moved, fixed=k)[1] - least - limit

    floor, ceiling = np.log(SPREAD_RANGE)
    at = float(np.clip(best[k], floor + 1e-6, ceiling - 1e-6))
    low = float(np.exp(brentq(excess, floor, at, xtol=1e-2))) if excess(floor) > 0.0 else 0.0
    high = (
        float(np.exp(brentq(excess, at, ceiling, xtol=1e-2)))
        if excess(ceiling) > 0.0
        else float("inf")
    )
    return low, high


def _result(
    animals: Sequence[AnimalData], names: Sequence[str], start_ln: FloatArray, state: _State
) -> PopulationFit:
    typical, own = state.typical, state.own
    assert state.sums is not None, "a turn was taken"
    sd, error_sd = state.sds[:-1], float(state.sds[-1])
    covariance = _typical(state.sums, sd, error_sd, typical)[1]
    reach = float(t.ppf(0.975, len(animals) - 1)) * np.sqrt(np.diag(covariance))
    bounded = reach < FARTHEST_LN
    ends = [_spread_interval(state.sums, state.log_sds, k) for k in range(len(names))]
    table = pd.DataFrame(
        {
            "parameter": list(names),
            "start": np.exp(start_ln),
            "value": np.exp(typical),
            "low_95": np.where(bounded, np.exp(typical - np.minimum(reach, FARTHEST_LN)), 0.0),
            "high_95": np.where(bounded, np.exp(typical + np.minimum(reach, FARTHEST_LN)), np.inf),
            "identified": bounded,
            "spread_sd_ln": sd,
            "spread_low_95": [low for low, _ in ends],
            "spread_high_95": [high for _, high in ends],
            "shrinkage": 1.0 - own.std(axis=0, ddof=1) / sd,
        }
    )
    table["spread_identified"] = (table["spread_low_95"] > 0.0) & np.isfinite(
        table["spread_high_95"]
    )
    values = pd.DataFrame(
        [
            (one.name, name, float(np.exp(typical[k] + own[i, k])))
            for i, one in enumerate(animals)
            for k, name in enumerate(names)
        ],
        columns=["animal", "parameter", "value"],
    )
    predicted = {one.name: one.predict_ln(typical + own[i]) for i, one in enumerate(animals)}
    return PopulationFit(
        estimates=table,
        animals=values,
        residual_sd_ln=error_sd,
        converged=state.converged,
        predicted_ln=predicted,
    )
