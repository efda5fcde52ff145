"""ketamap.io.pyramid"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ketamap.core.space import VoxelGrid
from ketamap.io.pyramid import halve, level_grids

blocks = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16, np.int16, np.int32, np.uint32]),
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=7),
    elements=st.integers(0, 127),
)


@settings(max_examples=80, deadline=None)
@given(block=blocks)
def test_whole_numbers_are_averaged_and_rounded_half_up(block):
    padded = np.pad(block.astype(float), [(0, n % 2) for n in block.shape], mode="edge")
    z, y, x = padded.shape
    mean = padded.reshape(z // 2, 2, y // 2, 2, x // 2, 2).mean(axis=(1, 3, 5))
    halved = halve(block, labels=False)
    np.testing.assert_array_equal(halved, np.floor(mean + 0.5))
    assert halved.dtype == block.dtype


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int32])
def test_the_brightest_voxels_do_not_overflow(dtype):
    top = np.iinfo(dtype).max
    np.testing.assert_array_equal(halve(np.full((4, 4, 4), top, dtype), labels=False), top)


@settings(max_examples=40, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 3000)] * 3))
def test_every_level_covers_the_image_and_the_last_is_small(shape):
    grids = level_grids(VoxelGrid(shape=shape, spacing_um=(5, 2, 2), origin_um=(1, 2, 3)))
    assert max(grids[-1].shape) <= 128
    for fine, coarse in pairwise(grids):
        for axis in range(3):
            factor = 2 if fine.shape[axis] > 1 else 1
            assert coarse.shape[axis] == -(-fine.shape[axis] // factor)
            assert coarse.spacing_um[axis] == fine.spacing_um[axis] * factor
            half_a_voxel = 0.5 * (factor - 1) * fine.spacing_um[axis]
            assert coarse.origin_um[axis] == pytest.approx(fine.origin_um[axis] + half_a_voxel)
