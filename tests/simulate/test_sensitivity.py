"""ketamap.simulate.sensitivity"""

import pytest

from ketamap.core.dosing import Dose, DosingPlan, Subject
from ketamap.core.errors import InputError, MissingExtraError
from ketamap.simulate import sensitivity
from ketamap.simulate.sensitivity import (
    Outcome,
    local_sensitivities,
    morris_screen,
    sobol_indices,
    uncertain_parameters,
)

AUC = Outcome(column="auc_S", time_h=72.0)


@pytest.fixture
def plan():
    dose = Dose(time_h=0.0, amount=10.0, unit="mg", route="iv", form="S")
    return DosingPlan(name="p", subject=Subject(species="human"), doses=(dose,), end_h=72.0)


def test_exposure_falls_one_to_one_with_clearance_and_ignores_receptors(plan, ear):
    names = ["CL", "IC50_ketamine", "weight_pv"]
    table = local_sensitivities(plan, AUC, names=names, progress=ear)
    assert ear.heard_all()
    elasticity = table.set_index("parameter")["elasticity"]
    assert elasticity["CL"] == pytest.approx(-1.0, abs=0.01)
    assert elasticity["IC50_ketamine"] == pytest.approx(0.0, abs=1e-6)
    assert table["parameter"].iloc[0] == "CL"
    assert table["share"].sum() == pytest.approx(1.0)


def test_an_outcome_of_zero_has_no_percentages(plan):
    with pytest.raises(InputError, match="another time"):
        local_sensitivities(plan, Outcome(column="auc_R", time_h=72.0), names=["CL"])


def test_unknown_parameters_are_refused(plan):
    with pytest.raises(InputError, match="uncertain_parameters"):
        local_sensitivities(plan, AUC, names=["nothing"])


def test_fixed_parameters_have_no_prior():
    names = uncertain_parameters("human")
    assert "CL" in names
    assert not {"weight", "mw_ketamine", "uptake_on"} & set(names)


def test_screening_puts_clearance_first(plan, ear):
    pytest.importorskip("SALib")
    table = morris_screen(plan, AUC, names=["V1", "CL", "fu"], trajectories=4, seed=1)
    assert table["parameter"].iloc[0] == "CL"
    assert table["mu"].iloc[0] < 0.0
    again = morris_screen(plan, AUC, names=["V1", "CL", "fu"], trajectories=4, seed=1, progress=ear)
    assert ear.heard_all()
    assert table.equals(again)


@pytest.mark.slow
def test_sobol_gives_all_the_variance_of_exposure_to_clearance(plan):
    pytest.importorskip("SALib")
    table = sobol_indices(plan, AUC, names=["CL", "fu"], samples=128, seed=1).set_index("parameter")
    assert table.loc["CL", "total"] == pytest.approx(1.0, abs=0.1)
    assert table.loc["fu", "total"] == pytest.approx(0.0, abs=0.01)


def test_without_the_package_the_error_names_the_extra(plan, monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(sensitivity.importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"ketamap\[sensitivity\]"):
        morris_screen(plan, AUC)
