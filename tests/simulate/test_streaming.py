"""ketamap.simulate.streaming"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.core.errors import InputError
from ketamap.simulate.streaming import StreamingQuantiles


def stream(values, keep):
    seen = StreamingQuantiles(values.shape[1:], keep=keep)
    for value in values:
        seen.add(value)
    return seen


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 60), seed=st.integers(0, 1000))
def test_few_curves_give_exact_quantiles(n, seed):
    values = np.random.default_rng(seed).normal(size=(n, 3, 2))
    levels = (0.025, 0.5, 0.975)
    seen = stream(values, keep=64)
    np.testing.assert_allclose(seen.quantiles(levels), np.quantile(values, levels, axis=0))
    np.testing.assert_allclose(seen.mean(), values.mean(axis=0))


@pytest.mark.parametrize("order", ["random", "rising", "falling"])
def test_many_curves_stay_within_the_promised_rank_error(order):
    values = np.random.default_rng(1).normal(size=(5000, 4))
    if order != "random":
        values.sort(axis=0)
    if order == "falling":
        values = values[::-1]
    seen = stream(values, keep=128)
    worst = len(seen._levels) / (2 * 128) + 1 / 5000
    for level in (0.025, 0.25, 0.5, 0.75, 0.975):
        found = seen.quantiles((level,))[0]
        rank = (values <= found).mean(axis=0)
        assert np.abs(rank - level).max() <= worst


def test_memory_is_bounded_by_levels():
    seen = stream(np.random.default_rng(0).normal(size=(3000, 2)), keep=32)
    stored = sum(len(block) for level in seen._levels for block in level)
    assert stored <= 2 * 32 * len(seen._levels)
    assert len(seen._levels) <= np.log2(3000 / 32) + 1


def test_weights_add_up_to_the_number_of_curves():
    seen = stream(np.random.default_rng(0).normal(size=(1001, 2)), keep=16)
    assert seen._gathered()[1].sum() == 1001


def test_a_curve_of_another_shape_or_not_finite_is_refused():
    seen = StreamingQuantiles((3,))
    with pytest.raises(InputError, match="shape"):
        seen.add(np.zeros(4))
    with pytest.raises(InputError, match="finite"):
        seen.add(np.array([0.0, np.nan, 1.0]))
    with pytest.raises(InputError, match="no curves"):
        seen.quantiles((0.5,))
    with pytest.raises(InputError, match="even"):
        StreamingQuantiles((3,), keep=7)
