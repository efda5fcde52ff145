"""ketamap.workflow.simulation_beside: contrasts and regions of two cohorts are matched or named."""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import InputError, MissingInputError
from ketamap.io.manifests import write_json
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.simulation_beside import beside, parse_match
from ketamap.workflow.simulation_study import STUDY_ATLAS

HIGH = "100 mg/kg vs vehicle, 10 d"
LOW = "30 mg/kg vs vehicle, 10 d"
REGIONS = ("DR", "VTA", "ZI", "CA1", "CP")
PLANTED = {"DR": -1.8, "VTA": -1.8}


@pytest.fixture(scope="module")
def tree():
    return open_atlas(STUDY_ATLAS).structures


def effects(tree, changes, contrast, regions=REGIONS, measure="cells"):
    rows = []
    for estimand in ("relative", "absolute"):
        for acronym in regions:
            value = changes.get(acronym, 0.0)
            row = (tree.id_of(acronym), acronym, measure, contrast, estimand, value, value - 0.4)
            rows.append((*row, value + 0.4, 0.2, 10.0, 0.5, 0.001 if value else 0.9, True, ""))
    shift = (
        997,
        "root",
        measure,
        contrast,
        "shift",
        0.1,
        -0.2,
        0.4,
        0.15,
        10.0,
        0.5,
        0.5,
        True,
        "",
    )
    columns = ["region_id", "acronym", "measure", "contrast", "estimand", "estimate_log2",
               "ci_low_log2", "ci_high_log2", "se_log2", "df", "p", "q", "testable", "reason"]  # fmt: skip
    return pd.DataFrame([*rows, shift], columns=columns)


def write_analysis(folder, table, **animals):
    folder.mkdir(parents=True)
    table.to_parquet(folder / "effects.parquet")
    who = {"animal": ["a", "b"], "drug": "ketamine", "days": 10} | animals
    pd.DataFrame(who).to_csv(folder / "animals.csv", index=False)
    about = {"title": "T", "note": "", "atlas": STUDY_ATLAS, "alpha": 0.05,
             "n_per_group": {"vehicle": 4}}  # fmt: skip
    write_json(folder / "analysis.json", about)
    return folder


@pytest.fixture
def simulated(tmp_path, tree):
    folder = tmp_path / "simulated"
    table = pd.concat([effects(tree, PLANTED, HIGH), effects(tree, {}, LOW)])
    write_analysis(folder / "analysis", table)
    truth = table.loc[
        table["estimand"] == "relative", ["region_id", "acronym", "measure", "contrast"]
    ]
    planted = [PLANTED.get(a, 0.0) if c == HIGH else 0.0
               for a, c in zip(truth["acronym"], truth["contrast"], strict=True)]  # fmt: skip
    truth.assign(planted_log2=planted).to_parquet(folder / "analysis" / "truth.parquet")
    pd.DataFrame(
        [(tree.id_of(a), a, "cells", "100 mg/kg 10 d", "D008") for a in PLANTED],
        columns=["region_id", "acronym", "measure", "group", "source_rows"],
    ).to_csv(folder / "planted.csv", index=False)
    return folder


def test_signs_are_counted_and_regions_of_one_side_are_named(simulated, tmp_path, tree):
    changes = {"DR": -1.0, "VTA": 0.8, "CA1": 0.9}
    regions = ("DR", "VTA", "CA1", "BLA")
    measured = write_analysis(tmp_path / "m", effects(tree, changes, HIGH, regions))
    found = beside(simulated, measured)
    assert "of 2 with an encoded direction 1 have it" in found.lines[0]
    page = found.page.read_text(encoding="utf-8")
    for told in ("against what was put in", "called where nothing was put in", "BLA", "D008"):
        assert told in page
    table = pd.read_csv(found.table).set_index("acronym")
    assert set(table.index) == {"DR", "VTA", "CA1"}
    assert table.loc["DR", "label"] == "encoded"
    assert table.loc["CA1", "label"] == "nothing planted"
    assert table.loc["VTA", "measured_relative_estimate"] == pytest.approx(0.8)


def test_what_has_no_partner_is_named_with_its_reason(simulated, tmp_path, tree):
    table = pd.concat([effects(tree, {}, HIGH), effects(tree, {}, "60 mg/kg vs vehicle, 10 d")])
    found = beside(simulated, write_analysis(tmp_path / "m", table))
    told = " ".join(found.unmatched)
    assert "no simulated mice got 60 mg/kg for 10 d" in told
    assert f"{LOW} (cells, simulated only)" in told


def test_days_that_the_contrast_leaves_out_come_from_the_animals(simulated, tmp_path, tree):
    short = "100 mg/kg vs vehicle"
    same = write_analysis(tmp_path / "same", effects(tree, {}, short))
    assert len(beside(simulated, same).lines) == 1
    other = write_analysis(tmp_path / "other", effects(tree, {}, short), days=5)
    with pytest.raises(InputError, match="no simulated mice got 100 mg/kg for 5 d"):
        beside(simulated, other)


def test_another_drug_is_refused_unless_a_person_matches_it(simulated, tmp_path, tree):
    measured = write_analysis(tmp_path / "m", effects(tree, {}, HIGH), drug="psilocybin")
    with pytest.raises(InputError, match=r"(?s)do not match.*psilocybin.*--match"):
        beside(simulated, measured)
    found = beside(simulated, measured, match={HIGH: HIGH})
    assert "Matched by name" in found.page.read_text(encoding="utf-8")


def test_names_that_do_not_exist_are_refused_with_those_that_do(simulated, tmp_path, tree):
    measured = write_analysis(tmp_path / "m", effects(tree, {}, "treated vs control"))
    with pytest.raises(InputError, match="has no contrast 'x'; it has treated vs control"):
        beside(simulated, measured, match={"x": HIGH})
    with pytest.raises(InputError, match="equals sign"):
        parse_match(["treated vs control"])
    assert parse_match(["a = b"]) == {"a": "b"}


def test_a_cohort_without_common_regions_is_refused(simulated, tmp_path, tree):
    measured = write_analysis(tmp_path / "m", effects(tree, {}, HIGH, ("BLA", "CA3")))
    with pytest.raises(InputError, match="no region in common"):
        beside(simulated, measured)


def test_a_folder_without_an_analysis_is_named(simulated, tmp_path):
    with pytest.raises(MissingInputError, match="ketamap analyse"):
        beside(simulated, tmp_path)
    with pytest.raises(MissingInputError, match="simulate study"):
        beside(tmp_path, simulated)


def test_the_interval_of_the_difference_adds_both_variances(simulated, tmp_path, tree):
    from ketamap.report.simulation_beside import differences

    measured = write_analysis(tmp_path / "m", effects(tree, {"DR": -1.0}, HIGH))
    rows = pd.read_csv(beside(simulated, measured).table).set_index("acronym")
    gap = differences(rows).loc["DR"]
    assert gap["difference"] == pytest.approx(-0.8)
    assert gap["high"] - gap["low"] == pytest.approx(2 * 1.96 * np.hypot(0.2, 0.2), rel=1e-3)
    assert bool(gap["apart"])
