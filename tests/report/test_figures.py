"""ketamap.report.shift_figures and region_figures"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketamap.report.axes import log2_ticks, reach
from ketamap.report.comparisons import comparisons_of
from ketamap.report.groups import groups_of, wide_values
from ketamap.report.palette import NO_CALL_MARK
from ketamap.report.region_figures import animal_multiples, forest, volcano
from ketamap.report.shift_figures import factor_dots, shift_forest


@pytest.fixture(scope="module")
def comparison(report):
    return comparisons_of(report)[1]


def test_intervals_of_the_forest_end_where_the_table_says(comparison):
    figure = forest(comparison)
    rows = comparison.regions.set_index("region_id")
    for trace, estimand in zip(figure["data"], ("relative", "absolute"), strict=True):
        shown = rows.loc[trace["customdata"]]
        x, bar = np.array(trace["x"]), trace["error_x"]
        np.testing.assert_allclose(x, shown[f"{estimand}_estimate"], atol=1e-4)
        np.testing.assert_allclose(x + bar["array"], shown[f"{estimand}_high"], atol=2e-4)
        np.testing.assert_allclose(x - bar["arrayminus"], shown[f"{estimand}_low"], atol=2e-4)


def test_the_volcano_shows_all_tested_regions_and_colours_only_called_ones(comparison):
    figure = volcano(comparison)
    for trace in (t for t in figure["data"] if "customdata" in t):
        estimand = "relative" if trace["xaxis"] == "x" else "absolute"
        called = set(comparison.called(estimand)["region_id"])
        assert sorted(trace["customdata"]) == sorted(comparison.tested["region_id"])
        coloured = {
            i
            for i, colour in zip(trace["customdata"], trace["marker"]["color"], strict=True)
            if colour != NO_CALL_MARK
        }
        assert coloured == called


def test_nothing_testable_gives_no_figure(make_report):
    effects = make_report().effects.assign(testable=False)
    for comparison in comparisons_of(make_report(effects=effects)):
        assert forest(comparison) is None
        assert volcano(comparison) is None


def test_panels_show_every_animal_about_the_mean_of_the_region(report, comparison):
    groups = groups_of(report)
    relative = wide_values(report, "cells", "log2_relative", groups)
    figure = animal_multiples(comparison, relative, groups)
    dots = [t for t in figure["data"] if "meta" in t]
    assert dots
    for trace in dots:
        y, region = np.array(trace["y"]), trace["meta"]["region"]
        assert sorted(trace["meta"]["animals"]) == list(range(12))
        assert abs(y.mean()) < 1e-3
        np.testing.assert_allclose(np.ptp(y), np.ptp(relative.loc[region]), atol=1.1e-3)


def test_shift_and_levels_are_drawn_from_their_tables(report):
    figure = shift_forest(comparisons_of(report))
    shifts = report.effects.query("estimand == 'shift'")["estimate_log2"]
    np.testing.assert_allclose(figure["data"][0]["x"], shifts, atol=1e-4)
    levels = factor_dots(report.animal_factors, groups_of(report))["data"]
    shown = sorted(v for t in levels if t["mode"] == "markers" for v in t["y"])
    np.testing.assert_allclose(shown, sorted(report.animal_factors["factor_log2"]), atol=1e-4)


@given(low=st.floats(-20, 0), high=st.floats(0.01, 20))
def test_ticks_are_few_within_the_axis_and_hold_zero(low, high):
    ticks = log2_ticks(low, high)
    assert 0.0 in ticks
    assert len(ticks) <= 8
    assert all(low - 1e-6 <= t <= high + 1e-6 for t in ticks)


@given(values=st.lists(st.floats(-50, 50) | st.just(float("nan")), max_size=8))
def test_an_axis_holds_zero_and_all_its_values(values):
    low, high = reach(values)
    assert low < 0 < high
    assert all(low - 1e-3 <= v <= high + 1e-3 for v in values if v == v)
