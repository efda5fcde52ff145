"""Cutting a volume into blocks of whole boxes that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

from ketamap.core.errors import ResourceError
from ketamap.core.space import Zyx
from ketamap.core.units import gib_from_bytes
from ketamap.trace.scale import RidgePlan, triple

BASE_BYTES = 400 * 2**20
"""Memory of the interpreter, the libraries, the survey and the table, bytes."""

BYTES_PER_VOXEL = 20
"""Score (4), number (4), state, probability and skeleton (1 each) of every voxel, and lists of
those that may be fibre, some 50 bytes each."""

STORED_IN_FLIGHT = 4
"""Stored chunks being decoded beside the block that they are copied into."""

BLOCK_BYTES_AT_MOST = 1536 * 2**20
"""Larger blocks gain little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockExtent:
    """What a block covers, in voxels of the volume."""

    start: Zyx[int]
    """First voxel whose score is needed."""

    stop: Zyx[int]
    """First voxel beyond those."""

    core_start: Zyx[int]
    """First voxel that belongs to the block; it begins a box."""

    core_stop: Zyx[int]
    """First voxel that no longer belongs to it."""

    @property
    def core(self) -> tuple[slice, ...]:
        """The voxels that belong to the block, within the block."""
        return tuple(
            slice(a - o, b - o)
            for a, b, o in zip(self.core_start, self.core_stop, self.start, strict=True)
        )


def choose_blocks(
    plan: RidgePlan,
    halo: Zyx[int],
    *,
    itemsize: int,
    stored: Zyx[int],
    memory_bytes: int,
    workers: int,
) -> list[BlockExtent]:
    """Cut the volume into blocks of whole boxes, as few voxels read as memory allows.

    Parameters
    ----------
    plan
        The filters.
    halo
        Voxels around a block whose scores it needs.
    itemsize
        Bytes per voxel of the image.
    stored
        Shape of the unit that is decoded at once.
    memory_bytes
        What all workers may use together.
    workers
        Blocks in memory at the same time.

    Raises
    ------
    ResourceError
        If not even the smallest block per worker fits.
    """
    room = (memory_bytes - BASE_BYTES) / workers
    in_flight = STORED_IN_FLIGHT * prod(stored) * itemsize
    trios = list(product(*(_sizes(n, b) for n, b in zip(plan.shape, plan.box, strict=True))))
    costs = [_cost(plan, halo, trio) for trio in trios]
    needs = [voxels * (BYTES_PER_VOXEL + itemsize) + in_flight for voxels, _ in costs]
    smallest = min(needs)
    if smallest > room:
        msg = (
            f"Tracing needs {gib_from_bytes(BASE_BYTES + workers * smallest):.2f} GiB: "
            f"{gib_from_bytes(BASE_BYTES):.2f} GiB for the program and {workers} x "
            f"{gib_from_bytes(smallest):.2f} GiB for the smallest blocks; --memory allows "
            f"{gib_from_bytes(memory_bytes):.2f} GiB. Allow more memory, or use fewer workers."
        )
        raise ResourceError(msg)
    limit = max(smallest, min(room, BLOCK_BYTES_AT_MOST))
    fitting = [
        (total, need, trio)
        for trio, need, (_, total) in zip(trios, needs, costs, strict=True)
        if need <= limit and (workers == 1 or _parts(plan, trio) >= workers)
    ] or [(0, smallest, trios[needs.index(smallest)])]
    return list(_extents(plan, halo, min(fitting)[2]))


def _sizes(n: int, box: int) -> list[int]:
    """Voxels per block along an axis: 1, 2, 4, ... about equal parts of whole boxes."""
    boxes = -(-n // box)
    return sorted({-(-boxes // 2**k) * box for k in range(boxes.bit_length() + 1)})


def _parts(plan: RidgePlan, trio: tuple[int, ...]) -> int:
    return prod(-(-n // size) for n, size in zip(plan.shape, trio, strict=True))


def _cost(plan: RidgePlan, halo: Zyx[int], trio: tuple[int, ...]) -> tuple[int, int]:
    """Voxels in memory of the largest block, and of all blocks together."""
    largest, total = 1, 1
    for axis, size in enumerate(trio):
        spans = [
            _span(plan, halo, axis, a, min(a + size, plan.shape[axis]))
            for a in range(0, plan.shape[axis], size)
        ]
        largest, total = largest * max(spans), total * sum(spans)
    return largest, total


def _span(plan: RidgePlan, halo: Zyx[int], axis: int, a: int, b: int) -> int:
    n, c, r = plan.shape[axis], plan.cell[axis], plan.reach[axis]
    first = max((max(a - halo[axis], 0) - r) // c * c, 0)
    last = min(-(-(min(b + halo[axis], n) + r) // c) * c, n)
    return last - first


def _extents(plan: RidgePlan, halo: Zyx[int], trio: tuple[int, ...]) -> Iterator[BlockExtent]:
    for spot in product(*(range(0, n, s) for n, s in zip(plan.shape, trio, strict=True))):
        stop = triple(min(a + s, n) for a, s, n in zip(spot, trio, plan.shape, strict=True))
        yield BlockExtent(
            start=triple(max(a - h, 0) for a, h in zip(spot, halo, strict=True)),
            stop=triple(min(b + h, n) for b, h, n in zip(stop, halo, plan.shape, strict=True)),
            core_start=triple(spot),
            core_stop=stop,
        )
