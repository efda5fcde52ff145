"""Bring any region table to one form: animals x units of a declared partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import Structures
from ketamap.core.errors import BalanceError, TableError
from ketamap.stats.coverage import coverage_warnings
from ketamap.stats.hierarchy import (
    EQUAL_WITHIN,
    CountKind,
    Evidence,
    decide_kind,
    filled_parents,
    find_double_counts,
    peel,
    present_parents,
    require_amounts,
    require_no_bare_root,
    weigh_evidence,
)
from ketamap.stats.magnitude import COUNTS, Magnitude, is_count, magnitude_of
from ketamap.stats.partition import RULE, Units, divide, prove_sum, unit_rows
from ketamap.stats.rows import Cells, listed, read_cells, tally
from ketamap.stats.structures import ROOT_ID


@dataclass(frozen=True, eq=False, kw_only=True)
class RegionCounts:
    """Counts of every animal in every unit of a partition of the brain."""

    counts: NDArray[np.float64]
    """Shape ``(animal, region)``; NaN where the region is missing in the animal."""

    extents: NDArray[np.float64]
    """Same shape: volume in mm3 (or sampled area in mm2), NaN where the count is missing."""

    extent_unit: str
    """``mm3``, or ``mm2`` where a table has sampled areas only."""

    side_counts: NDArray[np.float64]
    """Shape ``(2, animal, region)``: left, right; NaN where the table does not say."""

    animals: tuple[str, ...]
    """Identifiers, in the order of the first axis."""

    region_ids: NDArray[np.int64]
    """Shape ``(region,)``."""

    acronyms: tuple[str, ...]
    """One per region."""

    rows: NDArray[np.int64]
    """Row of each region in the structure tree."""

    measure: str
    """What was counted."""

    partition: str
    """How the brain was divided and that nothing is counted twice, in words."""

    warnings: tuple[str, ...]
    """What a reader must know about the table."""

    magnitude: Magnitude = COUNTS
    """What is small in the measure."""

    @property
    def volumes_mm3(self) -> NDArray[np.float64]:
        """Volumes, shape ``(animal, region)``; NaN where only areas are known."""
        return self.extents if self.extent_unit == "mm3" else np.full(self.extents.shape, np.nan)

    def in_order_of(self, animals: Sequence[str]) -> RegionCounts:
        """Return the same with the animals in another order (the same animals)."""
        order = [self.animals.index(a) for a in animals]
        return replace(
            self,
            counts=self.counts[order],
            extents=self.extents[order],
            side_counts=self.side_counts[:, order],
            animals=tuple(animals),
        )


def region_counts(
    table: pd.DataFrame,
    structures: Structures,
    *,
    counts: CountKind | None = None,
    measure: str = "cells",
    atlas_volumes: Mapping[int, float] | None = None,
) -> RegionCounts:
    """Read a region table of any kind.

    Parameters
    ----------
    table
        See `ketamap.stats.rows.read_cells`.
    structures
        The tree; `structures_from_table` where there is no atlas.
    counts
        Whether a row includes its descendants; None: found from the arithmetic.
    measure
        The measure to take.
    atlas_volumes
        Own volume of each structure, both sides, mm3; used where the table has none.

    Returns
    -------
    RegionCounts

    Raises
    ------
    TableError
        If the table cannot be read, its kind cannot be told or contradicts `counts`, a
        hierarchy is counted twice beyond repair, or there are no volumes.
    """
    cells = read_cells(table, structures, measure)
    present = cells.present
    parents = present_parents(present, structures)
    evidence = weigh_evidence(cells.counts, parents, structures)
    counted = is_count(cells.counts, measure)
    slack = 0.5 if counted else 0.0
    kind = decide_kind(evidence, "own" if cells.is_own_form else counts)
    if kind == "own" and not cells.is_own_form and counts is None:
        require_amounts(cells.counts, parents, structures)
        require_no_bare_root(cells.counts, parents, structures)
    warnings = [
        *cells.warnings,
        *_one_sided_warnings(cells),
        *_excess_of_unmapped(cells, structures),
    ]
    own, extents, spoilt = cells.counts, cells.extents, np.zeros(cells.counts.shape, dtype=np.bool_)
    root = _root_of(cells)
    if kind == "total":
        suspects = present & (structures.ids > _largest_given_id(table))
        extra, doubled = find_double_counts(cells.counts, parents, structures, suspects, slack)
        warnings += doubled
        totals = np.where(extra, np.nan, cells.counts)
        parents = present_parents(present & ~extra, structures)
        whole = filled_parents(totals, parents, structures)
        root = np.nansum(whole[..., present & ~extra & (parents < 0)], axis=(1, 2))
        own = np.where(np.isnan(totals), np.nan, peel(whole, parents))
        spoilt = _spoilt_parents(totals, parents, structures)
        warnings += _hollow_warnings(totals, whole, cells.animals, structures)
        _require_one_level(own, parents, structures)
        extents = filled_parents(np.where(extra, np.nan, extents), parents, structures)
        extents, note = _own_extents(extents, parents, structures)
        warnings += note
    unit = unit_rows(structures)
    units = divide(own, extents, unit, np.asarray(spoilt.any(axis=1)))
    try:
        proof = prove_sum(np.nansum(own, axis=(1, 2)), root, slack)
    except BalanceError as err:
        raise TableError(str(err)) from err
    extent, extent_unit, note = _extents(cells, units, unit, parents, structures, atlas_volumes)
    values = np.where(extent > 0, units.counts, np.nan)
    magnitude = magnitude_of(values, measure, counted=counted)
    warnings += coverage_warnings(table, structures.ids[units.rows], measure)
    return RegionCounts(
        counts=values,
        extents=np.where((extent > 0) & ~np.isnan(units.counts), extent, np.nan),
        extent_unit=extent_unit,
        side_counts=units.side_counts,
        animals=cells.animals,
        region_ids=structures.ids[units.rows],
        acronyms=tuple(structures.acronyms[r] for r in units.rows),
        rows=units.rows,
        measure=measure,
        partition=_partition_text(len(units.rows), int(present.sum()), kind, evidence, proof),
        warnings=(*warnings, *note, *([] if counted else [magnitude.note(measure)])),
        magnitude=magnitude,
    )


def _largest_given_id(table: pd.DataFrame) -> int:
    """Largest id the table gives: structures above it were made for rows without one."""
    if "region_id" not in table:
        return np.iinfo(np.int64).max
    return int(max(ROOT_ID, pd.to_numeric(table["region_id"], errors="coerce").max(skipna=True)))


def _root_of(cells: Cells) -> NDArray[np.float64]:
    unknown = np.full(len(cells.animals), np.nan)
    return unknown if cells.root_totals is None else cells.root_totals


def _hollow_warnings(
    totals: NDArray[np.float64],
    filled: NDArray[np.float64],
    animals: Sequence[str],
    structures: Structures,
) -> list[str]:
    """Name structures without a row in an animal that has rows of their parts."""
    hollow = (np.isnan(totals) & ~np.isnan(filled)).any(axis=1)
    if not hollow.any():
        return []
    pairs = [f"{structures.acronyms[s]} in {animals[a]}" for a, s in np.argwhere(hollow)]
    return [
        f"{len(pairs)} rows are missing although the parts of the structure have rows: "
        f"{listed(pairs)}. What belongs to none of its parts is unknown there, so that the "
        f"structure, and the one above it, are left out in that animal."
    ]


def _one_sided_warnings(cells: Cells) -> list[str]:
    """Name animals with one side, where others have both."""
    has: NDArray[np.bool_] = np.asarray(~np.isnan(cells.counts[:, :2]).all(axis=2))
    one = [
        f"{animal} ({'left' if left else 'right'})"
        for animal, (left, right) in zip(cells.animals, has, strict=True)
        if left != right
    ]
    if not one or not has.all(axis=1).any():
        return []
    return [
        f"{len(one)} animals have rows of one side only: {listed(one)}. Their densities are of "
        f"that side; take them out if the two sides may differ."
    ]


def _spoilt_parents(
    totals: NDArray[np.float64], parents: NDArray[np.int64], structures: Structures
) -> NDArray[np.bool_]:
    """Own counts that hold the cells of a child missing here but known in other animals."""
    unit = unit_rows(structures)
    spoilt = np.zeros(totals.shape, dtype=np.bool_)
    gone = np.isnan(totals) & ~np.isnan(totals).all(axis=0)
    for child in np.flatnonzero(gone.any(axis=(0, 1)) & (parents >= 0)):
        if unit[child] != unit[parents[child]]:
            spoilt[..., parents[child]] |= gone[..., child]
    return spoilt & ~np.isnan(totals)


def _require_one_level(
    own: NDArray[np.float64], parents: NDArray[np.int64], structures: Structures
) -> None:
    """Refuse a table whose parents hold the rows below them once per level."""
    again = weigh_evidence(own, parents, structures)
    if again.says_total and again.n_parents > 1:
        msg = (
            f"Counts were summed over all rows of the hierarchy, so that cells count once per "
            f"level: after taking the children off, still {again}. Sum each structure's own "
            f"cells only, and each cell once."
        )
        raise TableError(msg)


def _own_extents(
    extents: NDArray[np.float64], parents: NDArray[np.int64], structures: Structures
) -> tuple[NDArray[np.float64], list[str]]:
    """Peel volumes as the counts, unless the volumes are own ones already."""
    evidence = weigh_evidence(extents, parents, structures)
    if evidence.n_parents and evidence.says_own:
        note = f"Volumes are taken as each structure's own, although counts are totals: {evidence}."
        return extents, [note]
    return np.maximum(peel(extents, parents), 0.0), []


def _extents(
    cells: Cells,
    units: Units,
    unit: NDArray[np.int64],
    parents: NDArray[np.int64],
    structures: Structures,
    atlas_volumes: Mapping[int, float] | None,
) -> tuple[NDArray[np.float64], str, list[str]]:
    if cells.extent_unit == "mm3":
        return units.extents, "mm3", []
    if cells.extent_unit == "mm2":
        note = "The table has no volumes; densities are per mm2 of sampled area."
        return units.extents, "mm2", [note]
    if atlas_volumes is None:
        msg = "The table has no volume_mm3. Add it, or name an atlas to take the volumes from."
        raise TableError(msg)
    own = np.array([atlas_volumes.get(int(i), 0.0) for i in structures.ids])
    present = cells.present
    holder = unit[np.where(present, np.arange(len(structures)), parents)]
    summed = np.zeros(len(structures))
    np.add.at(summed, holder, np.where((parents < 0) & ~present, 0.0, own))
    sides: NDArray[np.bool_] = np.asarray((~np.isnan(cells.counts)).any(axis=2))
    half = np.where((sides[:, :2].sum(axis=1) == 1) & ~sides[:, 2], 0.5, 1.0)
    extent = half[:, None] * summed[units.rows]
    note = "The table has no volumes; they are the atlas's, the same for every animal."
    return np.array(extent), "mm3", [note]


def _excess_of_unmapped(cells: Cells, structures: Structures) -> list[str]:
    """Name parents that rows outside the tree would count a second time."""
    counts = np.nansum(cells.counts, axis=(0, 1))
    notes = []
    for parent in cells.unmapped["parent"].dropna().unique():
        if int(parent) not in structures:
            continue
        rows = cells.unmapped[cells.unmapped["parent"] == parent]
        at = structures.position(int(parent))
        inside = counts[structures.rows_of(structures.children(int(parent)))].sum()
        parts = inside + float(rows["count"].sum())
        if counts[at] > 0 and parts > counts[at] * (1 + EQUAL_WITHIN):
            names = listed([str(a) for a in rows["acronym"]])
            notes.append(
                f"{structures.acronyms[at]} is counted twice: with {names} its children hold "
                f"{tally(parts)} against {tally(counts[at])} in {structures.acronyms[at]} itself, "
                f"over all animals. Rows left out: {names}."
            )
    return notes


def _partition_text(
    n_units: int, n_structures: int, kind: CountKind, evidence: Evidence, proof: str
) -> str:
    holds = "include their descendants" if kind == "total" else "hold the structure alone"
    found = str(evidence) if evidence.n_parents else "no structure has rows for its parts"
    return (
        f"{n_units} units from {n_structures} structures of the table, whose rows {holds} "
        f"({found}). Rule: {RULE}. Proof: {proof}."
    )
