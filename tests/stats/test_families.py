"""ketamap.stats.families"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from ketamap.stats.families import bh, family_q

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


def selected(families, alpha):
    """The procedure as published: select families by Simes, then test at a reduced level."""
    simes = [stats.false_discovery_control(p).min() for p in families]
    chosen = stats.false_discovery_control(simes) <= alpha
    level = alpha * chosen.sum() / len(families)
    return [
        (stats.false_discovery_control(p) <= level) & c
        for p, c in zip(families, chosen, strict=True)
    ]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6), m=st.integers(1, 6), alpha=st.sampled_from([0.01, 0.05, 0.2, 0.6])
)
def test_q_below_alpha_is_what_the_published_procedure_rejects(seed, m, alpha):
    rng = np.random.default_rng(seed)
    families = [rng.beta(rng.uniform(0.05, 1), 1, rng.integers(1, 20)) for _ in range(m)]
    found = [q <= alpha for q in family_q(families)]
    for ours, theirs in zip(found, selected(families, alpha), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_q_is_monotone_in_p_and_never_below_bh(seed):
    rng = np.random.default_rng(seed)
    families = [rng.uniform(size=12) ** 3 for _ in range(4)]
    for p, q in zip(families, family_q(families), strict=True):
        assert np.all(np.diff(q[np.argsort(p)]) >= 0)
        assert np.all(q >= bh(p) - 1e-15)


def test_one_family_is_plain_bh():
    p = np.array([0.001, 0.02, np.nan, 0.8])
    np.testing.assert_array_equal(family_q([p])[0], bh(p))


def test_a_family_without_tests_stays_empty():
    p = np.array([0.001, 0.9])
    q = family_q([p, np.array([np.nan])])
    np.testing.assert_array_equal(q[0], bh(p))
    assert np.isnan(q[1]).all()
