"""ketamap.stats.multiple"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ketamap.stats.multiple import MaximumT


def covariance(seed, size, rank):
    root = np.random.default_rng(seed).normal(size=(size, rank))
    return root @ root.T


def test_one_contrast_has_the_p_of_a_t_test():
    t, df = np.linspace(0.1, 12, 40), np.full(40, 9.0)
    np.testing.assert_allclose(MaximumT(np.eye(1)).p(t, df), 2 * stats.t.sf(t, df), rtol=1e-9)


@pytest.mark.parametrize(("size", "rank", "df"), [(2, 2, 6.0), (9, 4, 30.0), (30, 6, np.inf)])
def test_p_agrees_with_draws(size, rank, df):
    largest = MaximumT(covariance(1, size, rank))
    rng = np.random.default_rng(2)
    z = np.abs(rng.normal(size=(100_000, rank)) @ largest.root.T).max(axis=1)
    if np.isfinite(df):
        z = z / np.sqrt(rng.chisquare(df, z.size) / df)
    for level in (0.5, 0.1, 0.05, 0.01):
        t = np.quantile(z, 1 - level)
        assert largest.p(np.array([t]), np.array([df]))[0] == pytest.approx(level, rel=0.12)


def test_p_agrees_with_scipy():
    cov = covariance(3, 3, 3)
    sd = np.sqrt(np.diag(cov))
    box = stats.multivariate_t(shape=cov / np.outer(sd, sd), df=10, seed=1)
    for t in (1.5, 2.5, 3.5):
        expected = 1 - box.cdf(np.full(3, t), lower_limit=np.full(3, -t), random_state=1)
        found = MaximumT(cov).p(np.array([t]), np.array([10.0]))[0]
        assert found == pytest.approx(expected, rel=0.03)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), size=st.integers(2, 8), df=st.floats(2, 200))
def test_p_falls_with_t_between_one_contrast_and_bonferroni(seed, size, df):
    t = np.linspace(0.01, 40, 60)
    p = MaximumT(covariance(seed, size, 3)).p(t, np.full(60, df))
    one = 2 * stats.t.sf(t, df)
    assert np.all(np.diff(p) <= 1e-12)
    assert np.all(p >= one * (1 - 1e-9))
    assert np.all(p <= np.minimum(size * one, 1.0) * (1 + 1e-9))


def test_the_same_question_has_the_same_answer_and_a_hole_stays_one():
    cov, t = covariance(4, 5, 3), np.array([2.0, np.nan, 3.0])
    one, two = (MaximumT(cov).p(t, np.full(3, 8.0)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert np.isnan(one).tolist() == [False, True, False]
