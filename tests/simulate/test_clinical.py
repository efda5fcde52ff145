"""ketamap.simulate.clinical"""

import numpy as np
import pytest

from ketamap.core.dosing import Dose, DosingPlan, Subject
from ketamap.core.errors import InputError
from ketamap.simulate.clinical import (
    DERIVED,
    RESEARCH_ONLY,
    SIMULATED,
    clinical_course,
    clinical_plans,
    infusions_with_maintenance,
    nasal_esketamine,
    single_infusion,
)
from ketamap.simulate.members import world
from ketamap.simulate.population import QUANTILE_NAMES


@pytest.fixture(scope="module")
def course():
    return clinical_course(
        single_infusion(), 4, worlds=[world(), world("spines")], times_h=[0.0, 24.0, 72.0, 168.0]
    )


def test_progress_reaches_the_end_of_all_members(ear):
    both = [world(), world("spines")]
    clinical_course(single_infusion(end_days=1.0), 1, worlds=both, times_h=[1.0], progress=ear)
    assert ear.heard_all()


def test_every_row_has_a_label_and_the_notice(course):
    assert set(course["quantity"]) == {*SIMULATED, *DERIVED}
    assert course["label"].notna().all()
    assert set(course["notice"]) == {RESEARCH_ONLY}


def test_labels_are_those_of_the_plan():
    spray = clinical_course(nasal_esketamine(84.0), 1, worlds=[world()], times_h=[1.0])
    labels = spray.drop_duplicates("quantity").set_index("quantity")["label"]
    assert labels["plasma_ketamine_ng_per_ml"] == "known failure"
    assert labels["remission_percent"] == "known failure"
    assert labels["dissociation_cadss"] == "encoded"


def test_members_are_shown_apart(course):
    response = course[(course["quantity"] == "response_percent") & (course["time_h"] == 168.0)]
    median = response.set_index("members")["median"]
    assert abs(median["default"] - median["spines"]) > 5.0


def test_response_is_calibrated_in_every_member_and_draw(course):
    at_24 = course[(course["quantity"] == "response_percent") & (course["time_h"] == 24.0)]
    np.testing.assert_allclose(at_24[list(QUANTILE_NAMES)], 52.2, atol=0.5)


def test_placebo_is_encoded_and_constant(course):
    placebo = course[course["quantity"] == "placebo_response_percent"]
    np.testing.assert_allclose(placebo["median"], 15.0)
    assert set(placebo["label"]) == {"encoded"}


def test_relapse_begins_a_day_after_the_last_dose(course):
    relapse = course[(course["quantity"] == "relapse_percent") & (course["members"] == "default")]
    values = relapse.set_index("time_h")["median"]
    assert values[0.0] == values[24.0] == 0.0
    assert 0.0 < values[168.0] <= 100.0


def test_a_larger_spray_gives_more():
    blood = [
        clinical_course(nasal_esketamine(mg), 2, worlds=[world()], times_h=[1.0])
        .set_index("quantity")
        .loc["plasma_ketamine_ng_per_ml", "median"]
        for mg in (28.0, 56.0, 84.0)
    ]
    assert blood[0] < blood[1] < blood[2]


def test_the_plans_are_those_that_were_asked_for():
    names = [plan.name for plan in clinical_plans()]
    assert len(names) == len(set(names)) == 5
    twice_weekly = infusions_with_maintenance(weeks=4, maintenance_weeks=2)
    starts = [dose.time_h / 24.0 for dose in twice_weekly.doses]
    np.testing.assert_allclose(starts, [0, 3.5, 7, 10.5, 14, 17.5, 21, 24.5, 28, 35])


def test_animals_and_empty_courses_are_refused():
    dose = Dose(time_h=0.0, amount=1.0, unit="mg/kg", route="ip")
    mouse = DosingPlan(name="m", subject=Subject(species="mouse"), doses=(dose,), end_h=2.0)
    with pytest.raises(InputError, match="human"):
        clinical_course(mouse)
    with pytest.raises(InputError, match="weeks"):
        infusions_with_maintenance(weeks=0)
