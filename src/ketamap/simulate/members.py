"""Where sources contradict each other: a discrete ensemble, never averaged.

Each conflict has two or three members; a member is a name and the parameters it changes.
Results carry the names of the members they were made with, and a summary is made per member.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

from ketamap.core.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One side of a conflict."""

    name: str
    """Short name, shown with every result."""

    meaning: str
    """What it assumes."""

    source_rows: str
    """Rows of the facts that speak for it."""

    parameters: Mapping[str, float] = field(default_factory=dict)
    """Values that replace those of the parameter table; empty: the table as it is."""

    species: tuple[str, ...] = ("mouse", "rat", "human")
    """Species whose parameters it changes."""


_PER_H = 60.0
_LIVER_FLOW = 151.0  # A049, L/h
_CLEMENTS_V1_LITRE = 1.7522 * 70.0

_CLEMENTS = {
    "V1": _CLEMENTS_V1_LITRE,
    "CL": 0.0109 * _PER_H * _CLEMENTS_V1_LITRE,
    "Q2": 0.0186 * _PER_H * _CLEMENTS_V1_LITRE,
    "V2": 0.0186 / 0.0137 * _CLEMENTS_V1_LITRE,
    "Q3": 0.0,
    "extraction_liver": 0.0109 * _PER_H * _CLEMENTS_V1_LITRE / _LIVER_FLOW,
}
"""Rate constants of A058 (1/min, V1 1.7522 L/kg) as volumes and flows of 70 kg."""

_PEREZ_RUIXO = {
    "V1": 192.0,
    "Q2": 84.3,
    "V2": 143.0,
    "Q3": 37.6,
    "V3": 417.0,
    "CL": 109.0,
    "extraction_liver": 109.0 / _LIVER_FLOW,
    "F_gut": 0.64,
}
"""Volumes and flows A044 to A048; clearance of its well-stirred liver, A101; gut A042."""

_BINDING_UM = (0.25 * 0.66) ** 0.5
"""Geometric middle of the binding range B012, uM."""

CONFLICTS: dict[str, tuple[Member, ...]] = {
    "pk": (
        Member(
            name="simons",
            meaning="arterial three-compartment disposition",
            source_rows="A017 A018 A019 A020 A021 A022",
        ),
        Member(
            name="perez_ruixo",
            meaning="venous population model of esketamine",
            source_rows="A042 A044 A045 A046 A047 A048 A049 A101",
            parameters=_PEREZ_RUIXO,
            species=("human",),
        ),
        Member(
            name="clements",
            meaning="two-compartment model of the racemate",
            source_rows="A049 A058",
            parameters=_CLEMENTS,
            species=("human",),
        ),
    ),
    "affinity": (
        Member(
            name="in_vivo", meaning="occupancy of unbound plasma in vivo", source_rows="B001 B002"
        ),
        Member(
            name="in_vitro",
            meaning="binding to membranes; norketamine in the ratio of B007 to B006",
            source_rows="B012 B006 B007",
            parameters={
                "IC50_ketamine": _BINDING_UM,
                "IC50_norketamine": _BINDING_UM * 0.97 / 0.119,
            },
        ),
    ),
    "uptake": (
        Member(name="uptake_off", meaning="monoamine uptake is not touched", source_rows="B030"),
        Member(
            name="uptake_on",
            meaning="dopamine uptake is blocked",
            source_rows="B028",
            parameters={"uptake_on": 1.0},
        ),
    ),
    "mood": (
        Member(
            name="hybrid", meaning="mood follows habenula and spines", source_rows="C029 C031 C049"
        ),
        Member(
            name="habenula",
            meaning="mood follows the habenula alone",
            source_rows="C029 C031",
            parameters={"weight_spines": 0.0},
        ),
        Member(
            name="spines",
            meaning="mood follows spines alone; the sustained effect needs no habenula",
            source_rows="C032 C049",
            parameters={"weight_lhb": 0.0},
        ),
    ),
    "bdnf": (
        Member(name="bdnf_up", meaning="BDNF rises", source_rows="C044 C045"),
        Member(
            name="bdnf_down",
            meaning="BDNF falls, as in hippocampus of male rats after an infusion",
            source_rows="C046",
            parameters={"gain_bdnf": -1.0},
        ),
    ),
    "s1_delay": (
        Member(name="s1_as_pfc", meaning="S1 spines follow at once, as in PFC", source_rows="C047"),
        Member(
            name="s1_late",
            meaning="S1 spines follow days later; the delay is encoded after C051",
            source_rows="C051",
            parameters={"tau_priming": 36.0},
        ),
    ),
}
"""The conflicts and their members; the first of each is what is shown where one is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One member of every conflict."""

    members: tuple[Member, ...]

    @property
    def name(self) -> str:
        """Names of the members that differ from the default, or ``default``."""
        first = {choices[0].name for choices in CONFLICTS.values()}
        return "+".join(m.name for m in self.members if m.name not in first) or "default"

    def parameters(self, species: str) -> dict[str, float]:
        """Return what the members change for a species."""
        return {
            name: value
            for member in self.members
            if species in member.species
            for name, value in member.parameters.items()
        }


def world(*names: str) -> World:
    """Return the default members with those named put in their place.

    Raises
    ------
    InputError
        If a name is unknown, or two names are sides of the same conflict.
    """
    side = {m.name: conflict for conflict, members in CONFLICTS.items() for m in members}
    unknown = [name for name in names if name not in side]
    if unknown:
        msg = f"No member is called {', '.join(unknown)}. There are {', '.join(side)}."
        raise InputError(msg)
    taken = {side[name]: name for name in names}
    if len(taken) < len(names):
        msg = f"{', '.join(names)}: two of these are sides of one conflict. Name one of each."
        raise InputError(msg)
    return World(
        members=tuple(
            next(m for m in members if m.name == taken.get(conflict, members[0].name))
            for conflict, members in CONFLICTS.items()
        )
    )


def worlds_of(*conflicts: str) -> tuple[World, ...]:
    """Return every combination of the members of these conflicts, the rest at default.

    Raises
    ------
    InputError
        If a conflict is unknown.
    """
    unknown = [name for name in conflicts if name not in CONFLICTS]
    if unknown:
        msg = f"No conflict is called {', '.join(unknown)}. There are {', '.join(CONFLICTS)}."
        raise InputError(msg)
    choices = [[m.name for m in CONFLICTS[name]] for name in conflicts]
    return tuple(world(*names) for names in product(*choices))
