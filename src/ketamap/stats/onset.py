"""Since when a dose acts: the first day on which its effect is established, and how sure that is.

References
----------
Burnham KP, Anderson DR (2002) Model selection and multimodel inference, 2nd ed., section 2.9
(Akaike weights, confidence sets of models).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.stats.model import Estimates, TwoComponentFit
from ketamap.stats.multiple import MaximumT
from ketamap.stats.shapes import Cells
from ketamap.stats.tables import RegionCounts

LEVEL = 0.95
"""Share of the Akaike weights that the days from `onset_low_days` to `onset_high_days` hold."""

NO_DOSE_EFFECT = "no effect of dose established in this region"
NOT_ON_ANY_DAY = "not established for this dose on any day"


def onset_frame(
    regions: RegionCounts,
    cells: Cells,
    fit: TwoComponentFit,
    largest: MaximumT,
    called: Mapping[str, NDArray[np.bool_]],
    alpha: float,
) -> pd.DataFrame:
    """Find the first day on which each dose has an effect, in regions with a dose effect.

    Parameters
    ----------
    regions
        Names.
    cells
        Dose and day of each contrast of `fit`.
    fit
        Effects of each dose against the control on each day.
    largest
        Distribution of the largest t of these contrasts.
    called
        By estimand, regions with any effect of dose, shape ``(region,)``.
    alpha
        Level of "established", over all doses and days of a region.

    Returns
    -------
    pandas.DataFrame
        One row per estimand, dose and region: region_id, acronym, measure, estimand, dose,
        onset_days (first day established; NaN if none), onset_low_days and onset_high_days
        (days that hold 95 % of the Akaike weights of "nothing before this day, anything from
        it on"), p (at onset, else the least; adjusted for all doses and days; NaN
        without a dose effect), established,
        reason.
    """
    blocks = []
    for estimand, estimates in (("relative", fit.relative), ("absolute", fit.absolute)):
        p = _adjusted(estimates, largest, called[estimand])
        for dose in cells.doses:
            mine = np.flatnonzero(cells.dose == dose)
            mine = mine[np.argsort(cells.day[mine])]
            part = Estimates(
                estimate=estimates.estimate[:, mine],
                se=estimates.se[:, mine],
                df=np.broadcast_to(estimates.df, estimates.se.shape)[:, mine],
            )
            rows = _of_one_dose(part, cells.day[mine], p[:, mine], called[estimand], alpha)
            head = {"region_id": regions.region_ids, "acronym": list(regions.acronyms)}
            labels = {"measure": regions.measure, "estimand": estimand, "dose": dose}
            blocks.append(pd.DataFrame({**head, **labels, **rows}))
    return pd.concat(blocks, ignore_index=True)


def _adjusted(
    estimates: Estimates, largest: MaximumT, called: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Single-step adjusted p of each contrast, ``(region, contrast)``; NaN if not called."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(estimates.estimate / estimates.se)
    t = np.where(called[:, None], t, np.nan)
    df = np.broadcast_to(estimates.df, t.shape)
    return largest.p(t.ravel(), df.ravel()).reshape(t.shape)


def _of_one_dose(
    part: Estimates,
    days: NDArray[np.float64],
    p: NDArray[np.float64],
    called: NDArray[np.bool_],
    alpha: float,
) -> dict[str, object]:
    hit = (p <= alpha) & called[:, None]
    established = hit.any(axis=1)
    first = np.argmax(hit, axis=1)
    low, high = onset_days_range(onset_weights(part), days)
    least = np.nanmin(np.where(np.isnan(p), np.inf, p), axis=1)
    at = np.where(established, p[np.arange(len(p)), first], least)
    return {
        "onset_days": np.where(established, days[first], np.nan),
        "onset_low_days": np.where(established, low, np.nan),
        "onset_high_days": np.where(established, high, np.nan),
        "p": np.where(np.isfinite(at), at, np.nan),
        "established": established,
        "reason": np.select(
            [established, called], ["", NOT_ON_ANY_DAY], default=NO_DOSE_EFFECT
        ).astype(object),
    }


def onset_weights(part: Estimates) -> NDArray[np.float64]:
    """Akaike weight of each day as the onset.

    Parameters
    ----------
    part
        Effects of one dose on each day in order, shape ``(region, day)``.

    Returns
    -------
    ndarray
        Shape ``(region, day)``, rows add to 1.  The model of day k sets effects before k to
        zero and leaves the others free, so that it costs their number of parameters; the
        likelihood is that of t.  A day without an estimate says nothing.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        t2 = np.nan_to_num((part.estimate / part.se) ** 2)
    df = np.where(np.isfinite(part.df), part.df, 1e6)
    misfit = (df + 1.0) * np.log1p(t2 / df)
    before = np.cumsum(misfit, axis=1) - misfit
    n = t2.shape[1]
    aic = before + 2.0 * np.arange(n, 0, -1)
    weight = np.exp(-(aic - aic.min(axis=1, keepdims=True)) / 2.0)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def onset_days_range(
    weights: NDArray[np.float64], days: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return first and last day of the smallest set of days that holds `LEVEL` of the weights."""
    order = np.argsort(-weights, axis=1, kind="stable")
    ranked = np.take_along_axis(weights, order, axis=1)
    needed = np.cumsum(ranked, axis=1) - ranked < LEVEL
    inside = np.zeros(weights.shape, dtype=np.bool_)
    np.put_along_axis(inside, order, needed, axis=1)
    low = np.where(inside, days, np.inf).min(axis=1)
    return low, np.where(inside, days, -np.inf).max(axis=1)
