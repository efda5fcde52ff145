"""ketamap.simulate.parameters"""

import numpy as np
import pytest

from ketamap.core.errors import InputError
from ketamap.simulate.parameters import parameter_table, parameters_for

SPECIES = ("mouse", "rat", "human")
SD_OF_CERTAINTY = {
    "exact": 0.0, "abstract": 0.2, "secondary": 0.25, "derived": 0.35, "memory": 0.5, "guess": 0.8,
}  # fmt: skip


def half_life_min(values):
    """Terminal half-life of the three-compartment model, from its eigenvalues."""
    v, q = [values[k] for k in ("V1", "V2", "V3")], [values[k] for k in ("CL", "Q2", "Q3")]
    rates = np.array(
        [
            [-sum(q) / v[0], q[1] / v[1], q[2] / v[2]],
            [q[1] / v[0], -q[1] / v[1], 0.0],
            [q[2] / v[0], 0.0, -q[2] / v[2]],
        ]
    )
    return 60.0 * np.log(2.0) / np.min(-np.linalg.eigvals(rates).real)


def test_no_parameter_is_there_twice_for_a_species():
    table = parameter_table()
    assert not table.duplicated(["name", "species"]).any()
    general = set(table.loc[table["species"] == "any", "name"])
    assert not general & set(table.loc[table["species"] != "any", "name"])


def test_every_parameter_says_where_it_comes_from_and_how_sure_it_is():
    table = parameter_table()
    assert set(table["certainty"]) <= set(SD_OF_CERTAINTY)
    assert set(table["role"]) == {"calibrated", "prior", "encoded", "fixed"}
    assert (table["meaning"].str.len() > 10).all()
    assert (table["unit"].str.len() > 0).all()
    drawn = table[table["role"] != "fixed"]
    assert (drawn["prior_sd_ln"] == drawn["certainty"].map(SD_OF_CERTAINTY)).all()
    assert (table.loc[table["role"] == "fixed", "prior_sd_ln"] == 0.0).all()
    read = table["certainty"].isin(["abstract", "secondary", "memory"])
    assert (table.loc[read, "source_rows"].str.len() > 0).all()


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
    assert half_life_min(parameters_for("mouse")) == pytest.approx(13.0, rel=1e-4)


def test_the_rat_clears_hydroxynorketamine_as_it_was_measured():
    rat = parameters_for("rat")
    assert rat["CL_hnk"] / 0.3 == pytest.approx(0.704, rel=1e-4)  # A094, L/h/kg
    volume = rat["V_hnk1"] + rat["V_hnk2"]
    assert volume / 0.3 == pytest.approx(7.35, rel=1e-4)
    half_life_h = np.log(2.0) * volume / rat["CL_hnk"]
    assert half_life_h == pytest.approx(8.0, abs=4.0)


def test_the_rat_is_a_human_scaled_by_weight():
    ratio = half_life_min(parameters_for("rat")) / half_life_min(parameters_for("human"))
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
