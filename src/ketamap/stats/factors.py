"""The animal factor: how much brighter one whole brain is than another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PSEUDO_COUNT = 0.5
"""Added to every count before the logarithm, so that zeros are kept."""

LEAST_COUNT = 5.0
"""Least count of the regions that decide the factor."""

FEWEST_REGIONS = 5
"""With fewer regions above `LEAST_COUNT` in every animal, the mean count decides."""

ROUNDS = 20
"""Rounds of the alternation where values are missing; complete tables need one."""


def log_density(
    counts: NDArray[np.float64], extents: NDArray[np.float64], offset: float = PSEUDO_COUNT
) -> NDArray[np.float64]:
    """Return ln((count + offset) / extent), shape ``(animal, region)``; NaN stays NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log((counts + offset) / extents))


def factor_regions(
    counts: NDArray[np.float64], usable: NDArray[np.bool_], least: float = LEAST_COUNT
) -> NDArray[np.bool_]:
    """Select the regions that decide the factor, blind to group.

    Parameters
    ----------
    counts
        Shape ``(animal, region)``, NaN where missing.
    usable
        Shape ``(region,)``: regions to choose from.
    least
        Value that is safely above zero.

    Returns
    -------
    ndarray of bool
        Usable regions with at least `least` in every animal that has them; where
        these are fewer than `FEWEST_REGIONS`, those that reach it on average; where none
        does, all usable ones.
    """
    known = ~np.isnan(counts)
    smallest = np.where(known, counts, np.inf).min(axis=0, initial=np.inf)
    mean = np.where(known, counts, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    chosen = usable & (smallest >= least)
    if chosen.sum() < FEWEST_REGIONS:
        chosen = usable & (mean >= least)
    return chosen if chosen.any() else usable


def animal_factors(
    density_ln: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Median over regions of the log ratio to the mean animal.

    Parameters
    ----------
    density_ln
        Log densities, shape ``(animal, region)``; NaN where missing.
    chosen
        Shape ``(region,)``: the regions that decide.

    Returns
    -------
    ndarray
        Shape ``(animal,)``, mean 0.  With the same volumes in every animal this is the
        median of ratios of the counts.  Where values are missing, region means and animal
        factors are found in turn, so that a region missing in a bright animal does not
        shift the others.
    """
    x = density_ln[:, chosen]
    factor = np.zeros(len(x))
    complete = not np.isnan(x).any()
    for _ in range(1 if complete else ROUNDS):
        region = np.nanmean(x - factor[:, None], axis=0)
        factor = np.nanmedian(x - region, axis=1)
        factor = factor - factor.mean()
    return np.asarray(factor)
