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
from typing import NamedTuple

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

FITS_WITHIN = 0.99
"""Level of the F test beyond which a curve does not describe the effects."""

DRAWN = 13
"""Doses at which a curve is given for drawing, from the control on, denser at low doses."""


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


class _Profile(NamedTuple):
    """A line and Emax curves of fixed ED50 beside the effects; the line comes first."""

    grid: NDArray[np.float64]
    """ED50 of each Emax curve."""

    height: NDArray[np.float64]
    """Factor of each curve, shape ``(region, curve)``."""

    variance: NDArray[np.float64]
    """Of the factor, same shape."""

    misfit: NDArray[np.float64]
    """Weighted sum of squares beside each curve, same shape."""

    limit: NDArray[np.float64]
    """By how much the misfit may rise within the interval, shape ``(region,)``."""

    @property
    def rise(self) -> NDArray[np.float64]:
        """Misfit of each Emax curve above the least, shape ``(region, curve - 1)``."""
        curve = self.misfit[:, 1:]
        return np.asarray(curve - curve.min(axis=1, keepdims=True))

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Emax curves within the interval."""
        return np.asarray(self.rise <= self.limit[:, None])

    @property
    def half(self) -> NDArray[np.float64]:
        """Half width of the interval of each Emax curve's factor."""
        room = np.maximum(self.limit[:, None] - self.rise, 0.0)
        return np.asarray(np.sqrt(room * self.variance[:, 1:]))


def _shapes(
    grid: NDArray[np.float64], doses: NDArray[np.float64], top: float
) -> NDArray[np.float64]:
    """Return a line (1 at the highest dose), then an Emax curve for each ED50; ``(curve, dose)``."""
    return np.vstack([doses / top, doses / (grid[:, None] + doses)])


def _profile(
    effects: NDArray[np.float64],
    unit_covariance: NDArray[np.float64],
    variance: NDArray[np.float64],
    df: NDArray[np.float64],
    doses: NDArray[np.float64],
) -> _Profile:
    """Fit the factor of every curve by generalised least squares."""
    inverse = np.linalg.inv(unit_covariance)
    total = np.einsum("rd,de,re->r", effects, inverse, effects) / variance
    grid = np.geomspace(doses.min() / ED50_SPAN, doses.max() * ED50_SPAN, ED50_GRID)
    shapes = _shapes(grid, doses, float(doses.max()))
    size = np.einsum("gd,de,ge->g", shapes, inverse, shapes)
    height = effects @ inverse @ shapes.T / size
    spread = variance[:, None] / size
    return _Profile(
        grid=grid,
        height=height,
        variance=spread,
        misfit=np.maximum(total[:, None] - height**2 / spread, 0.0),
        limit=np.asarray(stats.f.ppf(LEVEL, 1, df)),
    )


def curve_bands(
    effects: NDArray[np.float64],
    unit_covariance: NDArray[np.float64],
    variance: NDArray[np.float64],
    df: NDArray[np.float64],
    doses: NDArray[np.float64],
    at: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the line and the Emax curve at some doses, each with its interval.

    Parameters
    ----------
    effects, unit_covariance, variance, df, doses
        See `fit_curves`.
    at
        Doses above the control's, shape ``(place,)``.

    Returns
    -------
    linear, emax
        Shape ``(3, region, place)``: curve, lower and upper end; the intervals of each
        dose by the profile of the likelihood, as those of the highest dose.
    """
    p = _profile(effects, unit_covariance, variance, df, doses)
    shapes = _shapes(p.grid, at, float(doses.max()))
    line_half = np.sqrt(p.limit * p.variance[:, 0])
    line = np.stack([p.height[:, 0] + sign * line_half for sign in (0.0, -1.0, 1.0)])
    best = np.argmin(p.misfit[:, 1:], axis=1)
    rows, curves = np.arange(len(effects)), p.height[:, 1:]
    inside = p.inside[:, :, None]
    low, high = ((curves + sign * p.half)[:, :, None] * shapes[1:] for sign in (-1.0, 1.0))
    ends = (
        np.where(inside, low, np.inf).min(axis=1),
        np.where(inside, high, -np.inf).max(axis=1),
    )
    middle = curves[rows, best][:, None] * shapes[1:][best]
    return line[:, :, None] * shapes[0], np.stack([middle, *ends])


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
    profile = _profile(effects, unit_covariance, variance, df, doses)
    grid, a, v, misfit, limit = profile
    line, curve = misfit[:, 0], misfit[:, 1:]
    best = np.argmin(curve, axis=1)
    rows = np.arange(len(effects))
    inside, half = profile.inside, profile.half
    at_top = doses.max() / (grid + doses.max())
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
        measure, estimand, days, model (linear or emax, the lower AICc; neither where that
        one fails an F test of its fit, at 1 %: an umbrella, for instance), effect of the
        highest dose on that curve with interval, slope_log2_per_dose with interval,
        emax_log2, ed50 with interval (0 or infinite: not bounded), aicc_linear, aicc_emax,
        and for drawing curve_doses with curve_log2 and its interval (lists, pointwise).
        For display: the curve was chosen by the data, and tests nothing.  No curves on a day
        whose doses are tied to each other by the formula (a straight line in dose).
    """
    inverse = np.linalg.pinv(design.matrix)
    blocks = []
    for estimand, estimates in (("relative", fit.relative), ("absolute", fit.absolute)):
        for day in cells.days:
            mine = np.flatnonzero(cells.day == day)
            weights = design.contrast_matrix[mine] @ inverse
            rows = np.flatnonzero(called[estimand] & np.isfinite(estimates.se[:, mine]).all(axis=1))
            unit = weights @ weights.T
            if len(mine) < 2 or not rows.size or np.linalg.matrix_rank(unit) < len(mine):
                continue
            numbers = _curve_columns(estimates, unit, cells.dose[mine], rows, mine)
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
    *("curve_doses", "curve_log2", "curve_low_log2", "curve_high_log2"),
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
    drawn = float(doses.max()) * np.linspace(0.0, 1.0, DRAWN) ** 1.5
    bands = curve_bands(estimates.estimate[part], unit, variance, df, doses, drawn)
    n = np.minimum(df, 1e6) + len(doses)
    linear, emax = aicc(c.misfit_linear, df, n, 2), aicc(c.misfit_emax, df, n, 3)
    curved, top = emax < linear, float(doses.max())
    poor = np.where(
        curved,
        _misfits(c.misfit_emax, df, max(len(doses) - 2, 1)),
        _misfits(c.misfit_linear, df, len(doses) - 1),
    )
    line, half = c.slope * top, c.slope_half * top
    middle, low, high = np.where(curved[:, None], bands[1], bands[0]) / LN2
    return {
        "model": np.where(poor, "neither", np.where(curved, "emax", "linear")).astype(object),
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
        "curve_doses": _rows(np.broadcast_to(drawn, middle.shape)),
        "curve_log2": _rows(middle),
        "curve_low_log2": _rows(low),
        "curve_high_log2": _rows(high),
    }


def _misfits(
    misfit: NDArray[np.float64], df: NDArray[np.float64], freedom: int
) -> NDArray[np.bool_]:
    """Whether the effects lie farther from a curve than their errors allow."""
    return np.asarray(misfit > freedom * stats.f.ppf(FITS_WITHIN, freedom, df))


def _rows(values: NDArray[np.float64]) -> NDArray[np.object_]:
    """Rows of an array as lists, one to a cell of a table."""
    cells = np.empty(len(values), dtype=object)
    cells[:] = [row.tolist() for row in values]
    return cells
