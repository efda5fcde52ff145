"""From one block in memory to candidate cells and tile noise, and from both to cells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketamap.core.errors import ImageError
from ketamap.core.space import Zyx
from ketamap.detect.filters import bin_block, difference_of_gaussians
from ketamap.detect.noise import ROUNDING, TILE_EXCESS_AT_MOST, NoiseMap, TileNoise, measure_tiles
from ketamap.detect.peaks import (
    Peaks,
    is_shoulder,
    maxima,
    neighbourhoods,
    parabola_tops,
    persistence,
    profiles,
    ring_level,
    shape_of,
)
from ketamap.detect.scale import FilterPlan

F32 = NDArray[np.float32]

LEAST_Z = 7.5
"""A cell's response in standard deviations of the noise. White noise alone would pass 5.5 once
per two mm3 of 15 um somata (Adler 1981, The Geometry of Random Fields, th. 6.3.1: expected
maxima of a Gaussian field); the texture of real tissue has heavier tails."""

HALF_Z = 7.7
"""Response over noise at which half of the candidates are cells, see `score_of_z`."""

SCORE_POWER = 9.5
"""Steepness of the score, see `score_of_z`."""

SHARPEST = 0.72
"""Curvature over height, as a share of a single bright bin's. A ball of the declared diameter
reaches about 0.57 (variance d**2 / 20 per axis against that of the narrow Gaussian), one of
0.6 diameters 0.75; specks of dust and hot pixels lie at 0.75 to 1.1. Asked only where voxels
are fine enough to tell (`FilterPlan.resolves_specks`)."""

LEAST_BREADTH = 0.28
"""Middle over greatest curvature; membranes and the brain's surface fall below, somata drawn out
along one axis by the point spread do not."""

PERSISTENCE_AT_MOST = 0.8
"""Share of the response left 1.25 diameters away on both sides; fibres and sheets keep more."""

SADDLE = 0.85
"""Two peaks are one soma if the response between them stays above this share of the lower."""

CANDIDATE_Z = LEAST_Z / TILE_EXCESS_AT_MOST
"""Least response in standard deviations of its own tile: no cell can lie below it."""


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
    peaks: Peaks


def examine_block(
    block: NDArray[Any],
    plan: FilterPlan,
    extent: BlockExtent,
    *,
    background: NDArray[Any] | None = None,
) -> BlockResult:
    """Filter a block, measure its noise and list its candidate cells.

    Parameters
    ----------
    block
        Voxels from bin ``extent.start`` on, the halo included; any real dtype.
    plan
        The filters.
    extent
        Where the block lies.
    background
        The same voxels of the background channel.

    Raises
    ------
    ImageError
        If a voxel is NaN or infinite.
    """
    image, response = _respond(block, plan)
    other = None if background is None else _respond(background, plan)[1]
    edges = _edges_in_block(plan, extent)
    noise = measure_tiles(image, response, edges, background=other)
    index = _candidates(response, noise, edges)
    index = index[response[tuple(index.T)] > ROUNDING * np.abs(image[tuple(index.T)])]
    index = _somata(response, index, plan)
    peaks = Peaks(
        bins=(index + np.asarray(extent.start)) + parabola_tops(neighbourhoods(response, index)),
        response=response[tuple(index.T)],
        level=ring_level(image, index, plan.ring).astype(np.float32),
        background=np.zeros(len(index), np.float32) if other is None else other[tuple(index.T)],
    )
    return BlockResult(tiles=extent.tiles, noise=noise, peaks=peaks)


def _somata(response: F32, index: NDArray[np.int64], plan: FilterPlan) -> NDArray[np.int64]:
    """Keep the candidates, ``(n, 3)``, that have the shape of a soma."""
    around = neighbourhoods(response, index)
    shape = shape_of(around, plan.bin_um)
    limit = SHARPEST * plan.point_sharpness if plan.resolves_specks else np.inf
    compact = (shape.sharpness <= limit) & (shape.breadth >= LEAST_BREADTH)
    index, height = index[compact], around[compact, 1, 1, 1]
    beside = profiles(response, index, shape.flattest[compact], plan.profile, plan.bin_um)
    fibre = persistence(beside, height) > PERSISTENCE_AT_MOST
    return index[~fibre & ~is_shoulder(response, index, plan.merge, SADDLE)]


def score_peaks(peaks: Peaks, noise: NoiseMap) -> NDArray[np.float64]:
    """Response over noise of every candidate, ``(n,)``; the background's share taken off."""
    own = peaks.response - noise.background_slope * np.maximum(peaks.background, 0.0)
    sigma = noise.at(peaks.bins, peaks.level.astype(np.float64))
    return np.asarray(np.divide(own, sigma, out=np.zeros(len(own)), where=sigma > 0.0))


def score_of_z(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn responses over noise into scores in [0, 1], never falling.

    A logistic curve in ln z, about the share of true cells among candidates of that z in the
    made-up tissue of ``benchmarks/detection.py`` (5/2/2 um, seeds 20 to 23, 1369 candidates);
    in other tissue it orders cells but is not calibrated.
    """
    odds = (np.maximum(z, 0.0) / HALF_Z) ** SCORE_POWER
    return np.asarray(odds / (1.0 + odds))


def _respond(block: NDArray[Any], plan: FilterPlan) -> tuple[F32, F32]:
    image = bin_block(block, plan.bins)
    if not np.isfinite(image.sum(dtype=np.float64)):
        msg = "contains NaN or infinite voxels. Replace them (0 where there is no tissue)."
        raise ImageError(msg)
    if image.min() == image.max():
        return image, np.zeros_like(image)
    return image, difference_of_gaussians(image, plan.narrow, plan.wide)


def _edges_in_block(plan: FilterPlan, extent: BlockExtent) -> Zyx[NDArray[np.int64]]:
    z, y, x = (
        edges[tiles.start : tiles.stop + 1] - start
        for edges, tiles, start in zip(plan.tile_edges, extent.tiles, extent.start, strict=True)
    )
    return (z, y, x)


def _candidates(
    response: F32, noise: TileNoise, edges: Zyx[NDArray[np.int64]]
) -> NDArray[np.int64]:
    lowest = np.nan_to_num(CANDIDATE_Z * noise.sigma, nan=0.0)
    z, y, x = (
        np.clip(np.searchsorted(e, np.arange(n), side="right") - 1, 0, len(e) - 2)
        for e, n in zip(edges, response.shape, strict=True)
    )
    first, last = ([int(e[k]) for e in edges] for k in (0, -1))
    return maxima(response, lowest.astype(np.float32), (z, y, x), _triple(first), _triple(last))


def _triple(values: Iterable[int]) -> Zyx[int]:
    z, y, x = values
    return (z, y, x)
