"""Which share of cells is found: a small smooth model of planted somata that came back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

F64 = NDArray[np.float64]

SLOPE_SCALE = 2.5
"""Scale of the Cauchy prior of a slope, for a predictor with standard deviation 0.5; a binary
outcome that a predictor separates entirely then still gives a finite slope (Gelman, Jakulin,
Pittau and Su 2008, Ann Appl Stat 2:1360)."""

INTERCEPT_SCALE = 10.0
"""Scale of the intercept's (same source)."""

LEAST_EFFICIENCY = 0.05
"""Cells are never held to be rarer than this among their like: bounds their weight."""


@dataclass(frozen=True, eq=False, slots=True)
class EfficiencyModel:
    """Probability that a soma of a contrast and in a crowd is found."""

    mean: F64
    """Of the two predictors among the planted somata, shape ``(2,)``."""

    spread: F64
    """Twice their standard deviation."""

    limits: F64
    """Least and greatest of each there, shape ``(2, 2)``: beyond them the model is flat."""

    weights: F64
    """Intercept and slopes, shape ``(3,)``."""

    def probability(self, contrast_to_noise: F64, neighbours: F64) -> F64:
        """Share found of somata like these, shape ``(n,)``, at least `LEAST_EFFICIENCY`."""
        rows = np.clip(_predictors(contrast_to_noise, neighbours), *self.limits)
        odds = _terms(rows, self.mean, self.spread) @ self.weights
        return np.asarray(np.clip(1.0 / (1.0 + np.exp(-odds)), LEAST_EFFICIENCY, 1.0))


def fit_efficiency(
    contrast_to_noise: F64, neighbours: F64, found: NDArray[np.bool_]
) -> EfficiencyModel:
    """Fit a logistic model: the log odds are linear in both predictors.

    They are the logarithms of the contrast in standard deviations of the local noise and of
    one more than the number of detected cells nearby. Slopes are drawn towards 0 by a weak prior.

    Parameters
    ----------
    contrast_to_noise
        Response to each planted soma over the noise expected there, above 0, ``(n,)``, ``n > 0``.
    neighbours
        Detected cells nearby.
    found
        Whether it was found.
    """
    rows = _predictors(contrast_to_noise, neighbours)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    spread = np.where(deviation > 1e-9, 2.0 * deviation, 1.0)
    terms, yes = _terms(rows, mean, spread), found.astype(np.float64)
    scale = np.array([INTERCEPT_SCALE, SLOPE_SCALE, SLOPE_SCALE])

    def loss(beta: F64) -> tuple[float, F64]:
        odds = terms @ beta
        value = np.sum(np.logaddexp(0.0, odds) - yes * odds)
        slope = terms.T @ (1.0 / (1.0 + np.exp(-odds)) - yes)
        pull = beta / scale
        return (
            float(value + np.sum(np.log1p(pull**2))),
            slope + 2.0 * pull / scale / (1.0 + pull**2),
        )

    fit = minimize(loss, np.zeros(3), jac=True, method="BFGS")
    limits = np.stack([rows.min(axis=0), rows.max(axis=0)])
    return EfficiencyModel(mean, spread, limits, np.asarray(fit.x, dtype=np.float64))


def _predictors(contrast_to_noise: F64, neighbours: F64) -> F64:
    return np.stack([np.log(contrast_to_noise), np.log1p(neighbours)], axis=1)


def _terms(rows: F64, mean: F64, spread: F64) -> F64:
    return np.concatenate([np.ones((len(rows), 1)), (rows - mean) / spread], axis=1)
