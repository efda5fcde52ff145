"""ketamap.simulate.population"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.dosing import Dose, DosingPlan, Subject
from ketamap.core.errors import InputError
from ketamap.simulate.engine import simulate
from ketamap.simulate.members import world, worlds_of
from ketamap.simulate.population import (
    QUANTILE_NAMES,
    Population,
    Variability,
    simulate_cohort,
    simulate_ensemble,
    vary_subject,
)

TIMES = np.array([0.0, 1.0, 4.0])
COLUMNS = ("auc_ketamine_uM_h", "plasma_ketamine_uM")
NONE = Variability(volume_cv=0, flow_cv=0, absorption_cv=0, weight_cv=0, plasticity_cv=0)


@pytest.fixture
def plan():
    dose = Dose(time_h=0.0, amount=10.0, unit="mg/kg", route="ip")
    return DosingPlan(name="p", subject=Subject(species="mouse"), doses=(dose,), end_h=4.0)


def test_without_variability_every_band_is_the_typical_subject(plan):
    bands = simulate_cohort(
        plan, 3, columns=COLUMNS, times_h=TIMES, population=Population(variability=NONE)
    )
    typical = simulate(plan, times_h=TIMES, relative_tolerance=1e-10)
    for column in COLUMNS:
        one = bands[bands["quantity"] == column]
        for name in QUANTILE_NAMES:
            np.testing.assert_allclose(one[name], typical[column], rtol=1e-5, atol=1e-9)


def test_bands_are_in_order_and_say_what_they_show(plan):
    bands = simulate_cohort(plan, 12, columns=COLUMNS, times_h=TIMES, seed=3)
    assert (np.diff(bands[list(QUANTILE_NAMES)], axis=1) >= 0).all()
    assert set(bands["spread"]) == {"between subjects"}
    assert set(bands["members"]) == {"default"}
    assert set(bands["n"]) == {12}


def test_subjects_have_the_spread_of_the_population_models(plan):
    values = [
        vary_subject(plan, {}, subject=k, seed=1, variability=Variability())[1] for k in range(400)
    ]
    for name, cv in (("V1", 0.275), ("CL", 0.232), ("ka_ip", 0.615)):
        logs = np.log([v[name] for v in values])
        assert logs.std() == pytest.approx(np.sqrt(np.log1p(cv**2)), rel=0.1)
    together = np.corrcoef([v["V1"] for v in values], [v["V2"] for v in values])[0, 1]
    assert together == pytest.approx(1.0)


def test_weight_varies_the_subject_not_the_parameters(plan):
    only_weight = Variability(
        volume_cv=0, flow_cv=0, absorption_cv=0, weight_cv=0.3, plasticity_cv=0
    )
    changed, own = vary_subject(plan, {}, subject=1, seed=1, variability=only_weight)
    assert changed.subject.kg != plan.subject.kg
    assert "weight" not in own


def test_members_stay_apart(plan, ear):
    bands = simulate_ensemble(
        plan, 4, columns=("occupancy_receptor",), worlds=worlds_of("affinity"), times_h=TIMES,
        progress=ear,
    )  # fmt: skip
    assert ear.heard_all()
    assert set(bands["members"]) == {"default", "in_vitro"}
    assert set(bands["spread"]) == {"parameters"}
    at_1h = bands[bands["time_h"] == 1.0].set_index("members")["median"]
    assert at_1h["in_vitro"] > at_1h["default"]


def test_a_cohort_carries_the_name_of_its_members(plan, ear):
    population = Population(members=world("uptake_on"))
    bands = simulate_cohort(
        plan, 22, columns=("da_acb",), times_h=TIMES[:2], population=population, progress=ear
    )
    assert ear.heard_all()
    assert set(bands["members"]) == {"uptake_on"}


@pytest.mark.slow
def test_workers_change_nothing(plan):
    one, two = (
        simulate_cohort(plan, 45, columns=COLUMNS, times_h=TIMES, seed=5, workers=w) for w in (1, 2)
    )
    pd.testing.assert_frame_equal(one, two)


def test_empty_cohorts_and_negative_spreads_are_refused(plan):
    with pytest.raises(InputError, match="1 subject or more"):
        simulate_cohort(plan, 0, columns=COLUMNS)
    with pytest.raises(InputError, match="volume_cv"):
        Variability(volume_cv=-0.1)
