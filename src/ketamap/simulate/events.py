"""From a dosing plan to what changes in the model, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ketamap.core.dosing import KETAMINE_G_PER_MOL, Dose, DosingPlan, Route

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


def events_of(plan: DosingPlan, parameters: Mapping[str, float]) -> Events:
    """Translate a plan.

    An intranasal dose is shared out: what one spray device holds is absorbed with
    `F_nose_first`, what lies above it with a lower fraction, and the rest is swallowed over
    `duration_swallowed` (Perez-Ruixo 2021, rows A037 to A040).
    """
    jumps: list[Jump] = []
    rates: list[Span] = []
    for dose in plan.doses:
        for enantiomer, umol in zip("SR", dose.split_umol(plan.subject.kg), strict=True):
            if umol > 0.0:
                _add(dose, enantiomer, umol, _nasal_part(dose, plan, parameters), jumps, rates,
                     parameters)  # fmt: skip
    blocks = tuple(
        Span(block.start_h, block.end_h, _BLOCK_PARAMETER[block.kind], block.fraction)
        for block in plan.blocks
    )
    return Events(tuple(jumps), tuple(rates), blocks)


def _nasal_part(dose: Dose, plan: DosingPlan, parameters: Mapping[str, float]) -> float:
    """Part of an intranasal dose that is absorbed in the nose."""
    milligrams = dose.amount_umol(plan.subject.kg) * KETAMINE_G_PER_MOL / 1000.0
    spray = parameters["spray_mg"]
    first = min(milligrams, spray) / milligrams if milligrams else 1.0
    later = parameters["F_nose_later_factor"] * (1.0 - first)
    return parameters["F_nose_first"] * (first + later)


def _add(
    dose: Dose,
    enantiomer: str,
    umol: float,
    nasal_part: float,
    jumps: list[Jump],
    rates: list[Span],
    parameters: Mapping[str, float],
) -> None:
    if dose.route != "in":
        state, stem = _DEPOT[dose.route]
        _give(f"{state}_{enantiomer}", f"infuse_{stem}_{enantiomer}", umol, dose, jumps, rates)
        return
    _give(f"depot_nose_{enantiomer}", f"infuse_nose_{enantiomer}", umol * nasal_part, dose,
          jumps, rates)  # fmt: skip
    swallowed = umol * (1.0 - nasal_part)
    hours = dose.duration_h + parameters["duration_swallowed"]
    rates.append(
        Span(dose.time_h, dose.time_h + hours, f"infuse_swallowed_{enantiomer}", swallowed / hours)
    )


def _give(
    state: str, rate: str, umol: float, dose: Dose, jumps: list[Jump], rates: list[Span]
) -> None:
    if dose.duration_h > 0.0:
        rates.append(Span(dose.time_h, dose.stop_h, rate, umol / dose.duration_h))
    else:
        jumps.append(Jump(dose.time_h, state, umol))
