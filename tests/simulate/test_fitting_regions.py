"""ketamap.simulate.fitting_regions"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.dosing import Dose, DosingPlan, Subject, repeat
from ketamap.core.errors import InputError
from ketamap.simulate.engine import simulate
from ketamap.simulate.fitting_regions import fit_regions
from ketamap.simulate.study import AXONS, REFERENCE

DESIGN = [(dose, days) for dose in (0.0, 30.0, 100.0) for days in (1, 5, 10)]
REACH_LN = {"A": 0.8, "B": -0.6, "C": 0.0, "D": 0.5, "E": -0.9}
TAU_H = 60.0


def trace(dose, days, tau_h):
    if dose == 0.0:
        return 0.0
    one = Dose(time_h=0.0, amount=dose, unit="mg/kg", route="ip")
    plan = DosingPlan(name="p", subject=Subject(species="mouse"), doses=repeat(one, 24.0, days - 1),
                      end_h=24.0 * days)  # fmt: skip
    frame = simulate(plan, parameters={"tau_trace": tau_h}, times_h=[24.0 * days])
    return float(frame["axon_response"].iloc[0])


@pytest.fixture(scope="module")
def traces():
    whole = trace(*REFERENCE[AXONS], TAU_H)
    return {group: trace(*group, TAU_H) / whole for group in DESIGN}


def planted(traces, *, noise, n=6, seed=0):
    rng = np.random.default_rng(seed)
    animals = pd.DataFrame(
        [(f"{d:g}-{k}-{i}", d, k) for d, k in DESIGN for i in range(n)],
        columns=["animal", "dose_mg_per_kg", "days"],
    )
    level = {days: rng.normal() for days in (1, 5, 10)}
    rows = [
        (one.animal, place, name, AXONS,
         level[one.days] + reach * traces[one.dose_mg_per_kg, one.days] / np.log(2.0)
         + rng.normal(0.0, noise))
        for place, (name, reach) in enumerate(REACH_LN.items(), 1)
        for one in animals.itertuples()
    ]  # fmt: skip
    columns = ["animal", "region_id", "acronym", "measure", "log2_relative"]
    return pd.DataFrame(rows, columns=columns), animals


def test_planted_reaches_and_time_constant_come_back_from_exact_data(traces, ear):
    found = fit_regions(*planted(traces, noise=1e-4), measure=AXONS, progress=ear)
    assert ear.heard_all()
    assert found.shared["value"].iloc[0] == pytest.approx(TAU_H, rel=0.05)
    reaches = found.regions.set_index("acronym")["reach_log2"] * np.log(2.0)
    for name, reach in REACH_LN.items():
        assert reaches[name] == pytest.approx(reach, abs=0.02)
    assert set(found.regions["label"]) == {"encoded"}


@pytest.mark.slow
def test_intervals_hold_what_was_planted_about_as_often_as_they_say(traces):
    inside, tau = 0, 0
    cohorts = 12
    for seed in range(cohorts):
        found = fit_regions(*planted(traces, noise=0.25, seed=seed), measure=AXONS)
        for row in found.regions.to_dict("records"):
            truth = REACH_LN[row["acronym"]] / np.log(2.0)
            inside += row["low_95"] <= truth <= row["high_95"]
        row = found.shared.iloc[0]
        tau += row["low_95"] <= TAU_H <= row["high_95"]
    assert inside / (5 * cohorts) >= 0.88
    assert tau >= cohorts - 2


def test_a_time_constant_without_effects_is_named_not_identified(traces):
    values, animals = planted(traces, noise=0.3)
    found = fit_regions(values, animals, measure=AXONS, acronyms=["C"])
    assert not found.shared["identified"].iloc[0]
    row = found.regions.iloc[0]
    assert row["low_95"] <= 0.0 <= row["high_95"]


def test_a_change_that_the_trace_cannot_make_is_a_lack_of_fit(traces):
    values, animals = planted(traces, noise=0.1)
    umbrella = animals.loc[animals["dose_mg_per_kg"] == 30.0, "animal"]
    values.loc[values["animal"].isin(umbrella) & (values["acronym"] == "C"), "log2_relative"] += 2.0
    p = fit_regions(values, animals, measure=AXONS).regions.set_index("acronym")["lack_of_fit_p"]
    assert p["C"] < 1e-6
    assert (p.drop("C") > 1e-3).all()


def test_measured_changes_are_differences_from_the_vehicle_of_the_same_days(traces):
    values, animals = planted(traces, noise=1e-6)
    cells = fit_regions(values, animals, measure=AXONS).cells
    one = cells[(cells["acronym"] == "A") & (cells["dose_mg_per_kg"] == 100.0)]
    wanted = [REACH_LN["A"] * traces[100.0, days] / np.log(2.0) for days in one["days"]]
    np.testing.assert_allclose(one["measured_log2"], wanted, atol=1e-5)


def test_bad_tables_are_refused_with_what_there_is(traces):
    values, animals = planted(traces, noise=0.1, n=2)
    with pytest.raises(InputError, match="no axon_length_mm of Q"):
        fit_regions(values, animals, measure=AXONS, acronyms=["Q"])
    with pytest.raises(InputError, match="needs vehicle"):
        fit_regions(values, animals.assign(dose_mg_per_kg=30.0), measure=AXONS)
    with pytest.raises(InputError, match="days is missing"):
        fit_regions(values, animals.drop(columns="days"), measure=AXONS)
    with pytest.raises(InputError, match="positive parameter"):
        fit_regions(values, animals, measure=AXONS, shared="nothing")
