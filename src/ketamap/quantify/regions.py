"""The region table of one animal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import HEMISPHERES, Atlas
from ketamap.core.errors import BalanceError
from ketamap.core.settings import Extent
from ketamap.core.space import FloatArray, VoxelGrid
from ketamap.core.transform import Transform
from ketamap.quantify.cells import Balance, count_own, place_cells
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
    extent: Extent = "whole",
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
    extent
        Which part of the brain the image shows.

    Raises
    ------
    BalanceError
        If the region table does not hold every cell that was placed in a region.
    """
    placed = place_cells(cells, transform, atlas.without(carried.missing), extent=extent)
    own, balance = count_own(placed, atlas)
    volumes = own_volumes_mm3(carried, atlas, seen=seen)
    regions = region_table(own, volumes, animal=animal, atlas=atlas)
    if regions["own"].sum() != balance.in_regions:
        msg = (
            f"{balance.in_regions} cells lie in regions but the region table of {animal} holds "
            f"{regions['own'].sum():.0f}. Please report this fault."
        )
        raise BalanceError(msg)
    return Quantification(cells=placed, regions=regions, balance=balance)


def region_table(
    own: NDArray[np.int64], volume_own_mm3: FloatArray, *, animal: str, atlas: Atlas
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

    Returns
    -------
    DataFrame
        One row per structure with tissue in the atlas and hemisphere.  A structure that
        is absent from the sample has missing counts (NaN), never zero; one too small for
        the lattice that holds cells keeps them, with a volume of zero.
    """
    volume_total = atlas.structures.roll_up(volume_own_mm3)
    total = atlas.structures.roll_up(own)
    there = (volume_total > 0) | (total > 0)
    return lay_out(
        {
            "own": np.where(there, own, np.nan),
            "total": np.where(there, total, np.nan),
            "volume_own_mm3": volume_own_mm3,
            "volume_total_mm3": volume_total,
        },
        animal=animal,
        measure="cells",
        atlas=atlas,
    )


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
