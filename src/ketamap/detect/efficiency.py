"""Which share of cells is found: a small smooth model of planted somata that came back.

It speaks of cells like those that are detected. Cells so faint or so hidden that none of their
kind is detected leave no trace; where there are many the estimate is too high.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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

FEWEST_MEASURED = 10
"""With fewer somata found the measured contrast is taken as it is."""

LEAST_DOUBT = 0.01
"""Weight in that line of somata that are surely found, beside p (1 - p) of the others."""

_SCALES = np.array([INTERCEPT_SCALE, SLOPE_SCALE, SLOPE_SCALE])


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class EfficiencyModel:
    """Probability that a soma of a contrast and in a crowd is found."""

    line: tuple[float, float]
    """Offset and slope of the logarithm of the planted contrast on that of the measured."""

    mean: F64
    """Of the two predictors among the planted somata, shape ``(2,)``."""

    spread: F64
    """Twice their standard deviation."""

    limits: F64
    """Least and greatest of each there, shape ``(2, 2)``: beyond them the model is flat."""

    weights: F64
    """Intercept and slopes, shape ``(3,)``."""

    def probability(self, measured_to_noise: F64, neighbours: F64) -> F64:
        """Share found of somata that measure like these, ``(n,)``, at least `LEAST_EFFICIENCY`."""
        offset, slope = self.line
        rows = _predictors(offset + slope * np.log(measured_to_noise), neighbours)
        odds = _terms(np.clip(rows, *self.limits), self.mean, self.spread) @ self.weights
        return np.asarray(np.clip(1.0 / (1.0 + np.exp(-odds)), LEAST_EFFICIENCY, 1.0))


def fit_efficiency(
    contrast_to_noise: F64, measured_to_noise: F64, neighbours: F64
) -> EfficiencyModel:
    """Fit a logistic model to planted somata, and how detection measures their contrast.

    The log odds of being found are linear in the logarithm of the planted contrast, in standard
    deviations of the local noise, and in that of one more than the number of detected cells
    nearby; slopes are drawn towards 0 by a weak prior. Faint somata are found where noise makes
    them look brighter: so the contrast that a detected cell is asked about is not the measured
    one but the planted one to be expected for it (regression calibration: Prentice 1982,
    Biometrika 69:331), by a straight line through the logarithms of the somata that were found;
    those that might have been missed count most.

    Parameters
    ----------
    contrast_to_noise
        Response to each planted soma over the noise expected there, above 0, ``(n,)``, ``n > 0``.
    measured_to_noise
        The same as detection measured it; NaN where the soma was not found.
    neighbours
        Detected cells nearby.
    """
    found = np.isfinite(measured_to_noise)
    rows = _predictors(np.log(contrast_to_noise), neighbours)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    spread = np.where(deviation > 1e-9, 2.0 * deviation, 1.0)
    as_measured = EfficiencyModel(
        line=(0.0, 1.0),
        mean=mean,
        spread=spread,
        limits=np.stack([rows.min(axis=0), rows.max(axis=0)]),
        weights=_logistic(_terms(rows, mean, spread), found.astype(np.float64)),
    )
    measured = measured_to_noise[found]
    doubt = as_measured.probability(measured, neighbours[found])
    line = _line(np.log(measured), rows[found, 0], doubt * (1.0 - doubt) + LEAST_DOUBT)
    return replace(as_measured, line=line)


def _line(x: F64, y: F64, weight: F64) -> tuple[float, float]:
    """Return offset and slope of y on x; with too few points y is x."""
    if len(x) < FEWEST_MEASURED or np.ptp(x) < 1e-9:
        return 0.0, 1.0
    slope, offset = np.polyfit(x, y, 1, w=np.sqrt(weight))
    return float(offset), float(slope)


def _logistic(terms: F64, yes: F64) -> F64:
    def loss(beta: F64) -> tuple[float, F64]:
        odds = terms @ beta
        pull = beta / _SCALES
        value = np.sum(np.logaddexp(0.0, odds) - yes * odds) + np.sum(np.log1p(pull**2))
        slope = terms.T @ (1.0 / (1.0 + np.exp(-odds)) - yes)
        return float(value), slope + 2.0 * pull / _SCALES / (1.0 + pull**2)

    fit = minimize(loss, np.zeros(terms.shape[1]), jac=True, method="BFGS")
    return np.asarray(fit.x, dtype=np.float64)


def _predictors(log_contrast: F64, neighbours: F64) -> F64:
    return np.stack([log_contrast, np.log1p(neighbours)], axis=1)


def _terms(rows: F64, mean: F64, spread: F64) -> F64:
    return np.concatenate([np.ones((len(rows), 1)), (rows - mean) / spread], axis=1)
