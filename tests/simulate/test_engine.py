"""ketamap.simulate.engine"""

import pickle
from dataclasses import replace

import basico
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.core.dosing import Block, Dose, DosingPlan, Subject, repeat
from ketamap.core.errors import InputError
from ketamap.simulate.engine import (
    Engine,
    SolveError,
    default_times,
    shared_engine,
    simulate,
    units,
)
from ketamap.simulate.exchange import sbml_of
from ketamap.simulate.parameters import parameters_for

HUMAN, MOUSE, RAT = (Subject(species=one) for one in ("human", "mouse", "rat"))
PLASMA = ["plasma_S", "plasma_R", "nk_plasma_S", "nk_plasma_R", "hnk_plasma_S", "venous_S"]


def dose(amount=0.5, unit="mg/kg", route="iv", **more):
    return Dose(**({"time_h": 0.0, "amount": amount, "unit": unit, "route": route} | more))


def plan(*doses, subject=HUMAN, end_h=24.0, **more):
    return DosingPlan(name="p", subject=subject, doses=doses, end_h=end_h, **more)


def solve(one, **more):
    return shared_engine(None, 1e-10).simulate(one, **more)


def given_umol(one, times):
    """Amount given by each time, infusions in proportion."""
    total = np.zeros(len(times))
    for d in one.doses:
        umol = d.amount_umol(one.subject.kg)
        run_in = np.clip((times - d.time_h) / max(d.duration_h, 1e-12), 0.0, 1.0)
        total += umol * np.where(d.duration_h > 0.0, run_in, times >= d.time_h)
    return total


@settings(deadline=None, max_examples=15)
@given(
    amount=st.floats(0.01, 10.0),
    duration=st.sampled_from([0.0, 0.01, 40 / 60, 5.0]),
    subject=st.sampled_from([HUMAN, MOUSE, RAT]),
)
def test_the_area_of_an_intravenous_dose_is_dose_over_clearance(amount, duration, subject):
    one = plan(dose(amount, duration_h=duration), subject=subject, end_h=400.0)
    clearance = parameters_for(subject.species)["CL"]
    got = solve(one, times_h=[400.0])["auc_ketamine_uM_h"].iloc[-1]
    np.testing.assert_allclose(got, one.doses[0].amount_umol(subject.kg) / clearance, rtol=1e-9)


def test_the_area_also_holds_for_unequal_enantiomers():
    one = plan(dose(0.5, form="racemate"), end_h=400.0)
    got = solve(one, times_h=[400.0], parameters={"ratio_CL_R_to_S": 1.7}).iloc[-1]
    half = one.doses[0].amount_umol(70.0) / 2.0
    np.testing.assert_allclose(got["auc_S"], half / 88.8, rtol=1e-9)
    np.testing.assert_allclose(got["auc_R"], half / (1.7 * 88.8), rtol=1e-9)


def test_nothing_is_gained_or_lost_at_any_output_of_ten_regimens(plans):
    for one in plans.values():
        table = simulate(one)
        times = table["time_h"].to_numpy()
        stated = given_umol(one, times)
        if any(d.route == "in" for d in one.doses):
            # the swallowed part is on its way for duration_swallowed
            after = times > one.doses[0].stop_h + 0.54
            table, stated = table[after], stated[after]
        whole = stated.max()
        np.testing.assert_allclose(table["total_drug"], stated, rtol=0, atol=1e-7 * whole)


def test_an_infusion_long_after_the_start_is_not_missed():
    one = plan(dose(time_h=72.0, duration_h=40 / 60), end_h=500.0)
    got = solve(one, times_h=[0.0, 500.0])["auc_ketamine_uM_h"].iloc[-1]
    np.testing.assert_allclose(got, one.doses[0].amount_umol(70.0) / 88.8, rtol=1e-9)


def test_concentrations_of_two_doses_are_the_sum_of_each():
    first, second = dose(0.5, duration_h=40 / 60), dose(84.0, "mg", "in", time_h=0.4, form="S")
    times = np.linspace(0.0, 24.0, 97)
    both = solve(plan(first, second), times_h=times)[PLASMA]
    apart = [solve(plan(one), times_h=times)[PLASMA] for one in (first, second)]
    np.testing.assert_allclose(both, apart[0] + apart[1], rtol=1e-6, atol=1e-9)


def test_overlapping_infusions_run_at_the_sum_of_their_rates():
    halves = plan(dose(0.25, duration_h=2.0), dose(0.25, duration_h=2.0))
    times = np.linspace(0.0, 24.0, 97)
    whole = solve(plan(dose(0.5, duration_h=2.0)), times_h=times)
    np.testing.assert_allclose(solve(halves, times_h=times), whole, rtol=1e-8, atol=1e-12)


def test_the_order_of_doses_does_not_matter():
    doses = (dose(0.5), dose(0.3, time_h=3.0, duration_h=1.0), dose(20.0, "mg", "po", time_h=1.0))
    times = np.linspace(0.0, 24.0, 49)
    forward, backward = (solve(plan(*d), times_h=times) for d in (doses, doses[::-1]))
    np.testing.assert_array_equal(forward, backward)


@pytest.mark.parametrize(
    ("amount", "unit"),
    [(35.0, "mg"), (35.0 * 1000.0 / 237.73, "umol"), (0.5 * 1000.0 / 237.73, "umol/kg")],
)
def test_the_unit_of_a_dose_does_not_matter(amount, unit):
    times = np.linspace(0.0, 24.0, 49)
    expected = solve(plan(dose(0.5, "mg/kg")), times_h=times)
    np.testing.assert_allclose(
        solve(plan(dose(amount, unit)), times_h=times), expected, rtol=1e-7, atol=1e-11
    )


def test_a_bolus_is_seen_after_it_was_given():
    one = solve(plan(dose(0.5, time_h=2.0)), times_h=[1.999, 2.0])
    assert one["plasma_ketamine_uM"].iloc[0] == 0.0
    assert one["plasma_ketamine_uM"].iloc[1] == pytest.approx(one_dose_umol() / 11.6, rel=1e-9)


def one_dose_umol():
    return dose(0.5).amount_umol(70.0)


def test_moments_that_rounding_parts_are_one():
    one = plan(dose(0.5, time_h=0.1 + 0.2))  # a hair after 0.3
    got = solve(one, times_h=[0.0, 0.3, 1.0])
    assert got["plasma_ketamine_uM"].iloc[1] == pytest.approx(one_dose_umol() / 11.6, rel=1e-9)
    third = simulate(plan(dose(0.5, time_h=1 / 3), end_h=2 / 3))
    assert third["plasma_ketamine_uM"].max() == pytest.approx(one_dose_umol() / 11.6, rel=1e-6)


def test_an_infusion_shorter_than_any_step_is_a_bolus():
    times = np.linspace(0.0, 24.0, 13)
    instant, short = (solve(plan(dose(0.5, duration_h=h)), times_h=times) for h in (0.0, 1e-12))
    np.testing.assert_array_equal(instant, short)


def test_an_untreated_subject_stays_where_it_is():
    stressed = Subject(species="rat", stress="helpless")
    table = simulate(plan(subject=stressed, end_h=240.0))
    moved = (table.max() - table.min()).drop("time_h")
    assert moved.max() < 1e-9


def test_stress_lowers_spines_and_dopamine_and_raises_bursts_beforehand():
    calm, stressed = (
        simulate(plan(subject=Subject(species="rat", stress=one)), times_h=[0.0]).iloc[0]
        for one in ("none", "helpless")
    )
    assert calm[["vta_active", "spine_density", "da_acb"]].tolist() == [1.0, 1.0, 1.0]
    assert stressed["vta_active"] == pytest.approx(0.5, rel=1e-3)  # C014
    assert stressed["spine_density"] < 1.0
    assert stressed["lhb_burst"] > calm["lhb_burst"]


@pytest.mark.parametrize("name", range(10))
def test_copasi_gives_the_same_ten_regimens(plans, name):
    one = list(plans.values())[name]
    # moments of events are left out: tools differ in which side of a jump they report
    times = np.linspace(0.0, one.end_h, 50)[1:-1] + 0.0123
    ours = solve(one, times_h=times)
    model = basico.load_model_from_string(sbml_of(one))
    theirs = basico.run_time_course(
        values=[0.0, *times], r_tol=1e-10, a_tol=1e-16, max_steps=10**6, use_sbml_id=True,
        model=model,
    ).iloc[1:]  # fmt: skip
    basico.remove_datamodel(model)
    shared = [name for name in ours.columns if name in theirs.columns]
    assert len(shared) > 180
    reference = ours[shared].to_numpy()
    error = np.abs(theirs[shared].to_numpy() - reference) / (np.abs(reference) + 1e-3)
    assert error.max() < 1e-5, shared[int(error.max(axis=0).argmax())]


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("ampa_antagonist", "ampa_drive"),
        ("mtor_inhibitor", "mtor"),
        ("d1_antagonist", "spine_formation"),
    ],
)
def test_a_complete_block_takes_the_effect_away_and_a_half_part_of_it(kind, column):
    def rise(fraction):
        block = Block(kind=kind, start_h=0.0, end_h=48.0, fraction=fraction)
        one = plan(dose(10.0, route="ip"), subject=RAT, end_h=48.0, blocks=(block,))
        values = simulate(one)[column]
        return (values - values.iloc[0]).max()

    none, half, full = rise(0.0), rise(0.5), rise(1.0)
    assert none > 0.01
    assert full == pytest.approx(0.0, abs=1e-9)
    assert 0.1 * none < half < 0.9 * none


def test_a_lesioned_habenula_does_not_burst():
    block = Block(kind="lhb_lesion", start_h=0.0, end_h=48.0)
    one = plan(subject=Subject(species="rat", stress="helpless"), end_h=48.0, blocks=(block,))
    last = simulate(one).iloc[-1]
    assert last["lhb_burst"] == pytest.approx(0.0, abs=1e-9)
    assert last["vta_active"] > 1.0


def test_a_block_ends_when_it_says():
    block = Block(kind="nmda_antagonist", start_h=1.0, end_h=2.0)
    table = simulate(plan(subject=RAT, blocks=(block,)), times_h=[0.5, 1.0, 1.999, 2.0, 3.0])
    assert table["blockade_pv"].tolist() == [0.0, 1.0, 1.0, 0.0, 0.0]


def test_a_target_is_reached_and_nothing_else():
    base = plan(dose(10.0, route="ip"), subject=Subject(species="rat", stress="helpless"))
    everywhere = simulate(base, times_h=[0.25]).iloc[0]
    habenula = simulate(replace(base, targets=("LHb",)), times_h=[0.25]).iloc[0]
    untouched = ["blocked_pv", "blocked_pyr", "blocked_vta_gaba", "systolic_change_mmhg"]
    assert habenula["blocked_lhb"] == pytest.approx(everywhere["blocked_lhb"], rel=0.05)
    assert habenula[untouched].abs().max() == 0.0
    assert habenula["glutamate"] == pytest.approx(1.0, abs=1e-6)
    assert habenula["vta_active"] > 0.51
    assert habenula["th_DR"] == 1.0


def test_a_targeted_region_changes_as_it_does_systemically():
    base = plan(*repeat(dose(30.0, route="ip"), 24.0, 4), subject=MOUSE, end_h=120.0)
    columns = ["th_DR", "th_ZI", "axon_PL"]
    everywhere = solve(base)[columns].iloc[-1]
    there = solve(replace(base, targets=("DR",)))[columns].iloc[-1]
    assert there["th_DR"] == pytest.approx(everywhere["th_DR"], rel=1e-9)
    assert there[["th_ZI", "axon_PL"]].tolist() == [1.0, 1.0]


def test_an_unknown_target_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"no target 'cerebellum'. Known are PV, PYR"):
        simulate(plan(dose(), targets=("cerebellum",)))


def test_uptake_block_is_off_and_can_be_switched_on():
    one = plan(dose(10.0, route="ip"), subject=RAT, end_h=4.0)
    off, on = (simulate(one, parameters={"uptake_on": k}) for k in (0.0, 1.0))
    assert (off["uptake_block"] == 0.0).all()
    assert on["da_acb"].max() > off["da_acb"].max() + 1e-4


def test_withdrawal_is_off_and_can_be_switched_on():
    one = plan(*repeat(dose(30.0, route="ip"), 24.0, 4), subject=MOUSE, end_h=200.0)
    assert (simulate(one)["withdrawal"] == 0.0).all()
    assert simulate(one, parameters={"withdrawal_on": 1.0})["withdrawal"].max() > 0.0


def test_dissociation_is_a_straight_line_that_ends_with_its_scale():
    one = plan(dose(duration_h=40 / 60), end_h=2.0)
    times = np.linspace(0.1, 2.0, 20)
    small, twice, far = (
        simulate(one, times_h=times, parameters={"cadss_per_uM": k, "strength_tolerance": 0.0})[
            "dissociation_cadss"
        ]
        for k in (10.0, 20.0, 1000.0)
    )
    np.testing.assert_allclose(twice, 2.0 * small, rtol=1e-9)
    assert far.max() == 92.0


def test_an_engine_forgets_the_subject_before():
    engine = Engine(["glutamate", "th_DR"])
    quiet = plan(subject=MOUSE)
    before = engine.simulate(quiet)
    block = Block(kind="ampa_antagonist", start_h=0.0, end_h=99.0)
    engine.simulate(plan(dose(100.0, route="ip"), subject=Subject(species="mouse", stress="cms"),
                         blocks=(block,), targets=("DR",)), parameters={"fu": 0.9})  # fmt: skip
    np.testing.assert_array_equal(engine.simulate(quiet), before)


def test_fewer_columns_and_times_give_the_same_values():
    one = plan(dose(30.0, route="ip"), subject=MOUSE)
    everything = simulate(one, times_h=[0.5, 1.0, 12.0])
    few = Engine(["glutamate"]).simulate(one, times_h=[1.0])
    np.testing.assert_allclose(few["glutamate"], everything["glutamate"].iloc[1], rtol=1e-4)
    assert list(few.columns) == ["time_h", "glutamate"]


def test_default_times_show_each_dose_and_stay_in_the_plan():
    one = plan(*repeat(dose(duration_h=1.0), 8.0, 2))
    times = default_times(one)
    assert times[0] == 0.0
    assert times[-1] == 24.0
    assert {0.0, 1.0, 8.0, 9.0, 16.0, 17.0} <= set(times.round(6))
    assert (np.diff(times) > 0.0).all()


@pytest.mark.parametrize(
    ("times", "words"),
    [([], "at least one"), ([1.0, 1.0], "increase"), ([1.0, 1.0 + 1e-12], "increase"), ([0.0, 25.0], "within the plan"),
     ([float("nan")], "finite")],
)  # fmt: skip
def test_impossible_output_times_are_refused(times, words):
    with pytest.raises(InputError, match=words):
        simulate(plan(dose()), times_h=times)


def test_an_unknown_column_is_refused():
    with pytest.raises(InputError, match="no column mood_score"):
        Engine(["mood_score"])


def test_a_failed_solve_says_when_and_what_and_never_gives_nan():
    with pytest.raises(SolveError, match=r"could not be solved beyond .* \(state \w+\)") as caught:
        simulate(plan(dose()), parameters={"k_off": 1e300})
    assert "relative_tolerance" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_every_column_has_a_unit():
    assert set(simulate(plan(), times_h=[0.0]).columns) == set(units())
