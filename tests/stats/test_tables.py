"""ketamap.stats.tables"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import TableError
from ketamap.stats.structures import structures_from_table
from ketamap.stats.tables import region_counts
from tests.stats.cohorts import SMALL, own_counts, table_of, totals

ANIMALS = ["a", "b", "c"]


def own_table(seed=0):
    return table_of(own_counts(SMALL, 3, seed), SMALL, ANIMALS)


def core_table(seed=0):
    own = own_counts(SMALL, 3, seed)
    size = np.ones_like(own)
    frame = table_of(own, SMALL, ANIMALS, side="left").rename(columns={"count": "own"})
    return frame.drop(columns="volume_mm3").assign(
        measure="cells",
        total=totals(own, SMALL).ravel(),
        volume_own_mm3=size.ravel(),
        volume_total_mm3=totals(size, SMALL).ravel(),
    )


def total_table(seed=0):
    own = own_counts(SMALL, 3, seed)
    size = SMALL.roll_up(np.ones(len(SMALL)))
    return table_of(totals(own, SMALL), SMALL, ANIMALS, volume=size)


def test_own_total_and_core_tables_say_the_same():
    one = region_counts(own_table(), SMALL, counts="own")
    two = region_counts(total_table(), SMALL, counts="total")
    three = region_counts(core_table(), SMALL)
    for other in (two, three):
        assert other.acronyms == one.acronyms
        np.testing.assert_array_equal(other.counts, one.counts)
        np.testing.assert_allclose(other.volumes_mm3, one.volumes_mm3)
    np.testing.assert_array_equal(one.counts.sum(axis=1), own_counts(SMALL, 3).sum(axis=1))
    assert "add up to the root" in two.partition


def test_a_core_table_that_disagrees_with_its_own_root_is_refused():
    table = core_table()
    table["own"] = table["total"]
    with pytest.raises(TableError):
        region_counts(table, SMALL)


@pytest.mark.data
def test_counts_summed_over_all_rows_of_the_hierarchy_are_refused(shared_data_b1):
    once, tree = shared_data_b1
    twice = once.copy()
    wide = once.pivot_table(index="row", columns=["animal", "hemisphere"], values="count")
    full = wide.reindex(range(len(tree))).fillna(0.0).to_numpy()
    again = pd.DataFrame(tree.roll_up(full), columns=wide.columns)
    again.index.name = "row"
    long = again.stack(["animal", "hemisphere"]).rename("count").reset_index()
    twice = once.drop(columns="count").merge(long, on=["row", "animal", "hemisphere"])
    with pytest.raises(TableError, match="summed over all rows"):
        region_counts(twice, tree)


@pytest.fixture
def shared_data_b1(shared_data):
    table = pd.read_csv(shared_data / "tables" / "davoudian2023_B1.csv.gz")
    tree = structures_from_table(table)
    table["row"] = [tree.acronyms.index(a) for a in table["acronym"]]
    return table, tree


def test_missing_volumes_are_taken_from_the_atlas_and_said():
    table = total_table().drop(columns="volume_mm3")
    with pytest.raises(TableError, match="volume_mm3"):
        region_counts(table, SMALL, counts="total")
    known = region_counts(
        table, SMALL, counts="total", atlas_volumes={int(i): 2.0 for i in SMALL.ids}
    )
    np.testing.assert_allclose(known.volumes_mm3.sum(axis=1), 2.0 * len(SMALL))
    assert any("atlas's" in w for w in known.warnings)


def test_a_part_missing_in_one_animal_spoils_what_its_parent_holds_alone():
    table = total_table()
    gone = (table["acronym"] == "PRC") & (table["animal"] == "b")
    regions = region_counts(table[~gone], SMALL, counts="total")
    missing = np.isnan(regions.counts)
    names = {regions.acronyms[k] for k in np.flatnonzero(missing[1])}
    assert names == {"PRC", "PAG"}
    assert missing.sum() == 2


@pytest.mark.data
def test_the_partition_of_a_real_table_adds_up_to_its_root(shared_data):
    table = pd.read_csv(shared_data / "tables" / "davoudian2023_B1.csv.gz")
    regions = region_counts(table, structures_from_table(table))
    root = table[table["acronym"] == "root"].groupby("animal")["count"].sum()
    np.testing.assert_array_equal(regions.counts.sum(axis=1), root[list(regions.animals)])
    pag = regions.counts[:, regions.acronyms.index("PAG")].sum()
    assert pag == 140646 - 6802  # what the parent holds beyond its children
    with pytest.raises(TableError, match="include their descendants"):
        region_counts(table, structures_from_table(table), counts="own")


@pytest.mark.data
def test_the_double_count_of_a_real_table_is_named(shared_data):
    table = pd.read_csv(shared_data / "tables" / "aboharb2025_B3.csv.gz")
    regions = region_counts(table, structures_from_table(table))
    assert any("HPF is counted twice" in w and "HIP-DL" in w for w in regions.warnings)
    root = table[table["acronym"] == "root"].groupby("animal")["count"].sum()
    np.testing.assert_array_equal(regions.counts.sum(axis=1), root[list(regions.animals)])


@pytest.mark.data
def test_sections_of_a_real_table_are_refused(shared_data):
    table = pd.read_csv(shared_data / "tables" / "dimmock2025_cs1_sections.csv.gz")
    with pytest.raises(TableError, match="Sections"):
        region_counts(table, structures_from_table(table))
