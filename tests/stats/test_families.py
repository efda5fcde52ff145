"""ketamap.stats.families"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from ketamap.stats.families import bh, report_q

ps = hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1))


@settings(deadline=None, max_examples=60)
@given(p=ps)
def test_bh_agrees_with_scipy(p):
    np.testing.assert_allclose(bh(p), stats.false_discovery_control(p), rtol=1e-12)


@settings(deadline=None, max_examples=60)
@given(p=ps, shape=st.integers(1, 4))
def test_what_was_not_tested_does_not_count(p, shape):
    gaps = np.concatenate([p, np.full(shape, np.nan)])
    np.testing.assert_array_equal(bh(gaps)[: p.size], bh(p))
    assert np.isnan(bh(gaps)[p.size :]).all()


def rejected(shift, relative, absolute, alpha):
    """The procedure in words, at one level."""
    ps = (shift, relative, absolute)
    q = [stats.false_discovery_control(p, axis=None).reshape(p.shape) for p in ps]
    level = {"shift": 0.2 * alpha, "relative": 0.8 * alpha}
    if q[0].min() <= level["shift"]:
        level["relative"] = alpha
    elif q[1].min() <= level["relative"]:
        level["shift"] = alpha
    if q[1].min() <= 0.8 * alpha:
        level["shift"] = alpha
    found = [q[0] <= level["shift"], q[1] <= level["relative"]]
    is_open = found[0].any() or found[1].any()
    return [*found, (q[2] <= alpha) & is_open]


@settings(deadline=None, max_examples=100)
@given(
    seed=st.integers(0, 10**6),
    power=st.tuples(*[st.sampled_from([0.1, 0.4, 1.0])] * 3),
    alpha=st.sampled_from([0.01, 0.05, 0.2, 0.6]),
)
def test_q_below_alpha_is_what_the_procedure_rejects_at_alpha(seed, power, alpha):
    rng = np.random.default_rng(seed)
    shapes = ((2,), (9, 2), (9, 2))
    ps = [rng.beta(a, 1, shape) for a, shape in zip(power, shapes, strict=True)]
    for ours, theirs in zip(report_q(*ps), rejected(*ps, alpha), strict=True):
        np.testing.assert_array_equal(ours <= alpha, theirs)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_q_is_monotone_in_p_and_never_below_bh(seed):
    rng = np.random.default_rng(seed)
    ps = [rng.uniform(size=shape) ** 3 for shape in ((2,), (12, 2), (12, 2))]
    for p, q in zip(ps, report_q(*ps), strict=True):
        assert np.all(np.diff(q.ravel()[np.argsort(p.ravel())]) >= 0)
        assert np.all(q >= bh(p) - 1e-15)


def test_a_report_of_nothing_finds_something_at_most_at_the_level():
    rng = np.random.default_rng(11)
    found = [
        any((q < 0.05).any() for q in report_q(*(rng.uniform(size=n) for n in (2, 100, 100))))
        for _ in range(1500)
    ]
    assert np.mean(found) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1500)


def test_absolute_effects_need_a_shift_or_a_relative_effect():
    quiet, loud = np.full((5, 1), 0.9), np.full((5, 1), 1e-6)
    assert report_q([0.9], quiet, loud).absolute.min() > 0.5
    assert report_q([0.001], quiet, loud).absolute.max() <= 0.005
    assert report_q([0.9], loud, loud).absolute.max() <= 1e-5


def test_what_was_not_tested_stays_empty():
    holes = np.array([[0.001], [np.nan], [0.9]])
    q = report_q([0.5], holes, holes)
    assert np.isnan(q.relative[1, 0])
    assert np.isnan(q.absolute[1, 0])
    assert np.isfinite(q.relative[[0, 2]]).all()
