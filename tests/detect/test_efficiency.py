"""ketamap.detect.efficiency"""

import numpy as np
import pytest

from ketamap.detect.efficiency import LEAST_EFFICIENCY, fit_efficiency


def planted(n, seed=0):
    """Somata found with known log odds, 3 (log contrast - log 6) - 0.5 log(1 + neighbours)."""
    rng = np.random.default_rng(seed)
    contrast, crowd = np.exp(rng.uniform(0.7, 3.5, n)), rng.integers(0, 12, n).astype(float)
    chance = truth(contrast, crowd)
    measured = np.where(rng.random(n) < chance, 0.9 * contrast, np.nan)
    return contrast, measured, crowd


def truth(contrast, crowd):
    return 1 / (1 + np.exp(-3 * np.log(contrast / 6) + 0.5 * np.log1p(crowd)))


def test_a_known_curve_is_recovered():
    model = fit_efficiency(*planted(4000))
    contrast = np.array([4.0, 6.0, 6.0, 12.0])
    crowd = np.array([0.0, 0.0, 8.0, 3.0])
    np.testing.assert_allclose(
        model.probability(0.9 * contrast, crowd), truth(contrast, crowd), atol=0.05
    )


def test_a_brighter_soma_is_found_more_often_a_crowded_one_less():
    model = fit_efficiency(*planted(300))
    rising = model.probability(np.linspace(2, 30, 20), np.full(20, 2.0))
    falling = model.probability(np.full(12, 6.0), np.arange(12.0))
    assert np.all(np.diff(rising) >= 0)
    assert rising[-1] > rising[0] + 0.5
    assert np.all(np.diff(falling) <= 0)


@pytest.mark.parametrize("at", [6.3, 7.0, 8.5])
def test_what_measures_alike_gets_the_share_found_of_the_somata_behind_it(at):
    # found where contrast times noise exceeds 6
    rng = np.random.default_rng(2)
    contrast = np.exp(rng.uniform(1.3, 2.6, 3000))
    measured = contrast * np.exp(rng.normal(0.0, 0.2, 3000))
    behind = contrast[np.abs(measured - at) < 0.3]
    expected = np.mean(6.0 / behind[:, None] < np.exp(rng.normal(0, 0.2, (len(behind), 400))))
    measured[measured < 6.0] = np.nan
    model = fit_efficiency(contrast, measured, np.zeros(3000))
    share = model.probability(np.array([at]), np.zeros(1))[0]
    assert share == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize("found", [True, False])
def test_all_or_none_found_gives_a_finite_answer(found):
    contrast, _, crowd = planted(20)
    model = fit_efficiency(contrast, contrast if found else np.full(20, np.nan), crowd)
    share = model.probability(contrast, crowd)
    assert np.all(np.isfinite(model.weights))
    assert share.min() > 0.8 if found else share.max() < 0.2


def test_a_perfect_border_in_contrast_does_not_run_away():
    contrast = np.exp(np.linspace(0.7, 3.5, 60))
    model = fit_efficiency(contrast, np.where(contrast > 6.0, contrast, np.nan), np.zeros(60))
    assert np.abs(model.weights).max() < 60
    share = model.probability(np.array([3.0, 20.0]), np.zeros(2))
    assert share[0] < 0.1
    assert share[1] > 0.9


def test_one_soma_is_enough_for_an_answer_and_nothing_is_below_the_least():
    model = fit_efficiency(np.array([5.0]), np.array([np.nan]), np.array([0.0]))
    assert model.probability(np.array([0.01, 100.0]), np.zeros(2)).min() >= LEAST_EFFICIENCY
