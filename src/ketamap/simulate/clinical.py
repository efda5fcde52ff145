"""The clinical course of a regimen: blood, receptors, what is felt, mood, response, relapse."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from ketamap.core.dosing import Dose, DosingPlan, Subject, repeat
from ketamap.core.errors import InputError
from ketamap.core.progress import Progress, silent
from ketamap.core.space import FloatArray
from ketamap.simulate.draws import draw_parameters
from ketamap.simulate.engine import SolveError, shared_engine
from ketamap.simulate.labels import LabelKind, label_of
from ketamap.simulate.members import World, worlds_of
from ketamap.simulate.population import (
    QUANTILE_NAMES,
    QUANTILES,
    UNCERTAINTY,
    in_order,
    tasks_of,
)
from ketamap.simulate.response import Patients, calibrate_response

RESEARCH_ONLY = "For research, not for dosing."
"""To be shown on every clinical page and table."""

SIMULATED = (
    "plasma_ketamine_ng_per_ml",
    "occupancy_receptor",
    "dissociation_cadss",
    "systolic_change_mmhg",
    "mood_effect",
)
"""Columns of the model that are shown."""

PLACEBO = "placebo_response_percent"
DERIVED = ("response_percent", "remission_percent", PLACEBO, "relapse_percent")
"""Quantities computed from mood: see `response`.  Relapse is the part of those who
respond a day after the last dose that no longer respond; before that it is 0."""

DERIVED_LABELS: dict[str, LabelKind] = {
    "response_percent": "compatible",
    "remission_percent": "known failure",
    PLACEBO: "encoded",
    "relapse_percent": "compatible",
}
"""Label of each derived quantity; those of the model have their own (`labels.label_of`).
Response over days holds within the members' spread, not within each."""

DAY_H = 24.0

_INFUSION = Dose(time_h=0.0, amount=0.5, unit="mg/kg", route="iv", duration_h=40.0 / 60.0)
_LINK_COLUMN = ("mood_effect",)
_TOLERANCE = 1e-6


def single_infusion(*, end_days: float = 14.0) -> DosingPlan:
    """Return 0.5 mg/kg over 40 minutes, once."""
    return _plan("0.5 mg/kg over 40 min, once", (_INFUSION,), end_days)


def infusions_with_maintenance(*, weeks: int = 4, maintenance_weeks: int = 8) -> DosingPlan:
    """Return two infusions a week, then one a week, then four weeks without.

    Raises
    ------
    InputError
        If there is no week of treatment or a negative number of maintenance.
    """
    if weeks < 1 or maintenance_weeks < 0:
        msg = f"weeks must be 1 or more, maintenance 0 or more: got {weeks}, {maintenance_weeks}."
        raise InputError(msg)
    acute = repeat(_INFUSION, 84.0, 2 * weeks - 1)
    first_h = 7.0 * DAY_H * weeks
    later = [
        Dose(
            time_h=first_h + 7.0 * DAY_H * k,
            amount=0.5,
            unit="mg/kg",
            route="iv",
            duration_h=_INFUSION.duration_h,
        )
        for k in range(maintenance_weeks)
    ]
    name = f"0.5 mg/kg twice weekly for {weeks} weeks, weekly for {maintenance_weeks}"
    return _plan(name, (*acute, *later), 7.0 * (weeks + maintenance_weeks + 4))


def nasal_esketamine(amount_mg: float, *, end_days: float = 14.0) -> DosingPlan:
    """Return one session of nasal esketamine; 28, 56 and 84 mg are one to three sprays."""
    dose = Dose(time_h=0.0, amount=amount_mg, unit="mg", route="in", form="S")
    return _plan(f"esketamine {amount_mg:g} mg nasal, once", (dose,), end_days)


def clinical_plans() -> tuple[DosingPlan, ...]:
    """Return the regimens of the clinical page."""
    return (
        single_infusion(),
        infusions_with_maintenance(),
        *(nasal_esketamine(mg) for mg in (28.0, 56.0, 84.0)),
    )


def _plan(name: str, doses: tuple[Dose, ...], end_days: float) -> DosingPlan:
    patient = Subject(species="human", stress="cms")
    return DosingPlan(name=name, subject=patient, doses=doses, end_h=end_days * DAY_H)


def clinical_times_h(plan: DosingPlan) -> FloatArray:
    """Return output times: the first hours after the first dose, then every 12 hours."""
    early = np.array([0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 90.0, 120.0, 180.0, 240.0]) / 60.0
    times = np.unique(np.concatenate([early, np.arange(0.0, plan.end_h + 1e-9, 12.0)]))
    return np.asarray(times[times <= plan.end_h])


def clinical_course(  # noqa: PLR0913 (what is simulated, how, and who listens)
    plan: DosingPlan,
    n_draws: int = 100,
    *,
    worlds: Sequence[World] | None = None,
    seed: int = 0,
    times_h: Sequence[float] | FloatArray | None = None,
    patients: Patients | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Follow a regimen in patients: median and intervals, apart for each member.

    In every draw response is calibrated to one infusion (F001) with the same parameters and
    members; nothing else of the clinical course is fitted.

    Parameters
    ----------
    plan
        Regimen of a human.
    n_draws
        Draws from the priors per member.
    worlds
        Members; left out: the three routes to mood.
    seed
        Of the draws; the number of workers changes nothing.
    times_h
        Output times; left out: `clinical_times_h`.
    patients
        How patients differ, and the placebo response (encoded).
    workers
        Processes.
    progress
        Told how many draws of all members are done.

    Returns
    -------
    DataFrame
        Long: ``plan, members, quantity, time_h, low_95, low_50, median, high_50, high_95,
        n`` (draws that count: those that solve, and for response those in which mood
        rises at all), ``label``, ``spread`` (``parameters``) and ``notice``
        (`RESEARCH_ONLY`).

    Raises
    ------
    InputError
        If the subject is not human or there is no draw.
    """
    if plan.subject.species != "human" or n_draws < 1 or workers < 1:
        msg = (
            "A clinical course needs a human subject, 1 draw or more and 1 worker or more, got "
            f"{plan.subject.species}, {n_draws} and {workers}."
        )
        raise InputError(msg)
    times = clinical_times_h(plan) if times_h is None else np.asarray(times_h, dtype=np.float64)
    patients = patients or Patients()
    parts = []
    chosen = worlds_of("mood") if worlds is None else worlds
    for k, one in enumerate(chosen):
        task = partial(_curves, plan, one.parameters("human"), seed, times, patients)
        curves: list[FloatArray] = []
        tasks = tasks_of(n_draws)
        for draws, part in zip(tasks, in_order(task, tasks, workers), strict=True):
            curves += part
            progress(k * n_draws + draws.stop, len(chosen) * n_draws)
        parts.append(_bands(np.array(curves), times).assign(members=one.name))
    frame = pd.concat(parts, ignore_index=True)
    labels = {name: label_of(name, plan).kind for name in SIMULATED} | DERIVED_LABELS
    frame["label"] = frame["quantity"].map(labels)
    return frame.assign(plan=plan.name, spread=UNCERTAINTY, notice=RESEARCH_ONLY)


def _curves(
    plan: DosingPlan,
    centre: dict[str, float],
    seed: int,
    times_h: FloatArray,
    patients: Patients,
    draws: range,
) -> list[FloatArray]:
    """Return one array (time, quantity) per draw that can be solved."""
    course, link_engine = shared_engine(SIMULATED, _TOLERANCE), shared_engine(_LINK_COLUMN)
    first = single_infusion(end_days=1.0)
    found = []
    for draw in draws:
        drawn = draw_parameters("human", seed=seed, draw=draw, centre=centre)
        try:
            frame = course.simulate(plan, parameters=drawn, times_h=times_h)
            after_one = link_engine.simulate(first, parameters=drawn, times_h=[DAY_H])
        except SolveError:
            continue  # shown as a smaller n
        link = calibrate_response(float(after_one["mood_effect"].iloc[0]), patients)
        mood = frame["mood_effect"].to_numpy(dtype=np.float64)
        response = 100.0 * link.response(mood)
        derived = (
            response,
            100.0 * link.remission(mood),
            np.full(len(times_h), 100.0 * patients.placebo_response),
            _relapse(response, times_h, plan),
        )
        found.append(np.column_stack([frame[list(SIMULATED)].to_numpy(), *derived]))
    return found


def _relapse(response: FloatArray, times_h: FloatArray, plan: DosingPlan) -> FloatArray:
    """Part of the responders of a day after the last dose who no longer respond, percent.

    One latent mood orders patients, so responders at a lower mood are among those at a
    higher one, and their numbers can be divided.
    """
    reference_h = max((dose.stop_h for dose in plan.doses), default=0.0) + DAY_H
    after = times_h >= reference_h
    if not after.any():
        return np.zeros_like(response)
    reference = np.interp(reference_h, times_h, response)
    return np.where(after, 100.0 * np.clip(1.0 - response / reference, 0.0, 1.0), 0.0)


def _bands(curves: FloatArray, times_h: FloatArray) -> pd.DataFrame:
    parts = []
    for k, quantity in enumerate((*SIMULATED, *DERIVED)):
        values = curves[:, :, k]
        values = values[np.isfinite(values).all(axis=1)]
        bands = (
            np.quantile(values, QUANTILES, axis=0)
            if len(values)
            else np.full((len(QUANTILES), len(times_h)), np.nan)
        )
        columns = dict(zip(QUANTILE_NAMES, bands, strict=True))
        parts.append(
            pd.DataFrame({"quantity": quantity, "time_h": times_h, **columns, "n": len(values)})
        )
    return pd.concat(parts, ignore_index=True)
