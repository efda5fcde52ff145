"""Every measure of a region table through the statistics, and their answers put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from ketamap.core.atlas import Structures
from ketamap.core.errors import DesignError, TableError
from ketamap.core.measures import CELLS, in_order, measure_of
from ketamap.core.settings import Design
from ketamap.workflow.spans import with_spans

if TYPE_CHECKING:
    from ketamap.stats import Analysis
    from ketamap.stats.design import DesignMatrix

DEFAULT_PERMUTATIONS = 2000
"""Of the second opinion where a design names no number: 0.06 CPU-s per contrast at 300 regions
and 40 animals, and a standard error of 0.005 at p = 0.05."""

FURTHER_TABLES = (
    "any_dose",
    "interaction",
    "onset",
    "dose_response",
    "selection",
    "permutation",
)
"""Answers beside the effects table, each there where its question can be asked."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """The analysis of every measure, each with its own families of tests."""

    by_measure: Mapping[str, Analysis]
    """In the order of the report."""

    permutations: int
    """Of the second opinion; 0: none."""

    cells: tuple[dict[str, Any], ...] = ()
    """Dose and day of each contrast of a design with doses: ``contrast, dose, day``."""

    notes: tuple[str, ...] = ()
    """What was left out, and why."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Measures that were analysed."""
        return tuple(self.by_measure)

    @property
    def effects(self) -> pd.DataFrame:
        """Columns of `ketamap.core.tables.EFFECTS`."""
        return _stacked([one.effects for one in self.by_measure.values()])

    @property
    def values(self) -> pd.DataFrame:
        """Columns of `ketamap.core.tables.VALUES`."""
        return _stacked([one.values for one in self.by_measure.values()])

    @property
    def animal_factors(self) -> pd.DataFrame:
        """Columns of `ketamap.core.tables.ANIMAL_FACTORS`."""
        return _stacked(
            [one.animal_factors.assign(measure=name) for name, one in self.by_measure.items()]
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know, once; with the measure where it holds for one of several."""
        told = {name: list(one.warnings) for name, one in self.by_measure.items()}
        first = next(iter(told.values()))
        shared = [w for w in first if all(w in other for other in told.values())]
        own = [
            f"{measure_of(name).short.capitalize()}: {w}"
            for name, mine in told.items()
            for w in mine
            if w not in shared
        ]
        return (*self.notes, *dict.fromkeys([*shared, *own]))

    @property
    def partition(self) -> dict[str, str]:
        """How the brain was divided, by measure."""
        return {name: one.partition for name, one in self.by_measure.items()}

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Names, in order."""
        return self._first.contrasts

    @property
    def n_per_group(self) -> dict[str, int]:
        """Animals in each group."""
        return self._first.n_per_group

    @property
    def formula(self) -> str:
        """The model in Wilkinson notation."""
        return self._first.formula

    @property
    def models(self) -> list[dict[str, Any]]:
        """Numbers of each measure's model, for the methods."""
        from ketamap.stats.families import SHIFT_SHARE
        from ketamap.stats.testability import LEAST_ANIMALS, LEAST_VOLUME_MM3

        return [
            {
                "measure": name,
                "prior_df": one.prior_df,
                "variance_ratio": one.variance_ratio,
                "variances_pooled": one.variances_pooled,
                "offset": one.offset,
                "least_mean": one.least_mean,
                "least_volume_mm3": LEAST_VOLUME_MM3,
                "least_animals": LEAST_ANIMALS,
                "shapes": one.shapes,
                "permutations": self.permutations,
                "shift_share": SHIFT_SHARE,
            }
            for name, one in self.by_measure.items()
        ]

    def further(self, name: str) -> pd.DataFrame | None:
        """Return one of `FURTHER_TABLES` over all measures; None where none has it."""
        frames = [getattr(one, name) for one in self.by_measure.values()]
        there = [frame for frame in frames if frame is not None]
        return _stacked(there) if there else None

    @property
    def _first(self) -> Analysis:
        return next(iter(self.by_measure.values()))


def answer(
    table: pd.DataFrame,
    animals: pd.DataFrame,
    design: Design,
    *,
    structures: Structures | None,
    counts: Literal["own", "total"] | None,
    atlas_volumes: Mapping[int, float] | None,
) -> Answers:
    """Analyse every measure that the design names, or that the table holds.

    Parameters
    ----------
    table, animals, design, structures, counts, atlas_volumes
        See `ketamap.stats.analyse`.

    Returns
    -------
    Answers
        Each measure has its own families of tests.  Where the design names none, a further
        measure that cannot be analysed is left out, and named in the notes.

    Raises
    ------
    TableError, DesignError
        From `ketamap.stats.analyse`, for the first measure and for those that were named.
    """
    from ketamap.stats import analyse as estimate
    from ketamap.stats import build_design
    from ketamap.stats.rows import with_plain_names

    table = with_plain_names(table)
    matrix = build_design(animals, design)
    permutations, notes = _permutations(matrix, animals, design)
    found: dict[str, Analysis] = {}
    for name in _wanted(table, design):
        try:
            rows, one = rows_of(table, name), replace(design, measures=(name,))
            result = estimate(
                rows, animals, one, structures=structures, counts=counts,
                atlas_volumes=atlas_volumes, permutations=permutations,
            )  # fmt: skip
        except (TableError, DesignError) as error:
            if design.measures or not found:
                error.add_note(f"Measure: {name}")
                raise
            notes.append(f"The {measure_of(name).density} was not analysed: {error}")
        else:
            found[name] = with_spans(result, rows, structures)
    return Answers(
        by_measure=found,
        permutations=permutations,
        cells=tuple(
            {"contrast": c.name, "dose": c.dose, "day": c.day}
            for c in matrix.contrasts
            if c.dose is not None
        ),
        notes=tuple(notes),
    )


def _wanted(table: pd.DataFrame, design: Design) -> tuple[str, ...]:
    """Measures to analyse, in order."""
    if design.measures:
        return design.measures
    return in_order(map(str, table["measure"].unique())) if "measure" in table else (CELLS,)


def rows_of(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Rows of a measure; the whole table where there are none, to be refused with its reason."""
    rows = table[table["measure"].astype(str) == measure] if "measure" in table else table
    return table if rows.empty else rows


def _permutations(
    matrix: DesignMatrix, animals: pd.DataFrame, design: Design
) -> tuple[int, list[str]]:
    """How many permutations to make; with none stated, none where they cannot decide."""
    from ketamap.stats.permutation import require_reachable

    if design.permutations is not None:
        return design.permutations, []
    within = animals[design.batch].astype(str) if design.batch else ["all"] * len(animals)
    try:
        require_reachable(matrix.matrix, list(within), design.alpha)
    except DesignError as error:
        return 0, [f"No second opinion by permutation. {error}"]
    return DEFAULT_PERMUTATIONS, []


def _stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
