"""What a subject is given and when: doses, schedules, co-treatments.  No model in here.

Two enantiomers are followed apart everywhere, so a dose says whether it is the racemate,
S-ketamine or R-ketamine.  Amounts of ketamine are those of the base.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from ketamap.core.errors import InputError

DoseUnit: TypeAlias = Literal["mg/kg", "mg", "umol", "umol/kg"]
"""Unit of an amount; per kg is multiplied by the subject's weight."""

Route: TypeAlias = Literal["iv", "ip", "sc", "im", "in", "po"]
"""Intravenous, intraperitoneal, subcutaneous, intramuscular, intranasal, oral."""

Form: TypeAlias = Literal["racemate", "S", "R"]
"""Racemic ketamine (half S, half R), esketamine, arketamine."""

Species: TypeAlias = Literal["mouse", "rat", "human"]
"""Species the simulator has parameters for."""

Stress: TypeAlias = Literal["none", "cms", "defeat", "helpless"]
"""Not stressed, chronic mild stress, social defeat, learned helplessness."""

BlockKind: TypeAlias = Literal[
    "ampa_antagonist", "mtor_inhibitor", "d1_antagonist", "lhb_lesion", "nmda_antagonist"
]
"""What a co-treatment takes away."""

KETAMINE_G_PER_MOL = 237.73
"""Molar mass of ketamine base, C13H16ClNO, from the standard atomic weights."""

TYPICAL_WEIGHT_KG: dict[Species, float] = {"mouse": 0.025, "rat": 0.3, "human": 70.0}
"""Weight of a subject that states none: the weights the parameters belong to."""


TIME_STEP_H = 1e-9
"""Moments closer than this (4 microseconds) are one."""


def _one_of(value: object, allowed: tuple[str, ...], what: str) -> None:
    if value not in allowed:
        msg = f"{what} must be one of {', '.join(allowed)}, got {value!r}."
        raise InputError(msg)


def _finite_from_zero(value: float, what: str) -> None:
    if not (math.isfinite(value) and value >= 0.0):
        msg = f"{what} must be 0 or more and finite, got {value:g}."
        raise InputError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """One administration of ketamine.

    Raises
    ------
    InputError
        If the amount, time or duration is negative or not finite, or the unit, route or
        form is unknown or missing.
    """

    time_h: float
    """Start, hours after the beginning of the plan."""

    amount: float
    """Amount of ketamine base, in `unit`."""

    unit: DoseUnit
    """Unit of `amount`; there is no default."""

    route: Route
    """How it is given."""

    duration_h: float = 0.0
    """Hours over which it runs in at a constant rate; 0 is a bolus."""

    form: Form = "racemate"
    """Racemate or one enantiomer."""

    def __post_init__(self) -> None:
        _one_of(self.unit, get_args(DoseUnit), "the unit of a dose")
        _one_of(self.route, get_args(Route), "the route of a dose")
        _one_of(self.form, get_args(Form), "the form of a dose")
        _finite_from_zero(self.amount, "the amount of a dose")
        _finite_from_zero(self.time_h, "time_h of a dose")
        _finite_from_zero(self.duration_h, "duration_h of a dose")

    @property
    def stop_h(self) -> float:
        """When it has run in, hours."""
        return self.time_h + self.duration_h

    def amount_umol(self, weight_kg: float) -> float:
        """Amount for a subject of this weight, umol of ketamine base."""
        amount = self.amount * (weight_kg if self.unit.endswith("/kg") else 1.0)
        return amount if self.unit.startswith("umol") else amount * 1000.0 / KETAMINE_G_PER_MOL

    def amount_mg(self, weight_kg: float) -> float:
        """Amount for a subject of this weight, mg of ketamine base."""
        return self.amount_umol(weight_kg) * KETAMINE_G_PER_MOL / 1000.0

    def split_umol(self, weight_kg: float) -> tuple[float, float]:
        """Amounts of S- and of R-ketamine, umol."""
        whole = self.amount_umol(weight_kg)
        part_s = {"racemate": 0.5, "S": 1.0, "R": 0.0}[self.form]
        return whole * part_s, whole * (1.0 - part_s)


def repeat(dose: Dose, every_h: float, additional: int) -> tuple[Dose, ...]:
    """Repeat a dose at a fixed interval, as II and ADDL of an event table do.

    Returns
    -------
    tuple of Dose
        ``additional + 1`` doses, the first one ``dose`` itself.

    Raises
    ------
    InputError
        If ``additional`` is negative, or the interval is not positive and it is needed.
    """
    if additional < 0 or additional != int(additional):
        msg = f"additional must be a whole number, 0 or more, got {additional}."
        raise InputError(msg)
    if additional and not (math.isfinite(every_h) and every_h > 0.0):
        msg = f"every_h must be positive where a dose is repeated, got {every_h:g}."
        raise InputError(msg)
    return tuple(
        replace(dose, time_h=dose.time_h + k * every_h) for k in range(int(additional) + 1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who is dosed.

    Raises
    ------
    InputError
        If the species or stress protocol is unknown or the weight is not positive.
    """

    species: Species
    """Selects the parameter set."""

    weight_kg: float | None = None
    """Body weight; left out: 0.025 (mouse), 0.3 (rat), 70 (human)."""

    sex: str = ""
    """``F``, ``M`` or empty.  Kept for tables; no parameter depends on it."""

    stress: Stress = "none"
    """Stress protocol the subject went through before the plan begins."""

    def __post_init__(self) -> None:
        _one_of(self.species, get_args(Species), "species")
        _one_of(self.stress, get_args(Stress), "stress")
        _one_of(self.sex, ("F", "M", ""), "sex")
        weight = self.weight_kg
        if weight is not None and not (math.isfinite(weight) and weight > 0.0):
            msg = f"weight_kg must be positive, got {weight:g}."
            raise InputError(msg)

    @property
    def kg(self) -> float:
        """Weight used: the stated one, or the typical one of the species."""
        return TYPICAL_WEIGHT_KG[self.species] if self.weight_kg is None else self.weight_kg


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A co-treatment that takes a fraction of one step of the mechanism away.

    Raises
    ------
    InputError
        If the kind is unknown, the fraction lies outside [0, 1] or the end is not after
        the start.
    """

    kind: BlockKind
    """What is blocked."""

    start_h: float
    """From, hours."""

    end_h: float
    """Until, hours; may lie after the end of the plan."""

    fraction: float = 1.0
    """Fraction taken away; 1 is complete."""

    def __post_init__(self) -> None:
        _one_of(self.kind, get_args(BlockKind), "the kind of a block")
        if not 0.0 <= self.fraction <= 1.0:
            msg = (
                f"the fraction of a block ({self.kind}) must lie between 0 and 1 (1 is a "
                f"complete block), got {self.fraction:g}."
            )
            raise InputError(msg)
        _finite_from_zero(self.start_h, f"start_h of a block ({self.kind})")
        if not self.end_h > self.start_h:
            msg = (
                f"a block ({self.kind}) must end after it starts, got {self.start_h:g} to "
                f"{self.end_h:g} h."
            )
            raise InputError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class DosingPlan:
    """A regimen for one subject, ready to simulate.

    Raises
    ------
    InputError
        With every fault in one message: no positive length, doses or infusions after the
        end, blocks that start after the end.
    """

    name: str
    """Shown on figures and in tables."""

    subject: Subject
    """Who is dosed."""

    doses: tuple[Dose, ...]
    """In any order; infusions may overlap.  Empty: an untreated subject."""

    end_h: float
    """Length of the simulation, hours."""

    blocks: tuple[Block, ...] = ()
    """Co-treatments."""

    targets: tuple[str, ...] = ()
    """Cell classes or regions the drug reaches; empty: the whole body."""

    def __post_init__(self) -> None:
        faults = []
        if not (math.isfinite(self.end_h) and self.end_h >= TIME_STEP_H):
            faults.append(f"end_h must be positive and finite, got {self.end_h:g}")
        for k, dose in enumerate(self.doses, 1):
            if dose.time_h > self.end_h - TIME_STEP_H:
                faults.append(f"dose {k} at {dose.time_h:g} h lies after the end, {self.end_h:g} h")
            elif dose.stop_h > self.end_h + TIME_STEP_H:
                faults.append(
                    f"the infusion of dose {k} runs to {dose.stop_h:g} h, after the end, "
                    f"{self.end_h:g} h"
                )
        faults += [
            f"block {block.kind} starts at {block.start_h:g} h, after the end, {self.end_h:g} h"
            for block in self.blocks
            if block.start_h >= self.end_h
        ]
        if faults:
            msg = f"Plan {self.name!r}: {'; '.join(faults)}. Set end_h later or move them."
            raise InputError(msg)

    @property
    def treated(self) -> bool:
        """Whether any ketamine is given."""
        return any(dose.amount > 0.0 for dose in self.doses)
