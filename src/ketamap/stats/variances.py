"""Groups whose variances differ: found over all regions together, and allowed for.

A pooled variance is too small for a small noisy group and too large for a big quiet one.
Each region alone has too few animals to tell; all regions together tell well.  So the
variance of a region in a group is taken as (region) x (group), the second factor a smooth
function of abundance because counting noise, the same in all groups, dilutes it in regions
with few cells.  The residual degrees of freedom stay together, unlike with Welch's test in
every region, which with three or four animals keeps neither level nor power when its
variances are moderated (null reports with a finding: 11 to 17 %, this way 4 to 8 %;
``benchmarks/group_statistics.py``).

References
----------
Welch BL (1947) Biometrika 34:28 (variances of groups, degrees of freedom).
Smyth GK (2004) Statistical Applications in Genetics and Molecular Biology 3:3 (log variances).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ketamap.stats.moderation import LEAST_VARIANCE, fit_trend, trend_basis

VARIANCE_RATIO = 1.5
"""Median ratio of two groups' variances from which they are not pooled.

With equal variances 95 % of designs of 3 to 8 animals a group lie below 1.4; at a true
ratio of 2 and 4 v 8 animals, pooling finds something in 9 to 15 % of null reports.
"""


@dataclass(frozen=True, eq=False, kw_only=True)
class GroupVariances:
    """How the variances of groups compare."""

    labels: tuple[str, ...]
    """Groups, in order of first appearance."""

    sizes: tuple[int, ...]
    """Animals in each."""

    scale: NDArray[np.float64]
    """Variance of each group over that of the region, shape ``(group, region)``."""

    doubt: NDArray[np.float64]
    """Variance of ln `scale`, same shape: how well so many regions tell it."""

    medians: NDArray[np.float64]
    """Median of `scale` over regions, shape ``(group,)``."""

    @property
    def ratio(self) -> float:
        """Largest over smallest median."""
        return float(self.medians.max() / self.medians.min())

    @property
    def lopsided(self) -> bool:
        """Whether there are two groups of different size."""
        return len(self.sizes) == 2 and self.sizes[0] != self.sizes[1]

    @property
    def matters(self) -> bool:
        """Whether pooling misleads: variances differ, and not in two groups of one size."""
        balanced = len(self.sizes) == 2 and self.sizes[0] == self.sizes[1]
        return self.ratio > VARIANCE_RATIO and not balanced


def membership(groups: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return labels in order of first appearance, and 0/1 of shape ``(group, animal)``."""
    labels = tuple(dict.fromkeys(groups))
    return labels, np.array([[g == label for g in groups] for label in labels], dtype=np.float64)


def sums_by_group(
    residuals: NDArray[np.float64], design: NDArray[np.float64], member: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Add up squares and degrees of freedom of each group in each region.

    Parameters
    ----------
    residuals
        Shape ``(animal, region)``, NaN where missing.
    design
        Shape ``(animal, coefficient)``, full rank.
    member
        Shape ``(group, animal)``, 0 or 1.

    Returns
    -------
    sums, df
        Shape ``(group, region)``.  A group has its animals less its share of the
        coefficients (the sum of its leverages: 1 where each group has its own mean).
    """
    leverage = np.sum((design @ np.linalg.pinv(design)) * np.eye(len(design)), axis=1)
    known = ~np.isnan(residuals)
    df = np.maximum(member @ known - (member @ leverage)[:, None], 0.0)
    return member @ np.where(known, residuals, 0.0) ** 2, df


def group_variances(
    residuals: NDArray[np.float64],
    design: NDArray[np.float64],
    groups: Sequence[str],
    abundance: NDArray[np.float64],
) -> GroupVariances | None:
    """Compare the variances of groups over all regions.

    Parameters
    ----------
    residuals
        Of the relative model, shape ``(animal, region)``, NaN where missing.
    design
        Shape ``(animal, coefficient)``, full rank.
    groups
        Group of each animal.
    abundance
        Mean log density of each region.

    Returns
    -------
    GroupVariances or None
        None where a group has less than one degree of freedom or no region has all groups:
        there is nothing to compare.  Scales average (by degrees of freedom) to 1 on the
        log scale.
    """
    labels, member = membership(groups)
    sums, df = sums_by_group(residuals, design, member)
    whole = (df >= 1.0 - 1e-9).all(axis=0) & np.isfinite(abundance)
    if len(labels) < 2 or not whole.any():
        return None
    variance = np.divide(sums, df, out=np.zeros_like(sums), where=df > 0)[:, whole]
    middle = np.median(variance, axis=1, keepdims=True)
    if np.any(middle <= 0):
        return None
    d = df[:, whole]
    e = np.log(np.maximum(variance, LEAST_VARIANCE * middle))
    e += np.log(d / 2) - special.digamma(d / 2)
    share = df.sum(axis=1, keepdims=True) / df.sum()
    e -= np.sum(share * e, axis=0)
    basis = trend_basis(abundance[whole])
    leverage = np.sum((basis @ np.linalg.pinv(basis)) * np.eye(len(basis)), axis=1)
    trend, doubt = np.full(sums.shape, np.nan), np.full(sums.shape, np.nan)
    for row, unsure, values in zip(trend, doubt, e, strict=True):
        row[whole], left = fit_trend(values, abundance[whole])
        row[~whole] = np.median(row[whole])
        unsure[whole] = left * leverage
        unsure[~whole] = np.median(unsure[whole])
    scale = np.exp(trend)
    return GroupVariances(
        labels=labels,
        sizes=tuple(int(n) for n in member.sum(axis=1)),
        scale=scale,
        doubt=doubt,
        medians=np.median(scale[:, whole], axis=1),
    )
