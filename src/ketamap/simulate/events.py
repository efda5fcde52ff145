"""From a dosing plan to what changes in the model, and when."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ketamap.core.dosing import TIME_STEP_H, Dose, DosingPlan, Route
from ketamap.simulate.model import DOSING_PARAMETERS
from ketamap.simulate.species import STRESS_LEVEL, reach_of

_DECIMALS = round(-math.log10(TIME_STEP_H))
"""Moments are kept to this many decimals of an hour."""

_DEPOT: dict[Route, tuple[str, str]] = {
    "iv": ("central", "iv"),
    "ip": ("depot_ip", "ip"),
    "sc": ("depot_sc", "sc"),
    "im": ("depot_im", "im"),
    "po": ("depot_oral", "oral"),
}
"""Route: the state a bolus is added to, and the stem of the rate an infusion sets."""

_BLOCK_PARAMETER = {
    "ampa_antagonist": "block_ampa",
    "mtor_inhibitor": "block_mtor",
    "d1_antagonist": "block_d1",
    "lhb_lesion": "lesion_lhb",
    "nmda_antagonist": "block_nmda",
}


def on_grid(times_h: ArrayLike) -> NDArray[np.float64]:
    """Round moments, so that 0.1 + 0.2 and 0.3 are one and no interval is too short to solve."""
    return np.asarray(times_h, dtype=np.float64).round(_DECIMALS)


def _moment(time_h: float) -> float:
    return float(on_grid(time_h))


@dataclass(frozen=True, slots=True)
class Jump:
    """An amount added to a state at once."""

    time_h: float
    """When."""

    state: str
    """Name of the state."""

    amount_umol: float
    """Added amount."""


@dataclass(frozen=True, slots=True)
class Span:
    """A value that a parameter has during an interval."""

    start_h: float
    """From, this moment included."""

    stop_h: float
    """Until, this moment not included."""

    parameter: str
    """Name of the parameter."""

    value: float
    """Value; rates of overlapping spans add up, block fractions combine as independent."""


@dataclass(frozen=True, slots=True)
class Events:
    """All changes of a plan."""

    jumps: tuple[Jump, ...]
    """Boluses."""

    rates: tuple[Span, ...]
    """Infusions."""

    blocks: tuple[Span, ...]
    """Co-treatments."""

    def cuts_h(self, end_h: float) -> list[float]:
        """Moments at which integration stops and starts anew, 0 and the end included."""
        end_h = _moment(end_h)
        times = {0.0, end_h}
        times.update(jump.time_h for jump in self.jumps)
        for span in (*self.rates, *self.blocks):
            times.update((span.start_h, span.stop_h))
        return sorted(time for time in times if 0.0 <= time <= end_h)

    def settings_at(self, time_h: float) -> dict[str, float]:
        """Values of rates and blocks from a moment on; parameters not in use are 0."""
        values = {span.parameter: 0.0 for span in (*self.rates, *self.blocks)}
        for span in self.rates:
            if span.start_h <= time_h < span.stop_h:
                values[span.parameter] += span.value
        for span in self.blocks:
            if span.start_h <= time_h < span.stop_h:
                values[span.parameter] = 1.0 - (1.0 - values[span.parameter]) * (1.0 - span.value)
        return values

    def jumps_at(self, time_h: float) -> dict[str, float]:
        """Amounts added at a moment, umol by state; two boluses at once are one sum."""
        added: dict[str, float] = {}
        for jump in self.jumps:
            if jump.time_h == time_h:
                added[jump.state] = added.get(jump.state, 0.0) + jump.amount_umol
        return added


def start_of(
    plan: DosingPlan, values: Mapping[str, float], overrides: Mapping[str, float]
) -> dict[str, float]:
    """Parameters of the model for this plan's subject and targets, before any event.

    Weight and stress are the subject's unless an override states them.
    """
    start = {name: value for name, value in values.items() if name not in DOSING_PARAMETERS}
    subject = {"weight": plan.subject.kg, "stress": STRESS_LEVEL[plan.subject.stress]}
    start.update({name: value for name, value in subject.items() if name not in overrides})
    return start | reach_of(plan.targets)


def events_of(plan: DosingPlan, parameters: Mapping[str, float]) -> Events:
    """Translate a plan.

    An intranasal dose is shared out: what one spray device holds is absorbed with
    `F_nose_first`, what lies above it with a lower fraction, and the rest is swallowed over
    `duration_swallowed` (Perez-Ruixo 2021, rows A037 to A040).
    """
    jumps: list[Jump] = []
    rates: list[Span] = []
    for dose in plan.doses:
        for portion in _portions(dose, plan.subject.kg, parameters):
            start_h, stop_h = _moment(dose.time_h), _moment(dose.time_h + portion.hours)
            if stop_h > start_h:
                value = portion.umol / (stop_h - start_h)
                rates.append(Span(start_h, stop_h, portion.rate, value))
            else:
                jumps.append(Jump(start_h, portion.state, portion.umol))
    blocks = tuple(
        Span(
            _moment(block.start_h),
            _moment(block.end_h),
            _BLOCK_PARAMETER[block.kind],
            block.fraction,
        )
        for block in plan.blocks
    )
    return Events(tuple(jumps), tuple(rates), blocks)


@dataclass(frozen=True, slots=True)
class _Portion:
    """Part of a dose that enters one compartment."""

    umol: float
    state: str
    rate: str
    hours: float


def _portions(dose: Dose, weight_kg: float, parameters: Mapping[str, float]) -> Iterator[_Portion]:
    for enantiomer, umol in zip("SR", dose.split_umol(weight_kg), strict=True):
        if umol <= 0.0:
            continue
        if dose.route != "in":
            state, stem = _DEPOT[dose.route]
            yield _portion(umol, state, stem, enantiomer, dose.duration_h)
            continue
        nasal = umol * _nasal_part(dose.amount_mg(weight_kg), parameters)
        hours = dose.duration_h + parameters["duration_swallowed"]
        yield _portion(nasal, "depot_nose", "nose", enantiomer, dose.duration_h)
        yield _portion(umol - nasal, "depot_swallowed", "swallowed", enantiomer, hours)


def _portion(umol: float, state: str, stem: str, enantiomer: str, hours: float) -> _Portion:
    return _Portion(umol, f"{state}_{enantiomer}", f"infuse_{stem}_{enantiomer}", hours)


def _nasal_part(milligrams: float, parameters: Mapping[str, float]) -> float:
    """Part of an intranasal dose that is absorbed in the nose."""
    first = min(parameters["spray_mg"] / milligrams, 1.0)
    return parameters["F_nose_first"] * (first + parameters["F_nose_later_factor"] * (1.0 - first))
