"""ketamap.simulate.exchange"""

import libsbml
import numpy as np
import pandas as pd
import pytest
import roadrunner
from hypothesis import given
from hypothesis import strategies as st

from ketamap.core.dosing import Dose, DosingPlan, Subject
from ketamap.core.errors import InputError, TableError
from ketamap.simulate.engine import simulate
from ketamap.simulate.exchange import (
    events_from_plan,
    parameters_from_sbml,
    plans_from_events,
    sbml_of,
)
from ketamap.simulate.model import sbml_text
from ketamap.simulate.parameters import parameters_for

doses = st.builds(
    Dose,
    time_h=st.floats(0.0, 20.0),
    amount=st.floats(0.1, 100.0),
    unit=st.sampled_from(["mg", "mg/kg", "umol", "umol/kg"]),
    route=st.sampled_from(["iv", "ip", "sc", "im", "in", "po"]),
    duration_h=st.sampled_from([0.0, 0.5, 2.0]),
    form=st.sampled_from(["racemate", "S", "R"]),
)


@given(given_doses=st.lists(doses, min_size=1, max_size=5), weight=st.floats(0.02, 90.0))
def test_a_plan_survives_the_trip_through_an_event_table(given_doses, weight):
    subject = Subject(species="rat", weight_kg=weight, sex="F")
    plan = DosingPlan(name="7", subject=subject, doses=tuple(given_doses), end_h=48.0)
    (back,) = plans_from_events(events_from_plan(plan, identifier="7"), species="rat", unit="mg")
    assert (back.name, back.end_h, back.subject) == ("7", 48.0, subject)
    for one, other in zip(back.doses, plan.doses, strict=True):
        assert one.amount_umol(weight) == pytest.approx(other.amount_umol(weight))
        assert one.duration_h == pytest.approx(other.duration_h)
        assert (one.time_h, one.route, one.form) == (other.time_h, other.route, other.form)


def test_additional_doses_are_written_out_per_subject():
    table = pd.DataFrame(
        {
            "id": [1, 1, 2], "time": [0.0, 30.0, 1.0], "amt": [10.0, 0.0, 5.0],
            "cmt": [2, 2, 1], "evid": [1, 0, 1], "addl": [2, 0, 0], "ii": [8.0, 0.0, 0.0],
            "rate": [0.0, 0.0, 10.0],
        }
    )  # fmt: skip
    first, second = plans_from_events(table, species="mouse", unit="mg/kg")
    assert [d.time_h for d in first.doses] == [0.0, 8.0, 16.0]
    assert (first.end_h, first.doses[0].route) == (30.0, "ip")
    assert (second.doses[0].route, second.doses[0].duration_h) == ("iv", 0.5)
    assert second.end_h == 25.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"EVID": 4}, "EVID 4"),
        ({"CMT": 9}, "CMT 9 is not known; it is one of 1 iv"),
        ({"RATE": -2.0}, "modelled duration"),
        ({"AMT": -1.0}, "amount of a dose"),
        ({"ADDL": 1.5}, "ADDL must be a whole number"),
        ({"ADDL": 2}, "every_h must be positive"),
    ],
)
def test_rows_that_cannot_be_understood_are_named(change, words):
    row = {"ID": "a", "TIME": 0.0, "AMT": 1.0, "CMT": 1, "EVID": 1} | change
    with pytest.raises(TableError, match=f"(?s)ID a: row 0: .*{words}"):
        plans_from_events(pd.DataFrame([row]), species="rat", unit="mg")


def test_missing_columns_are_named():
    with pytest.raises(TableError, match=r"no column AMT, ROUTE \(or CMT\)"):
        plans_from_events(pd.DataFrame({"TIME": [0.0]}), species="rat", unit="mg")


def test_the_export_of_a_plan_has_no_error_and_no_unit_warning(plans):
    for name in ("human overlap", "human nasal S", "rat sc blocked"):
        document = libsbml.readSBMLFromString(sbml_of(plans[name]))
        document.checkConsistency()
        faults = [document.getError(k).getMessage() for k in range(document.getNumErrors())]
        assert faults == []


def test_roadrunner_runs_the_export_by_itself(plans):
    plan = plans["human infusion"]
    times = np.linspace(0.0, 24.0, 25) + 0.01
    runner = roadrunner.RoadRunner(sbml_of(plan))
    runner.timeCourseSelections = ["time", "glutamate", "plasma_ketamine_uM"]
    runner.getIntegrator().setValue("relative_tolerance", 1e-9)
    alone = np.array(runner.simulate(times=[0.0, *times]))[1:, 1:]
    ours = simulate(plan, times_h=times)[["glutamate", "plasma_ketamine_uM"]]
    np.testing.assert_allclose(alone, ours, rtol=1e-5, atol=1e-8)


def test_parameters_come_back_from_an_export(plans):
    plan = plans["rat helpless"]
    back = parameters_from_sbml(sbml_of(plan, {"fu": 0.31}))
    expected = parameters_for("rat", {"fu": 0.31})
    assert back["fu"] == 0.31
    assert back["CL"] == expected["CL"]
    assert back["stress"] == 1.0
    assert parameters_from_sbml(sbml_text())["CL"] == 88.8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not xml", "This is not SBML"),
        ("<html><body/></html>", "no SBML model"),
        (
            '<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1">'
            '<model id="repressilator"/></sbml>',
            "'repressilator' is not this package's 'ketamap' model",
        ),
    ],
)
def test_sbml_that_is_not_ours_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        parameters_from_sbml(text)


def test_a_model_of_our_name_with_a_rule_missing_is_refused():
    spoiled = sbml_text().replace('<rateRule variable="glutamate">', '<rateRule variable="glu">')
    with pytest.raises(InputError, match="1 of its quantities are missing, 1 are foreign"):
        parameters_from_sbml(spoiled)
