"""ketamap.simulate.species"""

import pytest

from ketamap.core.errors import InputError
from ketamap.simulate.model import antimony_text
from ketamap.simulate.parameters import parameters_for
from ketamap.simulate.species import ENCODED_REGIONS, REACHES, TARGETS, reach_of


def test_no_target_means_everywhere():
    assert reach_of(()) == dict.fromkeys(REACHES, 1.0)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_target_reaches_what_it_names_and_not_the_body(target):
    reach = reach_of((target.lower(),))
    assert {name for name, value in reach.items() if value} == set(TARGETS[target])
    assert reach["reach_body"] == 0.0


def test_several_targets_add_up():
    reach = reach_of(("LHb", "DR"))
    assert reach["reach_lhb"] == reach["reach_th_DR"] == 1.0
    assert reach["reach_pv"] == 0.0


def test_an_unknown_target_is_named():
    with pytest.raises(InputError, match="'pons'"):
        reach_of(("LHb", "pons"))


def test_every_reach_is_in_the_model():
    text = antimony_text()
    assert [name for name in REACHES if f"  {name} has dimensionless" not in text] == []


def test_the_signs_of_the_parameters_are_those_of_the_table():
    values = parameters_for("mouse")
    for one in ENCODED_REGIONS:
        assert values[f"gain_{one.readout}"] * one.sign > 0.0


def test_only_directions_that_were_read_are_encoded():
    th = {one.region: one.sign for one in ENCODED_REGIONS if one.measure == "th"}
    axons = {one.region: one.sign for one in ENCODED_REGIONS if one.measure == "axon"}
    assert th == {
        "DR": -1, "DMH": -1, "MPN": -1, "ZI": 1, "SNr": 1,
        "midbrain_class": -1, "hypothalamus_class": 1,
    }  # fmt: skip
    assert axons == {"AUD": -1, "VIS": -1, "ACA": 1, "PL": 1, "ILA": 1, "ORB": 1, "FRP": 1}
    assert all("100 mg/kg" in one.reported_at for one in ENCODED_REGIONS if one.measure == "axon")
