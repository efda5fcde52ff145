"""ketamap.report.simulation_figures"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.report.simulation_figures import (
    course_numbers,
    differing_members,
    panel_figures,
    short_number,
    time_views,
)
from tests.report.simulations import TIMES_H, made_up


@pytest.fixture(scope="module")
def report():
    return made_up()


@pytest.fixture(scope="module")
def figures(report):
    return panel_figures(report)


def median_of(figure):
    return figure["data"][-1]


def test_small_values_keep_their_digits_and_gaps_stay_gaps():
    assert course_numbers(pd.Series([1.23456e-5, 12345.6, np.nan])) == [1.2346e-5, 12346.0, None]


def test_only_encoded_bands_are_hatched_and_their_line_dashed(figures):
    for quantity, figure in figures.items():
        hatched = [t for t in figure["data"] if "fillpattern" in t]
        assert len(hatched) == (2 if quantity == "th_DR" else 0)
        assert median_of(figure)["line"]["dash"] == {
            "th_DR": "dash", "spines": "dot"
        }.get(quantity, "solid")  # fmt: skip


def test_the_median_is_drawn_last_as_it_was_given(figures):
    drawn = median_of(figures["blood"])
    np.testing.assert_allclose(drawn["x"], TIMES_H, atol=1e-4)
    np.testing.assert_allclose(drawn["y"], 1.0 + np.exp(-TIMES_H / 24.0), atol=1e-4)


def test_a_member_is_drawn_only_where_it_differs_and_carries_its_number(report, figures):
    assert differing_members(report, "blood") == ["other"]
    assert differing_members(report, "glutamate") == []
    named = [t for t in figures["blood"]["data"] if t.get("meta") == "other"]
    assert [text for text in named[0]["text"] if text] == ["2"]
    assert not [t for t in figures["glutamate"]["data"] if "meta" in t]


def test_every_picture_has_the_same_time_axis(figures):
    assert len({tuple(f["layout"]["xaxis"]["range"]) for f in figures.values()}) == 1


def test_doses_are_marked_at_their_times_and_infusions_shaded(figures):
    shapes = figures["blood"]["layout"]["shapes"]
    assert sorted(s["x0"] for s in shapes if s["type"] == "line" and s["xref"] == "x") == [0, 24]
    assert [(s["x0"], s["x1"]) for s in shapes if s["type"] == "rect"] == [(24.0, 25.0)]


def test_without_draws_there_is_no_band(report):
    courses = report.courses.copy()
    courses[["q025", "q25", "q75", "q975"]] = np.nan
    for figure in panel_figures(made_up(courses=courses, n_draws=0)).values():
        assert not [t for t in figure["data"] if t.get("fill")]


def test_a_band_far_beyond_the_median_is_cut_and_its_end_written_down(report):
    courses = report.courses.copy()
    mine = (courses["quantity"] == "spines") & courses["q975"].notna()
    courses.loc[mine, "q975"] = 400.0
    figure = panel_figures(made_up(courses=courses))["spines"]
    assert figure["layout"]["yaxis"]["range"][1] < 10.0
    assert figure["layout"]["annotations"][0]["text"] == "95 % band up to 400"


@settings(deadline=None, max_examples=10)
@given(end_h=st.floats(2.0, 5000.0), start=st.floats(0.0, 1.0))
def test_every_stretch_of_time_lies_in_the_plan_and_has_readable_ticks(end_h, start):
    times = np.linspace(0.0, end_h, 3)
    base = made_up()
    courses = base.courses[base.courses["time_h"].isin(TIMES_H[:3])].copy()
    courses["time_h"] = courses["time_h"].map(dict(zip(TIMES_H[:3], times, strict=True)))
    first = start * 0.5 * end_h
    doses = pd.DataFrame({"time_h": [first], "stop_h": [first], "text": ["x"]})
    for view in time_views(made_up(courses=courses, doses=doses)):
        low, high = view["range"]
        assert 0.0 <= low < high <= end_h
        assert len(view["tickvals"]) <= 7
        assert all(low <= t <= high for t in view["tickvals"])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1234.4, "1,234"), (0.0123456, "0.0123"), (1.5e-7, "1.5e-07"), (np.nan, "–")],  # noqa: RUF001
)
def test_numbers_have_three_digits(value, text):
    assert short_number(value) == text
