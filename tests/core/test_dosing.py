"""ketamap.core.dosing"""

import math
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketamap.core.dosing import Block, Dose, DosingPlan, Subject, repeat
from ketamap.core.errors import InputError

MOUSE = Subject(species="mouse")
amounts = st.floats(0.0, 1e4)


def dose(**values):
    return Dose(**({"time_h": 0.0, "amount": 30.0, "unit": "mg/kg", "route": "ip"} | values))


def plan(**values):
    stated = {"name": "p", "subject": MOUSE, "doses": (dose(),), "end_h": 24.0}
    return DosingPlan(**(stated | values))


@given(amount=amounts, weight=st.floats(0.01, 150.0))
def test_the_same_amount_in_any_unit_is_the_same_number_of_molecules(amount, weight):
    expected = dose(amount=amount, unit="mg/kg").amount_umol(weight)
    for unit, stated in (
        ("mg", amount * weight),
        ("umol", amount * weight * 1000.0 / 237.73),
        ("umol/kg", amount * 1000.0 / 237.73),
    ):
        got = dose(amount=stated, unit=unit).amount_umol(weight)
        assert math.isclose(got, expected, rel_tol=1e-12, abs_tol=1e-300)


@given(amount=amounts, form=st.sampled_from(["racemate", "S", "R"]))
def test_the_enantiomers_add_up_to_the_dose(amount, form):
    given_dose = dose(amount=amount, form=form)
    s, r = given_dose.split_umol(0.025)
    assert math.isclose(s + r, given_dose.amount_umol(0.025), abs_tol=1e-300)
    assert {"racemate": s == r, "S": r == 0.0, "R": s == 0.0}[form]


def test_one_mole_weighs_its_molar_mass():
    assert dose(amount=237.73, unit="mg").amount_umol(1.0) == pytest.approx(1000.0)
    assert dose(amount=1000.0, unit="umol").amount_mg(1.0) == pytest.approx(237.73)


@given(every=st.floats(0.1, 100.0), additional=st.integers(0, 30))
def test_a_repeated_dose_comes_at_even_intervals(every, additional):
    doses = repeat(dose(time_h=3.0), every, additional)
    assert len(doses) == additional + 1
    for k, one in enumerate(doses):
        assert one.time_h == pytest.approx(3.0 + k * every)
        assert one.amount == 30.0


def test_a_plan_cannot_be_changed_afterwards():
    with pytest.raises(FrozenInstanceError):
        plan().end_h = 3.0


def test_a_subject_without_a_weight_has_the_typical_one():
    assert [Subject(species=s).kg for s in ("mouse", "rat", "human")] == [0.025, 0.3, 70.0]
    assert Subject(species="mouse", weight_kg=0.03).kg == 0.03


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"amount": -1.0}, "amount of a dose must be 0 or more"),
        ({"amount": math.nan}, "finite"),
        ({"time_h": -0.1}, "time_h"),
        ({"duration_h": math.inf}, "duration_h"),
        ({"unit": ""}, "unit of a dose must be one of mg/kg"),
        ({"unit": "mg/Kg"}, "unit of a dose"),
        ({"route": "oral"}, "one of iv, ip, sc, im, in, po, got 'oral'"),
        ({"form": "s"}, "form of a dose"),
    ],
)
def test_an_impossible_dose_is_refused(values, words):
    with pytest.raises(InputError, match=words):
        dose(**values)


def test_a_dose_without_a_unit_is_refused():
    with pytest.raises(TypeError, match="unit"):
        Dose(time_h=0.0, amount=30.0, route="ip")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"species": "dog"}, "mouse, rat, human, got 'dog'"),
        ({"species": "rat", "weight_kg": 0.0}, "weight_kg must be positive"),
        ({"species": "rat", "stress": "exam"}, "stress must be one of"),
        ({"species": "rat", "sex": "male"}, "sex must be one of"),
    ],
)
def test_an_impossible_subject_is_refused(values, words):
    with pytest.raises(InputError, match=words):
        Subject(**values)


def test_a_block_above_one_is_refused():
    with pytest.raises(InputError, match="between 0 and 1"):
        Block(kind="nmda_antagonist", start_h=0.0, end_h=1.0, fraction=1.1)


@pytest.mark.parametrize("end_h", [1.0, 0.5])
def test_a_block_must_last(end_h):
    with pytest.raises(InputError, match="must end after it starts"):
        Block(kind="lhb_lesion", start_h=1.0, end_h=end_h)


def test_all_faults_of_a_plan_come_at_once():
    late = dose(time_h=30.0)
    long = dose(time_h=20.0, duration_h=10.0)
    block = Block(kind="lhb_lesion", start_h=25.0, end_h=30.0)
    with pytest.raises(InputError) as caught:
        plan(doses=(late, long), blocks=(block,))
    for words in ("dose 1 at 30 h", "dose 2 runs to 30 h", "block lhb_lesion starts at 25 h"):
        assert words in str(caught.value)


@pytest.mark.parametrize("time_h", [24.0, 24.0 - 1e-12])
def test_a_dose_at_the_end_itself_is_refused(time_h):
    with pytest.raises(InputError, match="lies after the end"):
        plan(doses=(dose(time_h=time_h),))


def test_overlapping_infusions_and_an_untreated_subject_are_fine():
    twice = (dose(duration_h=2.0), dose(time_h=1.0, duration_h=2.0))
    assert plan(doses=twice).treated
    assert not plan(doses=()).treated
    assert not plan(doses=(dose(amount=0.0),)).treated


@pytest.mark.parametrize(
    ("every", "additional", "words"),
    [(0.0, 1, "every_h must be positive"), (24.0, -1, "additional must be"), (1.0, 0.5, "whole")],
)
def test_an_impossible_repetition_is_refused(every, additional, words):
    with pytest.raises(InputError, match=words):
        repeat(dose(), every, additional)
