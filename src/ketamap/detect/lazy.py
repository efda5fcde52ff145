"""Cells of a volume of any size: block by block, the same answer for every cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from dask.base import compute
from dask.delayed import delayed
from numpy.typing import NDArray

from ketamap.core.errors import ImageError
from ketamap.core.progress import Progress, silent
from ketamap.core.settings import DetectionSettings
from ketamap.core.space import Zyx
from ketamap.core.volume import Volume
from ketamap.detect.blocks import ReadCost, choose_blocks, single_tiles, voxels_of
from ketamap.detect.device import Device, Filtered, on_cpu
from ketamap.detect.kernels import (
    LEAST_Z,
    BlockExtent,
    BlockResult,
    examine_block,
    measure_tile,
    noise_features,
    own_response,
)
from ketamap.detect.model import ScoreModel, default_model
from ketamap.detect.noise import ROUNDING, NoiseMap, TileNoise, join_tiles, map_noise
from ketamap.detect.peaks import Peaks, join_peaks
from ketamap.detect.resources import Resources
from ketamap.detect.scale import FilterPlan, for_noise, plan_filters

T = TypeVar("T")
U = TypeVar("U")

PREVIEW_TILES = 12
"""Tiles that are looked at before all others."""

OWN_SHARE = 0.5
"""Share of a response that must be the signal's own; less lowers the score in proportion."""


def find_cells(
    volume: Volume,
    settings: DetectionSettings,
    *,
    background: Volume | None = None,
    model: ScoreModel | None = None,
    resources: Resources | None = None,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Find somata: blobs of the declared diameter that rise above the local noise.

    The answer does not depend on ``resources``: every cell belongs to exactly one block, and
    every number is computed in the same order.

    Parameters
    ----------
    volume
        Axes (z, y, x); whole numbers or floats, read block by block.
    settings
        Diameter of a soma in micrometres and the least score.
    background
        Autofluorescence channel of the same shape; what the two share is not a cell.
    model
        Says how likely a candidate is a cell; left out: `default_model`.
    resources
        Memory, threads and device; left out: those of `Resources`.
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
        If a soma is smaller than a voxel, or ``model`` was made for somata of another diameter.
    ResourceError
        If the smallest possible block does not fit; nothing has been read by then. Or if the
        device has too little memory for a block.
    """
    coarse = plan_filters(volume.grid, settings.soma_diameter_um).coarse
    model = model or default_model(coarse=coarse)
    found = survey(
        volume,
        settings,
        background=background,
        model=model,
        resources=resources,
        progress=progress,
    )
    return cell_table(found, settings.min_score)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class SurveyNoise:
    """The noise of a whole volume, at three stages."""

    preview: NoiseMap
    """From a few tiles, before all others."""

    tiles: TileNoise
    """As measured."""

    expected: NoiseMap
    """What is expected anywhere."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Survey:
    """All candidates of a volume."""

    um: NDArray[np.float64]
    """Positions, shape ``(n, 3)``."""

    response: NDArray[np.float64]
    """Height of the filter response less the background's share, intensity units."""

    noise_rows: NDArray[np.float32]
    """Features of `noise_features`, shape ``(n, 2)``."""

    evidence: NDArray[np.float32]
    """With a model its `ScoreModel.local_part`, else the features `FEATURES`."""

    score: NDArray[np.float64]
    """Probability of being a soma; NaN without a model."""

    noise: SurveyNoise
    """What they were judged by."""


def survey(
    volume: Volume,
    settings: DetectionSettings,
    *,
    background: Volume | None = None,
    model: ScoreModel | None = None,
    resources: Resources | None = None,
    progress: Progress = silent,
) -> Survey:
    """List every candidate, likely or not, in raster order within blocks.

    Arguments and errors as in `find_cells`; without a model the features are kept, 100 bytes
    per candidate.
    """
    _check(volume, background)
    resources = resources or Resources()
    plan = plan_filters(volume.grid, settings.soma_diameter_um)
    if model is not None:
        model.require_fit(diameter_um=settings.soma_diameter_um, coarse=plan.coarse)
    blocks = choose_blocks(
        plan,
        read_cost(volume, background),
        volume.grid.shape,
        memory_bytes=resources.memory_bytes,
        workers=resources.workers,
    )
    count = Counter(len(blocks), progress)
    preview = _preview(volume, plan, resources.workers)

    def examine(extent: BlockExtent) -> BlockResult:
        block, other = _filtered(volume, background, plan, extent, resources.device)
        result = examine_block(block, plan, extent, model=model, preview=preview, background=other)
        count.add()
        return result

    results = run_all(examine, blocks, resources.workers)
    tiles = join_tiles(plan.tiles, ((r.tiles, r.noise) for r in results))
    expected = map_noise(tiles, plan.tile_edges, _least_noise(volume, plan, tiles.level))
    noise = SurveyNoise(preview=preview, tiles=tiles, expected=expected)
    return judge(volume, plan, join_peaks([r.peaks for r in results if r.peaks]), noise, model)


def _preview(volume: Volume, plan: FilterPlan, workers: int) -> NoiseMap:
    """Noise by brightness from a few tiles: sets aside most of what is not a cell at once."""
    plan = for_noise(plan)

    def measure(extent: BlockExtent) -> BlockResult:
        start, stop = voxels_of(extent, plan, volume.grid.shape)
        with _naming(volume.name, start, stop):
            return measure_tile(on_cpu(volume.read(start, stop), plan), plan, extent)

    parts = run_all(measure, single_tiles(plan, PREVIEW_TILES), workers)
    tiles = join_tiles(plan.tiles, ((r.tiles, r.noise) for r in parts))
    return map_noise(tiles, plan.tile_edges, _least_noise(volume, plan, tiles.level))


@contextmanager
def _naming(name: str, start: Zyx[int], stop: Zyx[int]) -> Iterator[None]:
    """Say in an image's error which image and where."""
    try:
        yield
    except ImageError as error:
        msg = f"{name}, voxels {start} to {stop} (z, y, x): {error}"
        raise ImageError(msg) from error


def judge(
    volume: Volume, plan: FilterPlan, peaks: Peaks, noise: SurveyNoise, model: ScoreModel | None
) -> Survey:
    """Score candidates against the noise of the volume."""
    rows = noise_features(peaks, noise.expected, plan)
    own = own_response(peaks, noise.expected)
    score = np.full(len(rows), np.nan)
    if model is not None:
        share = own / np.maximum(peaks.response.astype(np.float64), 1e-30)
        score = model.probability(peaks.evidence, rows) * np.clip(share / OWN_SHARE, 0.0, 1.0)
    likely = rows[:, 0] >= np.log(LEAST_Z)
    return Survey(
        um=_positions_um(volume, plan.bins, peaks.bins)[likely],
        response=own[likely],
        noise_rows=rows[likely],
        evidence=peaks.evidence[likely],
        score=score[likely],
        noise=noise,
    )


def run_all(examine: Callable[[T], U], items: Sequence[T], workers: int) -> Sequence[U]:
    """Examine every item, in order or in threads; results in the order of the items."""
    if workers == 1:
        return [examine(item) for item in items]
    lazy = delayed(examine, traverse=False)
    results: tuple[U, ...] = compute(  # type: ignore[no-untyped-call]
        *(lazy(item) for item in items), scheduler="threads", num_workers=workers
    )
    return results


class Counter:
    """Counts what is finished, from any thread."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._done, self._total, self._progress, self._lock = 0, total, progress, Lock()
        progress(0, total)

    def add(self) -> None:
        """One more is finished."""
        with self._lock:
            self._done += 1
            self._progress(self._done, self._total)


def _check(volume: Volume, background: Volume | None) -> None:
    for image in (volume, background):
        if image is not None and np.dtype(image.data.dtype).kind not in "uif":
            msg = f"{image.name} has voxels of type {image.data.dtype}; real numbers are needed."
            raise ImageError(msg)
    if background is not None:
        require_alike(volume, background)


def require_alike(volume: Volume, background: Volume) -> None:
    """Refuse a background channel that is sampled otherwise than the signal.

    Raises
    ------
    ImageError
        If its shape or spacing differs.
    """
    if background.grid.shape != volume.grid.shape or not np.allclose(
        background.grid.spacing_um, volume.grid.spacing_um, rtol=1e-3
    ):
        msg = (
            f"The background {background.name} has shape {background.grid.shape} at "
            f"{background.grid.spacing_um} um, but {volume.name} {volume.grid.shape} at "
            f"{volume.grid.spacing_um} um. Both channels must be sampled alike."
        )
        raise ImageError(msg)


def read_cost(volume: Volume, background: Volume | None) -> ReadCost:
    """Tell what a voxel of all channels costs to read."""
    channels = [volume] if background is None else [volume, background]
    return ReadCost(
        itemsize=sum(np.dtype(c.data.dtype).itemsize for c in channels),
        channels=len(channels),
        stored=volume.block_shape or (1, 1, 1),
    )


def _filtered(
    volume: Volume,
    background: Volume | None,
    plan: FilterPlan,
    extent: BlockExtent,
    device: Device,
) -> tuple[Filtered, Filtered | None]:
    """Filter a block of the signal and of the background."""
    start, stop = voxels_of(extent, plan, volume.grid.shape)

    def read(image: Volume) -> Filtered:
        with _naming(image.name, start, stop):
            return device(image.read(start, stop), plan)

    other = None if background is None else read(background)
    return read(volume), other


def cell_table(found: Survey, min_score: float, **more: NDArray[np.float64]) -> pd.DataFrame:
    """List the candidates that score enough, by position.

    Parameters
    ----------
    found
        All candidates.
    min_score
        Least score.
    **more
        Further columns, one value per such candidate, in the survey's order.
    """
    keep = found.score >= min_score
    table = pd.DataFrame(found.um[keep], columns=["z_um", "y_um", "x_um"])
    table["score"] = found.score[keep]
    return table.assign(**more).sort_values(["z_um", "y_um", "x_um"], ignore_index=True)


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
