"""ketamap.phantom.noise"""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ketamap.phantom.noise import LARGEST_NORMAL, normal_block, stream_seed

SHAPE = (9, 11, 13)
cuts = st.tuples(*(st.integers(0, n) for n in SHAPE))


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32), one=cuts, other=cuts)
def test_a_block_is_the_same_part_of_the_whole(seed, one, other):
    start = tuple(min(a, b) for a, b in zip(one, other, strict=True))
    stop = tuple(max(a, b) for a, b in zip(one, other, strict=True))
    whole = normal_block(stream_seed(seed), (0, 0, 0), SHAPE, SHAPE)
    part = normal_block(stream_seed(seed), start, stop, SHAPE)
    cut = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    np.testing.assert_array_equal(part, whole[cut])


def test_the_noise_is_nearly_standard_normal():
    shape = (50, 100, 100)
    noise = normal_block(stream_seed(3), (0, 0, 0), shape, shape).ravel().astype(np.float64)
    n = noise.size
    assert abs(noise.mean()) < 5 / np.sqrt(n)
    assert noise.var() == pytest.approx(1.0, abs=5 * np.sqrt(2 / n))
    assert abs(stats.skew(noise)) < 5 * np.sqrt(6 / n)
    assert stats.kurtosis(noise) == pytest.approx(-0.15, abs=5 * np.sqrt(24 / n))
    assert stats.kstest(noise, "norm").statistic < 0.01
    assert np.abs(noise).max() <= LARGEST_NORMAL + 1e-5


def test_neighbours_and_other_seeds_are_unrelated():
    shape = (40, 60, 60)
    noise = normal_block(stream_seed(3), (0, 0, 0), shape, shape)
    bound = 5 / np.sqrt(noise.size)
    for axis in range(3):
        moved = np.roll(noise, 1, axis=axis)
        assert abs(np.corrcoef(noise.ravel(), moved.ravel())[0, 1]) < bound
    for words in ((4,), (3, 0), (3, 1)):
        other = normal_block(stream_seed(*words), (0, 0, 0), shape, shape)
        assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < bound


def test_streams_differ_and_fit_a_signed_integer():
    seeds = {stream_seed(a, b) for a in range(20) for b in range(3)}
    assert len(seeds) == 60
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.slow
def test_noise_is_cheap():
    shape = (64, 400, 400)
    normal_block(1, (0, 0, 0), (1, 1, 1), shape)
    start = time.process_time()
    normal_block(1, (0, 0, 0), shape, shape)
    assert np.prod(shape) / (time.process_time() - start) > 60e6
