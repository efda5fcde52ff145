"""ketamap.stats.testability"""

import numpy as np

from ketamap.stats.tables import region_counts
from ketamap.stats.testability import group_reasons, region_reasons
from tests.stats.cohorts import SMALL, table_of


def reasons(counts_of_b, volume_of_b, measure="cells"):
    values = np.full((4, len(SMALL)), 50.0)
    values[:, SMALL.position(5)] = counts_of_b
    size = np.ones(len(SMALL))
    size[SMALL.position(5)] = volume_of_b
    table = table_of(values, SMALL, list("wxyz"), volume=size)
    regions = region_counts(table, SMALL, counts="own", measure=measure)
    return dict(zip(regions.acronyms, region_reasons(regions, SMALL), strict=True))


def test_regions_with_cells_and_volume_have_no_reason():
    found = reasons(10.0, 0.01)
    assert found["B"] == found["A"] == found["PAG"] == ""


def test_few_cells_and_little_volume_are_reasons():
    assert "mean count 9.0" in reasons([0, 0, 18, 18], 1.0)["B"]
    assert "0.0090 mm3" in reasons(100.0, 0.009)["B"]


def test_the_mean_counts_and_not_the_least():
    assert reasons([0, 0, 0, 40], 1.0)["B"] == ""


def test_fibre_tracts_hold_no_cell_bodies_but_may_hold_axons():
    assert "fibre tract" in reasons(50.0, 1.0)["cc"]
    assert reasons(50.0, 1.0, measure="axon_length_mm")["cc"] == ""


def test_tissue_without_a_structure_is_not_a_region():
    assert "no structure" in reasons(50.0, 1.0)["root"]


def test_a_group_with_two_animals_left_is_named():
    counts = np.full((6, 2), 30.0)
    counts[0, 1] = np.nan
    found = group_reasons(counts, list("aaabbb"), ("a", "b"))
    assert found[0] == ""
    assert "only 2 animals of a" in found[1]
