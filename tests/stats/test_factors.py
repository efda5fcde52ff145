"""ketamap.stats.factors"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.stats.factors import animal_factors, factor_regions, log_density

ALL = np.ones(60, dtype=bool)


def noisy(seed, n_animals=6):
    rng = np.random.default_rng(seed)
    return rng.normal(3.0, 1.0, 60) + rng.normal(0.0, 0.1, (n_animals, 60))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_a_brighter_animal_has_a_larger_factor_by_just_that(seed):
    x = noisy(seed)
    brighter = x.copy()
    brighter[2] += 0.7
    gained = animal_factors(brighter, ALL) - animal_factors(x, ALL)
    gained -= gained[0]
    np.testing.assert_allclose(gained, [0, 0, 0.7, 0, 0, 0], atol=1e-12)


def test_it_is_the_median_of_ratios():
    counts = np.random.default_rng(1).poisson(100, (4, 60)).astype(float)
    x = log_density(counts, np.full(counts.shape, 2.0))
    ratio = np.log(counts + 0.5) - np.log(counts + 0.5).mean(axis=0)
    expected = np.median(ratio, axis=1)
    np.testing.assert_allclose(animal_factors(x, ALL), expected - expected.mean(), atol=1e-12)


def test_a_few_changed_regions_do_not_move_it():
    x = noisy(4)
    changed = x.copy()
    changed[3:, :15] += 3.0
    moved = animal_factors(changed, ALL) - animal_factors(x, ALL)
    assert np.ptp(moved) < 0.1


def test_a_region_missing_in_a_bright_animal_does_not_shift_the_others():
    x = noisy(5)
    x[0] += 2.0
    holes = x.copy()
    holes[0, ::2] = np.nan
    np.testing.assert_allclose(animal_factors(holes, ALL), animal_factors(x, ALL), atol=0.06)


def test_regions_with_few_counts_do_not_decide():
    counts = np.full((3, 60), 50.0)
    counts[1, :40] = 4.0
    assert factor_regions(counts, ALL).tolist() == [False] * 40 + [True] * 20
    counts[1, :57] = 4.0
    assert factor_regions(counts, ALL).all()
