"""Scores of a block: ridge response over the noise at the local brightness."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.errors import ImageError
from ketamap.core.space import Zyx
from ketamap.core.volume import Volume
from ketamap.trace.board import Workspace
from ketamap.trace.filters import F32, log_planes, ridge_planes
from ketamap.trace.scale import RidgePlan, triple
from ketamap.trace.survey import BrainLevels


def score_block(
    volume: Volume,
    plan: RidgePlan,
    levels: BrainLevels,
    start: Zyx[int],
    stop: Zyx[int],
    workspace: Workspace | None = None,
) -> F32:
    """Scores of the voxels ``[start, stop)``, see `score_and_image`."""
    return score_and_image(volume, plan, levels, start, stop, workspace)[0]


def score_and_image(
    volume: Volume,
    plan: RidgePlan,
    levels: BrainLevels,
    start: Zyx[int],
    stop: Zyx[int],
    workspace: Workspace | None = None,
) -> tuple[F32, NDArray[Any]]:
    """Scores and intensities of the voxels ``[start, stop)``, the same for every cut.

    Reads as many voxels around them as the filters and the brightness cells ask for. The
    result lies in the workspace if one is given.

    Raises
    ------
    ImageError
        If a voxel is NaN or infinite.
    """
    lower, upper = score_margins(plan, start, stop)
    block = volume.read(lower, upper)
    shape = triple(b - a for a, b in zip(start, stop, strict=True))
    out: F32 = (workspace or Workspace()).take("score", shape, np.float32)
    first = triple(a - o for a, o in zip(start, lower, strict=True))
    inner = tuple(slice(f, f + n) for f, n in zip(first, out.shape, strict=True))
    cells = CellMeans(block.shape, plan.cell)
    contrast = cells.over(log_planes(block, levels.dark, levels.offset))
    try:
        for z, plane in enumerate(ridge_planes(contrast, block.shape, plan)):
            if inner[0].start <= z < inner[0].stop:
                out[z - first[0]] = plane[inner[1:]]
    except ImageError as error:
        msg = f"{volume.name}, voxels {lower} to {upper} (z, y, x): {error}"
        raise ImageError(msg) from error
    inverse = (1.0 / levels.noise_at(cells.means())).astype(np.float32)
    _scale_by_cell(out, inverse, np.asarray(plan.cell), np.asarray(first))
    return out, block[inner]


def score_margins(plan: RidgePlan, start: Zyx[int], stop: Zyx[int]) -> tuple[Zyx[int], Zyx[int]]:
    """Voxels to read for the scores of ``[start, stop)``: the filters' reach, whole cells."""
    lower = triple(
        max((a - r) // c * c, 0) for a, r, c in zip(start, plan.reach, plan.cell, strict=True)
    )
    upper = triple(
        min(-(-(b + r) // c) * c, n)
        for b, r, c, n in zip(stop, plan.reach, plan.cell, plan.shape, strict=True)
    )
    return lower, upper


class CellMeans:
    """Mean of the contrast in each cell; the last cells of an axis may be incomplete."""

    def __init__(self, shape: tuple[int, ...], cell: Zyx[int]) -> None:
        counts = [-(-n // c) for n, c in zip(shape, cell, strict=True)]
        self._shape, self._cell = shape, cell
        self._total = np.zeros(counts, dtype=np.float64)

    def over(self, planes: Iterable[F32]) -> Iterator[F32]:
        """Pass planes on, adding them up."""
        for z, plane in enumerate(planes):
            _add_plane(plane, self._cell[1], self._cell[2], self._total[z // self._cell[0]])
            yield plane

    def means(self) -> NDArray[np.float64]:
        """Return the means, once all planes have passed."""
        sizes = [
            np.minimum(c, n - c * np.arange(k))
            for n, c, k in zip(self._shape, self._cell, self._total.shape, strict=True)
        ]
        return np.asarray(self._total / (sizes[0][:, None, None] * sizes[1][:, None] * sizes[2]))


@njit(nogil=True, cache=True)
def _add_plane(plane: F32, edge_y: int, edge_x: int, total: NDArray[np.float64]) -> None:
    ny, nx = plane.shape
    for y in range(ny):
        row = plane[y]
        out = total[y // edge_y]
        for i in range(out.shape[0]):
            part = np.float32(0.0)
            for x in range(i * edge_x, min((i + 1) * edge_x, nx)):
                part += row[x]
            out[i] += part


@njit(nogil=True, cache=True)
def _scale_by_cell(
    score: F32, factor: F32, cell: NDArray[np.int64], first: NDArray[np.int64]
) -> None:
    """Multiply each voxel by its cell's factor, in place; ``first`` is voxel 0 among cells."""
    nz, ny, nx = score.shape
    for z in range(nz):
        for y in range(ny):
            row = score[z, y]
            f = factor[(z + first[0]) // cell[0], (y + first[1]) // cell[1]]
            for i in range(first[2] // cell[2], f.shape[0]):
                low = max(i * cell[2] - first[2], 0)
                for x in range(low, min((i + 1) * cell[2] - first[2], nx)):
                    row[x] *= f[i]
