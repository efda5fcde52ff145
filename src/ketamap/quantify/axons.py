"""How much axon each structure holds: length in the sample's own space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from ketamap.core.atlas import HEMISPHERES, OUTSIDE_ATLAS, OUTSIDE_BRAIN, Atlas
from ketamap.core.errors import BalanceError, TableError
from ketamap.core.space import FloatArray, VoxelGrid
from ketamap.core.transform import Transform
from ketamap.core.units import UM3_PER_MM3, UM_PER_MM
from ketamap.quantify.cells import place_points
from ketamap.quantify.coverage import Coverage, leave_out_scarce
from ketamap.quantify.regions import lay_out, there_of
from ketamap.quantify.volumes import CarriedAnnotation, own_volumes_mm3

MEASURE = "axon_length_mm"
"""Value of the region table's `measure` column."""

SATURATED_OCCUPANCY = 0.10
"""Labelled part of a region above which its length is too low: fibres merge in the image.
Of the estimators measured (``docs/benchmarks.md``), link length stays within 10 % below it."""

_UM_COLUMNS = {"": "length_um", "_low": "length_low_um", "_high": "length_high_um"}
"""End of a region column's name to the column of the table of axons it sums."""

_BALANCED_WITHIN = 1e-6
"""Relative tolerance of sums of lengths."""

Correction: TypeAlias = Callable[[FloatArray, FloatArray], FloatArray]
"""Length and occupancy to the length corrected for saturation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxonBalance:
    """Where all traced length went, mm.

    Raises
    ------
    BalanceError
        If the parts do not add up to the whole.
    """

    traced_mm: float
    """Length in the table of axons."""

    in_regions_mm: float
    """Length in a structure."""

    outside_brain_mm: float
    """Length at places the atlas gives to no structure."""

    outside_atlas_mm: float
    """Length beyond the atlas volume."""

    def __post_init__(self) -> None:
        placed = self.in_regions_mm + self.outside_brain_mm + self.outside_atlas_mm
        if abs(placed - self.traced_mm) > _BALANCED_WITHIN * max(self.traced_mm, 1.0):
            msg = (
                f"{self.traced_mm:.6g} mm of axon were traced but {placed:.6g} mm were placed "
                f"({self.in_regions_mm:.6g} in regions, {self.outside_brain_mm:.6g} outside the "
                f"brain, {self.outside_atlas_mm:.6g} outside the atlas). Please report this fault."
            )
            raise BalanceError(msg)

    def as_dict(self) -> dict[str, float]:
        """Return the four lengths by name."""
        return {
            "traced_mm": self.traced_mm,
            "in_regions_mm": self.in_regions_mm,
            "outside_brain_mm": self.outside_brain_mm,
            "outside_atlas_mm": self.outside_atlas_mm,
        }


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class AxonQuantification:
    """Axons of one animal, placed and summed."""

    axons: pd.DataFrame
    """Columns of `ketamap.core.tables.AXONS`, all of them."""

    regions: pd.DataFrame
    """Columns of `ketamap.core.tables.REGIONS` for measure `MEASURE`, the corrected ones left
    out until `add_corrected`."""

    balance: AxonBalance
    """Where all length went."""


def quantify_axons(
    axons: pd.DataFrame,
    *,
    animal: str,
    transform: Transform,
    atlas: Atlas,
    carried: CarriedAnnotation,
    seen: VoxelGrid | None = None,
    coverage: Coverage | None = None,
) -> AxonQuantification:
    """Sum length per structure and hemisphere, with volumes, in the sample.

    A row of the table (a small box of tissue) belongs as a whole to the structure at its
    length-weighted centre.

    Parameters
    ----------
    axons
        Columns of `ketamap.core.tables.AXONS`; positions in the sample.
    animal
        Identifier, written into every row.
    transform
        Sample <-> atlas.
    atlas
        The atlas.
    carried
        The atlas's annotation in the sample (`ketamap.quantify.carry_annotation`).
    seen
        Grid of the image in which the axons were traced: what it does not show is not
        counted as volume either.  Left out: everything was seen.
    coverage
        How much of each structure the image shows (`ketamap.quantify.measure_coverage`):
        adds the column ``covered_fraction``, and structures of which next to nothing is
        shown are missing, with all that was found in them.

    Returns
    -------
    AxonQuantification
        ``own`` and ``total`` are mm of axon, with ``_low`` and ``_high`` for the threshold's
        band; ``occupancy_own`` and ``occupancy_total`` the labelled part of the volume
        (NaN where there is no volume).

    Raises
    ------
    TableError
        If a column is missing or a number is not finite.
    BalanceError
        If the region table does not hold all length that was placed in a region.
    """
    _check_lengths(axons)
    placed = place_points(
        axons,
        transform,
        atlas.without(carried.missing),
        extent=carried.extent,
        tissue=carried.tissue,
        what="row of axon",
    )
    volume_own = own_volumes_mm3(carried, atlas, seen=seen)
    if coverage is not None:
        placed = leave_out_scarce(placed, coverage)
        volume_own = np.where(coverage.own_scarce, 0.0, volume_own)
    roll_up = atlas.structures.roll_up
    volume_total = roll_up(volume_own)
    sums = {
        f"own{end}": _sum_per_unit(placed, column, atlas) / UM_PER_MM
        for end, column in _UM_COLUMNS.items()
    }
    sums |= {name.replace("own", "total"): roll_up(values) for name, values in sums.items()}
    there_own, there = there_of((volume_total > 0) | (sums["total"] > 0), coverage)
    values = {
        name: np.where(there_own if name.startswith("own") else there, one, np.nan)
        for name, one in sums.items()
    }
    values |= {"volume_own_mm3": volume_own, "volume_total_mm3": volume_total}
    labelled = _sum_per_unit(placed, "volume_um3", atlas) / UM3_PER_MM3
    values["occupancy_own"] = _share(labelled, volume_own)
    values["occupancy_total"] = _share(roll_up(labelled), volume_total)
    if coverage is not None:
        values["covered_fraction"] = coverage.total
    regions = lay_out(values, animal=animal, measure=MEASURE, atlas=atlas)
    balance = _balance(placed)
    _check_table(regions, balance, animal)
    return AxonQuantification(axons=placed, regions=regions, balance=balance)


def add_corrected(regions: pd.DataFrame, atlas: Atlas, correct: Correction) -> pd.DataFrame:
    """Add lengths corrected for saturation beside the raw ones.

    Parameters
    ----------
    regions
        From `quantify_axons`.
    atlas
        The atlas; a structure's total is the sum of its parts' corrected lengths.
    correct
        Length and occupancy to corrected length.

    Returns
    -------
    DataFrame
        With ``own_corrected`` and ``total_corrected``, mm; raw where there is no volume to
        tell the occupancy.
    """
    tree = atlas.structures
    rows = tree.rows_of(regions["region_id"].to_numpy())
    side = (regions["hemisphere"].to_numpy() == HEMISPHERES[1]).astype(np.int64)
    own = regions["own"].to_numpy(dtype=np.float64)
    occupancy = regions["occupancy_own"].fillna(0.0).to_numpy(dtype=np.float64)
    corrected = np.asarray(correct(own, occupancy), dtype=np.float64)
    per_unit = np.zeros((len(tree), 2))
    per_unit[rows, side] = np.nan_to_num(corrected)
    total = np.where(np.isnan(own), np.nan, tree.roll_up(per_unit)[rows, side])
    return regions.assign(own_corrected=corrected, total_corrected=total)


def saturated_regions(regions: pd.DataFrame) -> list[str]:
    """Name the structures with more than `SATURATED_OCCUPANCY` of their volume labelled.

    Either side counts; only structures themselves, not sums over descendants.
    """
    if "occupancy_own" not in regions.columns:
        return []
    dense = regions["occupancy_own"] > SATURATED_OCCUPANCY
    return sorted(regions.loc[dense, "acronym"].unique().tolist())


def _check_lengths(axons: pd.DataFrame) -> None:
    needed = [*_UM_COLUMNS.values(), "volume_um3"]
    missing = [name for name in needed if name not in axons.columns]
    if missing:
        msg = f"The table of axons lacks {', '.join(missing)}; it has {', '.join(axons.columns)}."
        raise TableError(msg)
    for name in needed:
        values = axons[name].to_numpy(dtype=np.float64)
        if not (np.isfinite(values) & (values >= 0.0)).all():
            bad = int(np.flatnonzero(~(np.isfinite(values) & (values >= 0.0)))[0])
            msg = (
                f"Row {bad} of the table of axons has {name} {values[bad]:g}; 0 or more is needed."
            )
            raise TableError(msg)


def _sum_per_unit(placed: pd.DataFrame, column: str, atlas: Atlas) -> FloatArray:
    """Sum a column per structure itself and side, ``(n structures, 2)``."""
    rows = atlas.structures.rows_of(placed["region_id"].to_numpy(dtype=np.int64))
    side = (placed["hemisphere"].to_numpy() == HEMISPHERES[1]).astype(np.int64)
    inside = rows >= 0
    values = placed[column].to_numpy(dtype=np.float64)[inside]
    n = 2 * len(atlas.structures)
    summed = np.bincount(2 * rows[inside] + side[inside], weights=values, minlength=n)
    return np.asarray(summed.reshape(-1, 2), dtype=np.float64)


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Part of the whole, at most 1 (boxes lie partly across borders); NaN where there is none."""
    share = np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
    return np.asarray(np.minimum(share, 1.0))


def _balance(placed: pd.DataFrame) -> AxonBalance:
    length_mm = placed["length_um"].to_numpy(dtype=np.float64) / UM_PER_MM
    region_id = placed["region_id"].to_numpy(dtype=np.int64)
    return AxonBalance(
        traced_mm=float(length_mm.sum()),
        in_regions_mm=float(length_mm[region_id > 0].sum()),
        outside_brain_mm=float(length_mm[region_id == OUTSIDE_BRAIN].sum()),
        outside_atlas_mm=float(length_mm[region_id == OUTSIDE_ATLAS].sum()),
    )


def _check_table(regions: pd.DataFrame, balance: AxonBalance, animal: str) -> None:
    held = float(regions["own"].sum())
    if abs(held - balance.in_regions_mm) > _BALANCED_WITHIN * max(balance.in_regions_mm, 1.0):
        msg = (
            f"{balance.in_regions_mm:.6g} mm of axon lie in regions but the region table of "
            f"{animal} holds {held:.6g} mm. Please report this fault."
        )
        raise BalanceError(msg)
