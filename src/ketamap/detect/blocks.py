"""Cutting a volume into blocks that fit in memory and read each stored chunk about once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from ketamap.core.errors import ResourceError
from ketamap.core.space import Zyx
from ketamap.core.units import gib_from_bytes
from ketamap.detect.kernels import BlockExtent
from ketamap.detect.scale import FilterPlan

BASE_BYTES = 400 * 2**20
"""Memory of the interpreter, the libraries and the tables of a large volume, bytes."""

BYTES_PER_BIN = 18
"""Float32 image, two smoothings and response, and the samples of the noise tiles."""

BYTES_PER_BACKGROUND_BIN = 4
"""The background's response; its other arrays are there when the signal's are not."""

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
    sizes = list(product(*(_sizes(n) for n in plan.tiles)))
    needs = {size: _block_bytes(plan, cost, size) for size in sizes}
    smallest = min(needs.values())
    if smallest > room:
        msg = (
            f"Detection needs {gib_from_bytes(BASE_BYTES + workers * smallest):.2f} GiB: "
            f"{gib_from_bytes(BASE_BYTES):.2f} GiB for the program and {workers} x "
            f"{gib_from_bytes(smallest):.2f} GiB for the smallest blocks; --memory allows "
            f"{gib_from_bytes(memory_bytes):.2f} GiB. Allow more memory, or use fewer workers."
        )
        raise ResourceError(msg)
    limit = max(smallest, min(room, BLOCK_BYTES_AT_MOST))
    fitting = [size for size in sizes if needs[size] <= limit]
    best = min(fitting, key=lambda size: (_decoded(plan, cost, shape, size), -needs[size]))
    return list(_extents(plan, best))


def voxels_of(extent: BlockExtent, plan: FilterPlan, shape: Zyx[int]) -> tuple[Zyx[int], Zyx[int]]:
    """Voxels ``[start, stop)`` that a block reads, its halo included."""
    z, y, x = (
        (a * b, min((c + h) * b, n))
        for a, c, h, b, n in zip(
            extent.start, extent.core_stop, plan.halo, plan.bins, shape, strict=True
        )
    )
    return (z[0], y[0], x[0]), (z[1], y[1], x[1])


def _sizes(n_tiles: int) -> list[int]:
    """Tiles per block worth trying along an axis: even cuts."""
    return sorted({-(-n_tiles // parts) for parts in range(1, n_tiles + 1)})


def _block_bytes(plan: FilterPlan, cost: ReadCost, size: Zyx[int]) -> int:
    bins, voxels = 1, 1
    for axis in range(3):
        edges = plan.tile_edges[axis]
        longest = max(
            min(b + plan.halo[axis], plan.shape[axis]) - max(a - plan.halo[axis], 0)
            for a, b in _spans(edges, size[axis])
        )
        bins *= longest
        voxels *= longest * plan.bins[axis]
    per_bin = BYTES_PER_BIN + (BYTES_PER_BACKGROUND_BIN if cost.channels > 1 else 0)
    unit = int(np.prod(cost.stored)) * cost.itemsize
    return bins * per_bin + voxels * cost.itemsize + unit


def _decoded(plan: FilterPlan, cost: ReadCost, shape: Zyx[int], size: Zyx[int]) -> int:
    """Voxels decoded in all, chunks counted whole every time they are touched."""
    total = 1
    for axis in range(3):
        along = 0
        for a, b in _spans(plan.tile_edges[axis], size[axis]):
            first = max(a - plan.halo[axis], 0) * plan.bins[axis]
            last = min((b + plan.halo[axis]) * plan.bins[axis], shape[axis])
            unit = cost.stored[axis]
            along += min(-(-last // unit) * unit, shape[axis]) - first // unit * unit
        total *= along
    return total


def _spans(edges: np.ndarray[tuple[int], np.dtype[np.int64]], size: int) -> list[tuple[int, int]]:
    cuts = [*range(0, len(edges) - 1, size), len(edges) - 1]
    return [(int(edges[a]), int(edges[b])) for a, b in pairwise(cuts)]


def _extents(plan: FilterPlan, size: Zyx[int]) -> Iterator[BlockExtent]:
    cuts = [
        list(pairwise([*range(0, n, step), n])) for n, step in zip(plan.tiles, size, strict=True)
    ]
    for ends in product(*cuts):
        lo = [int(e[a]) for e, (a, _) in zip(plan.tile_edges, ends, strict=True)]
        hi = [int(e[b]) for e, (_, b) in zip(plan.tile_edges, ends, strict=True)]
        begin = [max(a - h, 0) for a, h in zip(lo, plan.halo, strict=True)]
        tiles = [slice(a, b) for a, b in ends]
        yield BlockExtent(
            start=(begin[0], begin[1], begin[2]),
            core_start=(lo[0], lo[1], lo[2]),
            core_stop=(hi[0], hi[1], hi[2]),
            tiles=(tiles[0], tiles[1], tiles[2]),
        )
