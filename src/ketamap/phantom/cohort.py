"""A cohort of phantom animals: groups, planted effects, and noise between animals.

The **directions** of the default effects follow Datta et al. (2023); every **size** is
ours, as are the base densities.  A phantom cohort shows that the software finds what was
planted; it says nothing about ketamine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pandas as pd

from ketamap.core.atlas import HEMISPHERES, Atlas, Structures
from ketamap.core.errors import InputError, StructureNotFoundError
from ketamap.core.space import FloatArray
from ketamap.core.study import Regimen
from ketamap.phantom.density import base_densities, base_lengths, own_volumes_mm3, rows_with_parts

CELLS, AXONS = "cells", "axon_length_mm"
"""What is planted, by the names of the region table."""

_STREAMS = {CELLS: 0xA1, AXONS: 0xA3}
"""Streams of chance of the factors between animals: staining shows cells and axons apart."""

NOTE = (
    "Phantom brains: made by the program, with planted changes. The directions of the changes "
    "follow Datta et al. 2023 (Cell Reports 42:113491); their sizes and all densities are ours."
)
"""To be shown wherever a phantom cohort is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A planted change of one structure and all its parts."""

    acronym: str
    """Allen acronym."""

    fold: float
    """Density as a multiple of an untreated animal's; 0.5 is half, 2 is double."""

    measure: str = CELLS
    """What changes: `CELLS` or `AXONS`."""

    def __post_init__(self) -> None:
        if not 0.0 < self.fold < float("inf"):
            msg = f"The fold change of {self.acronym} must be positive, got {self.fold:g}."
            raise InputError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomGroup:
    """Animals treated alike."""

    regimen: Regimen
    """What they are given."""

    effects: tuple[Effect, ...] = ()
    """What it does to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortNoise:
    """Differences between animals of one group.

    Defaults are at the low end of real light-sheet tables (animal factor 0.13 to 0.64,
    structures 0.20 to 1.2 ln units), so that four mice a group can show something.
    """

    animal_sd_ln: float = 0.15
    """Spread of the factor all structures of an animal share (staining), ln units."""

    region_sd_ln: float = 0.10
    """Spread of the factor of each structure, both sides alike, ln units."""

    def __post_init__(self) -> None:
        for name, sd in (("animal_sd_ln", self.animal_sd_ln), ("region_sd_ln", self.region_sd_ln)):
            if not 0.0 <= sd < float("inf"):
                msg = f"{name} must be 0 or more, got {sd:g}."
                raise InputError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAnimal:
    """One animal of a phantom cohort."""

    animal: str
    """Identifier."""

    group: PhantomGroup
    """Its treatment and what that does."""

    sex: str
    """``F`` or ``M``; without effect."""

    seed: int
    """Of everything random about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortPlan:
    """A phantom cohort, decided but not yet made."""

    seed: int
    """Of the whole cohort."""

    animals: tuple[PlannedAnimal, ...]
    """All animals, group by group."""

    noise: CohortNoise = field(default_factory=CohortNoise)
    """Differences between animals."""

    @property
    def groups(self) -> tuple[PhantomGroup, ...]:
        """The groups, in order of appearance."""
        return tuple(dict.fromkeys(one.group for one in self.animals))


def _vehicle_30_100(days: int = 10) -> tuple[PhantomGroup, ...]:
    low = {"DR": 1 / 1.5, "DMH": 1 / 1.6, "MPN": 1 / 1.6, "ZI": 1.5, "SNr": 1.5}
    high = {
        "VTA": 1 / 2.0, "SNc": 1 / 1.8, "RR": 1 / 1.8, "PAG": 1 / 1.6, "CLI": 1 / 2.2,
        "DR": 1 / 1.9, "ARH": 2.0, "PVH": 1.9, "TU": 1.7, "VMH": 1.8,
    }  # fmt: skip
    axons = {"AUD": 0.7, "VIS": 0.7, "PL": 1.3, "ILA": 1.3, "ACA": 1.3}
    none = dict[str, float]()
    return tuple(
        PhantomGroup(
            regimen=Regimen(drug="ketamine", dose_mg_per_kg=dose, days=days),
            effects=(
                *(Effect(acronym=a, fold=f) for a, f in cells.items()),
                *(Effect(acronym=a, fold=f, measure=AXONS) for a, f in fibres.items()),
            ),
        )
        for dose, cells, fibres in ((0.0, none, none), (30.0, low, none), (100.0, high, axons))
    )


DEFAULT_GROUPS = _vehicle_30_100()
"""Vehicle, 30 and 100 mg/kg ketamine a day for 10 days.

Directions of changes of TH+ cells, and at 100 mg/kg of TH+ axons: Datta M.S. et al. (2023), Whole-brain mapping reveals the
divergent impact of ketamine on the dopamine system, Cell Reports 42, 113491.  Sizes: ours.
"""


def default_cohort(
    seed: int = 1,
    animals_per_group: int = 4,
    groups: Iterable[PhantomGroup] = DEFAULT_GROUPS,
    noise: CohortNoise | None = None,
) -> CohortPlan:
    """Plan a cohort.

    Parameters
    ----------
    seed
        The same seed gives the same cohort.
    animals_per_group
        At least 1.
    groups
        Treatments and what they do.
    noise
        Differences between animals.

    Raises
    ------
    InputError
        If there are no animals.
    """
    if animals_per_group < 1:
        msg = f"animals_per_group must be at least 1, got {animals_per_group}."
        raise InputError(msg)
    members = [group for group in groups for _ in range(animals_per_group)]
    seeds = np.random.SeedSequence(seed).generate_state(len(members), np.uint32)
    return CohortPlan(
        seed=seed,
        animals=tuple(
            PlannedAnimal(
                animal=f"{_short(group.regimen)}_{k % animals_per_group + 1:02d}",
                group=group,
                sex="FM"[k % 2],
                seed=int(seeds[k]),
            )
            for k, group in enumerate(members)
        ),
        noise=noise or CohortNoise(),
    )


def _short(regimen: Regimen) -> str:
    dose = f"{regimen.drug[:3]}{regimen.dose_mg_per_kg:g}" if regimen.dose_mg_per_kg else "veh"
    return f"{dose}_{regimen.days}d"


def animals_frame(plan: CohortPlan) -> pd.DataFrame:
    """Return the animals table: ``animal, drug, dose_mg_per_kg, days, sex, group``."""
    return pd.DataFrame(
        [
            {
                "animal": one.animal,
                "drug": one.group.regimen.drug,
                "dose_mg_per_kg": one.group.regimen.dose_mg_per_kg,
                "days": one.group.regimen.days,
                "sex": one.sex,
                "group": one.group.regimen.group,
            }
            for one in plan.animals
        ]
    )


def effects_log2(
    group: PhantomGroup, structures: Structures, *, measure: str = CELLS
) -> FloatArray:
    """Planted log2 change of each structure in one measure, by row of the tree.

    Raises
    ------
    StructureNotFoundError
        If the atlas lacks a structure that is to change.
    """
    planted = np.zeros(len(structures))
    for effect in (one for one in group.effects if one.measure == measure):
        rows = rows_with_parts(structures, effect.acronym)
        if not rows:
            msg = (
                f"The planted effect on {effect.acronym!r} has no place: this atlas has no such "
                f"structure. Use the phantom atlas, or plan groups with its acronyms."
            )
            raise StructureNotFoundError(msg)
        planted[rows] = np.log2(effect.fold)
    return planted


def planted_effects(plan: CohortPlan, structures: Structures) -> pd.DataFrame:
    """List the planted changes.

    Columns ``group, dose_mg_per_kg, days, region_id, acronym, measure, effect_log2``.
    """
    records = []
    for group, measure in product(plan.groups, (CELLS, AXONS)):
        change = effects_log2(group, structures, measure=measure)
        records += [
            {
                "group": group.regimen.group,
                "dose_mg_per_kg": group.regimen.dose_mg_per_kg,
                "days": group.regimen.days,
                "region_id": int(structures.ids[row]),
                "acronym": structures.acronyms[row],
                "measure": measure,
                "effect_log2": float(change[row]),
            }
            for row in np.flatnonzero(change)
        ]
    columns = ["group", "dose_mg_per_kg", "days", "region_id", "acronym", "measure", "effect_log2"]
    return pd.DataFrame(records, columns=columns)


def animal_densities(
    plan: CohortPlan,
    animal: PlannedAnimal,
    base_per_mm3: FloatArray,
    structures: Structures,
    *,
    measure: str = CELLS,
) -> FloatArray:
    """Cells, or mm of axon, per mm3: base x planted effect x animal and structure factors."""
    change = np.exp2(effects_log2(animal.group, structures, measure=measure))
    stream = _STREAMS[measure]
    return base_per_mm3 * change * _factors(plan.noise, len(base_per_mm3), animal.seed, stream)


def _factors(noise: CohortNoise, n: int, *seed: int) -> FloatArray:
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    shared = noise.animal_sd_ln * rng.standard_normal()
    return np.asarray(np.exp(shared + noise.region_sd_ln * rng.standard_normal(n)))


def cohort_table(
    plan: CohortPlan,
    atlas: Atlas,
    seed: int,
    *,
    effects: bool = True,
    volumes_mm3: FloatArray | None = None,
    measure: str = CELLS,
) -> pd.DataFrame:
    """Simulate the region table of a cohort, without images.

    The same densities, effects and noise as the images have; cells are whole numbers,
    rounded at random, length is not; brains differ in size by 5 % (standard deviation of
    the volume).

    Parameters
    ----------
    plan
        Animals, effects and noise.
    atlas
        Gives structures and volumes.
    seed
        Of this draw: another seed gives another cohort of the same design.
    effects
        False plants nothing: a null cohort.
    volumes_mm3
        `own_volumes_mm3(atlas)`, where many draws are made.
    measure
        `CELLS` or `AXONS`.

    Returns
    -------
    DataFrame
        Required columns of `ketamap.core.tables.REGIONS`; every structure that has a
        volume of its own or below it.
    """
    structures = atlas.structures
    own_mm3 = own_volumes_mm3(atlas) if volumes_mm3 is None else volumes_mm3
    base = base_densities(atlas, own_mm3) if measure == CELLS else base_lengths(atlas, own_mm3)
    frames = []
    for one in plan.animals:
        density = base * _factors(plan.noise, len(base), seed, one.seed, _STREAMS[measure])
        if effects:
            density *= np.exp2(effects_log2(one.group, structures, measure=measure))
        rng = np.random.default_rng(np.random.SeedSequence([seed, one.seed, 0xB7]))
        volumes = own_mm3 * np.exp(rng.normal(0.0, 0.05))
        values = density[:, None] * volumes
        if measure == CELLS:
            values = np.floor(values + rng.random(volumes.shape))
        rows = _animal_rows(one.animal, structures, values, volumes)
        frames.append(rows.assign(measure=measure))
    return pd.concat(frames, ignore_index=True)


def _animal_rows(
    animal: str, structures: Structures, counts: FloatArray, volumes: FloatArray
) -> pd.DataFrame:
    total_mm3 = structures.roll_up(volumes)
    total = structures.roll_up(counts)
    rows = np.repeat(np.flatnonzero(total_mm3.sum(axis=1) > 0), 2)
    side = np.tile([0, 1], len(rows) // 2)
    return pd.DataFrame(
        {
            "animal": animal,
            "region_id": structures.ids[rows],
            "acronym": np.asarray(structures.acronyms, dtype=object)[rows],
            "hemisphere": np.asarray(HEMISPHERES, dtype=object)[side],
            "measure": "cells",
            "own": counts[rows, side],
            "total": total[rows, side],
            "volume_own_mm3": volumes[rows, side],
            "volume_total_mm3": total_mm3[rows, side],
        }
    )
