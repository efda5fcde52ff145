"""Power of a comparison of two groups: per region and on average, relative and absolute.

References
----------
Benjamini Y, Hochberg Y (1995) J R Stat Soc B 57:289.
Genovese C, Wasserman L (2002) J R Stat Soc B 64:499 (the threshold of BH as a fixed point).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from ketamap.core.units import LN2
from ketamap.stats.families import SHIFT_SHARE
from ketamap.stats.noise import Noise

GROUP_SIZES = (3, 4, 5, 6, 8, 10, 12, 16, 20)
"""Animals per group of the curves."""

FOLDS = (1.25, 1.5, 2.0, 3.0)
"""Changes of the curves."""

MOST_ANIMALS = 60
"""Animals per group up to which `animals_needed` looks."""

COARSE = (3, 4, 5, 6, 8, 10, 12, 16, 20, 26, 34, 44, 60)
"""Animals per group between which the power of absolute effects is interpolated in log n."""

STEPS = 30
"""Steps towards the fixed point of BH; it is approached geometrically."""

SHIFT_DRAWS = 128
"""Draws of the error of the brain-wide shift, which all absolute effects share."""

QUANTILES = 32
"""Regions that stand for all, at even quantiles of the variance, while a threshold is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerPlan:
    """What is asked for."""

    alpha: float = 0.05
    """False discovery rate."""

    changed: float = 0.2
    """Share of the regions that change, half up and half down."""

    power: float = 0.8
    """Power wanted, for `animals_needed`."""


def relative_power(noise: Noise, n: int, effect_ln: float, plan: PowerPlan) -> NDArray[np.float64]:
    """Power to find each region among all, at n animals in each of two groups.

    Parameters
    ----------
    noise
        Between animals.
    n
        Animals per group.
    effect_ln
        Change of ln density beside the brain-wide shift.
    plan
        Level and share of changed regions.

    Returns
    -------
    ndarray
        Shape ``(region,)``.  The level is the threshold that BH would reach on average,
        at the share of alpha that relative effects have.
    """
    df = np.full(noise.variance.shape, 2.0 * n - 2.0 + min(noise.prior_df, 1e4))
    distance = abs(effect_ln) / np.sqrt(noise.variance * 2.0 / n)
    return power_at_fdr(distance, df, (1.0 - SHIFT_SHARE) * plan.alpha, plan.changed)


def power_at_fdr(
    distance: NDArray[np.float64], df: NDArray[np.float64], alpha: float, changed: float
) -> NDArray[np.float64]:
    """Power of t tests at the threshold of BH.

    Parameters
    ----------
    distance
        Effects in standard errors, shape ``(region,)``.
    df
        Degrees of freedom, same shape.
    alpha, changed
        False discovery rate, and share of regions that change by their effect.
    """
    level = alpha
    for _ in range(STEPS):
        found = two_sided_power(distance, df, level)
        level = max(
            alpha * (changed * float(found.mean()) + (1.0 - changed) * level), alpha / len(df)
        )
    return two_sided_power(distance, df, level)


def two_sided_power(
    distance: NDArray[np.float64], df: NDArray[np.float64], level: float
) -> NDArray[np.float64]:
    """Power of a two-sided t test at a level; the noncentral t by its normal approximation.

    Johnson and Welch (1940, Biometrika 31:362): within 0.02 of the exact power from 4 degrees of freedom on.
    """
    t = stats.t.isf(level / 2.0, df)
    shrunk = 1.0 - 1.0 / (4.0 * df)
    width = np.sqrt(1.0 + t**2 / (2.0 * df))
    upper = special.ndtr((distance - t * shrunk) / width)
    return np.asarray(upper + special.ndtr((-distance - t * shrunk) / width))


def absolute_power(noise: Noise, n: int, effect_ln: float, plan: PowerPlan) -> NDArray[np.float64]:
    """Power to find each region's absolute change; arguments as `relative_power`.

    Notes
    -----
    The error of the brain-wide shift is the same in all regions: a draw of it moves the
    threshold of BH for all.  Power is the mean over draws of that error and of its estimated
    variance, regions being independent given both.
    """
    vg, dg = noise.factor_variance * 2.0 / n, 2.0 * n - 2.0
    points = stats.qmc.Halton(2, scramble=False).random(SHIFT_DRAWS + 1)[1:]
    shift = _SharedError(
        error=np.sqrt(vg) * special.ndtri(points[:, :1]),
        variance=vg * stats.chi2.ppf(points[:, 1:], dg) / dg,
        df=dg,
        df_regional=dg + min(noise.prior_df, 1e4),
    )
    effect = abs(effect_ln)
    few = np.quantile(noise.variance, (np.arange(QUANTILES) + 0.5) / QUANTILES) * 2.0 / n
    level = np.full((SHIFT_DRAWS, 1), plan.alpha)
    for _ in range(STEPS // 2):
        limit = shift.limit(few, level)
        power = _both_signs(effect, shift.error, limit, few).mean(axis=1, keepdims=True)
        null = _outside(shift.error, limit, few).mean(axis=1, keepdims=True)
        hits = plan.changed * power + (1.0 - plan.changed) * null
        level = np.maximum(plan.alpha * hits, plan.alpha / len(noise.variance))
    se2 = noise.variance * 2.0 / n
    return np.asarray(_both_signs(effect, shift.error, shift.limit(se2, level), se2).mean(axis=0))


@dataclass(frozen=True, eq=False, kw_only=True)
class _SharedError:
    """Draws of what all absolute effects share, shape ``(draw, 1)``."""

    error: NDArray[np.float64]
    variance: NDArray[np.float64]
    df: float
    df_regional: float

    def limit(self, se2: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.float64]:
        """Least |estimate| that is significant, shape ``(draw, region)``."""
        total = se2 + self.variance
        df = total**2 / (se2**2 / self.df_regional + self.variance**2 / self.df)
        return np.asarray(stats.t.isf(level / 2.0, df) * np.sqrt(total))


def _both_signs(
    effect: float,
    error: NDArray[np.float64],
    limit: NDArray[np.float64],
    se2: NDArray[np.float64],
) -> NDArray[np.float64]:
    up, down = _outside(effect + error, limit, se2), _outside(error - effect, limit, se2)
    return (up + down) / 2.0


def _outside(
    mean: NDArray[np.float64], limit: NDArray[np.float64], se2: NDArray[np.float64]
) -> NDArray[np.float64]:
    se = np.sqrt(se2)
    return np.asarray(special.ndtr((mean - limit) / se) + special.ndtr((-mean - limit) / se))


def power_frames(
    noise: Noise,
    plan: PowerPlan,
    *,
    sizes: Sequence[int] = GROUP_SIZES,
    folds: Sequence[float] = FOLDS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tabulate power against animals per group and effect.

    Returns
    -------
    average
        One row per estimand, n and fold: noise, estimand, n_per_group, fold, effect_log2,
        power (mean over regions), power_q10, power_q90 (over regions).
    by_region
        The same for every region: region_id, acronym, then as above with one power.
    """
    rows, blocks = [], []
    for estimand, power_of in (("relative", relative_power), ("absolute", absolute_power)):
        for n in sizes:
            for fold in folds:
                power = power_of(noise, n, float(np.log(fold)), plan)
                about = {
                    "noise": noise.name,
                    "estimand": estimand,
                    "n_per_group": n,
                    "fold": fold,
                    "effect_log2": float(np.log2(fold)),
                }
                low, high = np.quantile(power, [0.1, 0.9])
                rows.append({**about, "power": power.mean(), "power_q10": low, "power_q90": high})
                head = {"region_id": noise.region_ids, "acronym": list(noise.acronyms)}
                blocks.append(pd.DataFrame({**head, **about, "power": power}))
    return pd.DataFrame(rows), pd.concat(blocks, ignore_index=True)


def animals_needed(
    noise: Noise,
    plan: PowerPlan,
    *,
    folds: Sequence[float] = FOLDS,
    estimand: Literal["relative", "absolute"] = "relative",
) -> pd.DataFrame:
    """Find the animals per group that give each region the power wanted.

    Parameters
    ----------
    noise
        Between animals.
    plan
        Level, share of changed regions, power wanted.
    folds
        Changes.
    estimand
        Which effects.

    Returns
    -------
    pandas.DataFrame
        region_id, acronym, estimand, sd_log2 (of the region beside the animal factor), fold,
        effect_log2, n_per_group (NaN: more than `MOST_ANIMALS`), power (at that n).
    """
    blocks = []
    sizes = np.arange(3, MOST_ANIMALS + 1)
    for fold in folds:
        power = _power_of_sizes(noise, plan, float(np.log(fold)), sizes, estimand)
        enough = power >= plan.power
        first = np.argmax(enough, axis=0)
        found = enough.any(axis=0)
        blocks.append(
            pd.DataFrame(
                {
                    "region_id": noise.region_ids,
                    "acronym": list(noise.acronyms),
                    "estimand": estimand,
                    "sd_log2": np.sqrt(noise.variance) / LN2,
                    "fold": fold,
                    "effect_log2": float(np.log2(fold)),
                    "n_per_group": np.where(found, sizes[first], np.nan),
                    "power": np.where(found, power[first, np.arange(len(first))], power[-1]),
                }
            )
        )
    return pd.concat(blocks, ignore_index=True)


def _power_of_sizes(
    noise: Noise,
    plan: PowerPlan,
    effect_ln: float,
    sizes: NDArray[np.int64],
    estimand: Literal["relative", "absolute"],
) -> NDArray[np.float64]:
    """Power at each number of animals per group, shape ``(size, region)``."""
    if estimand == "relative":
        return np.stack([relative_power(noise, int(n), effect_ln, plan) for n in sizes])
    coarse = np.stack([absolute_power(noise, n, effect_ln, plan) for n in COARSE])
    at, known = np.log(sizes), np.log(np.array(COARSE))
    return np.stack([np.interp(at, known, column) for column in coarse.T], axis=1)
