"""ketamap.report.truth"""

import numpy as np
import pandas as pd

from ketamap.report.comparisons import comparisons_of
from ketamap.report.truth import planted_and_estimated, truth_checks


def exact(report):
    """Effects whose absolute and relative estimates are the planted ones."""
    effects = report.effects.copy()
    planted = report.truth.set_index(["contrast", "region_id"])["planted_log2"]
    for at, row in effects.iterrows():
        if row["estimand"] != "shift" and row["testable"]:
            value = planted[(row["contrast"], row["region_id"])]
            numbers = (value, value - 0.1, value + 0.1, 0.01 if value else 0.9)
            effects.loc[at, ["estimate_log2", "ci_low_log2", "ci_high_log2", "q"]] = numbers
    return effects


def test_exact_effects_are_all_right_covered_and_on_the_line(make_report):
    plain = make_report()
    report = make_report(effects=exact(plain))
    check = truth_checks(report.truth, comparisons_of(report))[1]
    text = " ".join(check.summary)
    assert "3 of 3 have the right direction, 3 are called" in text
    assert "Of 8 regions with nothing planted, 0 are called" in text
    assert "hold the planted value in 11 of 11 regions" in text


def test_the_planted_relative_effect_has_median_zero(report):
    for comparison in comparisons_of(report):
        joined = planted_and_estimated(report.truth, comparison)
        assert np.median(joined["planted_relative"]) == 0


def test_regions_and_contrasts_that_are_not_in_the_truth_are_left_out(report):
    comparison = comparisons_of(report)[0]
    some = report.truth[report.truth["region_id"] < 105]
    assert set(planted_and_estimated(some, comparison)["region_id"]) == {101, 102, 103, 104}
    assert truth_checks(some.assign(contrast="another"), [comparison]) == []


def test_no_truth_gives_no_checks(report):
    assert truth_checks(None, comparisons_of(report)) == []


def test_largest_planted_effects_come_first(report):
    check = truth_checks(report.truth, comparisons_of(report))[1]
    sizes = check.rows["planted_absolute"].abs()
    assert sizes.is_monotonic_decreasing
    assert isinstance(check.rows, pd.DataFrame)
    assert len(check.rows) == 3
