"""ketamap.stats.design"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import DesignError
from ketamap.core.settings import Design
from ketamap.stats.design import build_design

GROUPS = ["saline"] * 4 + ["low"] * 4 + ["high"] * 4


def people(**columns):
    return pd.DataFrame(
        {"animal": [f"m{k}" for k in range(12)], "group": GROUPS, "sex": list("FM") * 6, **columns}
    )


def by_group(**more):
    return Design(control="saline", factor="group", **more)


def effects(built, y):
    weights = np.linalg.pinv(built.matrix)
    return {c.name: float(c.vector @ weights @ y) for c in built.contrasts}


def test_contrasts_of_a_factor_are_differences_of_means():
    y = np.arange(12.0) ** 2
    found = effects(build_design(people(), by_group()), y)
    assert found.keys() == {"low vs saline", "high vs saline"}
    assert found["low vs saline"] == pytest.approx(y[4:8].mean() - y[:4].mean())
    assert found["high vs saline"] == pytest.approx(y[8:].mean() - y[:4].mean())


@pytest.mark.parametrize(
    "formula", ["~ group + sex", "~ sex * group", "group + sex", "~ 0 + group"]
)
def test_any_formula_recovers_planted_effects(formula):
    table = people()
    y = 2.0 + 0.5 * (table["group"] == "low") - 1.5 * (table["group"] == "high")
    y = y + (0.3 * (table["sex"] == "M") if "sex" in formula else 0.0)
    found = effects(build_design(table, by_group(formula=formula)), y.to_numpy())
    assert found["low vs saline"] == pytest.approx(0.5)
    assert found["high vs saline"] == pytest.approx(-1.5)


def test_the_order_of_animals_does_not_matter():
    y = pd.Series(np.arange(12.0) ** 2, index=people()["animal"])
    shuffled = people().sample(frac=1.0, random_state=2)
    one = effects(build_design(people(), by_group()), y.to_numpy())
    two = effects(build_design(shuffled, by_group()), y[shuffled["animal"]].to_numpy())
    assert two == pytest.approx(one)


def dosed(drop=()):
    cells = [(d, t) for t in (1, 10) for d in (0, 30, 100) if (d, t) not in drop]
    rows = [(d, t) for d, t in cells for _ in range(3)]
    return pd.DataFrame(rows, columns=["dose_mg_per_kg", "days"]).assign(
        animal=[f"m{k}" for k in range(len(rows))]
    )


DOSE = Design(control=0, dose="dose_mg_per_kg", duration="days")


def test_each_dose_is_compared_with_vehicle_of_the_same_day():
    table = dosed()
    y = table["days"] * 0.1 + table["dose_mg_per_kg"] * table["days"] * 0.01
    found = effects(build_design(table, DOSE), y.to_numpy())
    assert found == pytest.approx(
        {
            "30 mg/kg vs vehicle, 1 d": 0.3,
            "100 mg/kg vs vehicle, 1 d": 1.0,
            "30 mg/kg vs vehicle, 10 d": 3.0,
            "100 mg/kg vs vehicle, 10 d": 10.0,
        }
    )


def test_a_day_without_vehicle_is_not_compared_and_said():
    built = build_design(dosed(drop=[(0, 10)]), DOSE)
    assert [c.name for c in built.contrasts] == [
        "30 mg/kg vs vehicle, 1 d",
        "100 mg/kg vs vehicle, 1 d",
    ]
    assert "30 mg/kg 10 d, 100 mg/kg 10 d" in built.warnings[0]


def test_a_trend_in_dose_is_possible():
    table = dosed()
    y = 0.02 * table["dose_mg_per_kg"].to_numpy()
    built = build_design(
        table, Design(control=0, dose="dose_mg_per_kg", formula="~ dose_mg_per_kg + C(days)")
    )
    assert effects(built, y) == pytest.approx(
        {"30 mg/kg vs vehicle": 0.6, "100 mg/kg vs vehicle": 2.0}
    )


def test_a_batch_is_added_to_the_model():
    table = people(batch=["a", "b"] * 6)
    built = build_design(table, by_group(batch="batch"))
    assert built.matrix.shape == (12, 4)
    assert "batch" in built.formula


@pytest.mark.parametrize(
    ("change", "design", "words"),
    [
        ({"batch": ["a"] * 4 + ["b"] * 8}, by_group(batch="batch"), "Batch .batch. is aliased"),
        ({"other": GROUPS}, by_group(formula="~ group + other"), "cannot be told apart"),
        ({}, by_group(formula="~ group + weight"), "weight, which the animals table lacks"),
        ({}, by_group(batch="batch"), "needs batch"),
        ({}, Design(control="water", factor="group"), "No animal has group 'water'"),
        ({}, by_group(formula="~ sex"), "does not contain group"),
        ({}, by_group(formula="y ~ group"), "left side"),
        ({}, by_group(formula="~ group +* sex"), "cannot be read"),
        ({"weight": [np.nan] + [1.0] * 11}, by_group(formula="~ group + weight"), "empty for m0"),
        ({"group": ["saline"] * 10 + ["low"] * 2}, by_group(), r"too small: low \(2\)"),
        ({"group": "saline"}, by_group(), "nothing to compare"),
        ({"animal": ["m1"] * 2 + list("abcdefghij")}, by_group(), "m1 stand in the animals table"),
        ({"group": ["a", 1.5] * 6}, Design(control=0, dose="group"), "must hold numbers"),
        ({"group": GROUPS}, Design(control="low", dose="group"), "must hold numbers"),
        ({"dose": [1.0] * 12}, Design(control=0, dose="dose"), "Nothing can be compared"),
    ],
)
def test_what_cannot_be_estimated_is_refused_with_the_reason(change, design, words):
    with pytest.raises(DesignError, match=words):
        build_design(people(**change), design)


def test_a_dose_written_as_a_number_is_said_to_be_a_straight_line():
    animals = pd.DataFrame(
        {
            "animal": [f"m{k}" for k in range(12)],
            "dose_mg_per_kg": np.repeat([0, 30, 100], 4),
            "sex": list("FM") * 6,
        }
    )
    line = Design(control=0, dose="dose_mg_per_kg", formula="~ dose_mg_per_kg + sex")
    levels = Design(control=0, dose="dose_mg_per_kg", formula="~ C(dose_mg_per_kg) + sex")
    assert any("C(dose_mg_per_kg)" in note for note in build_design(animals, line).warnings)
    assert build_design(animals, levels).warnings == ()
