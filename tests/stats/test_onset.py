"""ketamap.stats.onset"""

import numpy as np

from ketamap.stats.model import Estimates
from ketamap.stats.onset import onset_days_range, onset_weights

DAYS = np.array([1.0, 5.0, 10.0])


def effects(*rows, se=0.1, df=30.0):
    estimate = np.array(rows, dtype=float)
    return Estimates(
        estimate=estimate, se=np.full(estimate.shape, se), df=np.full(estimate.shape, df)
    )


def test_weights_follow_the_first_effect():
    weights = onset_weights(effects([1.0, 1.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]))
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert np.argmax(weights, axis=1).tolist() == [0, 1, 2]


def test_a_sure_onset_has_one_day_and_an_unsure_one_several():
    sure, unsure = effects([1.0, 1.0, 1.0]), effects([0.12, 0.2, 1.0])
    low, high = onset_days_range(onset_weights(sure), DAYS)
    assert (low[0], high[0]) == (1.0, 1.0)
    low, high = onset_days_range(onset_weights(unsure), DAYS)
    assert low[0] == 1.0
    assert high[0] == 10.0


def test_the_range_holds_a_planted_onset_most_of_the_time():
    rng = np.random.default_rng(0)
    for first in range(3):
        truth = 0.4 * (np.arange(3) >= first)
        drawn = truth + 0.1 * rng.standard_t(30, (2000, 3))
        low, high = onset_days_range(onset_weights(effects(*drawn)), DAYS)
        assert np.mean((low <= DAYS[first]) & (DAYS[first] <= high)) >= 0.93


def test_a_day_without_an_estimate_says_nothing():
    part = effects([np.nan, 1.0, 1.0])
    assert np.argmax(onset_weights(part)[0]) in (0, 1)
    assert np.isfinite(onset_weights(part)).all()
