"""ketamap.phantom.density"""

import numpy as np

from ketamap.phantom import DEFAULT_GROUPS, BrainSettings, effects_log2
from ketamap.phantom.density import (
    TH_RICH_PER_MM3,
    base_densities,
    own_volumes_mm3,
    rows_with_parts,
)
from ketamap.phantom.ontology import division_of
from ketamap.phantom.planting import most_cells_per_mm3


def test_enough_structures_can_be_tested(atlas):
    cells = base_densities(atlas) * own_volumes_mm3(atlas).sum(axis=1)
    assert np.count_nonzero(cells >= 10) >= 200
    assert 15_000 <= cells.sum() <= 40_000


def test_only_grey_matter_has_cells(atlas):
    density = base_densities(atlas)
    for row, region_id in enumerate(atlas.structures.ids):
        if division_of(atlas.structures, int(region_id)) in ("fiber tracts", "VS", ""):
            assert density[row] == 0.0


def test_every_th_rich_structure_is_in_the_atlas(atlas):
    for acronym in TH_RICH_PER_MM3:
        assert rows_with_parts(atlas.structures, acronym), acronym


def test_structures_that_change_have_cells_to_show_it_and_room_for_more(atlas):
    density = base_densities(atlas)
    cells = density * own_volumes_mm3(atlas).sum(axis=1)
    most = most_cells_per_mm3(BrainSettings().min_distance_um)
    for group in DEFAULT_GROUPS:
        change = effects_log2(group, atlas.structures)
        for row in np.flatnonzero(change):
            acronym = atlas.structures.acronyms[row]
            assert cells[row] >= 80, acronym
            # two standard deviations of the default noise on top of the effect
            assert density[row] * 2 ** change[row] * np.exp(2 * 0.18) <= most, acronym


def test_parts_of_a_structure_go_with_it(atlas):
    structures = atlas.structures
    rows = rows_with_parts(structures, "HY")
    assert structures.position(structures.id_of("DMH")) in rows
    assert rows_with_parts(structures, "no such") == []
