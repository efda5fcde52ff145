"""Cutting a volume into blocks that fit in memory and read each stored chunk about once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod
from typing import NamedTuple

import numpy as np

from ketamap.core.errors import ResourceError
from ketamap.core.space import Zyx
from ketamap.core.units import gib_from_bytes
from ketamap.detect.kernels import BlockExtent
from ketamap.detect.scale import FilterPlan

BASE_BYTES = 400 * 2**20
"""Memory of the interpreter, the libraries and the tables of a large volume, bytes."""

BYTES_PER_BIN = 12
"""Float32 image and response, rows on their way from one to the other, samples of noise tiles."""

BYTES_PER_BACKGROUND_BIN = 8
"""The background's image and response; the signal is filtered when these two are there."""

STORED_IN_FLIGHT = 4
"""Stored chunks being decoded beside the block that they are copied into."""

BLOCK_BYTES_AT_MOST = 512 * 2**20
"""Larger blocks gain nothing: the halo is a few percent by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCost:
    """What a voxel costs to read."""

    itemsize: int
    """Bytes per voxel of signal and background together."""

    channels: int
    """1, or 2 with a background."""

    stored: Zyx[int]
    """Shape of the unit that is decoded at once, in voxels."""


def choose_blocks(
    plan: FilterPlan, cost: ReadCost, shape: Zyx[int], *, memory_bytes: int, workers: int
) -> list[BlockExtent]:
    """Cut the volume into blocks of whole noise tiles.

    Among the block shapes whose memory fits, the one that decodes the fewest voxels is
    taken (stored chunks are decoded whole, and again for every block they touch).

    Parameters
    ----------
    plan
        The filters, which say how wide a halo is.
    cost
        Type and storage of the voxels.
    shape
        The volume in voxels.
    memory_bytes
        What all workers may use together.
    workers
        Blocks in memory at the same time.

    Raises
    ------
    ResourceError
        If not even one tile per worker fits.
    """
    room = (memory_bytes - BASE_BYTES) / workers
    cuts = [_axis_cuts(plan, cost, shape, axis) for axis in range(3)]
    trios = list(product(*cuts))
    needs = [_block_bytes(cost, trio) for trio in trios]
    smallest = min(needs)
    if smallest > room:
        msg = (
            f"Detection needs {gib_from_bytes(BASE_BYTES + workers * smallest):.2f} GiB: "
            f"{gib_from_bytes(BASE_BYTES):.2f} GiB for the program and {workers} x "
            f"{gib_from_bytes(smallest):.2f} GiB for the smallest blocks; --memory allows "
            f"{gib_from_bytes(memory_bytes):.2f} GiB. Allow more memory, or use fewer workers."
        )
        raise ResourceError(msg)
    limit = max(smallest, min(room, BLOCK_BYTES_AT_MOST))
    fitting = [
        (prod(cut.decoded for cut in trio), need, trio)
        for trio, need in zip(trios, needs, strict=True)
        if need <= limit and (workers == 1 or prod(cut.parts for cut in trio) >= workers)
    ] or [(0, smallest, trios[needs.index(smallest)])]
    _, _, best = min(fitting, key=lambda one: (one[0], -one[1]))
    return list(_extents(plan, (best[0].size, best[1].size, best[2].size)))


def voxels_of(extent: BlockExtent, plan: FilterPlan, shape: Zyx[int]) -> tuple[Zyx[int], Zyx[int]]:
    """Voxels ``[start, stop)`` that a block reads, its halo included."""
    z, y, x = (
        (a * b, min((c + h) * b, n))
        for a, c, h, b, n in zip(
            extent.start, extent.core_stop, plan.halo, plan.bins, shape, strict=True
        )
    )
    return (z[0], y[0], x[0]), (z[1], y[1], x[1])


class _Cut(NamedTuple):
    """One way of cutting an axis."""

    size: int
    """Tiles per block."""
    parts: int
    """Blocks along the axis."""
    bins: int
    """Bins of the longest block, halo included."""
    voxels: int
    """Voxels of the longest block, halo included."""
    decoded: int
    """Voxels decoded by all blocks, stored chunks counted whole every time."""


def _axis_cuts(plan: FilterPlan, cost: ReadCost, shape: Zyx[int], axis: int) -> list[_Cut]:
    """Cut an axis in 1, 2, 4, ... about equal parts, down to single tiles."""
    n_tiles = plan.tiles[axis]
    sizes = {-(-n_tiles // 2**k) for k in range(n_tiles.bit_length() + 1)}
    return [_cut(plan, cost.stored[axis], shape[axis], axis, size) for size in sorted(sizes)]


def _cut(plan: FilterPlan, unit: int, n_voxels: int, axis: int, size: int) -> _Cut:
    edges, halo, per_bin = plan.tile_edges[axis], plan.halo[axis], plan.bins[axis]
    cuts = [*range(0, len(edges) - 1, size), len(edges) - 1]
    longest, decoded = 0, 0
    for a, b in pairwise(cuts):
        first = max(int(edges[a]) - halo, 0)
        last = min(int(edges[b]) + halo, plan.shape[axis])
        longest = max(longest, last - first)
        begin, end = first * per_bin, min(last * per_bin, n_voxels)
        decoded += min(-(-end // unit) * unit, n_voxels) - begin // unit * unit
    return _Cut(size, len(cuts) - 1, longest, longest * per_bin, decoded)


def _block_bytes(cost: ReadCost, trio: tuple[_Cut, ...]) -> int:
    per_bin = BYTES_PER_BIN + (BYTES_PER_BACKGROUND_BIN if cost.channels > 1 else 0)
    in_flight = STORED_IN_FLIGHT * prod(cost.stored) * cost.itemsize
    return (
        prod(cut.bins for cut in trio) * per_bin
        + prod(cut.voxels for cut in trio) * cost.itemsize
        + in_flight
    )


def single_tiles(plan: FilterPlan, n: int) -> list[BlockExtent]:
    """Up to ``n`` blocks of one tile each, spread over the volume.

    The golden ratio (Roberts 2018; Weyl 1916) keeps them from falling into columns.
    """
    every = list(np.ndindex(*plan.tiles))
    share = (0.5 + 0.618033988749895 * np.arange(min(n, len(every)))) % 1.0
    chosen = sorted({int(v * len(every)) for v in share})
    return [_extent(plan, [(k, k + 1) for k in every[c]]) for c in chosen]


def _extents(plan: FilterPlan, size: Zyx[int]) -> Iterator[BlockExtent]:
    cuts = [
        list(pairwise([*range(0, n, step), n])) for n, step in zip(plan.tiles, size, strict=True)
    ]
    for ends in product(*cuts):
        yield _extent(plan, list(ends))


def _extent(plan: FilterPlan, ends: list[tuple[int, int]]) -> BlockExtent:
    """Block of the tiles ``[a, b)`` along each axis."""
    lo = [int(e[a]) for e, (a, _) in zip(plan.tile_edges, ends, strict=True)]
    hi = [int(e[b]) for e, (_, b) in zip(plan.tile_edges, ends, strict=True)]
    begin = [max(a - h, 0) for a, h in zip(lo, plan.halo, strict=True)]
    tiles = [slice(a, b) for a, b in ends]
    return BlockExtent(
        start=(begin[0], begin[1], begin[2]),
        core_start=(lo[0], lo[1], lo[2]),
        core_stop=(hi[0], hi[1], hi[2]),
        tiles=(tiles[0], tiles[1], tiles[2]),
    )
