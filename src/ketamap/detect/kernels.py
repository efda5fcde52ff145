"""From one filtered block to candidate cells and tile noise, and from both to cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ketamap.core.space import Zyx, triple
from ketamap.detect.device import Filtered
from ketamap.detect.features import FEATURES, LIMITS, describe
from ketamap.detect.model import ScoreModel
from ketamap.detect.noise import ROUNDING, TILE_EXCESS_AT_MOST, NoiseMap, TileNoise, measure_tiles
from ketamap.detect.peaks import (
    Peaks,
    maxima,
    maxima_among,
    parabola_tops,
    ring_level,
    sharp_neighbourhoods,
)
from ketamap.detect.scale import FilterPlan

LEAST_Z = 3.5
"""Least response of a candidate in standard deviations of the noise. Of 11 000 somata of widely
differing made-up tissue that the score calls likely, two in a thousand lie lower."""

CANDIDATE_Z = LEAST_Z / TILE_EXCESS_AT_MOST
"""Least response in standard deviations of its own tile: no candidate can lie below it."""

LEAST_WHITE = 0.05
"""Least white noise of a tile, as a share of what its response's noise would need."""

LEAST_SIGNAL = 1.1
"""Least ``inner_signal``: half a diameter stands out by three standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockExtent:
    """What a block covers, in bins of the volume."""

    start: Zyx[int]
    """First bin in memory (the halo included)."""

    core_start: Zyx[int]
    """First bin whose peaks belong to this block."""

    core_stop: Zyx[int]
    """First bin that no longer belongs to it."""

    tiles: Zyx[slice]
    """The tiles that make up the core."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class BlockResult:
    """What a block contributes."""

    tiles: Zyx[slice]
    noise: TileNoise
    peaks: Peaks | None


def examine_block(
    block: Filtered,
    plan: FilterPlan,
    extent: BlockExtent,
    *,
    model: ScoreModel | None,
    preview: NoiseMap | None = None,
    background: Filtered | None = None,
    noise: TileNoise | None = None,
) -> BlockResult:
    """Measure the noise of a filtered block and list its candidate cells.

    Parameters
    ----------
    block
        From bin ``extent.start`` on, the halo included.
    plan
        The filters.
    extent
        Where the block lies.
    model
        Scores the surroundings; None: their features are kept as they are.
    preview
        Noise by brightness from a few tiles, the same for all blocks.
    background
        The background channel, of the same shape.
    noise
        Noise of the extent's tiles where it is known; left out: measured here. With it the core
        may be smaller than its tiles.
    """
    image, response = block.image, block.response
    edges = _edges_in_block(plan, extent)
    if noise is None:
        noise = measure_tiles(block, edges, background=background, white_gain=plan.white_gain)
    tile_of = _tiles_of(edges, response.shape)
    index = _candidates(block, noise, extent, tile_of, plan, preview)
    level = ring_level(image, index, plan.ring)
    white = _white_at(index, noise, tile_of, plan.white_gain)
    least = np.maximum(ROUNDING * np.abs(level), LEAST_Z * plan.white_gain * white)
    if preview is not None:
        least = np.maximum(least, LEAST_Z * preview.prior(level))
    likely = response[tuple(index.T)] > least
    index, white, level = index[likely], white[likely], level[likely]
    features = describe(image, response, index, extent.start, white=white, plan=plan)
    likely = features[:, FEATURES.index("inner_signal")] >= LEAST_SIGNAL
    index, white, level, features = index[likely], white[likely], level[likely], features[likely]
    peaks = Peaks(
        bins=(index + np.asarray(extent.start))
        + parabola_tops(sharp_neighbourhoods(response, index)),
        response=response[tuple(index.T)],
        level=level.astype(np.float32),
        background=np.zeros(len(index), np.float32)
        if background is None
        else background.response[tuple(index.T)],
        white=white.astype(np.float32),
        evidence=features if model is None else model.local_part(features),
    )
    return BlockResult(tiles=extent.tiles, noise=noise, peaks=peaks)


def measure_tile(block: Filtered, plan: FilterPlan, extent: BlockExtent) -> BlockResult:
    """Measure the noise of a filtered block without looking for cells."""
    noise = measure_tiles(block, _edges_in_block(plan, extent))
    return BlockResult(tiles=extent.tiles, noise=noise, peaks=None)


def noise_features(peaks: Peaks, noise: NoiseMap, plan: FilterPlan) -> NDArray[np.float32]:
    """Features of every candidate that need the noise of the whole volume, ``(n, 2)``.

    Log of the response over noise, the background's share taken off, and log of that noise over
    what white noise would give; see `ketamap.detect.model.NOISE_FEATURES`.
    """
    sigma = np.maximum(noise.at(peaks.bins, peaks.level.astype(np.float64)), 1e-30)
    z = own_response(peaks, noise) / sigma
    texture = sigma / np.maximum(plan.white_gain * peaks.white, 1e-30)
    both = np.log(np.stack([np.maximum(z, 1e-3), np.maximum(texture, 1e-3)], axis=1))
    return np.asarray(np.clip(both, *LIMITS), dtype=np.float32)


def own_response(peaks: Peaks, noise: NoiseMap) -> NDArray[np.float64]:
    """Response of every candidate less the background channel's share, ``(n,)``."""
    shared = noise.background_slope * np.maximum(peaks.background.astype(np.float64), 0.0)
    return np.asarray(peaks.response - shared)


def _edges_in_block(plan: FilterPlan, extent: BlockExtent) -> Zyx[NDArray[np.int64]]:
    z, y, x = (
        edges[tiles.start : tiles.stop + 1] - start
        for edges, tiles, start in zip(plan.tile_edges, extent.tiles, extent.start, strict=True)
    )
    return (z, y, x)


def _tiles_of(edges: Zyx[NDArray[np.int64]], shape: tuple[int, ...]) -> Zyx[NDArray[np.int64]]:
    """Tile of each plane, row and column of a block; the nearest one in the halo."""
    z, y, x = (
        np.clip(np.searchsorted(e, np.arange(n), side="right") - 1, 0, len(e) - 2)
        for e, n in zip(edges, shape, strict=True)
    )
    return (z, y, x)


def _candidates(
    block: Filtered,
    noise: TileNoise,
    extent: BlockExtent,
    tile_of: Zyx[NDArray[np.int64]],
    plan: FilterPlan,
    preview: NoiseMap | None,
) -> NDArray[np.int64]:
    lowest = np.nan_to_num(CANDIDATE_Z * noise.sigma, nan=0.0)
    lowest = np.maximum(lowest, LEAST_Z * plan.white_gain * _white_of_tiles(noise, plan.white_gain))
    if preview is not None:
        lowest = np.maximum(lowest, LEAST_Z * preview.prior(preview.levels[0]))
    first, last = (
        triple(int(c - s) for c, s in zip(core, extent.start, strict=True))
        for core in (extent.core_start, extent.core_stop)
    )
    where = (lowest.astype(np.float32), tile_of, first, last)
    if block.tops is None:
        return maxima(block.response, *where)
    return maxima_among(block.tops, block.response, *where)


def _white_at(
    index: NDArray[np.int64], noise: TileNoise, tile_of: Zyx[NDArray[np.int64]], gain: float
) -> NDArray[np.float64]:
    """White noise in a bin of each candidate's own tile, ``(n,)``, above 0."""
    white = _white_of_tiles(noise, gain)
    z, y, x = (tile[index[:, axis]] for axis, tile in enumerate(tile_of))
    return np.asarray(white[z, y, x], dtype=np.float64)


def _white_of_tiles(noise: TileNoise, gain: float) -> NDArray[np.float64]:
    least = LEAST_WHITE * np.nan_to_num(noise.sigma, nan=0.0) / gain
    return np.asarray(np.maximum(np.maximum(noise.white, least), 1e-30))
