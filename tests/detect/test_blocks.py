"""ketamap.detect.blocks"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.core.errors import ResourceError
from ketamap.core.space import VoxelGrid
from ketamap.detect.blocks import BASE_BYTES, ReadCost, choose_blocks, voxels_of
from ketamap.detect.scale import plan_filters

SHAPE = (45, 130, 170)


def blocks_for(memory_bytes, *, workers=1, stored=(1, 1, 1), shape=SHAPE):
    plan = plan_filters(VoxelGrid(shape=shape, spacing_um=(5.0, 2.0, 2.0)), 15.0)
    cost = ReadCost(itemsize=2, channels=1, stored=stored)
    blocks = choose_blocks(plan, cost, shape, memory_bytes=memory_bytes, workers=workers)
    return plan, blocks


@settings(deadline=None, max_examples=40)
@given(
    extra=st.integers(6_000_000, 60_000_000),
    workers=st.integers(1, 3),
    stored=st.tuples(*[st.sampled_from([1, 16, 64])] * 3),
)
def test_every_bin_belongs_to_exactly_one_block(extra, workers, stored):
    plan, blocks = blocks_for(BASE_BYTES + extra * workers, workers=workers, stored=stored)
    owners = np.zeros(plan.shape, dtype=int)
    tiles = np.zeros(plan.tiles, dtype=int)
    for block in blocks:
        owners[tuple(map(slice, block.core_start, block.core_stop))] += 1
        tiles[block.tiles] += 1
    assert np.all(owners == 1)
    assert np.all(tiles == 1)


def test_blocks_read_their_halo_and_stay_inside_the_volume():
    plan, blocks = blocks_for(BASE_BYTES + 3_000_000)
    assert len(blocks) > 1
    for block in blocks:
        start, stop = voxels_of(block, plan, SHAPE)
        for axis in range(3):
            lo = max(block.core_start[axis] - plan.halo[axis], 0) * plan.bins[axis]
            hi = (block.core_stop[axis] + plan.halo[axis]) * plan.bins[axis]
            assert start[axis] == lo
            assert stop[axis] == min(hi, SHAPE[axis])


def test_planes_stored_whole_are_not_cut():
    shape = (400, 1000, 1000)
    _, blocks = blocks_for(BASE_BYTES + 2**30, stored=(1, 1000, 1000), shape=shape)
    assert {(b.core_start[1], b.core_start[2]) for b in blocks} == {(0, 0)}


def test_half_a_teravoxel_is_planned_and_fits():
    shape = (2500, 10_000, 20_000)
    plan = plan_filters(VoxelGrid(shape=shape, spacing_um=(5.0, 1.0, 1.0)), 15.0)
    cost = ReadCost(itemsize=2, channels=1, stored=(64, 256, 256))
    blocks = choose_blocks(plan, cost, shape, memory_bytes=4 * 2**30, workers=2)
    start, stop = voxels_of(blocks[len(blocks) // 2], plan, shape)
    assert 2 * np.prod(np.subtract(stop, start)) * 2 < 4 * 2**30 - BASE_BYTES


def test_too_little_memory_is_refused_with_the_arithmetic():
    with pytest.raises(ResourceError, match=r"needs .* GiB.*2 x .*--memory allows"):
        blocks_for(BASE_BYTES + 1_000_000, workers=2)
