"""What a number of animals should be split into: more doses, more days, or more animals a group."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ketamap.core.errors import DesignError
from ketamap.core.settings import Design
from ketamap.stats.design import LEAST_PER_GROUP, DesignMatrix, build_design
from ketamap.stats.families import SHIFT_SHARE
from ketamap.stats.multiple import MaximumT
from ketamap.stats.noise import Noise
from ketamap.stats.power import PowerPlan, power_at_fdr, two_sided_power
from ketamap.stats.shapes import Cells, cells_of, profile, shape_contrasts

MOST_DOSES = 4
"""Doses above the control that are considered."""

MOST_DAYS = 4
"""Durations that are considered."""

FIXED_POINT_STEPS = 25
"""Steps towards the threshold of BH."""


def budget_frame(noise: Noise, animals: int, effect_ln: float, plan: PowerPlan) -> pd.DataFrame:
    """Compare the ways to split a number of animals over doses and days.

    Parameters
    ----------
    noise
        Between animals.
    animals
        In all, controls included.
    effect_ln
        Largest change of ln density, relative.
    plan
        Level and share of changed regions.

    Returns
    -------
    pandas.DataFrame
        One row per split with at least three animals a group: doses (above the control),
        days, n_per_group, animals_used, power_any_constant (any-dose test, all doses and
        days alike), power_any_growing (effect in proportion to dose and day, in steps),
        power_pair (highest dose against control on the last day).  Mean over regions.

    Raises
    ------
    DesignError
        If the animals do not suffice for any split.
    """
    rows = []
    for doses, days in product(range(1, MOST_DOSES + 1), range(1, MOST_DAYS + 1)):
        n = animals // ((doses + 1) * days)
        if n < LEAST_PER_GROUP:
            continue
        design = _design(doses, days, n)
        cells = cells_of(design)
        assert cells is not None
        steps = (np.searchsorted(cells.doses, cells.dose) + 1) * (
            np.searchsorted(cells.days, cells.day) + 1
        )
        grown = np.asarray(steps / (doses * days), dtype=np.float64)
        constant, growing = _any_dose(
            noise, design, cells, effect_ln * np.stack([np.ones(len(grown)), grown]), plan
        )
        rows.append(
            {
                "doses": doses,
                "days": days,
                "n_per_group": n,
                "animals_used": n * (doses + 1) * days,
                "power_any_constant": constant,
                "power_any_growing": growing,
                "power_pair": _pair(noise, design, n, doses * days, effect_ln, plan),
            }
        )
    if not rows:
        msg = (
            f"{animals} animals do not suffice: one dose and its control on one day need "
            f"{2 * LEAST_PER_GROUP}."
        )
        raise DesignError(msg)
    return pd.DataFrame(rows)


def _design(doses: int, days: int, n: int) -> DesignMatrix:
    cells = [(d, t) for t in range(1, days + 1) for d in range(doses + 1) for _ in range(n)]
    people = pd.DataFrame(cells, columns=["dose", "day"], dtype=np.float64)
    people["animal"] = [f"a{k}" for k in range(len(people))]
    return build_design(people, Design(control=0, dose="dose", duration="day"))


def _df(noise: Noise, design: DesignMatrix) -> float:
    n, p = design.matrix.shape
    return float(n - p + min(noise.prior_df, 1e4))


def _pair(
    noise: Noise, design: DesignMatrix, n: int, pairs: int, effect_ln: float, plan: PowerPlan
) -> float:
    """Power of one comparison among `pairs` of one family, one of which changes."""
    distance = effect_ln / np.sqrt(noise.variance * 2.0 / n)
    df = np.full(distance.shape, _df(noise, design))
    level = (1.0 - SHIFT_SHARE) * plan.alpha
    return float(power_at_fdr(distance, df, level, plan.changed / pairs).mean())


def _any_dose(
    noise: Noise,
    design: DesignMatrix,
    cells: Cells,
    courses: NDArray[np.float64],
    plan: PowerPlan,
) -> list[float]:
    """Power of the any-dose test for each course of effects, shape ``(course, cell)``."""
    vectors = np.stack([c.vector for c in shape_contrasts(design, cells)])
    weights = vectors @ np.linalg.pinv(design.matrix)
    freedom = _df(noise, design)
    t = np.linspace(0.0, 30.0, 121)
    p = MaximumT(weights @ weights.T).p(t, np.full(t.shape, freedom))
    size = np.linalg.norm(weights, axis=1)
    best = [float(np.max(np.abs(weights @ profile(design, one)) / size)) for one in courses]
    return [_at_fdr(one / np.sqrt(noise.variance), t, p, freedom, plan) for one in best]


def _at_fdr(
    distance: NDArray[np.float64],
    t: NDArray[np.float64],
    p: NDArray[np.float64],
    freedom: float,
    plan: PowerPlan,
) -> float:
    """Mean power at the threshold of BH, by the contrast closest to the truth."""
    df, alpha = np.full(distance.shape, freedom), (1.0 - SHIFT_SHARE) * plan.alpha
    level, power = alpha, np.zeros(1)
    for _ in range(FIXED_POINT_STEPS):
        power = two_sided_power(distance, df, _single_level(level, t, p, freedom))
        hits = plan.changed * float(power.mean()) + (1.0 - plan.changed) * level
        level = max(alpha * hits, alpha / len(distance))
    return float(power.mean())


def _single_level(level: float, t: NDArray[np.float64], p: NDArray[np.float64], df: float) -> float:
    """Level of one contrast at the t where the largest of all has the level asked for."""
    at = np.interp(np.log(level), np.log(np.maximum(p[::-1], 1e-300)), t[::-1])
    return float(2.0 * stats.t.sf(at, df))
