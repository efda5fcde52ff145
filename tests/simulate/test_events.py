"""ketamap.simulate.events"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketamap.core.dosing import Block, Dose, DosingPlan, Subject
from ketamap.simulate.events import events_of
from ketamap.simulate.parameters import parameters_for

VALUES = parameters_for("human")


def plan(*doses, blocks=()):
    subject = Subject(species="human")
    return DosingPlan(name="p", subject=subject, doses=doses, end_h=100.0, blocks=blocks)


def dose(route, amount=35.0, **more):
    return Dose(**({"time_h": 1.0, "amount": amount, "unit": "mg", "route": route} | more))


def total_umol(events):
    infused = sum((span.stop_h - span.start_h) * span.value for span in events.rates)
    return infused + sum(jump.amount_umol for jump in events.jumps)


@given(
    route=st.sampled_from(["iv", "ip", "sc", "im", "in", "po"]),
    amount=st.floats(0.1, 500.0),
    duration=st.sampled_from([0.0, 0.5, 3.0]),
    form=st.sampled_from(["racemate", "S", "R"]),
)
def test_the_events_of_a_dose_hold_the_whole_dose(route, amount, duration, form):
    one = dose(route, amount, duration_h=duration, form=form)
    assert total_umol(events_of(plan(one), VALUES)) == pytest.approx(one.amount_umol(70.0))


def nasal_share(amount):
    events = events_of(plan(dose("in", amount, form="S")), VALUES)
    (jump,) = events.jumps
    assert jump.state == "depot_nose_S"
    return jump.amount_umol / dose("in", amount).amount_umol(70.0)


def test_one_spray_is_absorbed_as_measured_and_later_sprays_less():
    assert nasal_share(28.0) == pytest.approx(0.54)
    assert nasal_share(10.0) == pytest.approx(0.54)
    assert nasal_share(84.0) == pytest.approx(0.54 * (1.0 + 2.0 * 0.62) / 3.0)


def test_what_is_not_absorbed_in_the_nose_is_swallowed_over_its_time():
    events = events_of(plan(dose("in", 28.0, form="S", time_h=2.0)), VALUES)
    (span,) = events.rates
    assert (span.parameter, span.start_h) == ("infuse_swallowed_S", 2.0)
    assert span.stop_h == pytest.approx(2.53)


def test_blocks_together_are_as_independent_and_never_above_one():
    blocks = tuple(
        Block(kind="ampa_antagonist", start_h=0.0, end_h=end, fraction=0.5) for end in (5.0, 9.0)
    )
    events = events_of(plan(blocks=blocks), VALUES)
    assert [events.settings_at(t)["block_ampa"] for t in (0.0, 5.0, 9.0)] == [0.75, 0.5, 0.0]


def test_integration_is_cut_at_every_start_and_stop():
    blocks = (Block(kind="d1_antagonist", start_h=3.0, end_h=999.0),)
    doses = (dose("iv", duration_h=0.7), dose("ip", time_h=8.0))
    cuts = events_of(plan(*doses, blocks=blocks), VALUES).cuts_h(100.0)
    assert cuts == pytest.approx([0.0, 1.0, 1.7, 3.0, 8.0, 100.0])


def test_two_boluses_at_once_are_one_sum():
    events = events_of(plan(dose("iv", 10.0), dose("iv", 20.0)), VALUES)
    added = events.jumps_at(1.0)
    half = dose("iv", 30.0).amount_umol(70.0) / 2.0
    assert added == {"central_S": pytest.approx(half), "central_R": pytest.approx(half)}
