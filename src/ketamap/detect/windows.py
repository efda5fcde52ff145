"""Looking again at small parts of a surveyed volume, with one soma planted in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import ceil, floor, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketamap.core.progress import Progress, silent
from ketamap.core.space import Zyx, triple
from ketamap.core.volume import Volume
from ketamap.detect.blocks import choose_blocks, voxels_of
from ketamap.detect.device import on_cpu
from ketamap.detect.filters import bin_block
from ketamap.detect.kernels import BlockExtent, examine_block
from ketamap.detect.lazy import Counter, Survey, judge, read_cost, run_all
from ketamap.detect.model import ScoreModel
from ketamap.detect.noise import TileNoise
from ketamap.detect.peaks import ring_level
from ketamap.detect.resources import Resources
from ketamap.detect.scale import FilterPlan
from ketamap.detect.spikes import Spikes, add_spikes

F64 = NDArray[np.float64]

WINDOW_PER_DIAMETER = 0.5
"""Candidates within this many diameters of a planted soma, along each axis, are listed."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Scene:
    """A volume that was surveyed, and how."""

    volume: Volume
    background: Volume | None
    plan: FilterPlan
    model: ScoreModel
    resources: Resources
    found: Survey
    """Its result, by ``model``."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Glimpse:
    """What lies around one place once a soma is planted there."""

    around: Survey
    """Candidates in the window."""

    noise: float
    """Standard deviation of the response that was expected there before, intensity units."""


def look_again(scene: Scene, spikes: Spikes, progress: Progress = silent) -> list[Glimpse]:
    """Plant each soma alone and list the candidates around it.

    With somata of height 0 the candidates are those of the survey, to the last bit. The noise is
    that of the image as it is: one soma more hardly changes it.

    Parameters
    ----------
    scene
        The surveyed volume. Its blocks are read as the survey read them, those that hold a
        soma: whole where somata are dense, else only around them.
    spikes
        What is planted.
    progress
        Told the number of somata done and in all.

    Returns
    -------
    list of Glimpse
        In the order of ``spikes``.
    """
    grid, plan = scene.volume.grid, scene.plan
    bins = (spikes.um - np.asarray(grid.origin_um)) / np.asarray(grid.spacing_um)
    bins = (bins + 0.5) / np.asarray(plan.bins) - 0.5
    count = Counter(len(bins), progress)
    groups = _by_block(scene, np.rint(bins))

    def examine(group: NDArray[np.int64]) -> list[Glimpse]:
        windows = [_window(plan, bins[k]) for k in group]
        seen = []
        for k, (signal, other), window in zip(group, _read(scene, windows), windows, strict=True):
            soma = Spikes(
                um=spikes.um[k : k + 1],
                height=spikes.height[k : k + 1],
                diameter_um=spikes.diameter_um,
            )
            seen.append(_glimpse(scene, window, bins[k], soma, (signal, other)))
            count.add()
        return seen

    results = run_all(examine, groups, scene.resources.workers)
    place = {
        int(k): one
        for group, seen in zip(groups, results, strict=True)
        for k, one in zip(group, seen, strict=True)
    }
    return [place[k] for k in range(len(bins))]


def _by_block(scene: Scene, bins: F64) -> list[NDArray[np.int64]]:
    """Somata of each block that the survey would read, empty blocks left out."""
    blocks = choose_blocks(
        scene.plan,
        read_cost(scene.volume, scene.background),
        scene.volume.grid.shape,
        memory_bytes=scene.resources.memory_bytes,
        workers=scene.resources.workers,
    )
    at = np.clip(bins, 0, np.asarray(scene.plan.shape) - 1)
    groups = [
        np.flatnonzero(
            np.all((at >= block.core_start) & (at < np.asarray(block.core_stop)), axis=1)
        )
        for block in blocks
    ]
    return [group for group in groups if len(group)]


def _window(plan: FilterPlan, centre: F64) -> BlockExtent:
    """Return the bins within reach of a place, and the halo that they depend on."""
    reach = WINDOW_PER_DIAMETER * plan.diameter_um / np.asarray(plan.bin_um)
    low, high, start, tiles = [], [], [], []
    for at, r, n, halo, edges in zip(
        centre, reach, plan.shape, plan.halo, plan.tile_edges, strict=True
    ):
        a, b = max(floor(at - r), 0), min(ceil(at + r) + 1, n)
        low.append(a)
        high.append(b)
        start.append(max(a - halo, 0))
        first, last = np.searchsorted(edges, (a, b - 1), side="right") - 1
        tiles.append(slice(int(first), int(last) + 1))
    return BlockExtent(
        start=triple(start),
        core_start=triple(low),
        core_stop=triple(high),
        tiles=triple(tiles),
    )


def _read(
    scene: Scene, windows: Sequence[BlockExtent]
) -> list[tuple[NDArray[Any], NDArray[Any] | None]]:
    """Voxels of each window, of both channels: from one box around all if that decodes less."""
    shape = scene.volume.grid.shape
    stored = scene.volume.block_shape or (1, 1, 1)
    spans = [voxels_of(window, scene.plan, shape) for window in windows]
    low = triple([min(a[axis] for a, _ in spans) for axis in range(3)])
    high = triple([max(b[axis] for _, b in spans) for axis in range(3)])
    together = _decoded(low, high, stored) <= sum(_decoded(a, b, stored) for a, b in spans)
    channels = [c for c in (scene.volume, scene.background) if c is not None]
    parts = []
    for channel in channels:
        if together:
            box = channel.read(low, high)
            parts.append([box[_spot(a, b, low)] for a, b in spans])
        else:
            parts.append([channel.read(a, b) for a, b in spans])
    others = parts[1] if len(parts) > 1 else [None] * len(spans)
    return list(zip(parts[0], others, strict=True))


def _decoded(start: Zyx[int], stop: Zyx[int], stored: Zyx[int]) -> int:
    """Voxels that are decoded to read a box: stored chunks are decoded whole."""
    return prod((-(-b // s) - a // s) * s for a, b, s in zip(start, stop, stored, strict=True))


def _spot(start: Zyx[int], stop: Zyx[int], origin: Zyx[int]) -> tuple[slice, ...]:
    return tuple(slice(a - o, b - o) for a, b, o in zip(start, stop, origin, strict=True))


def _glimpse(
    scene: Scene,
    window: BlockExtent,
    centre: F64,
    soma: Spikes,
    blocks: tuple[NDArray[Any], NDArray[Any] | None],
) -> Glimpse:
    plan, noise = scene.plan, scene.found.noise
    block, other = blocks
    start, _ = voxels_of(window, plan, scene.volume.grid.shape)
    result = examine_block(
        on_cpu(add_spikes(block, start, scene.volume.grid, soma), plan),
        plan,
        window,
        model=scene.model,
        preview=noise.preview,
        background=None if other is None else on_cpu(other, plan),
        noise=_tiles(noise.tiles, window),
    )
    assert result.peaks is not None
    middle = np.clip(np.rint(centre), window.core_start, np.asarray(window.core_stop) - 1)
    index = (middle - window.start).astype(np.int64)[None]
    level = ring_level(bin_block(block, plan.bins), index, plan.ring)
    return Glimpse(
        around=judge(scene.volume, plan, result.peaks, noise, scene.model),
        noise=float(noise.expected.at(centre[None], level)[0]),
    )


def _tiles(tiles: TileNoise, window: BlockExtent) -> TileNoise:
    return TileNoise(**{f.name: getattr(tiles, f.name)[window.tiles] for f in fields(tiles)})
