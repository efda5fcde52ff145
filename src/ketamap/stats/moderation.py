"""Empirical-Bayes moderation of residual variances, with a trend in abundance.

References
----------
Smyth GK (2004) Linear models and empirical Bayes methods for assessing differential
expression in microarray experiments. Statistical Applications in Genetics and Molecular
Biology 3:3, section 6.2 (the moments of log variances), doi 10.2202/1544-6115.1027.
Hastie T, Tibshirani R, Friedman J (2009) The elements of statistical learning, 2nd ed.,
equations 5.4 and 5.5 (natural cubic splines).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Trend: TypeAlias = Literal["polynomial", "spline", "none"]
"""How the prior variance follows abundance: a cubic, a natural cubic spline with as many
coefficients (the choice of R limma), or not at all."""

REGIONS_FOR_DEGREE = (3, 6, 30)
"""Regions from which the trend may be linear, quadratic, cubic."""

LEAST_VARIANCE = 1e-5
"""Variances below this share of the median are raised to it: their logarithm is no evidence."""

NEWTON_STEPS = 50
"""Steps of the inverse trigamma at most; it converges in fewer than ten."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Moderated:
    """Variances drawn towards a trend."""

    prior_variance: NDArray[np.float64]
    """Trend of the variance at each region's abundance, shape ``(region,)``."""

    prior_df: float
    """Worth of the trend in degrees of freedom; infinite where variances do not differ more
    than chance."""

    variance: NDArray[np.float64]
    """Posterior variance, shape ``(region,)``."""

    df: NDArray[np.float64]
    """Its degrees of freedom, at most those of all regions together."""


def trigamma_inverse(value: float) -> float:
    """Solve trigamma(x) = value for x, ``value`` > 0.

    Newton's method on 1 / trigamma, which is convex (Smyth 2004, appendix).
    """
    if value > 1e7:
        return float(1.0 / np.sqrt(value))
    if value < 1e-6:
        return 1.0 / value
    x = 0.5 + 1.0 / value
    for _ in range(NEWTON_STEPS):
        tri = float(special.polygamma(1, x))
        step = tri * (1.0 - tri / value) / float(special.polygamma(2, x))
        x += step
        if -step / x < 1e-14:
            break
    return x


def moderate(
    variance: ArrayLike, df: ArrayLike, abundance: ArrayLike, *, trend: Trend = "polynomial"
) -> Moderated:
    """Draw residual variances towards a trend in abundance.

    Parameters
    ----------
    variance
        Residual variances, shape ``(region,)``, 0 or more.
    df
        Their degrees of freedom, same shape, above 0.
    abundance
        Mean log density of each region, same shape.
    trend
        How the prior variance follows abundance.

    Returns
    -------
    Moderated

    Notes
    -----
    With e = ln s2 - digamma(d/2) + ln(d/2), a trend of e on abundance gives the prior
    mean, and the variance of e beyond the mean of trigamma(d/2) the prior degrees of
    freedom.  The degree of the polynomial is three from 30 regions on, less below.  With
    ``spline`` and ``none`` the result is that of R limma's ``eBayes`` with and without
    ``trend=TRUE`` (stored case in ``tests/stats/data``).
    """
    s2 = np.asarray(variance, dtype=np.float64)
    d = np.broadcast_to(np.asarray(df, dtype=np.float64), s2.shape)
    x = np.asarray(abundance, dtype=np.float64)
    if s2.size == 0:
        return Moderated(prior_variance=s2, prior_df=0.0, variance=s2, df=d)
    floored = np.maximum(s2, LEAST_VARIANCE * np.median(s2))
    if not np.any(floored > 0):
        return Moderated(prior_variance=s2, prior_df=0.0, variance=s2, df=d)
    e = np.log(floored) - special.digamma(d / 2) + np.log(d / 2)
    mean, excess = fit_trend(e, x, trend)
    excess -= float(np.mean(special.polygamma(1, d / 2)))
    if excess > 0:
        d0 = 2.0 * trigamma_inverse(excess)
        prior = np.exp(mean + special.digamma(d0 / 2) - np.log(d0 / 2))
        post = (d0 * prior + d * s2) / (d0 + d)
    else:
        d0, prior = np.inf, np.exp(mean)
        if trend == "none":
            prior = np.full_like(prior, floored.mean())
        post = prior
    return Moderated(
        prior_variance=prior, prior_df=d0, variance=post, df=np.minimum(d + d0, d.sum())
    )


def fit_trend(
    e: NDArray[np.float64], x: NDArray[np.float64], trend: Trend = "polynomial"
) -> tuple[NDArray[np.float64], float]:
    """Fit a trend of log variances on abundance.

    Returns
    -------
    fitted, residual mean square
        The latter is 0 where nothing is left over.  See `REGIONS_FOR_DEGREE`.
    """
    basis = trend_basis(x, trend)
    weights, _, rank, _ = np.linalg.lstsq(basis, e, rcond=None)
    fitted = basis @ weights
    left = e.size - int(rank)
    return fitted, float(np.sum((e - fitted) ** 2) / left) if left > 0 else 0.0


def trend_basis(x: NDArray[np.float64], trend: Trend = "polynomial") -> NDArray[np.float64]:
    """Return what a trend is made of, shape ``(region, coefficient)``.  See `fit_trend`."""
    degree = 0 if trend == "none" else sum(x.size >= n for n in REGIONS_FOR_DEGREE)
    spread = float(np.ptp(x))
    scaled = (x - x.mean()) / spread if spread > 0 else np.zeros_like(x)
    if trend == "spline" and degree > 1 and spread > 0:
        return _natural_spline(scaled, degree)
    return np.asarray(np.polynomial.chebyshev.chebvander(2.0 * scaled, degree))


def _natural_spline(x: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """Natural cubic splines with knots at even quantiles and the ends; ``degree + 1`` columns."""
    knots = np.quantile(x, np.linspace(0.0, 1.0, degree + 1))
    last = knots[-1]

    def bend(knot: float) -> NDArray[np.float64]:
        cubes = np.maximum(x - knot, 0.0) ** 3 - np.maximum(x - last, 0.0) ** 3
        return np.asarray(cubes / (last - knot))

    end = bend(knots[-2])
    return np.column_stack([np.ones_like(x), x, *(bend(k) - end for k in knots[:-2])])
