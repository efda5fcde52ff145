"""What the model knows by name: cell classes, encoded regions, stress protocols."""

from __future__ import annotations

from dataclasses import dataclass

from ketamap.core.dosing import Stress
from ketamap.core.errors import InputError

CELL_CLASSES: dict[str, tuple[str, str]] = {
    "pv": ("parvalbumin interneurons of the cortex", "rate_pv"),
    "pyr": ("pyramidal cells of the cortex", "rate_pyr"),
    "vta_gaba": ("GABA cells of the ventral tegmental area", "1"),
    "lhb": ("cells of the lateral habenula", "lhb_relative"),
}
"""Class of NMDA receptors: what it is, and the activity that opens its channels."""

PREFRONTAL = ("ACA", "PL", "ILA", "ORB", "FRP")
"""Regions whose interneurons and pyramidal cells the model's cortex stands for."""

STRESS_LEVEL: dict[Stress, float] = {"none": 0.0, "cms": 1.0, "defeat": 1.0, "helpless": 1.0}
"""Value of the parameter ``stress``.  No row gives the size of a difference between protocols,
so they are equal; `STRESS_EVIDENCE` says what was measured in which."""

STRESS_NAMES: dict[Stress, str] = {
    "none": "no stress",
    "cms": "chronic mild stress",
    "defeat": "social defeat",
    "helpless": "learned helplessness",
}
"""What the protocols are called."""

STRESS_EVIDENCE: dict[Stress, dict[str, str]] = {
    "cms": {"synapses": "C043"},
    "defeat": {"synapses": "C053"},
    "helpless": {"habenula": "C014 C030 C035"},
}
"""Rows that show a change by protocol: ``habenula`` (bursting, and through it VTA and dopamine
before the drug), ``synapses`` (loss of spines).  What is not there is taken over from the
others."""


@dataclass(frozen=True, slots=True)
class EncodedRegion:
    """A region readout whose sign is a table entry."""

    readout: str
    """Column of the simulation."""

    region: str
    """Acronym of the structure, or a class of regions."""

    measure: str
    """``th`` (TH per cell) or ``axon`` (density)."""

    sign: int
    """Direction the study reports."""

    reported_at: str
    """Regimen for which the direction was read."""

    source_rows: str
    """Rows of the facts."""


def _regions() -> tuple[EncodedRegion, ...]:
    at_30, at_100 = "30 mg/kg daily, 10 days", "100 mg/kg daily, 10 days"
    th = (
        ("DR", -1, at_30, "D001"),
        ("DMH", -1, at_30, "D002"),
        ("MPN", -1, at_30, "D003"),
        ("ZI", 1, at_30, "D004"),
        ("SNr", 1, at_30, "D005"),
        ("midbrain_class", -1, at_100, "D008"),
        ("hypothalamus_class", 1, at_100, "D009"),
    )
    axons = (
        ("AUD", -1, at_100, "D007 D013"),
        ("VIS", -1, at_100, "D007 D013"),
        *((region, 1, at_100, "D007 D013") for region in PREFRONTAL),
    )
    return tuple(
        EncodedRegion(f"{measure}_{region}", region, measure, sign, at, rows)
        for measure, table in (("th", th), ("axon", axons))
        for region, sign, at, rows in table
    )


ENCODED_REGIONS: tuple[EncodedRegion, ...] = _regions()
"""Regions of the seed study whose direction could be read; there is nothing for others."""

REACHES = (
    *(f"reach_{name}" for name in CELL_CLASSES),
    "reach_md",
    "reach_body",
    "reach_acb",
    "reach_cp",
    *(f"reach_{one.readout}" for one in ENCODED_REGIONS),
)
"""Parameters that say how much of the drug's effect arrives where."""

TARGETS: dict[str, tuple[str, ...]] = {
    "PV": ("reach_pv",),
    "PYR": ("reach_pyr",),
    "VTA_GABA": ("reach_vta_gaba",),
    "VTA": ("reach_vta_gaba",),
    "LHb": ("reach_lhb",),
    "MD": ("reach_md",),
    "ACB": ("reach_acb",),
    "CP": ("reach_cp",),
    "PFC": ("reach_pv", "reach_pyr", *(f"reach_axon_{region}" for region in PREFRONTAL)),
    **{region: ("reach_pv", "reach_pyr", f"reach_axon_{region}") for region in PREFRONTAL},
    **{
        one.region: (f"reach_{one.readout}",)
        for one in ENCODED_REGIONS
        if one.region not in PREFRONTAL and not one.region.endswith("_class")
    },
}
"""Names a plan may target, and what each one reaches."""


def reach_of(targets: tuple[str, ...]) -> dict[str, float]:
    """Return the reach parameters of a list of targets; none means the whole body.

    Raises
    ------
    InputError
        If a target is not in the model.
    """
    if not targets:
        return dict.fromkeys(REACHES, 1.0)
    known = {name.lower(): name for name in TARGETS}
    unknown = [one for one in targets if one.lower() not in known]
    if unknown:
        msg = (
            f"The model has no target {', '.join(map(repr, unknown))}. Known are "
            f"{', '.join(TARGETS)}."
        )
        raise InputError(msg)
    reach = dict.fromkeys(REACHES, 0.0)
    for one in targets:
        reach.update(dict.fromkeys(TARGETS[known[one.lower()]], 1.0))
    return reach
