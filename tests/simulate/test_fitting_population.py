"""ketamap.simulate.fitting_population"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.dosing import Dose, DosingPlan, Subject
from ketamap.core.errors import InputError
from ketamap.simulate.engine import simulate
from ketamap.simulate.fitting_population import (
    AnimalData,
    animal_plans,
    fit_animals,
    fit_population,
)

TIMES = np.array([0.1, 0.25, 0.5, 1.0, 2.0, 4.0])
TYPICAL = {"CL": 2.0, "V": 1.0}
SPREAD = {"CL": 0.3, "V": 0.2}
ERROR = 0.15


def bolus_ln(logs):
    clearance, volume = np.exp(logs)
    return np.log(10.0 / volume) - clearance / volume * TIMES


def one_compartment(n_animals, seed, *, error=ERROR, spread=SPREAD):
    rng = np.random.default_rng(seed)
    animals = []
    for k in range(n_animals):
        own = np.log(list(TYPICAL.values())) + rng.normal(0.0, list(spread.values()))
        observed = bolus_ln(own) + rng.normal(0.0, error, len(TIMES))
        animals.append(AnimalData(f"m{k}", observed, bolus_ln))
    return animals


def fit(animals, **more):
    return fit_animals(animals, ["CL", "V"], np.log([3.0, 0.7]), **more)


def test_balanced_random_intercepts_are_those_of_the_analysis_of_variance():
    rng = np.random.default_rng(1)
    y = rng.normal(1.0, 0.4, (8, 1)) + rng.normal(0.0, 0.2, (8, 5))
    within = y.var(axis=1, ddof=1).mean()
    between = 5 * y.mean(axis=1).var(ddof=1)
    animals = [AnimalData(str(k), row, lambda logs: np.repeat(logs, 5)) for k, row in enumerate(y)]
    found = fit_animals(animals, ["level"], np.zeros(1))
    row = found.estimates.iloc[0]
    assert np.log(row["value"]) == pytest.approx(y.mean(), abs=1e-4)
    assert row["spread_sd_ln"] == pytest.approx(((between - within) / 5) ** 0.5, rel=1e-3)
    assert found.residual_sd_ln == pytest.approx(within**0.5, rel=1e-3)
    half = 2.3646 * (between / 40) ** 0.5
    assert np.log(row["high_95"]) == pytest.approx(y.mean() + half, rel=1e-3)


def test_many_animals_give_back_what_was_planted(ear):
    found = fit(one_compartment(60, 3), progress=ear)
    assert ear.heard_all()
    table = found.estimates.set_index("parameter")
    for name, value in TYPICAL.items():
        assert table.loc[name, "value"] == pytest.approx(value, rel=0.12)
        assert table.loc[name, "spread_sd_ln"] == pytest.approx(SPREAD[name], rel=0.35)
    assert found.residual_sd_ln == pytest.approx(ERROR, rel=0.1)
    assert found.converged


@pytest.mark.slow
def test_intervals_hold_the_planted_values_about_as_often_as_they_say():
    inside = {"value": 0, "spread": 0}
    cohorts = 40
    for seed in range(cohorts):
        table = fit(one_compartment(8, seed)).estimates
        for row in table.to_dict("records"):
            truth = TYPICAL[row["parameter"]]
            inside["value"] += row["low_95"] <= truth <= row["high_95"]
            spread = SPREAD[row["parameter"]]
            inside["spread"] += row["spread_low_95"] <= spread <= row["spread_high_95"]
    assert inside["value"] / (2 * cohorts) >= 0.88
    assert inside["spread"] / (2 * cohorts) >= 0.88


def test_order_and_names_of_animals_do_not_matter():
    animals = one_compartment(6, 5)
    there, back = fit(animals), fit(animals[::-1])
    np.testing.assert_allclose(there.estimates["value"], back.estimates["value"], rtol=1e-3)


def test_a_parameter_that_no_prediction_depends_on_is_named():
    animals = [
        AnimalData(one.name, one.observed_ln, lambda logs: bolus_ln(logs[:2]))
        for one in one_compartment(6, 2)
    ]
    found = fit_animals(animals, ["CL", "V", "idle"], np.log([2.0, 1.0, 5.0]))
    assert found.not_identified == ("idle",)
    row = found.estimates.set_index("parameter").loc["idle"]
    assert row["low_95"] == 0.0
    assert np.isinf(row["high_95"])
    assert row["shrinkage"] > 0.9


def test_without_a_spread_the_interval_of_the_spread_reaches_zero():
    found = fit(one_compartment(6, 4, spread={"CL": 0.0, "V": 0.0}))
    assert (found.estimates["spread_low_95"] < 0.02).all()
    assert not found.estimates["spread_identified"].any()


def test_the_engine_fits_animals_of_different_weight():
    dose = Dose(time_h=0.0, amount=10.0, unit="mg/kg", route="iv")
    plan = DosingPlan(name="p", subject=Subject(species="mouse"), doses=(dose,), end_h=4.0)
    rng = np.random.default_rng(0)
    frames = []
    for k, clearance in enumerate(0.25 * np.exp(rng.normal(0.0, 0.2, 4))):
        weight = 0.02 + 0.003 * k
        data = pd.DataFrame({"animal": f"m{k}", "weight_kg": weight, "time_h": TIMES})
        own = animal_plans(plan, data)[f"m{k}"]
        assert own.subject.weight_kg == weight
        exact = simulate(own, parameters={"CL": clearance}, times_h=TIMES)
        value = exact["plasma_ketamine_ng_per_ml"] * np.exp(rng.normal(0.0, 0.05, len(TIMES)))
        frames.append(data.assign(value=value.to_numpy()))
    data = pd.concat(frames, ignore_index=True)
    found = fit_population(animal_plans(plan, data), data, ["CL"])
    row = found.estimates.iloc[0]
    assert row["low_95"] <= 0.25 <= row["high_95"]
    assert row["high_95"] / row["low_95"] < 3.0


def test_every_fault_is_named_at_once():
    plan = DosingPlan(name="p", subject=Subject(species="mouse"), doses=(), end_h=4.0)
    data = pd.DataFrame({"animal": ["a", "b"], "time_h": [1.0, 2.0], "value": [1.0, -1.0]})
    with pytest.raises(InputError, match=r"positive.*2 animals cannot.*called nothing"):
        fit_population({"a": plan, "b": plan}, data, ["nothing"])
    with pytest.raises(InputError, match="lack the columns animal"):
        fit_population({"a": plan}, data.drop(columns="animal"), ["CL"])
