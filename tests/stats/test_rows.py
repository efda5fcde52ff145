"""ketamap.stats.rows"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import TableError
from ketamap.stats.rows import SIDES, read_cells
from tests.stats.cohorts import SMALL, own_counts, table_of

ANIMALS = ["a", "b"]


def small_table(side=None):
    return table_of(own_counts(SMALL, 2), SMALL, ANIMALS, side=side)


@pytest.mark.parametrize(("left", "right"), [("L", "R"), ("left", "right"), (" Left", "RIGHT")])
def test_sides_may_be_spelt_in_several_ways(left, right):
    both = pd.concat([small_table(left), small_table(right)])
    cells = read_cells(both, SMALL, "cells")
    assert not np.isnan(cells.counts[:, :2]).any()
    assert np.isnan(cells.counts[:, SIDES.index("both")]).all()


def test_the_order_of_rows_does_not_matter():
    table = small_table()
    shuffled = table.sample(frac=1.0, random_state=1)
    one, two = read_cells(table, SMALL, "cells"), read_cells(shuffled, SMALL, "cells")
    order = [two.animals.index(a) for a in one.animals]
    np.testing.assert_array_equal(one.counts, two.counts[order])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hemisphere": "up"}, "up"),
        ({"count": -1.0}, "negative"),
        ({"count": np.inf}, "infinite"),
        ({"count": "many"}, "not a number"),
        ({"animal": None}, "no animal"),
        ({"region_id": 4711, "acronym": "nowhere"}, "No row"),
    ],
)
def test_impossible_values_are_refused(change, words):
    with pytest.raises(TableError, match=words):
        read_cells(small_table().assign(**change), SMALL, "cells")


@pytest.mark.parametrize("column", ["animal", "count"])
def test_missing_columns_are_named(column):
    with pytest.raises(TableError, match=f"lacks {column}"):
        read_cells(small_table().drop(columns=column), SMALL, "cells")


def test_several_rows_for_one_structure_are_taken_for_sections_and_refused():
    with pytest.raises(TableError, match=r"Sections.*not animals"):
        read_cells(pd.concat([small_table(), small_table()]), SMALL, "cells")


def test_rows_with_and_without_a_side_are_refused():
    with pytest.raises(TableError, match="counted twice"):
        read_cells(pd.concat([small_table(), small_table("L")]), SMALL, "cells")


def test_background_and_unknown_rows_are_left_out_and_told():
    extra = pd.DataFrame(
        {
            "animal": ["a", "a"],
            "region_id": [0, np.nan],
            "acronym": ["", "HIP-DL"],
            "count": [1234.0, 77.0],
            "volume_mm3": [1.0, 1.0],
        }
    )
    cells = read_cells(pd.concat([small_table(), extra]), SMALL, "cells")
    np.testing.assert_array_equal(cells.counts, read_cells(small_table(), SMALL, "cells").counts)
    assert any("1,234 counts lie outside" in w for w in cells.warnings)
    assert any("HIP-DL (77)" in w for w in cells.warnings)


def test_a_measure_that_is_not_there_is_named():
    with pytest.raises(TableError, match="axon_length_mm"):
        read_cells(small_table().assign(measure="axon_length_mm"), SMALL, "cells")
