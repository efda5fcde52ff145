"""A second opinion without normality: the largest effect of the brain against permuted residuals.

References
----------
Freedman D, Lane D (1983) Journal of Business & Economic Statistics 1:292 (permuting the
residuals of the model without the effect).
Winkler AM, Ridgway GR, Webster MA, Smith SM, Nichols TE (2014) NeuroImage 92:381
(exchangeability blocks, the distribution of the maximum).
Holm S (1979) Scandinavian Journal of Statistics 6:65 (the model's familywise p).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.errors import DesignError
from ketamap.stats.design import DesignMatrix
from ketamap.stats.moderation import moderate
from ketamap.stats.tables import RegionCounts

CHUNK = 250
"""Permutations worked on together, to bound memory."""

TIES = 1e-9
"""Relative difference within which a permuted statistic equals the observed one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permutations:
    """How residuals are permuted."""

    count: int
    """Random permutations; the observed order counts as one more."""

    alpha: float
    """Level that must be within reach."""

    seed: int = 0
    """Of the permutations."""


def arrangements(design: NDArray[np.float64], blocks: Sequence[str]) -> float:
    """Count the different ways to give the animals of each block their rows of the design."""
    total = 0.0
    rows = [tuple(np.round(row, 9)) for row in design]
    for block in set(blocks):
        mine = [row for row, b in zip(rows, blocks, strict=True) if b == block]
        total += lgamma(len(mine) + 1) - sum(lgamma(n + 1) for n in Counter(mine).values())
    return exp(min(total, 700.0))


def require_reachable(design: NDArray[np.float64], blocks: Sequence[str], alpha: float) -> None:
    """Refuse a permutation test that cannot reach significance.

    Raises
    ------
    DesignError
        With the arithmetic: two of the arrangements give the same |t|, so that the least p
        is 2 / arrangements.
    """
    ways = arrangements(design, blocks)
    if 2.0 / ways > alpha:
        msg = (
            f"Permutation cannot reach p < {alpha:g}: {len(design)} animals in "
            f"{len(set(blocks))} block(s) can be arranged in {ways:.0f} ways, so the least "
            f"two-sided p is 2/{ways:.0f} = {2.0 / ways:.3f}. Add animals, or leave it out."
        )
        raise DesignError(msg)


def permuted_maximum(
    values: NDArray[np.float64],
    design: NDArray[np.float64],
    contrast: NDArray[np.float64],
    blocks: Sequence[str],
    how: Permutations,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Familywise p of every region from the largest |t| of the brain under permutation.

    Parameters
    ----------
    values
        Shape ``(animal, region)``, nothing missing.
    design
        Shape ``(animal, coefficient)``, full rank.
    contrast
        Shape ``(coefficient,)``.
    blocks
        Block of each animal; residuals are permuted within.
    how
        Number, level and seed.

    Returns
    -------
    t, p
        Moderated t and p, shape ``(region,)``.

    Notes
    -----
    Residuals e of the model without the contrast are permuted; their sums of squares do not
    change, so that neither does the moderation, which is that of these residuals.  With Q an
    orthonormal basis of the design, the residual sum of squares of a permuted e is
    |e|^2 - |Q'e|^2.
    """
    require_reachable(design, blocks, how.alpha)
    _, _, right = np.linalg.svd(contrast[None])
    reduced = design @ right[1:].T
    rest = values - reduced @ (np.linalg.pinv(reduced) @ values)
    basis = np.linalg.qr(design)[0]
    weights = contrast @ np.linalg.pinv(design)
    n, p = design.shape
    whole = np.sum(rest**2, axis=0)
    prior = moderate(whole / (n - p + 1), np.full(len(whole), n - p + 1.0), values.mean(axis=0))
    worth = min(prior.prior_df, 1e6)

    def largest(order: NDArray[np.int64]) -> NDArray[np.float64]:
        """|t| for each order of the animals, shape ``(order, region)``."""
        effect = weights[order] @ rest
        seen = (np.moveaxis(basis[order], 2, 0).reshape(-1, n) @ rest).reshape(p, len(order), -1)
        left = np.maximum(whole - np.sum(seen**2, axis=0), 0.0)
        variance = (worth * prior.prior_variance + left) / (worth + n - p)
        return np.asarray(np.abs(effect) / np.sqrt(variance * np.sum(weights**2)))

    observed = largest(np.arange(n)[None])[0]
    rng, beyond = np.random.default_rng(how.seed), np.ones(len(whole))
    for start in range(0, how.count, CHUNK):
        order = _orders(rng, blocks, min(CHUNK, how.count - start))
        top = np.sort(largest(order).max(axis=1))
        beyond += len(top) - np.searchsorted(top, observed * (1.0 - TIES))
    return observed * np.sign(weights @ rest), beyond / (how.count + 1.0)


def _orders(rng: np.random.Generator, blocks: Sequence[str], count: int) -> NDArray[np.int64]:
    """Random orders of the animals within their blocks, shape ``(count, animal)``."""
    orders = np.tile(np.arange(len(blocks)), (count, 1))
    for block in dict.fromkeys(blocks):
        mine = np.array([k for k, b in enumerate(blocks) if b == block])
        orders[:, mine] = rng.permuted(np.tile(mine, (count, 1)), axis=1)
    return orders


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Holm's familywise p; NaN is not a test."""
    found = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    stepped = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1))
    found[order] = np.minimum(stepped, 1.0)
    return found


def permutation_frame(
    regions: RegionCounts,
    design: DesignMatrix,
    relative_ln: NDArray[np.float64],
    model_p: NDArray[np.float64],
    blocks: Sequence[str] | None,
    how: Permutations,
) -> tuple[pd.DataFrame, list[str]]:
    """Compare the model's findings with those of a permutation test, relative effects.

    Parameters
    ----------
    regions, design
        Names.
    relative_ln
        Log density without the animal factor, shape ``(animal, region)``.
    model_p
        P values of the model, shape ``(region, contrast)``.
    blocks
        Block (batch) of each animal; None: all are exchangeable.
    how
        Number, level and seed.

    Returns
    -------
    frame
        One row per contrast and tested region without missing animals: region_id, acronym,
        measure, contrast, t, p_permutation, p_model (both familywise over the brain),
        disagrees (one of them is below alpha and the other is not).
    notes
        One for each contrast in which they disagree.
    """
    within = list(blocks) if blocks is not None else ["all"] * len(design.groups)
    parts, notes = [], []
    for k, contrast in enumerate(design.contrasts):
        rows = np.flatnonzero(~np.isnan(relative_ln).any(axis=0) & ~np.isnan(model_p[:, k]))
        if not rows.size:
            continue
        t, p = permuted_maximum(relative_ln[:, rows], design.matrix, contrast.vector, within, how)
        model = holm(model_p[rows, k])
        differs = (p < how.alpha) != (model < how.alpha)
        names = [regions.acronyms[r] for r in rows]
        parts.append(
            pd.DataFrame(
                {
                    "region_id": regions.region_ids[rows],
                    "acronym": names,
                    "measure": regions.measure,
                    "contrast": contrast.name,
                    "t": t,
                    "p_permutation": p,
                    "p_model": model,
                    "disagrees": differs,
                }
            )
        )
        if differs.any():
            notes.append(_note(contrast.name, parts[-1][differs], how.alpha))
    return pd.concat(parts, ignore_index=True), notes


def _note(contrast: str, rows: pd.DataFrame, alpha: float) -> str:
    told = ", ".join(
        f"{r.acronym} ({r.p_permutation:.3g} against {r.p_model:.3g})"
        for r in rows.sort_values("p_model").head(6).itertuples()
    )
    more = f" and {len(rows) - 6} more" if len(rows) > 6 else ""
    return (
        f"{contrast}: permutation and model disagree at familywise {alpha:g} in "
        f"{len(rows)} region{'s' * (len(rows) > 1)} (p by permutation against model): {told}{more}."
    )
