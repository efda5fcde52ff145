"""The region table of one animal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import HEMISPHERES, Atlas
from ketamap.core.errors import BalanceError
from ketamap.core.space import FloatArray, VoxelGrid
from ketamap.core.transform import Transform
from ketamap.quantify.cells import Balance, count_own, place_cells
from ketamap.quantify.coverage import Coverage, leave_out_scarce
from ketamap.quantify.volumes import CarriedAnnotation, own_volumes_mm3


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Quantification:
    """Cells of one animal, placed and counted."""

    cells: pd.DataFrame
    """Columns of `ketamap.core.tables.CELLS`, all of them."""

    regions: pd.DataFrame
    """Columns of `ketamap.core.tables.REGIONS`."""

    balance: Balance
    """Where every cell went."""


def quantify_cells(
    cells: pd.DataFrame,
    *,
    animal: str,
    transform: Transform,
    atlas: Atlas,
    carried: CarriedAnnotation,
    seen: VoxelGrid | None = None,
    coverage: Coverage | None = None,
) -> Quantification:
    """Count cells and measure volumes, per structure and hemisphere, in the sample.

    Parameters
    ----------
    cells
        Columns ``z_um, y_um, x_um`` (sample) and ``score``.
    animal
        Identifier, written into every row.
    transform
        Sample <-> atlas.
    atlas
        The atlas.
    carried
        The atlas's annotation in the sample (`ketamap.quantify.carry_annotation`).
    seen
        Grid of the image in which the cells were found: what it does not show is not
        counted as volume either.  Left out: everything was seen.
    coverage
        How much of each structure the image shows (`ketamap.quantify.measure_coverage`):
        adds the column ``covered_fraction``, and structures of which next to nothing is
        shown are missing, with all that was found in them.

    Raises
    ------
    BalanceError
        If the region table does not hold every cell that was placed in a region.
    """
    placed = place_cells(
        cells,
        transform,
        atlas.without(carried.missing),
        extent=carried.extent,
        tissue=carried.tissue,
    )
    volumes = own_volumes_mm3(carried, atlas, seen=seen)
    if coverage is not None:
        placed = leave_out_scarce(placed, coverage)
        volumes = np.where(coverage.own_scarce, 0.0, volumes)
    own, balance = count_own(placed, atlas)
    regions = region_table(own, volumes, animal=animal, atlas=atlas, coverage=coverage)
    if regions["own"].sum() != balance.in_regions:
        msg = (
            f"{balance.in_regions} cells lie in regions but the region table of {animal} holds "
            f"{regions['own'].sum():.0f}. Please report this fault."
        )
        raise BalanceError(msg)
    return Quantification(cells=placed, regions=regions, balance=balance)


def region_table(
    own: NDArray[np.int64],
    volume_own_mm3: FloatArray,
    *,
    animal: str,
    atlas: Atlas,
    coverage: Coverage | None = None,
) -> pd.DataFrame:
    """Roll counts and volumes up the tree and lay them out as rows.

    Parameters
    ----------
    own
        Cells per structure itself, shape ``(n structures, 2)``; left, right.
    volume_own_mm3
        Volumes of the structures themselves, same shape.
    animal
        Identifier.
    atlas
        The atlas.
    coverage
        How much of each structure the image shows; left out: not said.

    Returns
    -------
    DataFrame
        One row per structure with tissue in the atlas and hemisphere.  A structure that
        is absent from the sample has missing counts (NaN), never zero; one too small for
        the lattice that holds cells keeps them, with a volume of zero.
    """
    volume_total = atlas.structures.roll_up(volume_own_mm3)
    total = atlas.structures.roll_up(own)
    there_own, there = there_of((volume_total > 0) | (total > 0), coverage)
    values = {
        "own": np.where(there_own, own, np.nan),
        "total": np.where(there, total, np.nan),
        "volume_own_mm3": volume_own_mm3,
        "volume_total_mm3": volume_total,
    }
    if coverage is not None:
        values["covered_fraction"] = coverage.total
    return lay_out(values, animal=animal, measure="cells", atlas=atlas)


def there_of(
    found: NDArray[np.bool_], coverage: Coverage | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say which structures are in the sample: on their own, and with their descendants.

    Parameters
    ----------
    found
        Structures with any volume or content in the sample, shape ``(n structures, 2)``.
    coverage
        How much of each is shown; less than `ketamap.quantify.coverage.LEAST_COVERED` is
        not there.
    """
    if coverage is None:
        return found, found
    return found & ~coverage.own_scarce, found & ~coverage.scarce


def lay_out(
    values: Mapping[str, FloatArray], *, animal: str, measure: str, atlas: Atlas
) -> pd.DataFrame:
    """Lay out values per structure and side as rows: structures with tissue in the atlas.

    Parameters
    ----------
    values
        Column to values, each of shape ``(n structures, 2)``; left, right.
    animal, measure
        Written into every row.
    atlas
        The atlas.
    """
    tree = atlas.structures
    ids, counts = np.unique(atlas.annotation[atlas.brain_mask], return_counts=True)
    voxels = np.zeros(len(tree), dtype=np.int64)
    voxels[tree.rows_of(ids)] = counts
    kept = np.flatnonzero(tree.roll_up(voxels) > 0)
    frames = [
        pd.DataFrame(
            {
                "animal": animal,
                "region_id": tree.ids[kept],
                "acronym": [tree.acronyms[row] for row in kept],
                "hemisphere": side,
                "measure": measure,
                **{name: array[kept, s] for name, array in values.items()},
            }
        )
        for s, side in enumerate(HEMISPHERES)
    ]
    return pd.concat(frames, ignore_index=True)
