"""Non-compartmental analysis: exposure, peak and half-life of any curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ketamap.core.errors import InputError

_LEAST_POINTS = 3
"""Points a terminal slope needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Summary of one curve, in the units of its time (h) and concentration."""

    auc: float
    """Area to the last point, concentration x h."""

    auc_to_infinity: float
    """With the tail extrapolated at the terminal slope; NaN where there is no slope."""

    cmax: float
    """Highest value."""

    tmax_h: float
    """First time of the highest value."""

    half_life_h: float
    """Of the terminal phase; NaN where the curve has none (too few points, not falling)."""

    extrapolated: float
    """Part of `auc_to_infinity` that lies beyond the last point, 0 to 1, or NaN."""


def exposure(time_h: ArrayLike, concentration: ArrayLike) -> Exposure:
    """Summarise a curve.

    Parameters
    ----------
    time_h
        Times, shape ``(n,)``, increasing, at least two.
    concentration
        Values, shape ``(n,)``, not negative beyond rounding.

    Returns
    -------
    Exposure
        AUC by the linear-up log-down trapezoid; the terminal slope by least squares on the
        last points, their number chosen by the best adjusted R2.

    Raises
    ------
    InputError
        If shapes differ, times do not increase, or values are negative or not finite.

    References
    ----------
    Gabrielsson and Weiner, *Pharmacokinetic and Pharmacodynamic Data Analysis*, chapter on
    non-compartmental analysis.
    """
    times, values = _checked(time_h, concentration)
    top = int(np.argmax(values))
    auc = _area(times, values)
    slope = _terminal_slope(times[top:], values[top:])
    tail = values[-1] / slope if np.isfinite(slope) else np.nan
    whole = auc + tail
    return Exposure(
        auc=auc,
        auc_to_infinity=float(whole),
        cmax=float(values[top]),
        tmax_h=float(times[top]),
        half_life_h=float(np.log(2.0) / slope),
        extrapolated=float(tail / whole) if whole > 0.0 else float("nan"),
    )


def _checked(
    time_h: ArrayLike, concentration: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    times = np.asarray(time_h, dtype=np.float64)
    values = np.asarray(concentration, dtype=np.float64)
    if times.ndim != 1 or times.shape != values.shape or times.size < 2:
        msg = (
            f"A curve needs two lists of equal length, at least 2, got shapes {times.shape} and "
            f"{values.shape}."
        )
        raise InputError(msg)
    if not (np.isfinite(times).all() and np.isfinite(values).all()):
        msg = "A curve must be finite; leave out missing samples."
        raise InputError(msg)
    if (np.diff(times) <= 0.0).any():
        msg = "The times of a curve must increase."
        raise InputError(msg)
    rounding = 1e-6 * max(float(np.abs(values).max()), 1e-300)
    if values.min() < -rounding:
        msg = f"A concentration is negative ({values.min():g}); a curve must be 0 or more."
        raise InputError(msg)
    return times, np.maximum(values, 0.0)


def _area(times: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Trapezoids: linear where the curve rises or is flat, logarithmic where it falls."""
    step, first, last = np.diff(times), values[:-1], values[1:]
    linear = step * (first + last) / 2.0
    falls = (last > 0.0) & (last < first * (1.0 - 1e-9))
    ratio = np.where(falls, first / np.where(falls, last, 1.0), np.e)
    return float(np.where(falls, step * (first - last) / np.log(ratio), linear).sum())


def _terminal_slope(times: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Rate of the last phase, 1/h, or NaN."""
    usable = values > 1e-9 * values[0] if values[0] > 0.0 else np.zeros(values.shape, bool)
    times, logs = times[usable][1:], np.log(values[usable][1:])
    best, slope = -np.inf, float("nan")
    for n in range(_LEAST_POINTS, times.size + 1):
        x, y = times[-n:] - times[-n:].mean(), logs[-n:] - logs[-n:].mean()
        fitted = float((x * y).sum() / (x * x).sum())
        scatter = float(((y - fitted * x) ** 2).sum() / max((y * y).sum(), 1e-300))
        adjusted = 1.0 - scatter * (n - 1) / max(n - 2, 1)
        if adjusted >= best - 1e-4:  # the usual rule: more points unless the fit gets worse
            best, slope = max(best, adjusted), -fitted
    return slope if slope > 0.0 else float("nan")
