"""ketamap.stats.variances, and the model with groups of unequal variance"""

import numpy as np
import pytest
from scipy import stats

from ketamap.core.settings import Design
from ketamap.stats import analyse, report_q
from ketamap.stats.model import fit_two_components
from ketamap.stats.variances import group_variances
from tests.stats.cohorts import cohort

GROUPS = ["a"] * 4 + ["b"] * 8
DESIGN = np.c_[np.ones(12), np.repeat([0.0, 1.0], [4, 8])]
CONTRAST = np.array([[0.0, 1.0]])


def draw(seed, ratio, factor_ratio=1.0, n_regions=300):
    rng = np.random.default_rng(seed)
    noisy = np.sqrt(np.where(np.array(GROUPS) == "a", ratio, 1.0))[:, None]
    factor = rng.normal(0, 0.35, (12, 1)) * (noisy if factor_ratio > 1 else 1.0)
    sd = 0.2 * np.exp(rng.normal(0, 0.35, n_regions))
    x = rng.normal(5, 1, n_regions) + factor + noisy * sd * rng.normal(size=(12, n_regions))
    f = np.median(x - x.mean(axis=0), axis=1)
    return x, f - f.mean()


def test_a_planted_ratio_is_found():
    x, f = draw(1, ratio=4.0)
    fit = fit_two_components(x, f, DESIGN, CONTRAST, groups=GROUPS)
    assert fit.groups.ratio == pytest.approx(4.0, rel=0.25)
    assert fit.groups.matters


def test_groups_alike_are_pooled_as_without_groups():
    x, f = draw(2, ratio=1.0)
    one = fit_two_components(x, f, DESIGN, CONTRAST, groups=GROUPS)
    two = fit_two_components(x, f, DESIGN, CONTRAST)
    assert not one.groups.matters
    np.testing.assert_array_equal(one.relative.p, two.relative.p)


def test_the_shift_of_groups_of_different_size_is_that_of_welch_even_where_regions_are_alike():
    x, f = draw(2, ratio=1.0)
    fit = fit_two_components(x, f, DESIGN, CONTRAST, groups=GROUPS)
    assert not fit.groups.matters
    expected = stats.ttest_ind(f[4:], f[:4], equal_var=False)
    assert fit.shift.p[0] == pytest.approx(expected.pvalue, rel=1e-10)


def test_two_groups_of_one_size_are_pooled_whatever_their_variances():
    x, f = draw(3, ratio=4.0)
    fit = fit_two_components(x[:8], f[:8], DESIGN[:8], CONTRAST, groups=GROUPS[:8])
    assert fit.groups.ratio > 2
    assert not fit.groups.matters


def test_the_shift_of_unequal_groups_is_that_of_welch():
    x, f = draw(4, ratio=9.0)
    fit = fit_two_components(x, f, DESIGN, CONTRAST, groups=GROUPS)
    expected = stats.ttest_ind(f[4:], f[:4], equal_var=False)
    assert fit.shift.p[0] == pytest.approx(expected.pvalue, rel=1e-10)
    assert fit.shift.df[0] == pytest.approx(expected.df, rel=1e-10)


def test_a_missing_animal_changes_no_other_region():
    x, f = draw(5, ratio=4.0)
    holes = x.copy()
    holes[2, 7] = np.nan
    fit = fit_two_components(holes, f, DESIGN, CONTRAST, groups=GROUPS)
    whole = fit_two_components(x, f, DESIGN, CONTRAST, groups=GROUPS)
    assert np.isfinite(fit.relative.p).all()
    others = np.arange(300) != 7
    np.testing.assert_allclose(fit.relative.se[others], whole.relative.se[others], rtol=0.02)


def test_groups_without_freedom_are_not_compared():
    x, _ = draw(6, ratio=4.0)
    assert group_variances(x, DESIGN, ["a", *["b"] * 11], x.mean(axis=0)) is None
    assert group_variances(np.zeros_like(x), DESIGN, GROUPS, x.mean(axis=0)) is None


@pytest.mark.parametrize("n_regions", [25, 200])
def test_the_doubt_of_a_scale_is_its_variance_over_cohorts(n_regions):
    logs, doubts = [], []
    for seed in range(150):
        x, f = draw(seed, ratio=4.0, n_regions=n_regions)
        order = np.argsort(x.mean(axis=0))[:: n_regions // 25]
        rest = (x - f[:, None]) - DESIGN @ (np.linalg.pinv(DESIGN) @ (x - f[:, None]))
        found = group_variances(rest, DESIGN, GROUPS, x.mean(axis=0))
        logs.append(np.log(found.scale[:, order]))
        doubts.append(found.doubt[:, order])
    np.testing.assert_allclose(
        np.mean(doubts, axis=(0, 2)), np.var(logs, axis=0).mean(axis=1), rtol=0.25
    )


def test_nothing_planted_in_few_regions_means_nothing_found_in_nine_of_ten_cohorts():
    groups, design = ["a"] * 3 + ["b"] * 9, np.c_[np.ones(12), np.repeat([0.0, 1.0], [3, 9])]
    noisy = np.repeat([2.0, 1.0], [3, 9])[:, None]
    found = 0
    for seed in range(100):
        rng = np.random.default_rng([5, seed])
        sd = 0.28 * np.exp(rng.normal(0, 0.45, 25))
        x = rng.normal(5, 1, 25) + noisy * (0.3 * rng.normal(size=(12, 1)))
        x = x + noisy * sd * rng.normal(size=(12, 25))
        f = np.median(x - x.mean(axis=0), axis=1)
        fit = fit_two_components(x, f - f.mean(), design, CONTRAST, groups=groups)
        q = report_q(fit.shift.p, fit.relative.p, fit.absolute.p)
        found += any((v < 0.05).any() for v in q)
    assert found <= 0.10 * 100


def test_standard_errors_are_those_of_the_truth():
    ratios = []
    for seed in range(40):
        x, f = draw(seed, ratio=4.0)
        fit = fit_two_components(x, f, DESIGN, CONTRAST, groups=GROUPS)
        ratios.append(np.mean((fit.relative.estimate / fit.relative.se) ** 2))
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.2)  # about 1 + 2 / df; pooled: 1.9


def test_the_analysis_says_that_variances_are_not_pooled():
    rng = np.random.default_rng(7)
    table, animals, tree = cohort(rng, GROUPS, region_sd=0.15)
    small = table["animal"].isin([f"m{k:02d}" for k in range(4)])
    noise = np.exp(rng.normal(0, 0.4, len(table)))
    table["count"] = np.where(small, np.round(table["count"] * noise), table["count"])
    analysis = analyse(table, animals, Design(control="b", factor="group"), structures=tree)
    assert any("a (n = 4)" in w and "unequal variances" in w for w in analysis.warnings)


@pytest.mark.slow
@pytest.mark.parametrize("factor_ratio", [1.0, 4.0])
@pytest.mark.parametrize("ratio", [1.0, 4.0])
def test_nothing_planted_means_nothing_found_in_nine_of_ten_unequal_cohorts(ratio, factor_ratio):
    found = 0
    for seed in range(500, 700):
        x, f = draw(seed, ratio=ratio, factor_ratio=factor_ratio)
        fit = fit_two_components(x, f, DESIGN, CONTRAST, groups=GROUPS)
        q = report_q(fit.shift.p, fit.relative.p, fit.absolute.p)
        found += any((v < 0.05).any() for v in q)
    assert found <= 0.10 * 200
