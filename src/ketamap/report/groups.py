"""Animals and their groups, and each animal's value in each region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ketamap.report.contents import StudyReport

UNGROUPED = "all animals"
"""Group of animals of which none is stated."""

VALUES_SHOWN = {"relative": "log2_relative", "absolute": "log2_density"}
"""Column of the values table behind each estimand."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Groups:
    """Which animals belong together."""

    of_animal: dict[str, str]
    """Group of each animal, in the order of the animals table."""

    names: tuple[str, ...]
    """Groups by days and dose where these are known; otherwise those that others are
    compared with first, then by appearance."""

    @property
    def sizes(self) -> dict[str, int]:
        """Animals per group."""
        return {g: sum(mine == g for mine in self.of_animal.values()) for g in self.names}

    def members(self, group: str) -> list[str]:
        """Animals of a group."""
        return [animal for animal, mine in self.of_animal.items() if mine == group]


def groups_of(report: StudyReport) -> Groups:
    """Find the groups: those of the analysis (animal factors), else of the animals table."""
    animals = report.animals
    of_animal = dict.fromkeys(animals["animal"].astype(str), UNGROUPED)
    for frame in (animals, report.animal_factors):
        if "group" in frame.columns:
            of_animal |= _labels(frame, set(of_animal))
    found = dict.fromkeys(of_animal.values())
    contrasts = report.effects["contrast"].astype(str).unique()
    references = [g for g in found if any(c.endswith(f" vs {g}") for c in contrasts)]
    names = tuple(dict.fromkeys([*references, *found]))
    return Groups(of_animal=of_animal, names=_by_dose(names, of_animal, animals))


def wide_values(report: StudyReport, measure: str, column: str, groups: Groups) -> pd.DataFrame:
    """Arrange one column of the values table as region x animal, NaN where missing."""
    values = report.values
    if values.empty or column not in values.columns:
        return pd.DataFrame(columns=list(groups.of_animal), dtype=float)
    mine = values[values["measure"] == measure]
    wide = mine.pivot_table(index="region_id", columns="animal", values=column, aggfunc="first")
    wide.columns = wide.columns.astype(str)
    return wide.reindex(columns=list(groups.of_animal)).astype(float)


def counts_per_group(wide: pd.DataFrame, groups: Groups) -> pd.DataFrame:
    """Count the animals with a value, region x group."""
    there = wide.notna()
    counts = {g: there[groups.members(g)].sum(axis=1).to_numpy() for g in groups.names}
    return pd.DataFrame(counts, index=wide.index).astype(int)


def plain_numbers(values: Any, digits: int = 4) -> list[float | None]:
    """Round to JSON numbers, None where there is none."""
    array = np.asarray(values, dtype=float)
    return [round(float(v), digits) if np.isfinite(v) else None for v in array]


def spread(count: int, width: float = 0.5) -> list[float]:
    """Places side by side around 0, so that dots of one group do not hide each other."""
    if count < 2:
        return [0.0] * count
    reach = 0.5 * width * min(1.0, count / 6)
    return [round(float(x), 4) for x in np.linspace(-reach, reach, count)]


def _labels(frame: pd.DataFrame, known: set[str]) -> dict[str, str]:
    pairs = zip(frame["animal"].astype(str), frame["group"].astype(str), strict=True)
    return {animal: group for animal, group in pairs if animal in known}


def _by_dose(
    names: tuple[str, ...], of_animal: dict[str, str], animals: pd.DataFrame
) -> tuple[str, ...]:
    dose = next((c for c in ("dose_mg_per_kg", "dose") if c in animals.columns), None)
    if dose is None:
        return names
    keys = pd.DataFrame({"group": animals["animal"].astype(str).map(of_animal)})
    keys["days"] = pd.to_numeric(animals["days"], errors="coerce") if "days" in animals else 0.0
    keys["dose"] = pd.to_numeric(animals[dose], errors="coerce")
    if keys["dose"].isna().all():
        return names
    first = keys.groupby("group", sort=False)[["days", "dose"]].min()
    return tuple(first.sort_values(["days", "dose"], kind="stable", na_position="last").index)
