"""ketamap.detect.arrays: the same bits as the compiled kernels"""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ketamap.core.space import VoxelGrid
from ketamap.detect.arrays import bin_array, bytes_needed, difference_of_arrays, find_tops
from ketamap.detect.device import Tops
from ketamap.detect.filters import bin_block, difference_of_gaussians
from ketamap.detect.peaks import maxima, maxima_among
from ketamap.detect.scale import plan_filters
from tests.detect.elsewhere import XP, here

shapes = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=13)
fractions = st.floats(0.0, 65535.0, width=32)


def blocks(dtype):
    values = fractions if dtype == np.float32 else None
    return hnp.arrays(dtype, shapes, elements=values)


@settings(deadline=None, max_examples=80)
@given(
    block=st.sampled_from([np.uint8, np.uint16, np.float32]).flatmap(blocks),
    bins=st.tuples(*[st.integers(1, 5)] * 3),
)
def test_bins_are_those_of_the_kernel_to_the_last_bit(block, bins):
    ours = here(bin_array(XP, XP.asarray(block), bins))
    assert ours.dtype == np.float32
    assert ours.flags.c_contiguous
    np.testing.assert_array_equal(ours, bin_block(block, bins))


@settings(deadline=None, max_examples=60)
@given(
    image=blocks(np.float32),
    spacing_um=st.sampled_from([(1.0, 1.0, 1.0), (5.0, 2.0, 2.0), (10.0, 5.0, 5.0)]),
)
def test_the_difference_of_gaussians_is_that_of_the_kernel_to_the_last_bit(image, spacing_um):
    plan = plan_filters(VoxelGrid(shape=image.shape, spacing_um=spacing_um), 15.0)
    ours = difference_of_arrays(XP, XP.asarray(image), plan.narrow, plan.wide)
    np.testing.assert_array_equal(
        here(ours), difference_of_gaussians(image, plan.narrow, plan.wide)
    )


few_values = hnp.arrays(  # few distinct values, so ties are common
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7),
    elements=st.integers(-1, 4).map(float),
)


def rough(seed):
    """Return many distinct values, of either sign."""
    rng = np.random.default_rng(seed)
    return rng.normal(scale=0.3, size=rng.integers(1, 14, 3)).astype(np.float32)


@settings(deadline=None, max_examples=80)
@given(
    response=st.one_of(few_values, st.integers(0, 1000).map(rough)),
    start=st.tuples(*[st.integers(0, 3)] * 3),
    limits=hnp.arrays(np.float32, (2, 2, 2), elements=st.sampled_from([0.0, 0.2, 1.5, 100.0])),
)
def test_maxima_and_their_order_are_those_of_the_kernel(response, start, limits):
    plain, sharp = (here(flat) for flat in find_tops(XP, XP.asarray(response)))
    where = limits, tuple(np.arange(n) % 2 for n in response.shape), start, response.shape
    wanted = maxima(response, *where)
    found = maxima_among(Tops(plain=plain, sharp=sharp), response, *where)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("bins", [(1, 1, 1), (1, 2, 2), (1, 1, 12), (2, 4, 6)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_memory_that_is_asked_for_is_enough_and_not_twice_what_is_taken(bins, dtype):
    shape = (30, 40, 50)
    grid = VoxelGrid(
        shape=tuple(n * b for n, b in zip(shape, bins, strict=True)), spacing_um=(1.0, 1.0, 1.0)
    )
    plan = plan_filters(grid, 3.0)
    block = np.random.default_rng(0).integers(0, 200, grid.shape).astype(dtype)
    tracemalloc.start()
    image = bin_array(XP, XP.asarray(block), bins)
    response = difference_of_arrays(XP, image, plan.narrow, plan.wide)
    find_tops(XP, response)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    asked = bytes_needed(block.itemsize, bins, int(np.prod(shape)))
    assert 0.5 * asked < taken < asked + 100_000
