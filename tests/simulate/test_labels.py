"""ketamap.simulate.labels"""

from dataclasses import replace

import pandas as pd
import pytest

from ketamap.core.dosing import Dose, DosingPlan, Subject, repeat
from ketamap.core.errors import InputError
from ketamap.simulate.engine import units
from ketamap.simulate.labels import LABEL_KINDS, label_of, label_table


def plan(species, *doses, end_h=24.0):
    return DosingPlan(name="p", subject=Subject(species=species), doses=doses, end_h=end_h)


def dose(amount, route, **more):
    return Dose(**({"time_h": 0.0, "amount": amount, "unit": "mg", "route": route} | more))


INFUSION = plan("human", dose(35.0, "iv", duration_h=40 / 60))


def test_every_output_has_a_label_with_a_reason():
    table = label_table()
    assert set(table["name"]) == set(units()) - {"time_h"}
    assert set(table["label"]) <= set(LABEL_KINDS)
    assert (table["reason"].str.len() > 10).all()


@pytest.mark.data
def test_every_label_cites_rows_of_the_facts(shared_data):
    facts = set(pd.read_csv(shared_data / "ketamine" / "facts.csv")["id"])
    cited = set(label_table()["sources"].str.split().explode().dropna())
    assert cited <= facts


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("plasma_ketamine_ng_per_ml", "predicted"),
        ("occupancy_receptor", "compatible"),
        ("mood_effect", "compatible"),
        ("th_DR", "encoded"),
        ("axon_VIS", "encoded"),
        ("ensemble_coordination", "encoded"),
        ("dissociation_cadss", "encoded"),
        ("bladder_injury", "encoded"),
        ("withdrawal", "encoded"),
    ],
)
def test_an_infusion_in_man_has_the_labels_of_the_evidence(name, kind):
    assert label_of(name, INFUSION).kind == kind


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("plasma_norketamine_ng_per_ml", plan("human", dose(10.0, "iv"))),
        ("plasma_ketamine_ng_per_ml", plan("human", dose(50.0, "in"))),
        ("occupancy_receptor", plan("mouse", dose(1.0, "sc"))),
        ("occupancy_pv", plan("mouse", dose(1.0, "sc"))),
        ("spine_density", plan("mouse", dose(1.0, "ip", form="R"))),
        ("th_DR", plan("mouse", *repeat(dose(1.0, "ip"), 24.0, 89), end_h=2400.0)),
    ],
)
def test_known_failures_are_shown_where_they_apply(name, one):
    assert label_of(name, one).kind == "known failure"
    assert label_of(name, INFUSION).kind != "known failure"


def test_concentrations_in_rodents_claim_less():
    mouse = plan("mouse", dose(1.0, "ip"))
    assert label_of("plasma_S", mouse).kind == "compatible"
    assert "Scaled from man" in label_of("plasma_S", mouse).reason


def test_what_follows_from_a_target_is_encoded_and_blood_is_not():
    local = replace(INFUSION, targets=("LHb",))
    for name in ("da_acb", "glutamate", "lhb_relative", "mood_effect", "spine_density"):
        assert label_of(name, local).kind == "encoded"
        assert "what-if" in label_of(name, local).reason
    assert label_of("plasma_ketamine_ng_per_ml", local).kind == "predicted"
    assert label_of("plasma_norketamine_ng_per_ml", local).kind == "compatible"


@pytest.mark.parametrize("route", ["po", "im", "sc"])
def test_blood_after_a_route_without_data_is_not_predicted(route):
    for one in (plan("human", dose(35.0, route)), plan("human", dose(5.0, "iv"), dose(5.0, route))):
        label = label_of("plasma_ketamine_ng_per_ml", one)
        assert label.kind == "compatible"
        assert route in label.reason


def test_a_plan_never_strengthens_a_label():
    plans = (INFUSION, plan("mouse", dose(1.0, "ip", form="R")), plan("rat"))
    for name in label_table()["name"]:
        base = LABEL_KINDS.index(label_of(name).kind)
        assert all(LABEL_KINDS.index(label_of(name, one).kind) >= base for one in plans)


def test_an_unknown_output_has_no_label():
    with pytest.raises(InputError, match="no output 'th_VTA'"):
        label_of("th_VTA")


def stressed(protocol):
    return DosingPlan(
        name="p", subject=Subject(species="rat", stress=protocol), doses=(), end_h=24.0
    )


@pytest.mark.parametrize(
    ("protocol", "habenula", "synapses"),
    [
        ("none", "compatible", "compatible"),
        ("helpless", "compatible", "encoded"),
        ("cms", "encoded", "compatible"),
        ("defeat", "encoded", "compatible"),
    ],
)
def test_what_a_protocol_was_not_measured_for_is_encoded(protocol, habenula, synapses):
    plan = stressed(protocol)
    assert label_of("lhb_burst", plan).kind == habenula
    assert label_of("vta_active", plan).kind == habenula
    assert label_of("spine_density", plan).kind == synapses
    if habenula == "encoded":
        assert "learned helplessness" in label_of("lhb_burst", plan).reason
