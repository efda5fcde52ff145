"""ketamap.simulate.parameters"""

import numpy as np
import pytest

from ketamap.core.errors import InputError
from ketamap.simulate.draws import CLASS_SPREAD
from ketamap.simulate.facts import fact_table
from ketamap.simulate.parameters import parameter_table, parameters_for
from ketamap.simulate.scorecard_intervals import terminal_half_life_h

SPECIES = ("mouse", "rat", "human")


def test_no_parameter_is_there_twice_for_a_species():
    table = parameter_table()
    assert not table.duplicated(["name", "species"]).any()
    general = set(table.loc[table["species"] == "any", "name"])
    assert not general & set(table.loc[table["species"] != "any", "name"])


def test_every_parameter_says_where_it_comes_from_and_how_sure_it_is():
    table = parameter_table()
    assert set(table["certainty"]) <= {"exact", *CLASS_SPREAD}
    assert set(table["role"]) == {"calibrated", "prior", "encoded", "fixed"}
    assert (table["meaning"].str.len() > 10).all()
    assert (table["unit"].str.len() > 0).all()
    read = table["certainty"].isin(["abstract", "secondary", "memory"])
    assert (table.loc[read, "source_rows"].str.len() > 0).all()


def test_every_spread_is_that_of_its_class_or_a_standard_error_of_its_source():
    table = parameter_table()
    drawn = table[(table["role"] != "fixed") & (table["certainty"] != "exact")]
    by_class = drawn[drawn["spread_from"] == "class"]
    assert (by_class["prior_sd_ln"] == by_class["certainty"].map(CLASS_SPREAD)).all()
    stated = drawn[drawn["spread_from"] != "class"]
    assert set(stated["spread_from"]) == {"standard error"}
    assert stated["source_rows"].str.fullmatch(r"[AB]\d{3}").all()
    others = table.drop(drawn.index)
    assert (others["prior_sd_ln"] == 0.0).all()
    assert (others[["prior_form", "spread_from"]] == "").all(axis=None)


@pytest.mark.parametrize(("name", "row"), [("V1", "A017"), ("CL", "A020"), ("V_hnk1", "A030")])
def test_standard_errors_are_those_of_the_facts(name, row):
    table = parameter_table()
    ours = table[(table["name"] == name) & (table["species"] == "human")].iloc[0]
    fact = fact_table().loc[row]
    relative = float(fact["uncertainty"].removeprefix("SEE ")) / float(fact["value"])
    assert ours["prior_sd_ln"] == pytest.approx(relative, abs=1e-3)


def test_parts_of_one_and_thresholds_have_the_prior_of_their_kind():
    table = parameter_table()
    drawn = table[table["prior_form"] != ""]
    assert set(drawn["prior_form"]) == {"log", "logit", "log above 1"}
    parts = drawn[(drawn["unit"] == "dimensionless") & (drawn["upper"] == 1.0)]
    assert (parts.loc[parts["value"] < 1.0, "prior_form"] == "logit").all()
    above = drawn[drawn["prior_form"] == "log above 1"]
    assert ((above["value"] > 1.0) & (above["lower"] == 1.0)).all()


def test_first_pass_gives_the_bioavailability_that_was_read():
    human = parameters_for("human")
    escapes = 1.0 - human["extraction_liver"]
    assert human["extraction_liver"] == pytest.approx(human["CL"] / 151.0, abs=1e-3)  # A049
    assert human["F_gut"] * escapes == pytest.approx(0.18, abs=1e-3)  # A080


def test_values_lie_within_their_bounds():
    table = parameter_table()
    assert ((table["value"] >= table["lower"]) & (table["value"] <= table["upper"])).all()


@pytest.mark.data
def test_every_source_row_is_a_row_of_the_facts(shared_data):
    import pandas as pd

    facts = set(pd.read_csv(shared_data / "ketamine" / "facts.csv")["id"])
    cited = parameter_table()["source_rows"].str.findall(r"[A-F]\d{3}").explode().dropna()
    assert set(cited) <= facts


@pytest.mark.data
def test_the_human_kinetics_are_those_of_the_source(shared_data):
    import pandas as pd

    facts = pd.read_csv(shared_data / "ketamine" / "facts.csv").set_index("id")["value"]
    human = parameters_for("human")
    for name, row, factor in (
        ("V1", "A017", 1.0), ("V2", "A018", 1.0), ("V3", "A019", 1.0), ("CL", "A020", 60.0),
        ("Q2", "A021", 60.0), ("Q3", "A022", 60.0), ("CL_nk", "A026", 60.0),
        ("ka_nose", "A039", 1.0), ("f_nk", "A024", 1.0),
    ):  # fmt: skip
        assert human[name] == pytest.approx(float(facts[row]) * factor), name


def test_the_mouse_has_the_half_life_it_was_calibrated_on():
    assert 60.0 * terminal_half_life_h(parameters_for("mouse")) == pytest.approx(13.0, rel=1e-4)


def test_the_rat_clears_hydroxynorketamine_as_it_was_measured():
    rat = parameters_for("rat")
    assert rat["CL_hnk"] / 0.3 == pytest.approx(0.704, rel=1e-4)  # A094, L/h/kg
    volume = rat["V_hnk1"] + rat["V_hnk2"]
    assert volume / 0.3 == pytest.approx(7.35, rel=1e-4)
    half_life_h = np.log(2.0) * volume / rat["CL_hnk"]
    assert half_life_h == pytest.approx(8.0, abs=4.0)


def test_the_rat_is_a_human_scaled_by_weight():
    ratio = terminal_half_life_h(parameters_for("rat")) / terminal_half_life_h(
        parameters_for("human")
    )
    assert ratio == pytest.approx((0.3 / 70.0) ** 0.25, rel=1e-4)


@pytest.mark.parametrize("species", SPECIES)
def test_all_species_have_all_parameters(species):
    assert set(parameters_for(species)) == set(parameter_table()["name"])


def test_a_species_without_parameters_is_named_with_what_it_lacks():
    with pytest.raises(InputError, match=r"'dog' has no value for CL, .*Use one of human, mouse"):
        parameters_for("dog")


def test_an_override_replaces_one_value_only():
    usual, changed = parameters_for("rat"), parameters_for("rat", {"fu": 0.3})
    assert {k for k in usual if usual[k] != changed[k]} == {"fu"}
    assert changed["fu"] == 0.3


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"V11": 1.0}, "called V11. Did you mean 'V1'"),
        ({"fu": 1.5}, "fu must be finite and lie between 1e-09 and 1, got 1.5"),
        ({"V1": 0.0}, "V1 must be"),
        ({"CL": float("nan")}, "CL must be finite"),
    ],
)
def test_an_impossible_override_is_refused(overrides, words):
    with pytest.raises(InputError, match=words):
        parameters_for("mouse", overrides)
