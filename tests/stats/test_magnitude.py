"""ketamap.stats.magnitude: continuous measures beside counts"""

import numpy as np
import pytest

from ketamap.core.settings import Design
from ketamap.stats import analyse
from ketamap.stats.magnitude import COUNTS, is_count, magnitude_of
from ketamap.stats.testability import LEAST_MEAN_COUNT
from tests.stats.cohorts import cohort

PLAN = Design(control="saline", factor="group", measures=("axon_length_mm",))


def lengths(unit=1.0, seed=0, effect=None):
    """A cohort of axon lengths, those of poor regions often zero, in any unit."""
    rng = np.random.default_rng(seed)
    table, animals, tree = cohort(
        rng, ["saline"] * 4 + ["drug"] * 4, n_regions=120, region_sd=0.2, effect=effect
    )
    noise = np.exp(rng.normal(0, 0.05, len(table)))
    gone = table["count"] < 12  # too little to be traced
    value = np.where(gone, 0.0, 0.013 * table["count"] * noise * unit)
    table = table.assign(count=value, measure="axon_length_mm")
    return analyse(table, animals, PLAN, structures=tree)


def test_the_name_or_the_values_tell_a_continuous_measure():
    whole, broken = np.array([[1.0, np.nan, 30.0]]), np.array([[1.2, np.nan, 30.4]])
    assert is_count(whole, "cells")
    assert not is_count(whole, "axon_length_mm")
    assert not is_count(broken, "signal")
    scaled = np.r_[np.arange(7.0), 0.5]
    assert is_count(scaled, "cells")
    assert is_count(np.full(3, np.nan), "cells")


def test_counts_keep_their_half():
    assert magnitude_of(np.ones((4, 9)), "cells", counted=True) is COUNTS
    assert COUNTS.offset == 0.5
    assert COUNTS.least_mean == LEAST_MEAN_COUNT
    assert COUNTS.least_value == 5.0


@pytest.mark.parametrize("spread", [0.05, 0.5, 3.0])
def test_the_offset_stays_small_beside_nine_regions_of_ten(spread):
    rng = np.random.default_rng(1)
    values = np.exp(rng.normal(0, spread, 200)) * np.exp(rng.normal(0, 0.2, (8, 200)))
    values[rng.uniform(size=values.shape) < 0.02] = 0.0
    found = magnitude_of(values, "axon_length_mm", counted=False)
    assert 0 < found.offset <= values.mean(axis=0).mean() / 20
    assert np.mean(values.mean(axis=0) >= found.least_mean) >= 0.9


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_results_do_not_depend_on_the_unit_of_length(unit):
    one, two = lengths(), lengths(unit)
    numbers = ["estimate_log2", "ci_low_log2", "ci_high_log2", "p", "q"]
    assert one.effects["testable"].sum() > 200
    assert (one.effects["testable"] == two.effects["testable"]).all()
    np.testing.assert_allclose(one.effects[numbers], two.effects[numbers], rtol=1e-6, atol=1e-9)


def test_a_planted_change_of_length_comes_back():
    effect = np.zeros((2, 120))
    effect[1, :20] = np.log(2.0)
    found = lengths(effect=effect).effects
    relative = found[(found["estimand"] == "relative") & found["testable"]]
    planted = relative["region_id"] <= 20
    assert relative.loc[planted, "estimate_log2"].median() == pytest.approx(1.0, abs=0.2)
    assert (relative.loc[planted, "q"] < 0.05).mean() > 0.7


def test_the_reader_is_told_the_offset_and_the_threshold_in_millimetres():
    analysis = lengths()
    (note,) = [w for w in analysis.warnings if "continuous measure" in w]
    assert "axon_length_mm" in note
    assert " mm is added before logarithms" in note
    poor = analysis.effects.loc[~analysis.effects["testable"], "reason"]
    assert not poor.str.contains("mean count").any()


def test_nothing_above_zero_is_no_error():
    assert magnitude_of(np.zeros((3, 4)), "axon_length_mm", counted=False).offset > 0
