"""Where fibres are not looked for: in cell bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit
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
        """Set the scores within somata to minus infinity, in place.

        Parameters
        ----------
        score
            Shape ``(z, y, x)``.
        start
            Index of its first voxel in the volume.
        core
            Part of it whose voxels are counted.

        Returns
        -------
        int
            Voxels of the core that were set.
        """
        centre = self.index - np.asarray(start)
        last = np.asarray(score.shape) - 1
        near = np.all((centre + self.radius >= 0) & (centre - self.radius <= last), axis=1)
        bounds = np.array([(s.start, s.stop) for s in core])
        return int(_blank(score, centre[near], self.radius, bounds))


@njit(nogil=True, cache=True)
def _blank(
    score: F32,
    centres: NDArray[np.float64],
    radius: NDArray[np.float64],
    core: NDArray[np.int64],
) -> int:
    low, high = np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    count = 0
    for c in centres:
        for a in range(3):
            low[a] = max(int(np.ceil(c[a] - radius[a])), 0)
            high[a] = min(int(np.floor(c[a] + radius[a])), score.shape[a] - 1)
        for z in range(low[0], high[0] + 1):
            for y in range(low[1], high[1] + 1):
                flat = ((z - c[0]) / radius[0]) ** 2 + ((y - c[1]) / radius[1]) ** 2
                for x in range(low[2], high[2] + 1):
                    if flat + ((x - c[2]) / radius[2]) ** 2 <= 1.0 and score[z, y, x] > -np.inf:
                        score[z, y, x] = -np.inf
                        inside = core[0, 0] <= z < core[0, 1] and core[1, 0] <= y < core[1, 1]
                        count += inside and core[2, 0] <= x < core[2, 1]
    return count
