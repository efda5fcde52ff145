"""ketamap.simulate.model"""

import re

import libsbml
import pytest
import roadrunner

from ketamap.simulate.model import (
    ModelError,
    antimony_text,
    sbml_for,
    sbml_text,
    state_table,
    to_sbml,
)
from ketamap.simulate.parameters import parameter_table


def complaints(sbml):
    """Everything libsbml says about a model, unit checks and modelling practice included."""
    document = libsbml.readSBMLFromString(sbml)
    document.checkConsistency()
    return [document.getError(k).getMessage() for k in range(document.getNumErrors())]


def test_libsbml_finds_no_error_and_no_unit_warning():
    assert complaints(sbml_text()) == []


def test_the_unit_check_would_notice_a_wrong_unit():
    spoiled = antimony_text().replace("auc_S' = plasma_S", "auc_S' = central_S")
    assert spoiled != antimony_text()
    assert any("auc_S" in one or "units" in one for one in complaints(to_sbml(spoiled)))


def test_the_unit_check_would_notice_a_missing_unit():
    spoiled = antimony_text().replace("  V1 has litre; ", "  ")
    assert spoiled != antimony_text()
    assert complaints(to_sbml(spoiled))


def test_every_quantity_has_a_unit():
    document = libsbml.readSBMLFromString(sbml_text())
    parameters = document.getModel().getListOfParameters()
    assert [one.getId() for one in parameters if not one.isSetUnits()] == []


def test_units_of_the_table_and_of_the_model_agree():
    document = libsbml.readSBMLFromString(sbml_text())
    model = document.getModel()
    for row in parameter_table().itertuples():
        element = model.getParameter(row.name)
        if element is not None:
            assert element.getUnits() == row.unit, row.name


def test_the_export_loads_in_roadrunner_with_all_states():
    runner = roadrunner.RoadRunner(sbml_text())
    states = state_table().query("kind == 'state'")["name"]
    assert set(states) <= set(runner.getModel().getGlobalParameterIds())


def test_every_placeholder_of_the_modules_is_filled():
    assert "$" not in antimony_text()


def test_a_text_that_does_not_parse_is_a_clear_error():
    with pytest.raises(ModelError, match="not valid Antimony"):
        to_sbml("model ketamap\n x := (1 + \nend\n")


def states_in(text):
    return set(re.findall(r'<rateRule variable="(\w+)"', text))


def test_what_a_column_does_not_depend_on_is_left_out():
    blood = states_in(sbml_for(frozenset({"plasma_ketamine_uM"})))
    assert {"central_S", "depot_oral_R"} <= blood
    assert not {"hnk_central_S", "glutamate", "spines_relative", "brain_S"} & blood
    assert blood < states_in(sbml_for(frozenset({"spine_density"}))) < states_in(sbml_text())


def test_every_state_with_all_columns_is_the_whole_model():
    table = state_table()
    assert states_in(sbml_for(frozenset(table["name"]))) == states_in(sbml_text())
