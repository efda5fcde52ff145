"""The two-component model: one brain-wide shift, and what each region does beside it.

For any design matrix of full rank and any contrasts.  Natural logarithms throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ketamap.core.errors import DesignError
from ketamap.stats.moderation import Moderated, Trend, moderate
from ketamap.stats.variances import GroupVariances, group_variances, membership, sums_by_group


@dataclass(frozen=True, eq=False, kw_only=True)
class Estimates:
    """Estimates with their standard errors; t distributed."""

    estimate: NDArray[np.float64]
    """Natural log units, shape ``(..., contrast)``."""

    se: NDArray[np.float64]
    """Standard errors, same shape."""

    df: NDArray[np.float64]
    """Degrees of freedom, same shape."""

    @property
    def p(self) -> NDArray[np.float64]:
        """Two-sided p values; NaN where there is no estimate."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(self.estimate) / self.se
        return np.asarray(2.0 * stats.t.sf(t, self.df))

    def interval(self, level: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ends of the confidence interval at a level in (0, 1)."""
        half = self.se * stats.t.ppf(0.5 + level / 2, self.df)
        return self.estimate - half, self.estimate + half


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearFit:
    """Least squares of every region on one design, region by region where values are missing."""

    effect: NDArray[np.float64]
    """Contrasts of the coefficients, shape ``(region, contrast)``; NaN where not estimable."""

    scale: NDArray[np.float64]
    """c'(D'D)^-1 c of the animals that have the region, same shape."""

    variance: NDArray[np.float64]
    """Residual variances, shape ``(region,)``; NaN where no degrees of freedom are left."""

    df: NDArray[np.float64]
    """Residual degrees of freedom, shape ``(region,)``."""

    residuals: NDArray[np.float64]
    """Shape ``(animal, region)``, NaN where missing."""

    parts: NDArray[np.float64] | None = None
    """What each group of animals adds to `scale`, shape ``(group, region, contrast)``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TwoComponentFit:
    """Shift, relative and absolute effects of every contrast."""

    shift: Estimates
    """Shape ``(contrast,)``."""

    relative: Estimates
    """Shape ``(region, contrast)``."""

    absolute: Estimates
    """Shape ``(region, contrast)``."""

    moderated: Moderated
    """Regional variances after moderation, over the regions with residual freedom."""

    regional: LinearFit
    """The least squares behind `relative`."""

    factor: LinearFit
    """The least squares of the animal factor (one region)."""

    groups: GroupVariances | None = None
    """How the variances of groups compare; allowed for where `GroupVariances.matters`."""


def fit_linear(
    values: NDArray[np.float64],
    design: NDArray[np.float64],
    contrasts: NDArray[np.float64],
    *,
    groups: Sequence[str] | None = None,
) -> LinearFit:
    """Fit every region by ordinary least squares.

    Parameters
    ----------
    values
        Shape ``(animal, region)``; a NaN drops the animal from that region only.
    design
        Shape ``(animal, coefficient)``, full rank.
    contrasts
        Shape ``(contrast, coefficient)``.
    groups
        Group of each animal, for `LinearFit.parts`.

    Returns
    -------
    LinearFit

    Raises
    ------
    DesignError
        If the design has not full rank or no residual degrees of freedom.
    """
    _require_full_rank(design)
    n_regions, n_contrasts = values.shape[1], len(contrasts)
    effect = np.full((n_regions, n_contrasts), np.nan)
    scale, variance = np.full_like(effect, np.nan), np.full(n_regions, np.nan)
    df, residuals = np.zeros(n_regions), np.full(values.shape, np.nan)
    member = None if groups is None else membership(groups)[1]
    parts = None if member is None else np.full((len(member), *effect.shape), np.nan)
    known = ~np.isnan(values)
    patterns, pattern = np.unique(known.T, axis=0, return_inverse=True)
    for k, animals in enumerate(patterns):
        regions = np.flatnonzero(pattern.ravel() == k)
        rank = int(np.linalg.matrix_rank(design[animals])) if animals.any() else 0
        left = int(animals.sum()) - rank
        if left < 1:
            continue
        block = values[np.ix_(animals, regions)]
        inverse = np.linalg.pinv(design[animals])
        rest = block - design[animals] @ (inverse @ block)
        residuals[np.ix_(animals, regions)] = rest
        variance[regions], df[regions] = np.sum(rest**2, axis=0) / left, left
        able = _estimable(design[animals], inverse, contrasts)
        effect[regions] = np.where(able, (contrasts @ inverse @ block).T, np.nan)
        squares = (contrasts @ inverse) ** 2
        scale[regions] = np.where(able, np.sum(squares, axis=1), np.nan)
        if parts is not None and member is not None:
            by_group = member[:, animals] @ squares.T
            parts[:, regions] = np.where(able, by_group, np.nan)[:, None]
    return LinearFit(
        effect=effect, scale=scale, variance=variance, df=df, residuals=residuals, parts=parts
    )


def _estimable(
    design: NDArray[np.float64], inverse: NDArray[np.float64], contrasts: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether each contrast lies in the row space of the design."""
    return np.asarray(np.isclose(contrasts @ inverse @ design, contrasts, atol=1e-8).all(axis=1))


def _require_full_rank(design: NDArray[np.float64]) -> None:
    n, p = design.shape
    rank = int(np.linalg.matrix_rank(design))
    if rank < p:
        msg = f"The design has {p} coefficients but rank {rank}; leave out what is aliased."
        raise DesignError(msg)
    if n - p < 1:
        msg = f"{n} animals leave no degrees of freedom for {p} coefficients; add animals."
        raise DesignError(msg)


def fit_two_components(
    density_ln: NDArray[np.float64],
    factor_ln: NDArray[np.float64],
    design: NDArray[np.float64],
    contrasts: NDArray[np.float64],
    *,
    groups: Sequence[str] | None = None,
    trend: Trend = "polynomial",
) -> TwoComponentFit:
    """Estimate the brain-wide shift once, and each region beside it.

    Parameters
    ----------
    density_ln
        Log densities, shape ``(animal, region)``; NaN where missing.
    factor_ln
        Animal factors, shape ``(animal,)``.
    design
        Shape ``(animal, coefficient)``, full rank.
    contrasts
        Shape ``(contrast, coefficient)``.
    groups
        Group of each animal, to allow for groups whose variances differ; None: one variance.
    trend
        How the prior variance follows mean density.

    Returns
    -------
    TwoComponentFit

    Notes
    -----
    shift: least squares of the factor, G with variance vg on d = A - P.  relative: least
    squares of density minus factor, variances moderated with a trend on mean density.
    absolute: relative + G, variance se_r^2 + vg, degrees of freedom by Satterthwaite
    (1946, Biometrics Bulletin 2:110): (se_r^2 + vg)^2 / (se_r^4/df_r + vg^2/d).  The
    factor's variance counts once, however many regions share it.

    Where the variances of groups differ (`GroupVariances.matters`), a region's residuals are
    divided by the scale of their group before its variance is moderated, the contrast takes
    each group's scale back, and the shift has Welch's variance and degrees of freedom.  What
    is unsure of the scales, few regions telling less, lowers the degrees of freedom: 2 / df
    is the relative variance of a variance, and that of the scales is added to it.  The
    shift has them in any two groups of different size: one factor per animal is too little
    to tell whether the groups' factors vary alike.
    """
    factor = fit_linear(factor_ln[:, None], design, contrasts, groups=groups)
    regional = fit_linear(density_ln - factor_ln[:, None], design, contrasts, groups=groups)
    usable = regional.df > 0
    abundance = np.full(usable.shape, np.nan)
    abundance[usable] = np.nanmean(density_ln[:, usable], axis=0)
    compared = (
        None if groups is None else group_variances(regional.residuals, design, groups, abundance)
    )
    variance, scale, doubt = regional.variance, regional.scale, np.zeros(regional.scale.shape)
    g, vg, dg = (
        factor.effect[0],
        factor.variance[0] * factor.scale[0],
        np.full(len(contrasts), factor.df[0]),
    )
    if compared is not None and groups is not None and compared.matters:
        variance, scale, doubt = _by_group(regional, design, groups, compared)
    if compared is not None and groups is not None and (compared.matters or compared.lopsided):
        vg, dg = _welch(factor, design, groups)
    moderated = moderate(variance[usable], regional.df[usable], abundance[usable], trend=trend)
    posterior, df = np.full(regional.df.shape, np.nan), np.full(regional.df.shape, np.nan)
    posterior[usable], df[usable] = moderated.variance, moderated.df
    vr = posterior[:, None] * scale
    with np.errstate(divide="ignore", invalid="ignore"):
        dr = 2.0 / (2.0 / df[:, None] + doubt)
        satterthwaite = (vr + vg) ** 2 / (vr**2 / dr + vg**2 / dg)
    return TwoComponentFit(
        shift=Estimates(estimate=g, se=np.sqrt(vg), df=dg),
        relative=Estimates(estimate=regional.effect, se=np.sqrt(vr), df=dr),
        absolute=Estimates(estimate=regional.effect + g, se=np.sqrt(vr + vg), df=satterthwaite),
        moderated=moderated,
        regional=regional,
        factor=factor,
        groups=compared,
    )


def _by_group(
    regional: LinearFit,
    design: NDArray[np.float64],
    groups: Sequence[str],
    compared: GroupVariances,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Variance of each region at scale 1, its multiple in each contrast, and that one's doubt."""
    sums, _ = sums_by_group(regional.residuals, design, membership(groups)[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.sum(sums / compared.scale, axis=0) / regional.df
    parts = np.asarray(regional.parts)
    variance = np.where(regional.df > 0, variance, np.nan)
    each = compared.scale[:, :, None] * parts
    scale = each.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        doubt = np.sum((each / scale) ** 2 * compared.doubt[:, :, None], axis=0)
    return variance, scale, doubt


def _welch(
    factor: LinearFit, design: NDArray[np.float64], groups: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variance of the shift of each contrast from groups of their own variance, and its df."""
    sums, df = sums_by_group(factor.residuals, design, membership(groups)[1])
    d = np.maximum(df, 1.0)
    each = np.asarray(factor.parts)[:, 0] * (sums / d)
    total = each.sum(axis=0)
    return total, total**2 / np.maximum(np.sum(each**2 / d, axis=0), np.finfo(np.float64).tiny)
