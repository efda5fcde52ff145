"""ketamap.report.efficiency"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ketamap.report.contents import BrainQuality
from ketamap.report.efficiency import efficiency_rows, efficiency_warnings, region_efficiencies
from ketamap.report.groups import Groups
from ketamap.report.render import render_report

TWO = Groups(
    of_animal={f"{g}{k}": g for g in ("vehicle", "drug") for k in range(4)},
    names=("vehicle", "drug"),
)


def brains(shares, spread=0.01, seed=0):
    """Brains whose efficiencies are those of their group, with a little spread."""
    rng = np.random.default_rng(seed)
    return [
        BrainQuality(
            animal=animal,
            efficiency=pd.Series(shares[group]) * np.exp(rng.normal(0, spread, len(shares[group]))),
        )
        for animal, group in TWO.of_animal.items()
    ]


def test_both_hemispheres_and_the_largest_structure_first():
    table = pd.DataFrame(
        {
            "acronym": ["A", "root", "A", "root", "A"],
            "measure": ["cells"] * 4 + ["axon_length_mm"],
            "total": [10.0, 80.0, 30.0, 20.0, 5.0],
            "detection_efficiency": [0.5, 0.8, 0.75, 0.5, np.nan],
        }
    )
    share = region_efficiencies(table)
    assert list(share.index) == ["root", "A"]
    assert share["A"] == pytest.approx(40 / (20 + 40))
    assert share["root"] == pytest.approx(100 / (100 + 40))
    assert region_efficiencies(table.drop(columns="detection_efficiency")).empty


def test_a_region_found_less_completely_in_one_group_is_told_with_what_it_mimics():
    found = brains(
        {
            "vehicle": {"root": 0.9, "VTA": 0.8, "SNc": 0.9},
            "drug": {"root": 0.9, "VTA": 0.6, "SNc": 0.9},
        }
    )
    (row,) = efficiency_rows(found, TWO)
    assert (row.acronym, row.group, row.reference) == ("VTA", "drug", "vehicle")
    assert row.apparent.startswith("\N{MINUS SIGN}0.4")
    (text,) = efficiency_warnings([row])
    assert "1 region (VTA)" in text
    assert "mimics an effect" in text


def test_differences_within_the_spread_of_animals_or_too_small_are_not():
    same = {"root": 0.9, "VTA": 0.7}
    assert efficiency_rows(brains({"vehicle": same, "drug": {"root": 0.9, "VTA": 0.68}}), TWO) == []
    many = {f"R{k}": 0.7 for k in range(10)}
    wrong = [
        bool(efficiency_rows(brains({"vehicle": many, "drug": many}, spread=0.3, seed=k), TWO))
        for k in range(30)
    ]
    assert np.mean(wrong) <= 0.15
    assert efficiency_rows([BrainQuality(animal="vehicle0")], TWO) == []
    assert efficiency_warnings([]) == []


def test_the_page_shows_the_share_and_warns(report):
    low = report.animals.set_index("animal")["group"] == "100 mg/kg 10 d"
    told = tuple(
        BrainQuality(
            animal=animal, efficiency=pd.Series({"root": 0.91, "R1": 0.5 if low[animal] else 0.9})
        )
        for animal in report.animals["animal"]
    )
    page = render_report(replace(report, brains=told))
    assert "Estimated share of such cells found" in page
    assert "mimics an effect" in page
    plain = render_report(
        replace(report, brains=tuple(BrainQuality(animal=b.animal) for b in told))
    )
    assert "found equally completely" not in plain
