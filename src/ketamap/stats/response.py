"""Dose-response curves on each day, for display: a line or an Emax curve, with intervals.

References
----------
Bretz F, Pinheiro JC, Branson M (2005) Biometrics 61:738 (models of dose response).
Burnham KP, Anderson DR (2002) Model selection and multimodel inference, 2nd ed., section 2.4
(AICc).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ketamap.core.units import LN2
from ketamap.stats.design import DesignMatrix
from ketamap.stats.model import Estimates, TwoComponentFit
from ketamap.stats.shapes import Cells
from ketamap.stats.tables import RegionCounts

ED50_GRID = 161
"""Values of ED50 tried, evenly in its logarithm."""

ED50_SPAN = 30.0
"""From the least dose / ED50_SPAN (a plateau) to the highest x ED50_SPAN (a line)."""

LEVEL = 0.95
"""Of the intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Emax curves and lines of many regions."""

    slope: NDArray[np.float64]
    slope_half: NDArray[np.float64]
    misfit_linear: NDArray[np.float64]
    """Weighted sum of squares beside the line, shape ``(region,)``."""
    emax: NDArray[np.float64]
    ed50: NDArray[np.float64]
    ed50_low: NDArray[np.float64]
    ed50_high: NDArray[np.float64]
    top: NDArray[np.float64]
    """Effect of the highest dose on the Emax curve."""
    top_low: NDArray[np.float64]
    top_high: NDArray[np.float64]
    misfit_emax: NDArray[np.float64]


def fit_curves(
    effects: NDArray[np.float64],
    unit_covariance: NDArray[np.float64],
    variance: NDArray[np.float64],
    df: NDArray[np.float64],
    doses: NDArray[np.float64],
) -> Curves:
    """Fit both curves through zero at the control to the effects of doses.

    Parameters
    ----------
    effects
        Against the control, shape ``(region, dose)``.
    unit_covariance
        Of the effects up to the variance of the region, shape ``(dose, dose)``.
    variance, df
        Of each region, shape ``(region,)``.
    doses
        Above the control's, shape ``(dose,)``.

    Returns
    -------
    Curves
        By generalised least squares; ED50 on a grid, the intervals by the profile of the
        likelihood, rounded outwards to the grid.  An end of the interval of ED50 at the end of the grid is 0 or infinite:
        the data do not bound it there.
    """
    inverse = np.linalg.inv(unit_covariance)
    total = np.einsum("rd,de,re->r", effects, inverse, effects) / variance
    limit = stats.f.ppf(LEVEL, 1, df)
    grid = np.geomspace(doses.min() / ED50_SPAN, doses.max() * ED50_SPAN, ED50_GRID)
    shapes = np.vstack([doses / doses.max(), doses / (grid[:, None] + doses)])
    size = np.einsum("gd,de,ge->g", shapes, inverse, shapes)
    a = effects @ inverse @ shapes.T / size
    v = variance[:, None] / size
    misfit = np.maximum(total[:, None] - a**2 / v, 0.0)
    line, curve = misfit[:, 0], misfit[:, 1:]
    best = np.argmin(curve, axis=1)
    rows = np.arange(len(effects))
    rise = curve - curve[rows, best][:, None]
    inside = rise <= limit[:, None]
    half = np.sqrt(np.maximum(limit[:, None] - rise, 0.0) * v[:, 1:])
    at_top = shapes[1:, np.argmax(doses)]
    low = np.where(inside, (a[:, 1:] - half) * at_top, np.inf).min(axis=1)
    high = np.where(inside, (a[:, 1:] + half) * at_top, -np.inf).max(axis=1)
    first, last = np.argmax(inside, axis=1), ED50_GRID - 1 - np.argmax(inside[:, ::-1], axis=1)
    return Curves(
        slope=a[:, 0] / doses.max(),
        slope_half=np.sqrt(limit * v[:, 0]) / doses.max(),
        misfit_linear=line,
        emax=a[:, 1:][rows, best],
        ed50=grid[best],
        ed50_low=np.where(first > 0, grid[np.maximum(first - 1, 0)], 0.0),
        ed50_high=np.where(last < ED50_GRID - 1, grid[np.minimum(last + 1, ED50_GRID - 1)], np.inf),
        top=a[:, 1:][rows, best] * at_top[best],
        top_low=low,
        top_high=high,
        misfit_emax=curve[rows, best],
    )


def aicc(
    misfit: NDArray[np.float64], df: NDArray[np.float64], n: NDArray[np.float64], k: int
) -> NDArray[np.float64]:
    """Akaike's criterion, corrected for few observations.

    Parameters
    ----------
    misfit
        Sum of squares beside the curve over the variance.
    df, n
        Degrees of freedom of the variance; observations that curve and variance rest on.
    k
        Parameters of the curve and its variance.
    """
    wide = np.minimum(df, 1e6)
    rest = np.maximum(n - k - 1.0, 0.5)
    return np.asarray(n * np.log1p(misfit / wide) + 2.0 * k + 2.0 * k * (k + 1.0) / rest)


def response_frame(
    regions: RegionCounts,
    design: DesignMatrix,
    cells: Cells,
    fit: TwoComponentFit,
    called: Mapping[str, NDArray[np.bool_]],
) -> pd.DataFrame:
    """Fit dose-response curves on each day in regions with a dose effect.

    Parameters
    ----------
    regions
        Names.
    design, cells
        Contrasts with their dose and day.
    fit
        Effects of each dose against the control on each day.
    called
        By estimand, regions with any effect of dose, shape ``(region,)``.

    Returns
    -------
    pandas.DataFrame
        One row per estimand, day and region with a dose effect: region_id, acronym,
        measure, estimand, days, model (linear or emax, the lower AICc), effect of the
        highest dose on that curve with interval, slope_log2_per_dose with interval,
        emax_log2, ed50 with interval (0 or infinite: not bounded), aicc_linear, aicc_emax.
        For display: the curve was chosen by the data, and tests nothing.
    """
    inverse = np.linalg.pinv(design.matrix)
    blocks = []
    for estimand, estimates in (("relative", fit.relative), ("absolute", fit.absolute)):
        for day in cells.days:
            mine = np.flatnonzero(cells.day == day)
            weights = design.contrast_matrix[mine] @ inverse
            rows = np.flatnonzero(called[estimand] & np.isfinite(estimates.se[:, mine]).all(axis=1))
            if len(mine) < 2 or not rows.size:
                continue
            numbers = _curve_columns(estimates, weights @ weights.T, cells.dose[mine], rows, mine)
            head = {
                "region_id": regions.region_ids[rows],
                "acronym": [regions.acronyms[r] for r in rows],
                "measure": regions.measure,
                "estimand": estimand,
                "days": day,
            }
            blocks.append(pd.DataFrame({**head, **numbers}))
    if not blocks:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(blocks, ignore_index=True)


COLUMNS = (
    *("region_id", "acronym", "measure", "estimand", "days", "model", "top_dose"),
    *("top_log2", "top_low_log2", "top_high_log2"),
    *("slope_log2_per_dose", "slope_low_log2_per_dose", "slope_high_log2_per_dose"),
    *("emax_log2", "ed50", "ed50_low", "ed50_high", "aicc_linear", "aicc_emax"),
)
"""Of the frame of curves."""


def _curve_columns(
    estimates: Estimates,
    unit: NDArray[np.float64],
    doses: NDArray[np.float64],
    rows: NDArray[np.int64],
    mine: NDArray[np.int64],
) -> dict[str, NDArray[np.float64] | NDArray[np.object_] | float]:
    """Numbers of the curves of some regions on one day."""
    part = np.ix_(rows, mine)
    variance = np.mean(estimates.se[part] ** 2 / np.diag(unit), axis=1)
    df = np.broadcast_to(estimates.df, estimates.se.shape)[part].min(axis=1)
    c = fit_curves(estimates.estimate[part], unit, variance, df, doses)
    n = np.minimum(df, 1e6) + len(doses)
    linear, emax = aicc(c.misfit_linear, df, n, 2), aicc(c.misfit_emax, df, n, 3)
    curved, top = emax < linear, float(doses.max())
    line, half = c.slope * top, c.slope_half * top
    return {
        "model": np.where(curved, "emax", "linear").astype(object),
        "top_dose": top,
        "top_log2": np.where(curved, c.top, line) / LN2,
        "top_low_log2": np.where(curved, c.top_low, line - half) / LN2,
        "top_high_log2": np.where(curved, c.top_high, line + half) / LN2,
        "slope_log2_per_dose": c.slope / LN2,
        "slope_low_log2_per_dose": (c.slope - c.slope_half) / LN2,
        "slope_high_log2_per_dose": (c.slope + c.slope_half) / LN2,
        "emax_log2": c.emax / LN2,
        "ed50": c.ed50,
        "ed50_low": c.ed50_low,
        "ed50_high": c.ed50_high,
        "aicc_linear": linear,
        "aicc_emax": emax,
    }
