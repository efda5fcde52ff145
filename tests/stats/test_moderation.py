"""ketamap.stats.moderation"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from ketamap.stats.moderation import moderate, trigamma_inverse


@pytest.mark.parametrize(
    ("value", "expected"),
    [  # computed with 30 digits in mpmath
        (1e-3, 1000.49991666668194),
        (0.05, 20.4958352391546059),
        (1.0, 1.42625512021507899),
        (20.0, 0.230776329152426329),
        (500.0, 0.0447905433001625878),
    ],
)
def test_trigamma_inverse_agrees_with_high_precision(value, expected):
    assert trigamma_inverse(value) == pytest.approx(expected, rel=1e-12)


@settings(deadline=None, max_examples=60)
@given(log10=st.floats(-8, 9))
def test_trigamma_inverse_inverts_trigamma(log10):
    x = trigamma_inverse(10.0**log10)
    assert special.zeta(2, x) == pytest.approx(10.0**log10, rel=1e-3 if abs(log10) > 6 else 1e-10)


def reference(s2, d, x):
    """Smyth's moments written out anew: power basis, Hurwitz zeta, bracketed root."""
    e = np.array([np.log(v) - special.psi(d / 2) + np.log(d / 2) for v in s2])
    z = (x - x.mean()) / x.std()
    trend = np.polyval(np.polyfit(z, e, 3), z)
    excess = ((e - trend) ** 2).sum() / (len(e) - 4) - special.zeta(2, d / 2)
    if excess <= 0:
        return np.inf, np.exp(trend)
    d0 = 2 * optimize.brentq(lambda y: special.zeta(2, y) - excess, 1e-3, 1e6, xtol=1e-14)
    prior = np.exp(trend + special.psi(d0 / 2) - np.log(d0 / 2))
    return d0, (d0 * prior + d * s2) / (d0 + d)


@pytest.mark.parametrize("d0", [2.0, 8.0, np.inf])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_agrees_with_an_independent_reference(d0, seed):
    rng = np.random.default_rng(seed)
    x, d = rng.normal(5, 2, 200), 6.0
    sigma2 = np.exp(-0.3 * x) * (d0 / rng.chisquare(d0, 200) if np.isfinite(d0) else 1.0)
    s2 = sigma2 * rng.chisquare(d, 200) / d
    ours = moderate(s2, d, x)
    df, post = reference(s2, d, x)
    assert ours.prior_df == pytest.approx(df, rel=1e-8)
    np.testing.assert_allclose(ours.variance, post, rtol=1e-9)
    np.testing.assert_allclose(ours.df, np.minimum(d + df, 200 * d))


def test_a_planted_prior_is_recovered():
    rng = np.random.default_rng(7)
    n, d, d0 = 20_000, 6.0, 10.0
    x = rng.uniform(0, 8, n)
    true = np.exp(-1.0 + 0.2 * x)
    s2 = true * (d0 / rng.chisquare(d0, n)) * rng.chisquare(d, n) / d
    found = moderate(s2, d, x)
    assert found.prior_df == pytest.approx(d0, rel=0.1)
    np.testing.assert_allclose(found.prior_variance, true, rtol=0.1)


def test_equal_variances_are_pooled_and_the_freedom_is_bounded():
    rng = np.random.default_rng(3)
    s2 = np.full(50, 0.2) * (1 + 0.01 * rng.normal(size=50))
    found = moderate(s2, 4.0, rng.normal(size=50))
    assert np.isinf(found.prior_df)
    assert found.df.tolist() == [200.0] * 50


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 40), unit=st.floats(1e-3, 1e3))
def test_units_of_the_values_only_scale_the_variance(seed, n, unit):
    rng = np.random.default_rng(seed)
    s2, x = rng.chisquare(3, n) + 0.01, rng.normal(size=n)
    one, two = moderate(s2, 3.0, x), moderate(s2 * unit, 3.0, x + 5.0)
    np.testing.assert_allclose(two.variance, one.variance * unit, rtol=1e-6)


def test_no_regions_and_constant_regions_are_no_error():
    assert moderate(np.array([]), 3.0, np.array([])).variance.size == 0
    assert moderate(np.zeros(5), 3.0, np.arange(5.0)).variance.tolist() == [0.0] * 5
