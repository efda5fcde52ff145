"""ketamap.stats.response"""

import numpy as np
import pytest

from ketamap.stats.response import aicc, curve_bands, fit_curves

DOSES = np.array([3.0, 10.0, 30.0, 100.0])
UNIT = 0.2 * (np.eye(4) + 1.0)


def curves(effects, sd=0.05, df=40.0):
    y = np.atleast_2d(effects)
    return fit_curves(y, UNIT, np.full(len(y), sd**2), np.full(len(y), df), DOSES)


def test_a_planted_emax_curve_comes_back():
    found = curves(1.2 * DOSES / (12.0 + DOSES))
    assert found.emax[0] == pytest.approx(1.2, rel=0.02)
    assert found.ed50[0] == pytest.approx(12.0, rel=0.1)
    assert found.ed50_low[0] < 12.0 < found.ed50_high[0]
    assert found.top[0] == pytest.approx(1.2 * 100 / 112, rel=0.02)
    assert found.misfit_emax[0] < 0.1 < found.misfit_linear[0]


def test_a_planted_line_comes_back_and_has_no_upper_ed50():
    found = curves(0.01 * DOSES)
    assert found.slope[0] == pytest.approx(0.01)
    assert found.ed50_high[0] == np.inf
    assert found.misfit_linear[0] == pytest.approx(0.0, abs=1e-9)


def test_a_plateau_has_no_lower_ed50():
    assert curves(np.ones(4)).ed50_low[0] == 0.0


def test_intervals_hold_the_truth():
    rng = np.random.default_rng(1)
    noise = rng.multivariate_normal(np.zeros(4), 0.1**2 * UNIT, 1500)
    truth = DOSES / (20.0 + DOSES)
    found = curves(truth + noise, sd=0.1, df=1e6)
    inside = (found.top_low <= truth[-1]) & (truth[-1] <= found.top_high)
    assert 0.93 <= inside.mean() <= 0.99
    ed50 = (found.ed50_low <= 20.0) & (found.ed50_high >= 20.0)
    assert 0.93 <= ed50.mean() <= 0.99


def test_criterion_weighs_misfit_against_parameters():
    df, n = np.full(2, 20.0), np.full(2, 24.0)
    one, two = aicc(np.array([0.0, 9.0]), df, n, 2), aicc(np.zeros(2), df, n, 3)
    assert one[0] < two[0]
    assert one[1] > two[1]


def test_bands_begin_at_zero_and_end_as_the_interval_of_the_highest_dose():
    y = np.stack([1.2 * DOSES / (12.0 + DOSES), 0.01 * DOSES, np.zeros(4)])
    how = (UNIT, np.full(3, 0.05**2), np.full(3, 40.0), DOSES)
    found = fit_curves(y, *how)
    line, emax = curve_bands(y, *how, np.array([0.0, 15.0, 100.0]))
    np.testing.assert_allclose(line[:, :, 0], 0.0)
    np.testing.assert_allclose(emax[:, :, 0], 0.0)
    np.testing.assert_allclose(emax[:, :, 2], [found.top, found.top_low, found.top_high])
    np.testing.assert_allclose(line[0, :, 2], 100.0 * found.slope)
    np.testing.assert_allclose(line[2, :, 2] - line[0, :, 2], 100.0 * found.slope_half)
    for curve in (line, emax):
        assert (curve[1] <= curve[0] + 1e-12).all()
        assert (curve[0] <= curve[2] + 1e-12).all()


def test_the_band_of_an_emax_curve_holds_the_truth_at_each_dose():
    rng = np.random.default_rng(2)
    noise = rng.multivariate_normal(np.zeros(4), 0.1**2 * UNIT, 600)
    at = np.array([5.0, 20.0, 60.0])
    truth = at / (20.0 + at)
    y = DOSES / (20.0 + DOSES) + noise
    _, emax = curve_bands(y, UNIT, np.full(600, 0.01), np.full(600, 1e6), DOSES, at)
    inside = (emax[1] <= truth) & (truth <= emax[2])
    assert inside.mean(axis=0) == pytest.approx(0.96, abs=0.04)
