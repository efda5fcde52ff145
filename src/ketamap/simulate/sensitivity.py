"""Which parameters an outcome depends on: locally, and over the priors."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pandas as pd

from ketamap.core.dosing import DosingPlan
from ketamap.core.errors import InputError, MissingExtraError
from ketamap.core.progress import Progress, silent
from ketamap.core.space import FloatArray
from ketamap.simulate.draws import NEVER_DRAWN, prior_value
from ketamap.simulate.engine import default_times, shared_engine
from ketamap.simulate.parameters import EVERY_SPECIES, parameter_table, parameters_for

_TOLERANCE = 1e-8
_SCREEN_TOLERANCE = 1e-6
_INNER = (0.05, 0.95)
"""Part of the prior a global method covers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One number of a simulation: a column at a time, or its largest value."""

    column: str
    """State or readout."""

    time_h: float | None = None
    """When; left out: the largest value of the plan."""

    def of(self, plan: DosingPlan, parameters: Mapping[str, float], tolerance: float) -> float:
        """Simulate and read the number."""
        times = default_times(plan) if self.time_h is None else np.array([self.time_h])
        engine = shared_engine((self.column,), tolerance)
        frame = engine.simulate(plan, parameters=parameters, times_h=times)
        return float(frame[self.column].max())


def uncertain_parameters(species: str) -> tuple[str, ...]:
    """Return the names of the parameters that have a prior, for a species."""
    return tuple(_priors(species).index)


def _priors(species: str) -> pd.DataFrame:
    table = parameter_table()
    ours = table[table["species"].isin([EVERY_SPECIES, species])]
    fixed = ours["certainty"].isin(NEVER_DRAWN) | ours["role"].isin(NEVER_DRAWN)
    moving = ours[~fixed & (ours["value"].astype(float) != 0.0)]
    return moving.set_index("name")[["value", "prior_form", "prior_sd_ln", "lower", "upper"]]


def local_sensitivities(
    plan: DosingPlan,
    outcome: Outcome,
    *,
    names: Sequence[str] | None = None,
    parameters: Mapping[str, float] | None = None,
    step_ln: float = 0.01,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Return elasticities: percent change of an outcome per percent change of a parameter.

    Central differences in the logarithm of each parameter; one-sided where a bound is near.

    Parameters
    ----------
    plan
        Regimen.
    outcome
        What is read.
    names
        Parameters; left out: all that have a prior.
    parameters
        Values around which; left out: the table's.
    step_ln
        Step in ln units.
    progress
        Told how many parameters are done.

    Returns
    -------
    DataFrame
        ``parameter, elasticity, prior_sd_ln, share`` (square of elasticity times prior
        spread, as a part of their sum: who is worth measuring), largest share first.

    Raises
    ------
    InputError
        If a name has no prior, or the outcome is 0 so that percent mean nothing.
    """
    species = plan.subject.species
    priors = _priors(species)
    chosen = list(priors.index) if names is None else list(names)
    _known(chosen, priors)
    base = dict(parameters or {})
    values = parameters_for(species, base)
    middle = outcome.of(plan, base, _TOLERANCE)
    if abs(middle) < 1e-12:
        msg = f"{outcome.column} is 0 in plan {plan.name!r}: choose another time or outcome."
        raise InputError(msg)
    rows = []
    for done, name in enumerate(chosen, start=1):
        low, high = (
            float(np.clip(values[name] * np.exp(side * step_ln), *priors.loc[name, _BOUNDS]))
            for side in (-1.0, 1.0)
        )
        change = outcome.of(plan, base | {name: high}, _TOLERANCE) - outcome.of(
            plan, base | {name: low}, _TOLERANCE
        )
        rows.append((name, change / middle / np.log(high / low), priors.loc[name, "prior_sd_ln"]))
        progress(done, len(chosen))
    table = pd.DataFrame(rows, columns=["parameter", "elasticity", "prior_sd_ln"])
    weight = (table["elasticity"] * table["prior_sd_ln"]) ** 2
    table["share"] = weight / weight.sum() if weight.sum() > 0.0 else 0.0
    return table.sort_values("share", ascending=False, kind="stable", ignore_index=True)


_BOUNDS = ["lower", "upper"]


def _known(names: Sequence[str], priors: pd.DataFrame) -> None:
    unknown = [name for name in names if name not in priors.index]
    if unknown:
        msg = f"No uncertain parameter is called {', '.join(unknown)}. See uncertain_parameters()."
        raise InputError(msg)


def _salib(part: str) -> ModuleType:
    try:
        return importlib.import_module(f"SALib.{part}")
    except ModuleNotFoundError as error:
        msg = (
            "Global sensitivities need the package SALib, which is not installed. Install the "
            "extra 'sensitivity': pip install 'ketamap[sensitivity]'."
        )
        raise MissingExtraError(msg) from error


def morris_screen(
    plan: DosingPlan,
    outcome: Outcome,
    *,
    names: Sequence[str] | None = None,
    trajectories: int = 10,
    seed: int = 0,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Screen parameters over the middle 90 % of their priors with Morris' elementary effects.

    Costs ``trajectories * (parameters + 1)`` simulations.

    Returns
    -------
    DataFrame
        ``parameter, mu, mu_star, sigma``, largest ``mu_star`` first; in units of the
        outcome per whole range of the prior.

    Raises
    ------
    MissingExtraError
        If SALib is not installed.
    InputError
        If a name has no prior.
    """
    sampler, analyser = _salib("sample.morris"), _salib("analyze.morris")
    priors, chosen, problem = _problem(plan, names)
    levels = sampler.sample(problem, trajectories, seed=seed)
    values = _evaluate(plan, outcome, levels, chosen, priors, progress)
    found = analyser.analyze(problem, levels, values, seed=seed)
    table = pd.DataFrame(
        {"parameter": chosen, **{name: np.asarray(found[name]) for name in _MORRIS}}
    )
    return table.sort_values("mu_star", ascending=False, kind="stable", ignore_index=True)


_MORRIS = ("mu", "mu_star", "sigma")


def sobol_indices(
    plan: DosingPlan,
    outcome: Outcome,
    *,
    names: Sequence[str],
    samples: int = 64,
    seed: int = 0,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Return first-order and total Sobol indices over the middle 90 % of the priors.

    Costs ``samples * (parameters + 2)`` simulations; ``samples`` is a power of two.  Choose
    parameters with `morris_screen` first.

    Returns
    -------
    DataFrame
        ``parameter, first, first_95, total, total_95`` (half-widths of the intervals).

    Raises
    ------
    MissingExtraError
        If SALib is not installed.
    InputError
        If a name has no prior.
    """
    sampler, analyser = _salib("sample.sobol"), _salib("analyze.sobol")
    priors, chosen, problem = _problem(plan, names)
    levels = sampler.sample(problem, samples, calc_second_order=False, seed=seed)
    values = _evaluate(plan, outcome, levels, chosen, priors, progress)
    found = analyser.analyze(problem, values, calc_second_order=False, seed=seed)
    columns = {"first": "S1", "first_95": "S1_conf", "total": "ST", "total_95": "ST_conf"}
    return pd.DataFrame(
        {"parameter": chosen, **{ours: np.asarray(found[key]) for ours, key in columns.items()}}
    )


def _problem(
    plan: DosingPlan, names: Sequence[str] | None
) -> tuple[pd.DataFrame, list[str], dict[str, object]]:
    priors = _priors(plan.subject.species)
    chosen = list(priors.index) if names is None else list(names)
    _known(chosen, priors)
    problem: dict[str, object] = {
        "num_vars": len(chosen),
        "names": chosen,
        "bounds": [list(_INNER)] * len(chosen),
    }
    return priors, chosen, problem


def _evaluate(
    plan: DosingPlan,
    outcome: Outcome,
    levels: FloatArray,
    names: Sequence[str],
    priors: pd.DataFrame,
    progress: Progress,
) -> FloatArray:
    rows = {name: priors.loc[name].to_dict() for name in names}
    found = []
    for row in levels:
        drawn = {
            name: prior_value(
                rows[name]["prior_form"],
                rows[name]["value"],
                rows[name]["prior_sd_ln"],
                float(level),
                lower=rows[name]["lower"],
                upper=rows[name]["upper"],
            )
            for name, level in zip(names, row, strict=True)
        }
        found.append(outcome.of(plan, drawn, _SCREEN_TOLERANCE))
        progress(len(found), len(levels))
    return np.array(found)
