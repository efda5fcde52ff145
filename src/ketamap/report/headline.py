"""What was found, in careful sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ketamap.report.comparisons import Comparison, records
from ketamap.report.words import (
    equation,
    estimate,
    fold,
    interval,
    known,
    listing,
    percent,
    plural,
    signed,
)

NAMED = 4
"""Regions named in the headline of a comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One comparison in words and counts."""

    key: str
    label: str
    up: int
    down: int
    """Regions called in the relative estimand."""

    absolute_up: int
    absolute_down: int
    tested: int
    untestable: int
    shift: str
    """The shift in one sentence."""

    found: str
    """The regions, in one or two sentences."""

    reach: str
    """What could have been seen; empty where there is no precision to speak of."""

    composition: str
    """The warning that relative results need when the brain shifted, or empty."""


def finding_of(comparison: Comparison, alpha: float) -> Finding:
    """Say what one comparison found."""
    called = comparison.called("relative")
    absolute = comparison.called("absolute")
    return Finding(
        key=comparison.key,
        label=comparison.label,
        up=int((called["relative_estimate"] > 0).sum()),
        down=int((called["relative_estimate"] < 0).sum()),
        absolute_up=int((absolute["absolute_estimate"] > 0).sum()),
        absolute_down=int((absolute["absolute_estimate"] < 0).sum()),
        tested=len(comparison.tested),
        untestable=len(comparison.untestable),
        shift=shift_sentence(comparison),
        found=found_sentence(comparison, alpha),
        reach=reach_sentence(comparison, alpha),
        composition=composition_warning(comparison),
    )


def shift_sentence(comparison: Comparison) -> str:
    """Say how the brain as a whole changed, with the interval."""
    s = comparison.shift
    if not s.known:
        return "The brain-wide shift could not be estimated."
    size = (
        f"{signed(s.estimate)} log2 ({fold(s.estimate)}), 95 % interval {interval(s.low, s.high)}"
    )
    tail = (
        "The interval excludes no change."
        if s.off_zero
        else "The interval includes no change, which does not show that there was none."
    )
    return f"Brain-wide shift: {size}, {equation('p', s.p)}. {tail}"


def found_sentence(comparison: Comparison, alpha: float) -> str:
    """Say how many regions were called, and name the first with their intervals."""
    tested, called = len(comparison.tested), comparison.called("relative")
    absolute = len(comparison.called("absolute"))
    if tested == 0:
        return "No region could be tested."
    rate = f"at a false discovery rate of {percent(alpha)} (q < {alpha:g})"
    seen = (
        f"As an absolute change of density, {plural(absolute, 'region is', 'regions are')} called."
        if absolute
        else "As an absolute change of density, no region is called."
    )
    if called.empty:
        return (
            f"Relative to the brain-wide change, none of {plural(tested, 'tested region')} "
            f"is called {rate}. That is not evidence that nothing changed. {seen}"
        )
    up = int((called["relative_estimate"] > 0).sum())
    first = [_named(row) for row in records(called.head(NAMED))]
    verb = "is" if len(called) == 1 else "are"
    return (
        f"Relative to the brain-wide change, {len(called)} of {plural(tested, 'tested region')} "
        f"{verb} called {rate}: {up} higher, {len(called) - up} lower. "
        f"Strongest evidence: {listing(first)} (log2, 95 % interval). {seen}"
    )


def reach_sentence(comparison: Comparison, alpha: float) -> str:
    """Say which change a typical region would have needed to be called.

    A region that changes alone must reach p < alpha / m among m tested (Benjamini and
    Hochberg 1995, first step); with the median standard error and degrees of freedom that
    is an estimate of ``t(1 - alpha / 2m, df) x se``.  Changes shared by many regions need
    less.
    """
    tested = comparison.tested
    se, df = (tested[f"relative_{x}"].to_numpy(dtype=float) for x in ("se", "df"))
    good = np.isfinite(se) & (df > 0)
    if not good.any():
        return ""
    half = float(np.median((tested["relative_high"] - tested["relative_low"]).to_numpy()[good]) / 2)
    tail = alpha / (2 * int(good.sum()))
    needed = float(stats.t.isf(tail, np.median(df[good])) * np.median(se[good]))
    if not (known(half) and known(needed)):
        return ""
    return (
        f"What could be seen: in the median region the interval reaches {half:.2f} log2 to either "
        f"side of the estimate ({fold(-half)} to {fold(half)}); a typical region changing alone "
        f"would have needed an estimate of about ±{needed:.2f} log2 (below {fold(-needed)} or "
        f"above {fold(needed)}) to be called. Smaller changes can be there unseen."
    )


def composition_warning(comparison: Comparison) -> str:
    """Warn where relative results must not be read as gains or losses of cells."""
    s = comparison.shift
    if not s.off_zero:
        return ""
    way, other = ("up", "lower") if s.estimate > 0 else ("down", "higher")
    trap = "fewer" if s.estimate > 0 else "more"
    return (
        f"The whole brain moved {way} ({estimate(s.estimate, s.low, s.high)} log2), so relative "
        f"results only say how a region moved against the rest of the brain. A relatively {other} "
        f"region need not hold {trap} cells than in the reference group: read the absolute column "
        f"before claiming any increase or decrease."
    )


def _named(row: Any) -> str:
    values = estimate(row.relative_estimate, row.relative_low, row.relative_high)
    return f"{row.acronym} {values}"
