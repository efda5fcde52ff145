"""ketamap.stats.model"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ketamap.core.errors import DesignError
from ketamap.stats.model import fit_linear, fit_two_components

GROUP = np.repeat([0, 1, 2], 4)
DESIGN = np.c_[np.ones(12), GROUP == 1, GROUP == 2].astype(float)
CONTRASTS = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
seeds = st.integers(0, 10**6)


PRIOR_DF = 2.31479174548244487
STORED = (
    (0, 0.023462202128267082, 5.3971565622731561, 0.000569007158379667562),
    (1, 0.066794660723779101, 0.963570145505799399, 0.362445088838744033),
    (17, 0.302236810070679298, 0.831703863745316512, 0.428813576118275786),
    (39, 0.328741262209488928, 1.87975475691098778, 0.095545903270810645),
)
"""Region, posterior variance, moderated t, p: derived from the formulas with 40 digits in mpmath."""


def draw(seed, n_regions=80):
    rng = np.random.default_rng(seed)
    factor = rng.normal(0, 0.3, 12)
    x = rng.normal(5, 1, n_regions) + factor[:, None] + rng.normal(0, 0.2, (12, n_regions))
    return x, factor - factor.mean()


def numbers(fit):
    parts = (fit.shift, fit.relative, fit.absolute)
    return [v for e in parts for v in (e.estimate, e.se, e.df, e.p)]


def test_a_stored_case_agrees_to_ten_digits():
    r, a = np.meshgrid(np.arange(40), np.arange(9))
    noise = ((r * 37 + a * 53 + (r * a * 17) % 29) % 101) / 50
    x = r / 8 + noise * (1 + (r * r) % 11) / 4 + 0.6 * ((a >= 6) & (r % 5 == 0))
    group = np.repeat([0, 1, 2], 3)
    design = np.c_[np.ones(9), group == 1, group == 2].astype(float)
    fit = fit_two_components(x, np.zeros(9), design, np.array([[0.0, 0.0, 1.0]]))
    t = fit.relative.estimate / fit.relative.se
    assert fit.moderated.prior_df == pytest.approx(PRIOR_DF, rel=1e-10)
    for region, variance, statistic, p in STORED:
        assert fit.moderated.variance[region] == pytest.approx(variance, rel=1e-10)
        assert t[region, 0] == pytest.approx(statistic, rel=1e-10)
        assert fit.relative.p[region, 0] == pytest.approx(p, rel=1e-10)


def test_without_moderation_it_is_the_t_test():
    x, _ = draw(1, n_regions=1)
    pair = GROUP < 2
    fit = fit_two_components(x[pair], np.zeros(8), DESIGN[pair][:, :2], np.array([[0.0, 1.0]]))
    expected = stats.ttest_ind(x[GROUP == 1, 0], x[GROUP == 0, 0])
    factor = fit_linear(x[pair], DESIGN[pair][:, :2], np.array([[0.0, 1.0]]))
    t = factor.effect[0, 0] / np.sqrt(factor.variance[0] * factor.scale[0, 0])
    assert t == pytest.approx(expected.statistic, rel=1e-12)
    assert fit.relative.estimate[0, 0] == pytest.approx(
        x[GROUP == 1, 0].mean() - x[GROUP == 0, 0].mean(), rel=1e-12
    )


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_the_order_of_regions_does_not_matter(seed):
    x, f = draw(seed)
    order = np.random.default_rng(seed).permutation(x.shape[1])
    one = fit_two_components(x, f, DESIGN, CONTRASTS)
    two = fit_two_components(x[:, order], f, DESIGN, CONTRASTS)
    np.testing.assert_allclose(two.relative.p, one.relative.p[order], rtol=1e-6)
    np.testing.assert_allclose(two.absolute.p, one.absolute.p[order], rtol=1e-6)


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_swapping_labels_flips_signs_and_nothing_else(seed):
    x, f = draw(seed)
    one = fit_two_components(x, f, DESIGN, CONTRASTS[:1])
    two = fit_two_components(x, f, DESIGN, -CONTRASTS[:1])
    np.testing.assert_allclose(two.absolute.estimate, -one.absolute.estimate)
    np.testing.assert_allclose(two.absolute.p, one.absolute.p)


@settings(deadline=None, max_examples=20)
@given(seed=seeds, unit=st.floats(-5, 5))
def test_other_units_of_density_change_nothing(seed, unit):
    x, f = draw(seed)
    for a, b in zip(
        numbers(fit_two_components(x, f, DESIGN, CONTRASTS)),
        numbers(fit_two_components(x + unit, f, DESIGN, CONTRASTS)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_any_coding_of_the_same_design_gives_the_same(seed):
    x, f = draw(seed)
    turn = np.random.default_rng(seed).normal(size=(3, 3)) + 3 * np.eye(3)
    one = fit_two_components(x, f, DESIGN, CONTRASTS)
    two = fit_two_components(x, f, DESIGN @ turn, CONTRASTS @ turn)
    for a, b in zip(numbers(one), numbers(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-8)


def test_a_region_missing_in_two_animals_is_fitted_without_them():
    x, f = draw(2)
    holes = x.copy()
    holes[[0, 5], 7] = np.nan
    kept = np.setdiff1d(np.arange(12), [0, 5])
    whole = fit_linear(holes - f[:, None], DESIGN, CONTRASTS)
    alone = fit_linear((x - f[:, None])[kept][:, [7]], DESIGN[kept], CONTRASTS)
    np.testing.assert_allclose(whole.effect[7], alone.effect[0], rtol=1e-12)
    np.testing.assert_allclose(whole.scale[7], alone.scale[0], rtol=1e-12)
    assert whole.variance[7] == pytest.approx(alone.variance[0], rel=1e-12)
    assert whole.df[7] == 7
    other = np.setdiff1d(np.arange(80), [7])
    full = fit_linear(x - f[:, None], DESIGN, CONTRASTS)
    np.testing.assert_array_equal(whole.effect[other], full.effect[other])


def test_a_contrast_without_its_animals_is_not_estimated():
    x, f = draw(3)
    x[GROUP == 1, 4] = np.nan
    fit = fit_two_components(x, f, DESIGN, CONTRASTS)
    assert np.isnan(fit.relative.p[4, 0])
    assert np.isfinite(fit.relative.p[4, 1])


def test_absolute_is_relative_plus_shift_and_no_surer_than_either():
    x, f = draw(4)
    fit = fit_two_components(x, f, DESIGN, CONTRASTS)
    np.testing.assert_allclose(fit.absolute.estimate, fit.relative.estimate + fit.shift.estimate)
    assert np.all(fit.absolute.se > np.maximum(fit.relative.se, fit.shift.se))
    bound = fit.relative.df + fit.shift.df
    assert np.all(fit.absolute.df <= bound + 1e-9)
    assert np.all(fit.absolute.df >= np.minimum(fit.relative.df, fit.shift.df) - 1e-9)


def test_a_design_without_full_rank_is_refused():
    x, f = draw(5)
    with pytest.raises(DesignError, match="rank 3"):
        fit_two_components(x, f, np.c_[DESIGN, DESIGN[:, 1]], np.ones((1, 4)))
    with pytest.raises(DesignError, match="degrees of freedom"):
        fit_linear(x[:3], np.eye(3), np.eye(3))


def test_intervals_hold_the_truth_as_often_as_they_say():
    inside = []
    for seed in range(60):
        x, f = draw(seed, n_regions=60)
        x = x + np.outer(GROUP == 1, np.linspace(-1, 1, 60))
        low, high = fit_two_components(x, f, DESIGN, CONTRASTS).relative.interval()
        truth = np.linspace(-1, 1, 60)
        inside.append((low[:, 0] <= truth) & (truth <= high[:, 0]))
    assert 0.92 <= np.mean(inside) <= 0.98
