"""Where fibres are not looked for: in cell bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.errors import InputError
from ketamap.core.space import VoxelGrid, Zyx
from ketamap.trace.filters import F32

RADIUS_PER_DIAMETER = 0.65
"""Radius that is left out per soma diameter: the soma and its blurred rim."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Somata:
    """Balls in which nothing is traced."""

    index: NDArray[np.float64]
    """Centres, ``(n, 3)`` voxels."""

    radius: NDArray[np.float64]
    """Semi-axes, ``(3,)`` voxels."""

    @classmethod
    def of(cls, cells: pd.DataFrame | None, grid: VoxelGrid, diameter_um: float) -> Somata:
        """Take cells at their positions in um.

        Raises
        ------
        InputError
            If a column is missing.
        """
        radius = RADIUS_PER_DIAMETER * diameter_um / np.asarray(grid.spacing_um)
        if cells is None:
            return cls(index=np.empty((0, 3)), radius=radius)
        missing = [c for c in ("z_um", "y_um", "x_um") if c not in cells.columns]
        if missing:
            msg = f"The table of cells lacks {', '.join(missing)}; detection writes them."
            raise InputError(msg)
        points = cells[["z_um", "y_um", "x_um"]].to_numpy(dtype=np.float64)
        return cls(index=grid.to_index(points), radius=radius)

    def blank(self, score: F32, start: Zyx[int], core: tuple[slice, ...]) -> int:
        """Set the scores within somata to 0, in place; returns how many of the core's."""
        low = self.index - self.radius - np.asarray(start)
        high = self.index + self.radius - np.asarray(start)
        near = np.all((high >= 0) & (low <= np.asarray(score.shape) - 1), axis=1)
        hidden = np.zeros(score.shape, dtype=bool) if near.any() else None
        if hidden is None:
            return 0
        for centre in self.index[near] - np.asarray(start):
            where = tuple(
                slice(max(int(np.ceil(c - r)), 0), max(int(np.floor(c + r)) + 1, 0))
                for c, r in zip(centre, self.radius, strict=True)
            )
            z, y, x = np.ogrid[where]
            at = (((z, 0), (y, 1), (x, 2)),)
            square = sum(((g - centre[a]) / self.radius[a]) ** 2 for g, a in at[0])
            part = hidden[where]
            part |= (square <= 1.0)[tuple(slice(0, n) for n in part.shape)]
        score[hidden] = 0.0
        return int(np.count_nonzero(hidden[core]))
