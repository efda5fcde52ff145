"""Fit the encoded part of the model to a user's own region table.

Per region the reach (change at a reference dose and duration) is fitted, and one parameter
of the slow trace that all regions share, for instance its time constant.  What is fitted
stays encoded: a number put into a table, not a mechanism found.

Within each duration a region has its own level; the rest of log density follows
``reach x trace(dose, days)``, for cells through the detection threshold.  Errors are normal
with a variance of each region's own, animals are the units.  Intervals are profile
likelihoods in the form that gives Student's t for a straight line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2, f, t

from ketamap.core.dosing import Dose, DosingPlan, Subject, repeat
from ketamap.core.errors import InputError
from ketamap.core.progress import Progress, silent
from ketamap.core.space import FloatArray
from ketamap.simulate.engine import shared_engine
from ketamap.simulate.parameters import parameters_for
from ketamap.simulate.study import AXONS, CELLS, REFERENCE, StudySettings

REACHES_LN = np.linspace(-4.0, 4.0, 801)
"""Reaches that are looked at, ln units at the reference dose and days."""

SHARED_RANGE = 50.0
"""The shared parameter is followed this far from its table value, as a factor, both ways."""

SHARED_POINTS = 41
"""Values of the shared parameter that are solved."""

RESPONSES = {CELLS: "th_response", AXONS: "axon_response"}
"""Measure to the readout of the trace that drives it."""

LEAST_DEGREES = 4
"""Animals beyond the levels of durations and a reach."""

_TOLERANCE = 1e-6
_LEAST_SQUARES = 1e-12


@dataclass(frozen=True, eq=False, kw_only=True)
class RegionFit:
    """Result of a calibration to a region table."""

    regions: pd.DataFrame
    """Per region: ``region_id, acronym, reach_log2`` (trace change at the reference, log2 of
    TH per cell or of axon density), ``low_95, high_95, identified, residual_sd_log2,
    lack_of_fit_p`` (against one mean per dose and duration), ``label`` (always encoded)."""

    shared: pd.DataFrame
    """The shared parameter: ``parameter, start, value, low_95, high_95, identified``."""

    profile: pd.DataFrame
    """``value`` of the shared parameter and ``deviance`` above the least."""

    curves: pd.DataFrame
    """Fitted changes: ``region_id, dose_mg_per_kg, days, fitted_log2``."""

    cells: pd.DataFrame
    """Measured changes from vehicle of the same days: ``region_id, dose_mg_per_kg, days,
    measured_log2, se_log2``."""

    measure: str
    """What was measured."""

    reference: tuple[float, int]
    """Dose (mg/kg) and days at which the trace counts as 1."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class _Table:
    """Log densities of animals with the level of each duration taken out."""

    ids: list[int]
    acronyms: list[str]
    raw: FloatArray
    """Shape ``(region, animal)``, log2."""

    groups: list[tuple[float, int]]
    """Dose and days, each once."""

    group_of: NDArray[np.intp]
    day_of: NDArray[np.intp]
    measure: str
    settings: StudySettings

    @property
    def degrees(self) -> int:
        """Animals less a level per duration and a reach."""
        return len(self.group_of) - len(set(self.day_of.tolist())) - 1

    def centred(self, rows: FloatArray) -> FloatArray:
        """Take the mean of each duration out of ``(..., animal)``."""
        left = np.array(rows, dtype=np.float64)
        for day in set(self.day_of.tolist()):
            here = self.day_of == day
            left[..., here] -= left[..., here].mean(axis=-1, keepdims=True)
        return left

    def change_log2(self, reaches_ln: FloatArray, traces: FloatArray) -> FloatArray:
        """Return changes of what is counted, ``(reach,)`` and ``(group,)`` to ``(reach, group)``."""
        change = np.multiply.outer(reaches_ln, traces)
        if self.measure == CELLS:
            change = self.settings.detected_change_ln(change)
        return np.asarray(change / np.log(2.0))


def fit_regions(
    values: pd.DataFrame,
    animals: pd.DataFrame,
    *,
    measure: str = CELLS,
    acronyms: Sequence[str] | None = None,
    shared: str = "tau_trace",
    settings: StudySettings | None = None,
    progress: Progress = silent,
) -> RegionFit:
    """Fit reaches of regions and one shared parameter of the trace.

    Parameters
    ----------
    values
        Columns of `ketamap.core.tables.VALUES`: log2 densities beside each animal's factor.
    animals
        Columns ``animal, dose_mg_per_kg, days``; dose 0 is vehicle; dosed daily, mice.
    measure
        ``cells`` or ``axon_length_mm``.
    acronyms
        Regions to fit; left out: all of ``values``.
    shared
        Parameter of the trace that all regions share.
    settings
        Detection of cells.
    progress
        Told how many values of ``shared`` are simulated.

    Raises
    ------
    InputError
        If the design has no vehicle or no dose, a region or parameter does not exist, or
        there are too few animals.
    """
    start = parameters_for("mouse")
    if shared not in start or start[shared] <= 0.0:
        msg = f"shared must be a positive parameter of the model, got {shared!r}."
        raise InputError(msg)
    table = _table(values, animals, measure, acronyms, settings or StudySettings())
    grid = start[shared] * np.geomspace(1.0 / SHARED_RANGE, SHARED_RANGE, SHARED_POINTS)
    simulated = []
    for done, value in enumerate(grid, start=1):
        simulated.append(_traces(table, {shared: value}))
        progress(done, len(grid))
    traces = np.array(simulated)
    best = _vertex(np.log(grid), _least(table, traces).sum(axis=1))
    grid = np.append(grid, np.exp(best))
    traces = np.vstack([traces, _traces(table, {shared: float(np.exp(best))})])
    order = np.argsort(grid)
    return _result(table, shared, start[shared], grid[order], traces[order])


def _table(
    values: pd.DataFrame,
    animals: pd.DataFrame,
    measure: str,
    acronyms: Sequence[str] | None,
    settings: StudySettings,
) -> _Table:
    missing = {"animal", "dose_mg_per_kg", "days"} - set(animals.columns)
    if measure not in RESPONSES or missing:
        msg = (
            f"A fit of regions needs a measure of {', '.join(RESPONSES)}, got {measure!r}, and "
            f"animals with dose_mg_per_kg and days"
            + (f"; {', '.join(sorted(missing))} is missing." if missing else ".")
        )
        raise InputError(msg)
    mine = values[values["measure"] == measure]
    have = mine["acronym"].astype(str)
    unknown = [name for name in acronyms or () if name not in set(have)]
    if unknown or mine.empty:
        msg = f"The table holds no {measure} of {', '.join(unknown) or 'any region'}."
        raise InputError(msg)
    if acronyms is not None:
        mine = mine[have.isin(list(acronyms))]
    wide = mine.pivot(index="region_id", columns="animal", values="log2_relative").dropna()
    who = animals.assign(animal=animals["animal"].astype(str)).set_index("animal")
    who = who.loc[[str(name) for name in wide.columns]]
    keys = [(float(d), int(n)) for d, n in zip(who["dose_mg_per_kg"], who["days"], strict=True)]
    groups = sorted(set(keys))
    doses = {dose for dose, _ in groups}
    names = dict(mine[["region_id", "acronym"]].itertuples(index=False, name=None))
    table = _Table(
        ids=[int(i) for i in wide.index],
        acronyms=[str(names[i]) for i in wide.index],
        raw=wide.to_numpy(dtype=np.float64),
        groups=groups,
        group_of=np.array([groups.index(key) for key in keys]),
        day_of=np.array([days for _, days in keys]),
        measure=measure,
        settings=settings,
    )
    if 0.0 not in doses or len(doses) < 2 or table.degrees < LEAST_DEGREES or not len(wide):
        msg = (
            f"A fit needs vehicle (dose 0), a dose, {LEAST_DEGREES} animals more than levels and "
            f"a region that all animals have; got doses {sorted(doses)}, {len(keys)} animals and "
            f"{len(wide)} regions."
        )
        raise InputError(msg)
    return table


def _traces(table: _Table, parameters: dict[str, float]) -> FloatArray:
    """Return the trace of each group a day after its last dose, in units of the reference."""
    reference = REFERENCE[table.measure]
    wanted = {*table.groups, reference}
    found = {(0.0, days): 0.0 for _, days in wanted}
    for dose in sorted({dose for dose, _ in wanted if dose > 0.0}):
        days = tuple(sorted(n for d, n in wanted if d == dose))
        values = _trace(dose, days, RESPONSES[table.measure], *parameters.items())
        found |= {(dose, n): value for n, value in zip(days, values, strict=True)}
    return np.array([found[group] / found[reference] for group in table.groups])


@lru_cache(maxsize=1024)
def _trace(
    dose_mg_per_kg: float, days: tuple[int, ...], column: str, *parameters: tuple[str, float]
) -> tuple[float, ...]:
    one = Dose(time_h=0.0, amount=dose_mg_per_kg, unit="mg/kg", route="ip")
    plan = DosingPlan(
        name=f"{dose_mg_per_kg:g} mg/kg a day",
        subject=Subject(species="mouse"),
        doses=repeat(one, 24.0, days[-1] - 1),
        end_h=24.0 * days[-1],
    )
    engine = shared_engine((column,), _TOLERANCE)
    frame = engine.simulate(plan, parameters=dict(parameters), times_h=[24.0 * n for n in days])
    return tuple(float(value) for value in frame[column])


def _deviance(table: _Table, traces: FloatArray) -> FloatArray:
    """Return ``degrees * ln(sum of squares)`` for each reach and region, ``(reach, region)``."""
    predicted = table.centred(table.change_log2(REACHES_LN, traces)[:, table.group_of])
    observed = table.centred(table.raw)
    squares = (
        (observed**2).sum(axis=1)
        - 2.0 * predicted @ observed.T
        + (predicted**2).sum(axis=1)[:, None]
    )
    return np.asarray(table.degrees * np.log(np.maximum(squares, _LEAST_SQUARES)))


def _least(table: _Table, traces: FloatArray) -> FloatArray:
    """Return the least deviance over reaches, ``(shared value, region)``."""
    return np.array([_deviance(table, one).min(axis=0) for one in traces])


def _vertex(x: FloatArray, y: FloatArray) -> float:
    """Return where a parabola through the least point and its neighbours is least."""
    k = int(np.clip(np.argmin(y), 1, len(x) - 2))
    a, b, _ = np.polyfit(x[k - 1 : k + 2] - x[k], y[k - 1 : k + 2], 2)
    shift = -b / (2.0 * a) if a > 0.0 else 0.0
    return float(x[k] + np.clip(shift, x[k - 1] - x[k], x[k + 1] - x[k]))


def _ends(x: FloatArray, excess: FloatArray) -> tuple[float, float]:
    """Return where a profile crosses 0 on both sides of its least point; open: infinite."""
    k = int(np.argmin(excess))
    ends = []
    sides = ((x[k::-1], excess[k::-1], -np.inf), (x[k:], excess[k:], np.inf))
    for side, level, never in sides:
        over = np.flatnonzero(level > 0.0)
        if not len(over):
            ends.append(float(never))
            continue
        n = int(over[0])
        share = -level[n - 1] / (level[n] - level[n - 1]) if n else 0.0
        ends.append(float(side[max(n - 1, 0)] + share * (side[n] - side[max(n - 1, 0)])))
    return ends[0], ends[1]


def _result(
    table: _Table, shared: str, start: float, grid: FloatArray, traces: FloatArray
) -> RegionFit:
    deviance = np.stack([_deviance(table, one) for one in traces])
    least = deviance.min(axis=1)
    total = least.sum(axis=1)
    best = int(np.argmin(total))
    low, high = _ends(np.log(grid), total - total.min() - float(chi2.ppf(0.95, 1)))
    profiles = ((total[:, None] - least)[:, None, :] + deviance).min(axis=0)
    reach = REACHES_LN[np.argmin(deviance[best], axis=0)]
    changes = table.change_log2(reach, traces[best])
    return RegionFit(
        regions=_regions(table, profiles, reach, changes),
        shared=pd.DataFrame(
            [
                (
                    shared,
                    start,
                    grid[best],
                    np.exp(low),
                    np.exp(high),
                    np.isfinite([low, high]).all(),
                )
            ],
            columns=["parameter", "start", "value", "low_95", "high_95", "identified"],
        ),
        profile=pd.DataFrame({"value": grid, "deviance": total - total.min()}),
        curves=_long(table, changes, "fitted_log2"),
        cells=_measured(table),
        measure=table.measure,
        reference=REFERENCE[table.measure],
    )


def _regions(
    table: _Table, profiles: FloatArray, reach: FloatArray, changes: FloatArray
) -> pd.DataFrame:
    nu = table.degrees
    limit = nu * np.log1p(float(t.ppf(0.975, nu)) ** 2 / nu)
    ends = np.array(
        [_ends(REACHES_LN, profiles[:, r] - profiles[:, r].min() - limit)
         for r in range(len(table.ids))]
    )  # fmt: skip
    left = table.centred(table.raw) - table.centred(changes[:, table.group_of])
    squares = (left**2).sum(axis=1)
    log2 = 1.0 / np.log(2.0)
    return pd.DataFrame(
        {
            "region_id": table.ids,
            "acronym": table.acronyms,
            "reach_log2": reach * log2,
            "low_95": ends[:, 0] * log2,
            "high_95": ends[:, 1] * log2,
            "identified": np.isfinite(ends).all(axis=1),
            "residual_sd_log2": np.sqrt(squares / nu),
            "lack_of_fit_p": _lack_of_fit(table, squares),
            "label": "encoded",
        }
    )


def _lack_of_fit(table: _Table, squares: FloatArray) -> FloatArray:
    """Compare the model with one mean per group, p of F; NaN where nothing is left over."""
    n_groups, n = len(table.groups), len(table.group_of)
    more, within = n_groups - (n - table.degrees), n - n_groups
    if more < 1 or within < 1:
        return np.full(len(squares), np.nan)
    free = sum(
        ((part - part.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
        for part in (table.raw[:, table.group_of == g] for g in range(n_groups))
    )
    ratio = ((squares - free) / more) / (free / within)
    return np.asarray(f.sf(ratio, more, within))


def _long(table: _Table, changes: FloatArray, name: str) -> pd.DataFrame:
    rows = [
        (table.ids[r], table.acronyms[r], dose, days, float(changes[r, g]))
        for r in range(len(table.ids))
        for g, (dose, days) in enumerate(table.groups)
    ]
    return pd.DataFrame(rows, columns=["region_id", "acronym", "dose_mg_per_kg", "days", name])


def _measured(table: _Table) -> pd.DataFrame:
    """Return mean changes from the vehicle of the same days, with standard errors."""
    means = np.full((len(table.ids), len(table.groups)), np.nan)
    errors = means.copy()
    for g, (_, days) in enumerate(table.groups):
        here = table.raw[:, table.group_of == g]
        if (0.0, days) not in table.groups:
            continue
        vehicle = table.raw[:, table.group_of == table.groups.index((0.0, days))]
        means[:, g] = here.mean(axis=1) - vehicle.mean(axis=1)
        if here.shape[1] > 1 and vehicle.shape[1] > 1:
            errors[:, g] = np.sqrt(
                here.var(axis=1, ddof=1) / here.shape[1]
                + vehicle.var(axis=1, ddof=1) / vehicle.shape[1]
            )
    found = _long(table, means, "measured_log2")
    found["se_log2"] = errors.ravel()
    return found[found["dose_mg_per_kg"] > 0.0].reset_index(drop=True)
