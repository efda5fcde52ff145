"""ketamap.stats.structures"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import TableError
from ketamap.stats.structures import (
    BACKGROUND,
    UNMAPPED,
    match_structures,
    structures_from_table,
)
from tests.stats.cohorts import SMALL


def test_a_tree_survives_the_trip_through_a_table():
    table = pd.DataFrame(
        {
            "acronym": SMALL.acronyms,
            "region_id": SMALL.ids,
            "name": SMALL.names,
            "parent_region_id": np.where(SMALL.parent_ids > 0, SMALL.parent_ids, np.nan),
        }
    ).sample(frac=1.0, random_state=3)
    built = structures_from_table(table)
    assert set(built.ids) == set(SMALL.ids)
    assert all(built.parent_of(i) == SMALL.parent_of(i) for i in SMALL.ids)
    assert all(built.name_of(i) == SMALL.name_of(i) for i in SMALL.ids)


def test_structures_without_an_id_get_one_of_their_own():
    table = pd.DataFrame(
        {
            "acronym": ["root", "MM", "MMd", "MMl"],
            "region_id": [997, 491, np.nan, np.nan],
            "parent_region_id": [np.nan, 997, 491, 491],
        }
    )
    built = structures_from_table(table)
    assert sorted(built.children(491)) == [998, 999]
    assert structures_from_table(table[::-1]).id_of("MMd") == built.id_of("MMd") == 998


def test_a_table_without_parents_gives_regions_under_the_root():
    built = structures_from_table(pd.DataFrame({"acronym": ["ACC", "PRL", "ACC"]}))
    assert built.acronyms[0] == "root"
    assert set(built.acronyms) == {"root", "ACC", "PRL"}


def test_two_acronyms_with_one_id_are_refused():
    table = pd.DataFrame({"acronym": ["A", "B"], "region_id": [5, 5]})
    with pytest.raises(TableError, match="A, B"):
        structures_from_table(table)


def test_a_loop_of_parents_is_refused():
    table = pd.DataFrame({"acronym": ["A", "B"], "region_id": [5, 6], "parent_region_id": [6, 5]})
    with pytest.raises(TableError, match="loop"):
        structures_from_table(table)


def test_rows_are_matched_by_id_then_acronym_then_its_spelling():
    ids = np.array([5.0, np.nan, np.nan, 12345.0, np.nan, 0.0, -1.0, np.nan])
    acronyms = ["x", "B", "pag", "B", "Fiber  Tracts", "", "", "Background"]
    found = match_structures(ids, np.array(acronyms, dtype=object), SMALL)
    row = SMALL.position
    assert found.tolist() == [row(5), row(5), row(6), row(5), row(8), *[BACKGROUND] * 3]
    assert match_structures(np.array([np.nan]), np.array(["HIP-DL"], object), SMALL)[0] == UNMAPPED
