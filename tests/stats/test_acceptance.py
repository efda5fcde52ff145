"""Acceptance cases on real tables: what a new table must not get wrong."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import DesignError, TableError
from ketamap.core.settings import Design
from ketamap.stats import analyse, t_tests

BY_GROUP = Design(control="saline", factor="group")


def load(shared_data, name, groups=None):
    table = pd.read_csv(shared_data / "tables" / f"{name}.csv.gz")
    if groups is not None:
        table = table[table["group"].isin(groups)]
    keep = [c for c in ("animal", "group", "sex") if c in table]
    return table, table[keep].drop_duplicates()


@pytest.mark.data
def test_the_partition_of_a_real_table_adds_up_to_its_root(shared_data):
    table, animals = load(shared_data, "davoudian2023_B1")
    analysis = analyse(table, animals, BY_GROUP)
    assert "units add up to the root in every animal" in analysis.partition


@pytest.mark.data
def test_rows_of_all_levels_declared_as_own_are_refused(shared_data):
    table, animals = load(shared_data, "davoudian2023_B1")
    with pytest.raises(TableError, match="include their descendants"):
        analyse(table, animals, BY_GROUP, counts="own")


@pytest.mark.data
def test_a_division_counted_twice_is_named_and_direct_counts_are_kept(shared_data):
    table, animals = load(shared_data, "aboharb2025_B3")
    analysis = analyse(table, animals, Design(control="MDMA", factor="group"))
    assert any("HPF is counted twice" in w for w in analysis.warnings)
    pag = analysis.values[analysis.values["acronym"] == "PAG"]
    assert pag["count"].median() > 1000


@pytest.mark.data
def test_unequal_groups_of_a_real_table_are_handled_and_said(shared_data):
    """Ketamine 4 against MDMA 8: variances differ, in the regions and in the whole brain."""
    table, animals = load(shared_data, "aboharb2025_B3")
    analysis = analyse(table, animals, Design(control="ketamine", factor="group"))
    assert any("unequal variances: ketamine (n = 4)" in w for w in analysis.warnings)
    shift = analysis.effects[analysis.effects["estimand"] == "shift"].iloc[0]
    assert shift["estimate_log2"] == pytest.approx(0.28, abs=0.1)
    assert shift["df"] < 10


@pytest.mark.data
def test_ketamine_against_saline_finds_one_absolute_region_at_most(shared_data):
    table, animals = load(shared_data, "davoudian2023_B1", ["ketamine", "saline"])
    effects = analyse(table, animals, BY_GROUP).effects
    assert (effects.loc[effects["estimand"] == "absolute", "q"] < 0.05).sum() <= 1


@pytest.mark.data
def test_t_tests_of_a_real_table_are_those_published(shared_data):
    """By animal, log density: TE2 and VSUB below .05, no other of 23 (Dimmock et al. 2025)."""
    table, animals = load(shared_data, "dimmock2025_cs1", ["Sham_Familiar", "Sham_Novel"])
    analysis = analyse(table, animals, Design(control="Sham_Novel", factor="group"))
    found = t_tests(analysis, "Sham_Familiar", "Sham_Novel").set_index("acronym")
    assert set(found.index[found["p"] < 0.05]) == {"TE2", "VSUB"}
    log = np.log2(table["count"] / table["area_mm2"]).where(table["count"] > 0)
    mean = log.groupby([table["acronym"], table["group"]]).mean().unstack()
    bars = mean["Sham_Familiar"] - mean["Sham_Novel"]
    gap = (found["estimate_log2"] - bars.loc[found.index]).abs()
    assert gap.max() < 0.01


@pytest.mark.data
def test_sections_of_a_real_table_as_animals_are_refused(shared_data):
    table = pd.read_csv(shared_data / "tables" / "dimmock2025_cs1_sections.csv.gz")
    of = table.groupby("animal").cumcount()
    table["animal"] = table["animal"].astype(str) + "_section" + of.astype(str)
    animals = table[["animal", "group"]].drop_duplicates()
    with pytest.raises(DesignError, match="several sections or images"):
        analyse(table, animals, Design(control=str(table["group"].iloc[0]), factor="group"))


@pytest.mark.data
def test_hemispheres_of_a_real_table_as_animals_are_refused(shared_data):
    table, _ = load(shared_data, "aboharb2025_B3")
    table = table.assign(animal=table["animal"].astype(str) + "_" + table["hemisphere"])
    animals = table[["animal", "group"]].drop_duplicates()
    with pytest.raises(DesignError, match="hemispheres of 12 animals"):
        analyse(table, animals, Design(control="MDMA", factor="group"))


@pytest.mark.slow
@pytest.mark.data
def test_splits_within_each_drug_find_nothing(shared_data):
    """Two mice of each drug against the other two: 108 distinct splits, at most 10 %."""
    table, animals = load(shared_data, "davoudian2023_B1")
    by_drug = [animals.loc[animals["group"] == g, "animal"].tolist() for g in
               ("ketamine", "psilocybin", "saline")]  # fmt: skip
    plan = Design(control="a", factor="split", formula="~ split + group")
    first = [by_drug[0][0]]
    found = total = 0
    for a in ([*first, other] for other in by_drug[0][1:]):
        for b in combinations(by_drug[1], 2):
            for c in combinations(by_drug[2], 2):
                treated = {*a, *b, *c}
                who = animals.assign(
                    split=["b" if n in treated else "a" for n in animals["animal"]]
                )
                found += bool((analyse(table, who, plan).effects["q"] < 0.05).any())
                total += 1
    assert total == 108
    assert found <= 0.10 * total


@pytest.mark.slow
@pytest.mark.data
def test_effects_thinned_into_a_real_table_are_found_at_the_rate_declared(shared_data):
    """MDMA mice 4 v 4, 10 % of regions e-fold by binomial thinning: FDR <= 6 %, power >= .75."""
    table, animals = load(shared_data, "aboharb2025_B3", ["MDMA"])
    names = animals["animal"].tolist()
    base = analyse(
        table, animals.assign(group=list("abababab")), Design(control="a", factor="group")
    ).values
    base = base[base["count"].notna() & base["volume_mm3"].gt(0)]
    flat = base.assign(region_id=base["region_id"].astype(int))[
        ["animal", "region_id", "acronym", "count", "volume_mm3"]
    ]
    flat = flat.rename(columns={"acronym": "name"}).assign(
        acronym=lambda d: "u" + d["region_id"].astype(str)
    )
    flat = flat.drop(columns=["region_id", "name"])
    regions = flat["acronym"].unique()
    fdp, power = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        treated = set(rng.permutation(names)[:4])
        hit = rng.permutation(regions)[: len(regions) // 10]
        up = set(hit[: len(hit) // 2])
        thin = np.where(
            flat["acronym"].isin(set(hit) - up), flat["animal"].isin(treated),
            flat["acronym"].isin(up) & ~flat["animal"].isin(treated),
        )  # fmt: skip
        count = np.round(flat["count"].to_numpy()).astype(int)
        count = np.where(thin, rng.binomial(count, np.exp(-1.0)), count)
        who = animals.assign(group=["b" if n in treated else "a" for n in names])
        e = analyse(flat.assign(count=count), who, Design(control="a", factor="group")).effects
        e = e[(e["estimand"] == "relative") & e["testable"]]
        called, real = (e["q"] < 0.05).to_numpy(), e["acronym"].isin(set(hit)).to_numpy()
        fdp.append((called & ~real).sum() / max(called.sum(), 1))
        power.append(called[real].mean())
    assert np.mean(fdp) <= 0.06
    assert np.mean(power) >= 0.75
