"""ketamap.simulate.fitting"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.dosing import Dose, DosingPlan, Subject
from ketamap.core.errors import InputError
from ketamap.simulate.engine import simulate
from ketamap.simulate.fitting import fit_parameters

TIMES = np.array([0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8, 12, 24])
TRUE = {"CL": 60.0, "V1": 20.0}


@pytest.fixture
def plan():
    dose = Dose(time_h=0.0, amount=10.0, unit="mg", route="iv")
    return DosingPlan(name="p", subject=Subject(species="human"), doses=(dose,), end_h=24.0)


def measured(plan, *, noise=0.05, seed=0):
    exact = simulate(plan, parameters=TRUE, times_h=TIMES)["plasma_ketamine_ng_per_ml"]
    factor = np.exp(np.random.default_rng(seed).normal(0.0, noise, len(TIMES)))
    return pd.DataFrame({"time_h": TIMES, "value": exact * factor})


def test_planted_values_come_back_from_exact_data(plan, ear):
    fit = fit_parameters(plan, measured(plan, noise=0.0), ["CL", "V1"], progress=ear)
    assert ear.heard_all()
    assert fit.parameters == pytest.approx(TRUE, rel=1e-3)
    assert not fit.not_identified


@pytest.mark.slow
def test_intervals_hold_the_truth_about_as_often_as_they_say(plan):
    inside = 0
    for seed in range(30):
        fit = fit_parameters(plan, measured(plan, seed=seed), ["CL"], parameters={"V1": 20.0})
        row = fit.estimates.iloc[0]
        inside += bool(row["low_95"] <= TRUE["CL"] <= row["high_95"])
    assert inside >= 24


def test_a_parameter_the_data_do_not_touch_is_named(plan):
    fit = fit_parameters(plan, measured(plan), ["CL", "cadss_per_uM"], parameters={"V1": 20.0})
    assert fit.not_identified == ("cadss_per_uM",)
    row = fit.estimates.set_index("parameter").loc["cadss_per_uM"]
    assert row["low_95"] == 0.0
    assert np.isinf(row["high_95"])


def test_the_interval_lies_around_the_estimate_and_the_error_is_found(plan):
    fit = fit_parameters(plan, measured(plan), ["CL"], parameters={"V1": 20.0})
    row = fit.estimates.iloc[0]
    assert row["low_95"] < row["value"] < row["high_95"]
    assert fit.residual_sd_ln == pytest.approx(0.05, rel=0.6)
    assert len(fit.predicted) == len(TIMES)


def test_every_fault_of_the_data_is_named_at_once(plan):
    data = pd.DataFrame({"time_h": [1.0], "value": [-1.0]})
    with pytest.raises(InputError, match=r"positive.*no parameter is called nothing.*cannot fit"):
        fit_parameters(plan, data, ["nothing"])
    with pytest.raises(InputError, match="lack the columns value"):
        fit_parameters(plan, pd.DataFrame({"time_h": [1.0, 2.0]}), ["CL"])


def test_the_profile_is_least_at_the_estimate_and_grows_to_the_ends(plan):
    fit = fit_parameters(plan, measured(plan), ["CL"], parameters={"V1": 20.0})
    row, profile = fit.estimates.iloc[0], fit.profiles.sort_values("value")
    assert profile.loc[profile["deviance"].idxmin(), "value"] == pytest.approx(row["value"])
    outside = (profile["value"] < 0.999 * row["low_95"]) | (
        profile["value"] > 1.001 * row["high_95"]
    )
    assert (profile.loc[outside, "deviance"] > 3.6).all()
    assert (profile.loc[~outside, "deviance"] < 4.1).all()
