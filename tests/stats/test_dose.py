"""ketamap.stats.dose, through ketamap.stats.analyse"""

from dataclasses import replace

import numpy as np
import pytest

from ketamap.core.settings import Design
from ketamap.core.tables import EFFECTS
from ketamap.stats import analyse
from ketamap.stats.onset import NO_DOSE_EFFECT
from tests.stats.dosing import PLAN, animals_of, table_of

LN2 = np.log(2.0)


def effect(region, dose, day):
    """Regions 0 to 9 umbrella, 10 to 19 growing with dose and day, 20 to 29 down late."""
    if region < 10:
        return LN2 * (dose == 30)
    if region < 20:
        return LN2 * dose / 100 * (day - 1) / 9
    if region < 30:
        return -LN2 * (dose > 0) * (day == 10)
    return 0.0


@pytest.fixture(scope="module")
def planted():
    animals = animals_of(4)
    return analyse(table_of(animals, effect, np.random.default_rng(1)), animals, PLAN)


def part(frame, estimand="relative"):
    return frame[frame["estimand"] == estimand].reset_index(drop=True)


def test_any_effect_of_dose_is_found_whatever_its_shape(planted):
    found = part(planted.any_dose)
    hit = found["q"] < 0.05
    for first in (0, 10, 20):
        assert hit[first : first + 10].mean() >= 0.8
    assert hit[30:].mean() <= 0.1
    assert found.loc[:9, "shape"].str.startswith("30 alone").all()
    assert (found.loc[20:29, "t"] < 0).all()
    assert planted.any_dose.iloc[0]["acronym"] == "root"


def test_growth_with_duration_is_estimated_in_its_unit(planted):
    assert list(planted.interaction.columns) == [c.name for c in EFFECTS.columns]
    growth = part(planted.interaction)
    assert growth["contrast"].iloc[0] == "growth of the effect of dose 100 from day 1 to day 10"
    assert growth.loc[10:19, "estimate_log2"].mean() == pytest.approx(1.0, abs=0.15)
    assert growth.loc[:9, "estimate_log2"].mean() == pytest.approx(0.0, abs=0.15)
    assert (growth.loc[10:19, "q"] < 0.05).mean() >= 0.6


def test_onset_is_the_first_day_established_with_its_range(planted):
    onset = part(planted.onset)
    high = onset[onset["dose"] == 100].reset_index(drop=True)
    late = high.loc[20:29][lambda d: d["established"]]
    assert len(late) >= 7
    assert (late["onset_days"] == 10).mean() >= 0.8
    inside = (late["onset_low_days"] <= 10) & (late["onset_high_days"] >= 10)
    assert inside.mean() >= 0.8
    low = onset[onset["dose"] == 30].reset_index(drop=True)
    assert (low.loc[:9, "onset_days"] == 1).mean() >= 0.7
    quiet = high.loc[30:][lambda d: ~d["established"]]
    assert (quiet["reason"] != "").all()
    assert (quiet["reason"] == NO_DOSE_EFFECT).mean() > 0.9


def test_curves_are_drawn_only_where_there_is_a_dose_effect(planted):
    called = part(planted.any_dose)
    curves = part(planted.dose_response)
    assert set(curves["acronym"]) == set(called.loc[called["q"] < 0.05, "acronym"])
    last = curves[curves["days"] == 10].set_index("acronym")
    growing = last.loc[[a for a in (f"R{k}" for k in range(10, 20)) if a in last.index]]
    assert growing["top_log2"].mean() == pytest.approx(1.0, abs=0.25)
    assert ((growing["top_low_log2"] <= 1) & (growing["top_high_log2"] >= 1)).mean() >= 0.7


def test_a_factor_has_no_dose_frames():
    animals = animals_of(4).assign(group=lambda d: d["dose_mg_per_kg"].map("dose {:g}".format))
    table = table_of(animals, None, np.random.default_rng(2))
    analysis = analyse(table, animals, Design(control="dose 0", factor="group"))
    assert analysis.any_dose is analysis.onset is analysis.dose_response is None
    assert analysis.interaction is None


def test_one_duration_has_no_growth_and_no_onset():
    animals = animals_of(4, days=(10.0,))
    analysis = analyse(table_of(animals, effect, np.random.default_rng(3)), animals, PLAN)
    assert analysis.interaction is None
    assert analysis.onset is None
    assert any("on one day only" in w for w in analysis.warnings)
    assert (part(analysis.any_dose).loc[:9, "q"] < 0.05).any()


def test_doses_without_durations_have_any_dose_and_curves():
    animals = animals_of(5, days=(10.0,)).drop(columns="days")
    table = table_of(animals.assign(days=10.0), effect, np.random.default_rng(4))
    analysis = analyse(table, animals, replace(PLAN, duration=None))
    assert analysis.interaction is None
    assert not any("one day only" in w for w in analysis.warnings)
    assert (analysis.dose_response["days"] == 0).all()


def test_a_day_without_vehicle_is_left_out_and_named():
    animals = animals_of(4, drop=[(0.0, 5.0)])
    analysis = analyse(table_of(animals, effect, np.random.default_rng(5)), animals, PLAN)
    assert any("No control animals of the same day" in w for w in analysis.warnings)
    assert set(analysis.onset["onset_days"].dropna()) <= {1.0, 10.0}
    assert (part(analysis.any_dose).loc[:9, "q"] < 0.05).mean() >= 0.6


def test_doses_of_different_days_cannot_show_growth():
    animals = animals_of(4, drop=[(30.0, 1.0), (100.0, 10.0)], days=(1.0, 10.0))
    analysis = analyse(table_of(animals, effect, np.random.default_rng(6)), animals, PLAN)
    assert analysis.interaction is None
    assert any("no dose was given for two of the days" in w for w in analysis.warnings)


def test_regions_that_cannot_be_tested_say_why():
    animals = animals_of(3)
    table = table_of(animals, None, np.random.default_rng(7))
    table.loc[table["acronym"] == "R5", "count"] = 1
    found = part(analyse(table, animals, PLAN).any_dose).set_index("acronym")
    assert "below 10" in found.loc["R5", "reason"]
    assert np.isnan(found.loc["R5", "p"])
    assert found["testable"].sum() == 119


@pytest.mark.slow
def test_nothing_planted_means_no_dose_effect_in_nine_of_ten_cohorts():
    animals = animals_of(4)
    found = 0
    for seed in range(60):
        table = table_of(animals, None, np.random.default_rng(100 + seed))
        found += bool((analyse(table, animals, PLAN).any_dose["q"] < 0.05).any())
    assert found <= 6


def test_a_straight_line_in_dose_has_every_answer_but_curves():
    animals = animals_of(4).assign(sex=[f"{'FM'[k % 2]}" for k in range(36)])
    plan = replace(PLAN, formula="~ dose_mg_per_kg * days + sex")
    found = analyse(table_of(animals, effect, np.random.default_rng(1)), animals, plan)
    assert (part(found.any_dose)["q"] < 0.05).sum() >= 10
    assert found.dose_response.empty
    assert any("straight line" in w for w in found.warnings)


def test_an_umbrella_has_neither_a_line_nor_an_emax_curve(planted):
    curves = part(planted.dose_response)
    number = curves["acronym"].str[1:].astype(int)
    umbrella, growing = curves[number < 10], curves[number.between(10, 19)]
    assert (umbrella["model"] == "neither").mean() > 0.8
    assert (growing["model"] == "neither").mean() < 0.1
