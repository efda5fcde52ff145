"""ketamap.phantom.ontology"""

import csv

import numpy as np
import pytest

from ketamap.phantom.ontology import division_of, phantom_structures
from ketamap.phantom.pieces import load_pieces


@pytest.fixture(scope="module")
def structures():
    return phantom_structures()


def test_every_piece_has_a_place_in_the_tree(structures):
    assert all(int(i) in structures for i in load_pieces().region_ids)
    assert structures.ancestors(structures.id_of("VTA"))[-1] == structures.id_of("root")


def test_structures_come_depth_first(structures):
    for row, region_id in enumerate(structures.ids):
        below = structures.descendants(int(region_id))
        assert [structures.position(i) for i in below] == list(range(row + 1, row + 1 + len(below)))


def test_no_structure_is_there_for_nothing(structures):
    drawn = set(load_pieces().region_ids.tolist())
    for region_id in structures.ids.tolist():
        assert region_id in drawn or drawn & set(structures.descendants(region_id))


def test_neighbours_in_the_tree_have_different_colours(structures):
    for region_id in structures.ids.tolist():
        children = [structures.position(i) for i in structures.children(region_id)]
        colours = structures.colors[children].astype(int)
        steps = np.abs(np.diff(colours, axis=0)).sum(axis=1)
        assert np.all(steps > 0)


def test_divisions_are_found_from_any_depth(structures):
    for acronym, division in {
        "VTA": "MB", "DMH": "HY", "VISp": "CTX", "CTX": "CTX", "cc": "fiber tracts", "V3": "VS",
        "root": "", "DR": "MB", "CP": "CNU", "LC": "HB",
    }.items():  # fmt: skip
        assert division_of(structures, structures.id_of(acronym)) == division


@pytest.mark.data
def test_names_and_parents_are_those_of_the_allen_ontology(structures, shared_data):
    with (shared_data / "ccf" / "structure_tree_2017.csv").open(encoding="utf-8") as file:
        allen = {int(row["id"]): row for row in csv.DictReader(file)}
    for region_id in structures.ids.tolist():
        row = allen[region_id]
        assert structures.acronym_of(region_id) == row["acronym"].strip()
        assert structures.name_of(region_id) == row["name"].strip()
        assert structures.parent_of(region_id) == int(row["parent_structure_id"] or 0)
