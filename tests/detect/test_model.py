"""ketamap.detect.model"""

import json

import numpy as np
import pytest

from ketamap.core.errors import InputError
from ketamap.detect.features import FEATURES
from ketamap.detect.model import (
    NOISE_FEATURES,
    default_model,
    expand,
    fit_model,
    model_as_dict,
    model_from_dict,
)

WIDTH = len(NOISE_FEATURES) + len(FEATURES)


def candidates(n, seed=0):
    """Rows of features, and cells where the first feature says so, with chance."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(0.5, 1.5, (n, WIDTH)).astype(np.float32)
    chance = 1.0 / (1.0 + np.exp(-2.0 * (rows[:, 0] - 0.5)))
    return rows, rng.random(n) < chance, chance


def chances(model, rows):
    return model.probability(model.local_part(rows[:, 2:]), rows[:, :2])


@pytest.fixture(scope="module")
def fitted():
    rows, yes, _ = candidates(9000)
    return fit_model(rows, yes)


def test_the_two_halves_of_the_score_are_the_whole(fitted):
    rows, _, _ = candidates(300, seed=2)
    for model in (fitted, default_model(), default_model(coarse=True)):
        odds = expand(model.standardised(rows)) @ model.weights
        np.testing.assert_allclose(chances(model, rows), 1 / (1 + np.exp(-odds)), atol=1e-5)


def test_what_was_planted_is_learned_and_calibrated(fitted):
    rows, yes, chance = candidates(4000, seed=1)
    score = chances(fitted, rows)
    assert np.mean(np.abs(score - chance)) < 0.06
    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 1.0)):
        here = (score >= low) & (score < high)
        assert score[here].mean() == pytest.approx(yes[here].mean(), abs=0.06)


def test_weights_count_as_repetitions():
    rows, yes, _ = candidates(400)
    twice = np.arange(400) % 3 == 0
    one = fit_model(rows, yes, weight=1.0 + twice)
    two = fit_model(np.concatenate([rows, rows[twice]]), np.concatenate([yes, yes[twice]]))
    np.testing.assert_allclose(chances(one, rows), chances(two, rows), atol=1e-4)


def test_a_row_has_the_same_score_to_the_bit_wherever_it_stands(fitted):
    rows, _, _ = candidates(333)
    whole = chances(fitted, rows)
    parts = [chances(fitted, rows[k : k + 7]) for k in range(0, 333, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_far_outside_what_was_learned_the_score_stays_finite(fitted):
    rows = np.full((2, WIDTH), 1e6, dtype=np.float32) * np.array([[1.0], [-1.0]], np.float32)
    score = chances(fitted, rows)
    assert np.all((score >= 0) & (score <= 1))


def test_written_and_read_it_is_the_same_to_seven_digits(fitted):
    rows, _, _ = candidates(100)
    again = model_from_dict(json.loads(json.dumps(model_as_dict(fitted))))
    assert again.names == fitted.names
    np.testing.assert_allclose(chances(again, rows), chances(fitted, rows), atol=1e-5)


@pytest.mark.parametrize("change", ["names", "weights", "mean"])
def test_a_model_of_other_features_is_refused_with_the_remedy(fitted, change):
    data = model_as_dict(fitted)
    data[change] = data[change][:-1]
    with pytest.raises(InputError, match="version that is installed"):
        model_from_dict(data)


@pytest.mark.parametrize("value", [False, True])
def test_learning_needs_both_kinds(value):
    rows, _, _ = candidates(20)
    with pytest.raises(InputError, match="all 20 are alike"):
        fit_model(rows, np.full(20, value))
