"""ketamap.stats.response"""

import numpy as np
import pytest

from ketamap.stats.response import aicc, fit_curves

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
