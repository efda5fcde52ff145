"""ketamap.phantom.truth"""

import numpy as np

from ketamap.phantom.planting import Planted
from ketamap.phantom.truth import cells_table, counts_table


def some_cells(structures):
    n = 2 * len(structures)
    units = np.array([4, 5, 5, 9])
    positions_um = np.array([(3.0, 0, 0), (1.0, 0, 0), (2.0, 0, 0), (0.0, 0, 0)])
    asked = np.bincount(units, minlength=n)
    asked[6] = 2
    return Planted(positions_um, positions_um + 7.0, units, asked)


def test_cells_come_sorted_with_structure_and_side(atlas):
    table = cells_table(some_cells(atlas.structures), atlas.structures)
    np.testing.assert_array_equal(table["z_um"], [0.0, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(table["ap_um"], [7.0, 8.0, 9.0, 10.0])
    assert list(table["hemisphere"]) == ["right", "right", "right", "left"]
    np.testing.assert_array_equal(table["region_id"], atlas.structures.ids[[4, 2, 2, 2]])


def test_counts_keep_every_structure_with_a_volume(atlas):
    structures = atlas.structures
    volumes = np.zeros((len(structures), 2))
    volumes[[2, 3, 4]] = 0.5
    density, effect = np.arange(len(structures)) + 0.5, np.zeros(len(structures))
    effect[3] = -1.0
    table = counts_table(some_cells(structures), structures, volumes, density, effect)
    assert list(table["planted"]) == [1, 2, 0, 0, 0, 1]
    assert list(table["asked"]) == [1, 2, 2, 0, 0, 1]
    assert list(table["effect_log2"]) == [0, 0, -1, -1, 0, 0]
    assert list(table["density_per_mm3"]) == [2.5, 2.5, 3.5, 3.5, 4.5, 4.5]
    assert list(table["region_id"]) == list(np.repeat(structures.ids[[2, 3, 4]], 2))
