"""Scores of a block: ridge response over the noise at the local brightness."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.errors import ImageError
from ketamap.core.space import Zyx
from ketamap.core.volume import Volume
from ketamap.trace.filters import F32, log_contrast, ridge_response
from ketamap.trace.scale import RidgePlan, triple
from ketamap.trace.survey import BrainLevels


def score_block(
    volume: Volume, plan: RidgePlan, levels: BrainLevels, start: Zyx[int], stop: Zyx[int]
) -> F32:
    """Scores of the voxels ``[start, stop)``, the same for every cut.

    Reads as many voxels around them as the filters and the brightness cells ask for.

    Raises
    ------
    ImageError
        If a voxel is NaN or infinite.
    """
    lower, upper = score_margins(plan, start, stop)
    try:
        contrast = log_contrast(volume.read(lower, upper), levels.dark, levels.offset)
    except ImageError as error:
        msg = f"{volume.name}, voxels {lower} to {upper} (z, y, x): {error}"
        raise ImageError(msg) from error
    inner = tuple(slice(a - o, b - o) for a, b, o in zip(start, stop, lower, strict=True))
    inverse = (1.0 / levels.noise_at(cell_means(contrast, plan.cell))).astype(np.float32)
    score = ridge_response(contrast, plan)
    _scale_by_cell(score, inverse, np.asarray(plan.cell))
    return score[inner]


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


def cell_means(contrast: F32, cell: Zyx[int]) -> NDArray[np.float64]:
    """Mean of the contrast in each cell; the last cells of an axis may be incomplete."""
    counts = [-(-n // c) for n, c in zip(contrast.shape, cell, strict=True)]
    total = np.zeros(counts, dtype=np.float64)
    _add_cells(contrast, np.asarray(cell), total)
    sizes = [
        np.minimum(c, n - c * np.arange(k))
        for n, c, k in zip(contrast.shape, cell, counts, strict=True)
    ]
    return np.asarray(total / (sizes[0][:, None, None] * sizes[1][:, None] * sizes[2]))


@njit(nogil=True, cache=True)
def _add_cells(contrast: F32, cell: NDArray[np.int64], total: NDArray[np.float64]) -> None:
    nz, ny, nx = contrast.shape
    for z in range(nz):
        for y in range(ny):
            row = contrast[z, y]
            out = total[z // cell[0], y // cell[1]]
            for i in range(out.shape[0]):
                part = np.float32(0.0)
                for x in range(i * cell[2], min((i + 1) * cell[2], nx)):
                    part += row[x]
                out[i] += part


@njit(nogil=True, cache=True)
def _scale_by_cell(score: F32, factor: F32, cell: NDArray[np.int64]) -> None:
    """Multiply each voxel by its cell's factor, in place."""
    nz, ny, nx = score.shape
    for z in range(nz):
        for y in range(ny):
            row = score[z, y]
            f = factor[z // cell[0], y // cell[1]]
            for i in range(f.shape[0]):
                for x in range(i * cell[2], min((i + 1) * cell[2], nx)):
                    row[x] *= f[i]
