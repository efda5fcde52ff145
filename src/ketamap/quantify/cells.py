"""Which structure each cell lies in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import OUTSIDE_ATLAS, OUTSIDE_BRAIN, Atlas
from ketamap.core.errors import BalanceError, TableError
from ketamap.core.registration import TissueMask
from ketamap.core.settings import Extent
from ketamap.core.tables import ATLAS_POSITION, SAMPLE_POSITION
from ketamap.core.transform import Transform


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Where every detected cell went.

    Raises
    ------
    BalanceError
        If the parts do not add up to the whole.
    """

    detected: int
    """Cells in the list."""

    in_regions: int
    """Cells counted in a structure."""

    outside_brain: int
    """Cells at places the atlas gives to no structure."""

    outside_atlas: int
    """Cells beyond the atlas volume."""

    def __post_init__(self) -> None:
        placed = self.in_regions + self.outside_brain + self.outside_atlas
        if placed != self.detected:
            msg = (
                f"{self.detected} cells were detected but {placed} were placed "
                f"({self.in_regions} in regions, {self.outside_brain} outside the brain, "
                f"{self.outside_atlas} outside the atlas). Please report this fault."
            )
            raise BalanceError(msg)

    def as_dict(self) -> dict[str, int]:
        """Return the four figures by name."""
        return {
            "detected": self.detected,
            "in_regions": self.in_regions,
            "outside_brain": self.outside_brain,
            "outside_atlas": self.outside_atlas,
        }


def place_cells(
    cells: pd.DataFrame,
    transform: Transform,
    atlas: Atlas,
    *,
    extent: Extent = "whole",
    tissue: TissueMask | None = None,
) -> pd.DataFrame:
    """Give each cell its atlas position, structure and side.

    Parameters
    ----------
    cells
        Columns ``z_um, y_um, x_um`` in the sample; others are kept.
    transform
        Sample <-> atlas.
    atlas
        Whose annotation names the structure at the carried position: the same thing as
        the annotation carried into the sample, read at the cell.
    extent
        Which part of the brain the image shows; cells that land in the other hemisphere
        of a half brain are outside the brain that is there.
    tissue
        Where the sample has tissue; what was found elsewhere is outside the brain too.

    Returns
    -------
    DataFrame
        ``cells`` with ``ap_um, dv_um, ml_um`` (NaN outside the atlas), ``region_id``
        (0 outside the brain, -1 outside the atlas) and ``hemisphere`` (empty outside
        the atlas).

    Raises
    ------
    TableError
        If a position column is missing or a position is not a number.
    """
    return place_points(cells, transform, atlas, extent=extent, tissue=tissue, what="cell")


def place_points(
    points: pd.DataFrame,
    transform: Transform,
    atlas: Atlas,
    *,
    extent: Extent = "whole",
    tissue: TissueMask | None = None,
    what: str = "point",
) -> pd.DataFrame:
    """Place any table of sample positions as `place_cells` does; ``what`` names a row."""
    missing = [name for name in SAMPLE_POSITION if name not in points.columns]
    if missing:
        msg = (
            f"The table of {what}s lacks {', '.join(missing)}; it has {', '.join(points.columns)}."
        )
        raise TableError(msg)
    sample_um = points[list(SAMPLE_POSITION)].to_numpy(dtype=np.float64)
    if not np.isfinite(sample_um).all():
        bad = int(np.flatnonzero(~np.isfinite(sample_um).all(axis=1))[0])
        name = what.capitalize()
        msg = f"{name} {bad} has a position that is not a number: {sample_um[bad].tolist()}."
        raise TableError(msg)
    atlas_um = transform.to_atlas(sample_um)
    region_id = atlas.regions_at(atlas_um)
    side = np.where(atlas.is_left(atlas_um), "left", "right")
    if extent != "whole":
        region_id = np.where((side != extent) & (region_id > 0), OUTSIDE_BRAIN, region_id)
    if tissue is not None:
        region_id = np.where(~tissue.at(sample_um) & (region_id > 0), OUTSIDE_BRAIN, region_id)
    placed = points.copy()
    placed[list(ATLAS_POSITION)] = np.where((region_id == OUTSIDE_ATLAS)[:, None], np.nan, atlas_um)
    placed["region_id"] = region_id
    placed["hemisphere"] = np.where(region_id == OUTSIDE_ATLAS, "", side)
    return placed


def count_own(placed: pd.DataFrame, atlas: Atlas) -> tuple[NDArray[np.int64], Balance]:
    """Count cells per structure and side.

    Parameters
    ----------
    placed
        Result of `place_cells`.
    atlas
        The same atlas.

    Returns
    -------
    own
        Shape ``(n structures, 2)``, cells assigned to the structure itself; left, right.
    balance
        Where every cell went.
    """
    region_id = placed["region_id"].to_numpy(dtype=np.int64)
    rows = atlas.structures.rows_of(region_id)
    inside = rows >= 0
    side = (placed["hemisphere"].to_numpy() == "right").astype(np.int64)
    own = np.zeros((len(atlas.structures), 2), dtype=np.int64)
    np.add.at(own, (rows[inside], side[inside]), 1)
    balance = Balance(
        detected=len(placed),
        in_regions=int(own.sum()),
        outside_brain=int(np.sum(region_id == OUTSIDE_BRAIN)),
        outside_atlas=int(np.sum(region_id == OUTSIDE_ATLAS)),
    )
    return own, balance
