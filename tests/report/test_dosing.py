"""ketamap.report.dosing and second_opinions: what a dose x duration study shows."""

import re

import pytest

from ketamap.report import render_report
from ketamap.report.comparisons import comparisons_of
from ketamap.report.dosing import dose_sections
from ketamap.report.groups import groups_of
from ketamap.report.methods import methods_paragraphs
from ketamap.report.palette import group_colours
from ketamap.report.render import compared_in_words, first_shown
from ketamap.report.second_opinions import opinions_of
from tests.report.doses import CALLED, MEASURES, UNTESTABLE, contrast, dose_parts
from tests.report.test_render import Page


@pytest.fixture(scope="module")
def study(make_report):
    return make_report(**dose_parts())


@pytest.fixture(scope="module")
def sections(study):
    return dose_sections(study, comparisons_of(study))


@pytest.fixture(scope="module")
def html(study):
    return render_report(study)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def cells_of(section, region):
    (row,) = [r for r in section.rows if r.region_id == region]
    return row, [cell.text for cell in row.cells]


def test_a_design_without_doses_has_no_section(report):
    assert dose_sections(report, comparisons_of(report)) == []
    assert opinions_of(report, comparisons_of(report)) == []


def test_each_measure_has_its_section(sections):
    assert [s.measure for s in sections] == list(MEASURES)
    assert sections[1].words == "length density of axons"


def test_a_region_shows_q_strongest_effect_onset_and_growth_with_intervals(sections):
    row, texts = cells_of(sections[0], CALLED)
    assert row.status == "called"
    assert texts == [
        "0.001", "0.001", "+1.20 [+0.90, +1.60], 100 mg/kg 10 d", "100 alone from day 10",
        "100 mg/kg: day 10 (1 to 10)", "+1.10 [+0.80, +1.50]", "0.002",
    ]  # fmt: skip


def test_not_testable_regions_come_last_with_the_reason_and_no_number(sections):
    last = sections[0].rows[-1]
    assert (last.region_id, last.status) == (UNTESTABLE, "not testable")
    assert "below 10" in last.reason
    assert all(cell.value == "" for cell in last.cells)
    assert UNTESTABLE not in sections[0].shown


def test_the_shift_is_told_before_the_regions(sections):
    first, second, *_ = sections[0].summary
    assert first.startswith("Brain-wide shift at any dose or day: p = 0.150")
    assert "1 of 3 tested regions" in second
    assert "1 region could not be tested" in second


def test_growth_and_onset_are_told_with_their_dose(sections):
    text = " ".join(sections[0].summary)
    assert "growth of the effect of 100 mg/kg from day 1 to day 10" in text
    assert "R101 +1.10 [+0.80, +1.50]" in text
    assert "100 mg/kg is first established on day 10 in 1 region" in text


def test_cells_that_are_missing_from_the_design_are_named(make_report):
    holed = make_report(**dose_parts(gone=((30.0, 10.0),)))
    (text, *_) = [
        line
        for s in dose_sections(holed, comparisons_of(holed))
        for line in s.summary
        if line.startswith("Not in the design")
    ]
    assert "30 mg/kg on day 10" in text


def test_a_complete_design_has_no_missing_cells(sections):
    assert not any("Not in the design" in line for line in sections[0].summary)


def test_the_panels_hold_curves_and_onsets_of_called_regions_only(page):
    doses = page.data["regions-data"]["doses"]["cells"]
    (curve, _) = doses[str(CALLED)]["curves"]["relative"]
    assert curve["lines"][1] == [0.0, 0.6, 1.2]
    assert curve["text"] == "Emax, half at 20.0 [0, not bounded]"
    assert doses[str(CALLED)]["onset"]["relative"] == [[100.0, 10.0, 1.0, 10.0]]
    assert "curves" not in doses["102"]
    assert str(UNTESTABLE) not in doses


def test_curves_that_do_not_fit_are_said_and_not_drawn(make_report):
    parts = dose_parts()
    curves = parts["further"]["dose_response"].assign(model="neither")
    further = parts["further"] | {"dose_response": curves}
    page = Page(render_report(make_report(**(parts | {"further": further}))))
    curve = page.data["regions-data"]["doses"]["cells"][str(CALLED)]["curves"]["relative"][0]
    assert curve["lines"] == [[], [], [], []]
    assert "neither" in curve["text"]


def test_comparisons_carry_dose_day_estimates_and_intervals(page):
    shown = page.data["regions-data"]["comparisons"]
    (mine,) = [c for c in shown if c["contrast"] == contrast(100, 10) and c["measure"] == "cells"]
    assert (mine["dose"], mine["day"]) == (100.0, 10.0)
    assert mine["effects"][str(CALLED)] == [1.2, 0.9, 1.6, 0.001] * 2
    assert mine["effects"][str(UNTESTABLE)].startswith("not testable: mean count")


def test_the_measures_own_uncertainty_is_in_the_page(page):
    low, high = page.data["regions-data"]["spans"]["axon_length_mm"][str(CALLED)]
    assert (low[0], high[0]) == (-1.0, 1.0)


def test_many_comparisons_are_shown_one_at_a_time(page, study, report):
    assert page.having("div", id="picker")
    keys = {
        a["data-key"]
        for t, a in page.tags
        if "view" in a.get("class", "").split() and "data-key" in a
    }
    assert keys == {c.key for c in comparisons_of(study)}
    assert not Page(render_report(report)).having("div", id="picker")


def test_the_comparison_with_most_calls_is_shown_first(study):
    shown = {c.key: c for c in comparisons_of(study)}[first_shown(comparisons_of(study))]
    assert (shown.contrast, shown.measure) == (contrast(100, 10), "cells")


def test_the_comparisons_are_named_by_doses_and_days(study):
    words = compared_in_words(study, comparisons_of(study))
    assert words == "30 mg/kg and 100 mg/kg against vehicle after 1 and 10 days"


def test_divisions_list_their_regions_with_intervals(study):
    by_key = {o.key: o for o in opinions_of(study, comparisons_of(study))}
    mine = by_key[first_shown(comparisons_of(study))]
    assert [d.regions for d in mine.divisions] == ["R101 +1.20 [+0.90, +1.60]"] * 2
    assert (
        "1 region in 1 division are selected" in mine.division_text
        or "1 region" in mine.division_text
    )


def test_the_permutation_is_shown_where_it_disagrees(study):
    first, *rest = opinions_of(study, comparisons_of(study))
    (row,) = first.disagreements
    assert (row.acronym, row.p_model, row.p_permutation) == ("R102", "0.200", "0.040")
    assert row.called_by == "permutation only"
    assert "[" in row.effect
    assert rest[0].disagreements == ()
    assert "disagree on none" in rest[0].permutation_text


def test_the_methods_hold_the_numbers_of_the_study(study):
    text = " ".join(methods_paragraphs(study, comparisons_of(study), groups_of(study)))
    for part in (
        "18 contrasts", "7.2 prior degrees of freedom (cells)", "1.3-fold, pooled",
        "Density of cells: 3 regions were tested and 1 could not be, in 4 comparisons",
        "of at least 10 (cells)", "at least 0.01 mm3 and values in at least 3 animals of each",
        "permuted 2,000 times", "0.8 and the shift 0.2", "5\N{NO-BREAK SPACE}%", "numpy 2.4",
    ):  # fmt: skip
        assert part in text


def test_groups_of_one_dose_share_a_hue_and_pale_with_fewer_days():
    names = [f"{d} {t} d" for t in (1, 5, 10) for d in ("vehicle", "30 mg/kg", "100 mg/kg")]
    colours = group_colours(names)
    assert len(set(colours.values())) == 9
    brightness = [int(colours[f"vehicle {t} d"][1:3], 16) for t in (1, 5, 10)]
    assert brightness == sorted(brightness, reverse=True)
    assert re.fullmatch(r"#[0-9a-f]{6}", colours["30 mg/kg 5 d"])


def test_shrunken_effects_stand_beside_the_tests_and_call_nothing(make_report, study, html):
    frame = study.effects.query("estimand != 'shift' and testable")
    frame = frame[["region_id", "acronym", "measure", "contrast", "estimand"]].assign(
        shrunken_log2=0.5, low_log2=0.2, high_log2=0.9, rhat=1.004, ess=812.0
    )
    parts = dose_parts()
    drawn = render_report(
        make_report(**(parts | {"further": parts["further"] | {"shrunken": frame}}))
    )
    assert drawn.count("+0.50 [+0.20, +0.90]") == len(frame)
    assert "R-hat is at most 1.004" in drawn
    plain = re.findall(r'data-status="[^"]+" data-region="\d+"', html)
    assert re.findall(r'data-status="[^"]+" data-region="\d+"', drawn) == plain
    assert "Shrunken" not in html
