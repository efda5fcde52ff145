"""Cells of a volume of any size: block by block, the same answer for every cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
from dask.base import compute
from dask.delayed import delayed
from numpy.typing import NDArray

from ketamap.core.errors import ImageError, InputError
from ketamap.core.progress import Progress, silent
from ketamap.core.settings import DetectionSettings
from ketamap.core.space import Zyx
from ketamap.core.volume import Volume
from ketamap.detect.blocks import ReadCost, choose_blocks, voxels_of
from ketamap.detect.kernels import (
    LEAST_Z,
    BlockExtent,
    BlockResult,
    examine_block,
    score_of_z,
    score_peaks,
)
from ketamap.detect.noise import ROUNDING, join_tiles, map_noise
from ketamap.detect.peaks import join_peaks
from ketamap.detect.scale import FilterPlan, plan_filters

DEFAULT_MEMORY_BYTES = 4 * 2**30
"""Memory that detection may use, bytes."""


def find_cells(
    volume: Volume,
    settings: DetectionSettings,
    *,
    background: Volume | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    workers: int = 1,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Find somata: blobs of the declared diameter that rise above the local noise.

    The answer does not depend on ``memory_bytes`` or ``workers``: every cell belongs to
    exactly one block, and every number is computed in the same order.

    Parameters
    ----------
    volume
        Axes (z, y, x); whole numbers or floats, read block by block.
    settings
        Diameter of a soma in micrometres and the least score.
    background
        Autofluorescence channel of the same shape; what the two share is not a cell.
    memory_bytes
        What the process may use, all workers together; at least about half a GiB.
    workers
        Threads; the kernels release the interpreter lock.
    progress
        Told the number of blocks done and in all.

    Returns
    -------
    pandas.DataFrame
        Columns ``z_um, y_um, x_um`` (positions in the sample, with fractions of a voxel)
        and ``score`` in [0, 1], sorted by position; no rows where nothing is found.

    Raises
    ------
    ImageError
        If a voxel is NaN or infinite, voxels are not real numbers, or the background has
        another shape or spacing.
    InputError
        If a soma is smaller than a voxel, or ``workers`` is less than 1.
    ResourceError
        If the smallest possible block does not fit; nothing has been read by then.
    """
    _check(volume, background, workers)
    plan = plan_filters(volume.grid, settings.soma_diameter_um)
    blocks = choose_blocks(
        plan,
        _read_cost(volume, background),
        volume.grid.shape,
        memory_bytes=memory_bytes,
        workers=workers,
    )
    count = _Counter(len(blocks), progress)

    def examine(extent: BlockExtent) -> BlockResult:
        result = _examine(volume, background, plan, extent)
        count.add()
        return result

    return _table(volume, plan, _run(examine, blocks, workers), settings)


def _run(
    examine: Callable[[BlockExtent], BlockResult], blocks: list[BlockExtent], workers: int
) -> Sequence[BlockResult]:
    """Examine every block, in order or in threads; results in the order of the blocks."""
    if workers == 1:
        return [examine(extent) for extent in blocks]
    lazy = delayed(examine, traverse=False)
    results: tuple[BlockResult, ...] = compute(  # type: ignore[no-untyped-call]
        *(lazy(extent) for extent in blocks), scheduler="threads", num_workers=workers
    )
    return results


class _Counter:
    """Counts finished blocks, from any thread."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._done, self._total, self._progress, self._lock = 0, total, progress, Lock()
        progress(0, total)

    def add(self) -> None:
        with self._lock:
            self._done += 1
            self._progress(self._done, self._total)


def _check(volume: Volume, background: Volume | None, workers: int) -> None:
    if workers < 1:
        msg = f"workers must be at least 1, got {workers}."
        raise InputError(msg)
    for image in (volume, background):
        if image is not None and np.dtype(image.data.dtype).kind not in "uif":
            msg = f"{image.name} has voxels of type {image.data.dtype}; real numbers are needed."
            raise ImageError(msg)
    if background is None:
        return
    if background.grid.shape != volume.grid.shape or not np.allclose(
        background.grid.spacing_um, volume.grid.spacing_um, rtol=1e-3
    ):
        msg = (
            f"The background {background.name} has shape {background.grid.shape} at "
            f"{background.grid.spacing_um} um, but {volume.name} {volume.grid.shape} at "
            f"{volume.grid.spacing_um} um. Both channels must be sampled alike."
        )
        raise ImageError(msg)


def _read_cost(volume: Volume, background: Volume | None) -> ReadCost:
    channels = [volume] if background is None else [volume, background]
    return ReadCost(
        itemsize=sum(np.dtype(c.data.dtype).itemsize for c in channels),
        channels=len(channels),
        stored=volume.block_shape or (1, 1, 1),
    )


def _examine(
    volume: Volume,
    background: Volume | None,
    plan: FilterPlan,
    extent: BlockExtent,
) -> BlockResult:
    start, stop = voxels_of(extent, plan, volume.grid.shape)
    other = None if background is None else background.read(start, stop)
    try:
        return examine_block(volume.read(start, stop), plan, extent, background=other)
    except ImageError as error:
        names = volume.name if background is None else f"{volume.name} or {background.name}"
        msg = f"{names}, voxels {start} to {stop} (z, y, x): {error}"
        raise ImageError(msg) from error


def _table(
    volume: Volume,
    plan: FilterPlan,
    results: Sequence[BlockResult],
    settings: DetectionSettings,
) -> pd.DataFrame:
    tiles = join_tiles(plan.tiles, ((r.tiles, r.noise) for r in results))
    peaks = join_peaks([r.peaks for r in results])
    noise = map_noise(tiles, plan.tile_edges, _least_noise(volume, plan, tiles.level))
    z = score_peaks(peaks, noise)
    score = score_of_z(z)
    keep = (z >= LEAST_Z) & (score >= settings.min_score)
    positions = _positions_um(volume, plan.bins, peaks.bins[keep])
    table = pd.DataFrame(positions, columns=["z_um", "y_um", "x_um"])
    table["score"] = score[keep]
    return table.sort_values(["z_um", "y_um", "x_um"], ignore_index=True)


def _least_noise(volume: Volume, plan: FilterPlan, level: NDArray[np.float64]) -> float:
    """Noise below which a response means nothing: rounding, and steps of whole numbers."""
    steps = 0.0
    if np.dtype(volume.data.dtype).kind in "ui":
        steps = plan.white_gain * float(np.sqrt(1.0 / (12.0 * np.prod(plan.bins))))
    brightest = float(np.nanmax(level)) if np.any(np.isfinite(level)) else 0.0
    return max(steps, ROUNDING * brightest)


def _positions_um(volume: Volume, bins: Zyx[int], where: NDArray[np.float64]) -> NDArray[Any]:
    """Positions of fractional bins, ``(n, 3)`` um; never beyond the outermost voxel centres."""
    per_axis = np.asarray(bins, dtype=np.float64)
    index = where * per_axis + 0.5 * (per_axis - 1.0)
    return volume.grid.to_um(np.clip(index, 0.0, np.asarray(volume.grid.shape) - 1.0))
