"""The seed study, simulated: groups of mice in, the region table of an imaging study out.

Directions come from a table of what the study reports (``study_regions.csv``, encoded); no
mechanism predicts them.  The size follows the simulated trace of receptor block, scaled by a
setting that is ours.  A cell counts where its TH exceeds the detection threshold, so that
counts change without birth or death of cells.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from ketamap.core.atlas import HEMISPHERES, Structures
from ketamap.core.dosing import Dose, DosingPlan, Subject, repeat
from ketamap.core.errors import InputError
from ketamap.core.space import FloatArray
from ketamap.core.tables import REGIONS
from ketamap.simulate.engine import shared_engine
from ketamap.simulate.facts import read_data_table

CELLS = "cells"
AXONS = "axon_length_mm"

NOTE = (
    "Simulated animals. The directions of the planted changes are a table of what one study "
    "reports (encoded); their sizes and all baselines are ours. No mechanism is claimed."
)
"""To be shown wherever simulated animals are."""

MEASURED_NOISE_LN: dict[str, tuple[float, float]] = {
    "davoudian_b1": (0.43, 0.50),
    "aboharb_mdma": (0.13, 0.20),
    "aboharb_ketamine": (0.36, 0.28),
    "hu_saline": (0.64, 1.21),
    "dimmock_cs1": (0.28, 0.29),
}
"""Spread between animals of one group in real region tables, ln units: of the factor all
regions of an animal share, and the median of what is left per region."""

TH_CELLS_PER_MM3: dict[str, float] = {
    "VTA": 1000.0, "SNc": 1100.0, "RR": 900.0, "CLI": 1000.0, "IF": 600.0, "DR": 900.0,
    "PAG": 150.0, "SNr": 150.0, "MRN": 60.0, "PPN": 60.0, "LC": 1200.0, "ARH": 600.0,
    "PVH": 500.0, "PVp": 400.0, "TU": 300.0, "VMH": 300.0, "TM": 250.0, "DMH": 400.0,
    "MPN": 400.0, "ZI": 200.0, "MOB": 120.0,
}  # fmt: skip
"""Cells that make TH, by structure and its parts, before any threshold; sizes ours."""

TH_CELLS_ELSEWHERE_PER_MM3 = 60.0
"""The same elsewhere; ours."""

AXON_MM_PER_MM3: dict[str, float] = {"CP": 3000.0, "ACB": 2500.0, "OT": 2000.0, "CTX": 60.0}
"""Length density of dopamine axons; the striatum is dense, cortex sparse (E008), sizes ours."""

AXONS_ELSEWHERE_MM_PER_MM3 = 100.0
"""The same elsewhere; ours."""

REFERENCE = {CELLS: (30.0, 10), AXONS: (100.0, 10)}
"""Dose (mg/kg) and days whose trace counts as 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyGroup:
    """Mice treated alike, once a day, intraperitoneally.

    Raises
    ------
    InputError
        If the dose is negative or there is less than one day.
    """

    dose_mg_per_kg: float
    """Daily dose; 0 is vehicle."""

    days: int
    """Days of treatment; the brain is taken a day after the last dose."""

    def __post_init__(self) -> None:
        if not (0.0 <= self.dose_mg_per_kg < float("inf") and self.days >= 1):
            msg = (
                "a group needs a dose of 0 or more and at least one day, got "
                f"{self.dose_mg_per_kg:g} mg/kg and {self.days} days."
            )
            raise InputError(msg)

    @property
    def label(self) -> str:
        """Return ``vehicle 10 d`` or ``30 mg/kg 10 d``."""
        dose = f"{self.dose_mg_per_kg:g} mg/kg" if self.dose_mg_per_kg else "vehicle"
        return f"{dose} {self.days} d"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySettings:
    """Sizes, noise and detection; all but the noise are ours.

    Raises
    ------
    InputError
        If a spread is not positive where it must be, or the detected part is not a part.
    """

    animal_sd_ln: float = MEASURED_NOISE_LN["aboharb_ketamine"][0]
    """Spread of the factor all regions of an animal share (ketamine mice of a real table)."""

    region_sd_ln: float = MEASURED_NOISE_LN["aboharb_ketamine"][1]
    """Spread of the factor of each region, both sides alike."""

    th_size_ln: float = 0.5
    """Change of mean TH per cell at a trace of 1, ln units."""

    th_sd_ln: float = 0.7
    """Spread of TH between cells of a region, ln units."""

    detected: float = 0.5
    """Part of TH-making cells above the detection threshold in an untreated animal."""

    axon_size_ln: float = 0.5
    """Change of axon density at a trace of 1, ln units."""

    def __post_init__(self) -> None:
        sizes = (self.animal_sd_ln, self.region_sd_ln, self.th_size_ln, self.axon_size_ln)
        if min(sizes) < 0.0 or self.th_sd_ln <= 0.0 or not 0.0 < self.detected < 1.0:
            msg = f"spreads must not be negative and 0 < detected < 1, got {self}."
            raise InputError(msg)

    def detected_change_ln(self, th_change_ln: FloatArray) -> FloatArray:
        """Return the change of the detected count when mean TH per cell changes, ln units.

        TH per cell is log-normal; the threshold is where ``detected`` cells exceed it.
        """
        reach = ndtri(self.detected) + np.asarray(th_change_ln) / self.th_sd_ln
        return np.asarray(np.log(ndtr(reach) / self.detected))


STUDY_GROUPS: tuple[StudyGroup, ...] = tuple(
    StudyGroup(dose_mg_per_kg=dose, days=days) for dose in (0.0, 30.0, 100.0) for days in (1, 5, 10)
)
"""The nine groups of the seed study's design."""


@lru_cache(maxsize=1)
def _encoded() -> pd.DataFrame:
    table = read_data_table("study_regions.csv")
    return table.astype({"dose_mg_per_kg": float, "days": int, "sign": int})


def encoded_regions() -> pd.DataFrame:
    """Return what the study reports: region, measure, dose, days, sign, basis, source rows."""
    return _encoded().copy()


@lru_cache(maxsize=64)
def _trace(dose_mg_per_kg: float, days: int, column: str) -> float:
    """Return the response to the trace of block, a day after the last dose, hours."""
    dose = Dose(time_h=0.0, amount=dose_mg_per_kg, unit="mg/kg", route="ip")
    plan = DosingPlan(
        name=f"{dose_mg_per_kg:g} mg/kg {days} d",
        subject=Subject(species="mouse"),
        doses=repeat(dose, 24.0, days - 1),
        end_h=24.0 * days,
    )
    frame = shared_engine((column,), 1e-6).simulate(plan, times_h=[24.0 * days])
    return float(frame[column].iloc[0])


def planted_effects(
    groups: Sequence[StudyGroup],
    *,
    structures: Structures,
    settings: StudySettings | None = None,
    effects: bool = True,
) -> pd.DataFrame:
    """Return what is planted in each group, with its label.

    Parameters
    ----------
    groups
        Groups of the study.  Only doses and days of the table have effects: nothing is
        known of others, and nothing before day 10.
    structures
        Tree of the atlas; table rows it lacks are left out.
    settings
        Sizes.
    effects
        False plants nothing.

    Returns
    -------
    DataFrame
        Columns ``region_id, acronym, measure, group, sign, planted_log2, label`` (always
        ``encoded``), ``basis`` (the region itself, or a statement on its class),
        ``certainty`` and ``source_rows``.  A change holds for the structure and all its
        parts.
    """
    settings = settings or StudySettings()
    table = _encoded()
    table = table[table["acronym"].isin(structures.acronyms)]
    rows = [
        _planted_row(group, row, structures, settings)
        for group in groups
        for row in table.to_dict("records")
        if effects and row["dose_mg_per_kg"] == group.dose_mg_per_kg and row["days"] <= group.days
    ]
    columns = ["region_id", "acronym", "measure", "group", "sign", "planted_log2", "label"]
    return pd.DataFrame(rows, columns=[*columns, "basis", "certainty", "source_rows"])


def _planted_row(
    group: StudyGroup,
    row: Mapping[Hashable, object],
    structures: Structures,
    settings: StudySettings,
) -> dict[str, object]:
    measure, sign, acronym = str(row["measure"]), int(str(row["sign"])), str(row["acronym"])
    column = "th_response" if measure == CELLS else "axon_response"
    size = _trace(group.dose_mg_per_kg, group.days, column) / _trace(*REFERENCE[measure], column)
    if measure == CELLS:
        change_ln = float(settings.detected_change_ln(np.array(sign * settings.th_size_ln * size)))
    else:
        change_ln = sign * settings.axon_size_ln * size
    return {
        "region_id": structures.id_of(acronym),
        "acronym": acronym,
        "measure": measure,
        "group": group.label,
        "sign": sign,
        "planted_log2": change_ln / np.log(2.0),
        "label": "encoded",
        **{name: row[name] for name in ("basis", "certainty", "source_rows")},
    }


@dataclass(frozen=True, eq=False, kw_only=True)
class _Tissue:
    """What every animal of a study has in common."""

    structures: Structures
    volumes_mm3: FloatArray
    settings: StudySettings
    baseline: dict[str, FloatArray] = field(default_factory=dict)


def simulated_study(
    groups: Sequence[StudyGroup],
    n: int,
    seed: int,
    *,
    effects: bool = True,
    structures: Structures,
    volumes_mm3: FloatArray,
    settings: StudySettings | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate the animals of a study as an imaging pipeline would report them.

    Parameters
    ----------
    groups
        Groups; `STUDY_GROUPS` are those of the seed study.
    n
        Animals per group.
    seed
        Of the noise; animals do not depend on each other's number.
    effects
        False plants nothing: for checking that nothing is found.
    structures
        Tree of the atlas.
    volumes_mm3
        Volume of each structure itself (without its parts), left and right, shape ``(n, 2)``.
    settings
        Sizes, noise and detection.

    Returns
    -------
    tuple of DataFrame
        The region table (columns of `core.tables.REGIONS`, measures ``cells`` and
        ``axon_length_mm``) and the animals (``animal, drug, dose_mg_per_kg, days, group,
        sex, label``).

    Raises
    ------
    InputError
        If there are no groups or animals, a group is named twice, or the volumes do not
        belong to the structures.
    """
    settings = settings or StudySettings()
    volumes = np.asarray(volumes_mm3, dtype=np.float64)
    _check(groups, n, structures, volumes)
    tissue = _Tissue(
        structures=structures,
        volumes_mm3=volumes,
        settings=settings,
        baseline=_baselines(structures, settings),
    )
    planted = planted_effects(groups, structures=structures, settings=settings, effects=effects)
    regions, animals = [], []
    for group in groups:
        change = _changes_ln(planted[planted["group"] == group.label], structures)
        for k in range(n):
            name = f"{group.label.replace('/', ' per ').replace(' ', '_')}_{k + 1:02d}"
            rng = np.random.default_rng([seed, round(1000 * group.dose_mg_per_kg), group.days, k])
            regions.append(_animal_rows(name, tissue, change, rng))
            animals.append(_animal(name, group))
    return pd.concat(regions, ignore_index=True), pd.DataFrame(animals)


def _check(
    groups: Sequence[StudyGroup], n: int, structures: Structures, volumes: FloatArray
) -> None:
    labels = [group.label for group in groups]
    if not labels or n < 1 or len(set(labels)) < len(labels):
        msg = f"A study needs different groups and n of 1 or more, got n={n} of {labels}."
        raise InputError(msg)
    if volumes.shape != (len(structures), 2) or not (volumes >= 0.0).all():
        msg = (
            f"volumes_mm3 must be 0 or more with shape ({len(structures)}, 2), left and right of "
            f"each structure, got shape {volumes.shape}."
        )
        raise InputError(msg)


def _animal(name: str, group: StudyGroup) -> dict[str, object]:
    return {
        "animal": name,
        "drug": "ketamine",
        "dose_mg_per_kg": group.dose_mg_per_kg,
        "days": group.days,
        "group": group.label,
        "sex": "M",
        "label": "simulated",
    }


def _rows_with_parts(structures: Structures, acronym: str) -> list[int]:
    if acronym not in structures.acronyms:
        return []
    region_id = structures.id_of(acronym)
    return [structures.position(i) for i in (region_id, *structures.descendants(region_id))]


def _baselines(structures: Structures, settings: StudySettings) -> dict[str, FloatArray]:
    """Return detected cells and axon length per mm3 of an untreated animal, by measure."""
    found = {}
    for measure, dense, elsewhere in (
        (CELLS, TH_CELLS_PER_MM3, TH_CELLS_ELSEWHERE_PER_MM3),
        (AXONS, AXON_MM_PER_MM3, AXONS_ELSEWHERE_MM_PER_MM3),
    ):
        per_mm3 = np.full(len(structures), elsewhere)
        for acronym, density in dense.items():
            per_mm3[_rows_with_parts(structures, acronym)] = density
        found[measure] = per_mm3 * (settings.detected if measure == CELLS else 1.0)
    return found


def _changes_ln(planted: pd.DataFrame, structures: Structures) -> dict[str, FloatArray]:
    change = {measure: np.zeros(len(structures)) for measure in (CELLS, AXONS)}
    for row in planted.to_dict("records"):
        rows = _rows_with_parts(structures, str(row["acronym"]))
        change[str(row["measure"])][rows] = float(row["planted_log2"]) * np.log(2.0)
    return change


def _animal_rows(
    name: str, tissue: _Tissue, change: dict[str, FloatArray], rng: np.random.Generator
) -> pd.DataFrame:
    parts = []
    for measure in (CELLS, AXONS):
        shared = tissue.settings.animal_sd_ln * rng.standard_normal()
        each = tissue.settings.region_sd_ln * rng.standard_normal(len(tissue.structures))
        density = tissue.baseline[measure] * np.exp(change[measure] + shared + each)
        expected = density[:, None] * tissue.volumes_mm3
        own = rng.poisson(expected).astype(np.float64) if measure == CELLS else expected
        parts.append(_frame(name, measure, own, tissue))
    return pd.concat(parts, ignore_index=True)


def _frame(name: str, measure: str, own: FloatArray, tissue: _Tissue) -> pd.DataFrame:
    structures, volumes = tissue.structures, tissue.volumes_mm3
    total, volume_total = structures.roll_up(own), structures.roll_up(volumes)
    there = volume_total.sum(axis=1) > 0.0
    sides = [
        pd.DataFrame(
            {
                "animal": name,
                "region_id": structures.ids[there],
                "acronym": np.array(structures.acronyms, dtype=object)[there],
                "hemisphere": side,
                "measure": measure,
                "own": own[there, k],
                "total": total[there, k],
                "volume_own_mm3": volumes[there, k],
                "volume_total_mm3": volume_total[there, k],
            },
            columns=list(REGIONS.required),
        )
        for k, side in enumerate(HEMISPHERES)
    ]
    return pd.concat(sides, ignore_index=True)
