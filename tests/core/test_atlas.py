"""ketamap.core.atlas"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.core.atlas import NO_PARENT, OUTSIDE_ATLAS, OUTSIDE_BRAIN, Structures, atlas_grid
from ketamap.core.errors import InputError, StructureNotFoundError
from tests.brains import tiny_atlas, tiny_structures


@st.composite
def trees(draw):
    n = draw(st.integers(1, 25))
    parents = [NO_PARENT] + [draw(st.integers(1, k)) for k in range(1, n)]
    return Structures(
        ids=np.arange(1, n + 1),
        acronyms=tuple(f"s{k}" for k in range(n)),
        names=tuple(f"structure {k}" for k in range(n)),
        parent_ids=np.array(parents),
        colors=np.zeros((n, 3), dtype=np.uint8),
    )


@settings(deadline=None)
@given(tree=trees(), seed=st.integers(0, 1000))
def test_children_and_own_sum_to_the_total(tree, seed):
    own = np.random.default_rng(seed).integers(0, 50, size=(len(tree), 2))
    total = tree.roll_up(own)
    for row, region in enumerate(tree.ids):
        parts = [tree.position(child) for child in tree.children(region)]
        np.testing.assert_array_equal(total[row], own[row] + total[parts].sum(axis=0))
        below = [tree.position(one) for one in tree.descendants(region)]
        np.testing.assert_array_equal(total[row], own[row] + own[below].sum(axis=0))
    np.testing.assert_array_equal(tree.peel(total), own)


@given(tree=trees())
def test_ancestors_lead_to_the_root(tree):
    for region in tree.ids:
        chain = tree.ancestors(region)
        assert len(chain) == tree.depths[tree.position(region)]
        assert all(region in tree.descendants(above) for above in chain)


def test_positions_are_the_same_place_at_every_resolution():
    for um in (25.0, 50.0, 100.0):
        grid = atlas_grid([int(1200 / um)] * 3, (um,) * 3)
        box_low = grid.to_um((0, 0, 0)) - um / 2
        box_high = grid.to_um(np.asarray(grid.shape) - 1) + um / 2
        np.testing.assert_allclose([box_low, box_high], [[0] * 3, [1200] * 3])


def test_the_same_point_is_in_the_same_structure_at_every_resolution():
    coarse, fine = tiny_atlas(), tiny_atlas(shape=(24, 20, 32), resolution_um=50.0)
    points = np.random.default_rng(1).uniform(300, 700, size=(300, 3))
    same = coarse.regions_at(points) == fine.regions_at(points)
    assert same.all()


def test_look_up_is_the_floor_of_the_position():
    atlas = tiny_atlas()
    points = np.random.default_rng(2).uniform(0, 1000, size=(500, 3))
    floor = np.floor(points / 100).astype(int)
    np.testing.assert_array_equal(atlas.regions_at(points), atlas.annotation[tuple(floor.T)])


def test_nowhere_and_beyond_are_outside_the_atlas_and_background_outside_the_brain():
    atlas = tiny_atlas()
    found = atlas.regions_at([[np.nan] * 3, [-1.0, 5, 5], [5.0, 5, 5], [350.0, 350, 350]])
    assert found.tolist() == [OUTSIDE_ATLAS, OUTSIDE_ATLAS, OUTSIDE_BRAIN, 1]


def test_the_ml_axis_starts_on_the_right():
    atlas = tiny_atlas()
    assert atlas.midline_um == 800.0
    assert atlas.is_left([[0, 0, 799.0], [0, 0, 800.0], [0, 0, 1500.0]]).tolist() == [
        False,
        True,
        True,
    ]


def test_an_atlas_without_a_structure_lacks_all_that_it_holds_and_nothing_else():
    atlas = tiny_atlas()
    tree = atlas.structures
    parent = next(i for i in tree.ids if tree.children(i) and tree.position(i) > 0)
    rest = atlas.without([tree.acronym_of(parent)])
    gone = np.isin(atlas.annotation, [parent, *tree.descendants(parent)])
    assert gone.any()
    assert not rest.brain_mask[gone].any()
    np.testing.assert_array_equal(rest.annotation[~gone], atlas.annotation[~gone])
    assert atlas.without([]) is atlas


def test_unknown_structures_are_named_with_a_hint():
    tree = tiny_structures()
    with pytest.raises(StructureNotFoundError, match="Did you mean Ba"):
        tree.id_of("BA")
    with pytest.raises(StructureNotFoundError, match="4711"):
        tree.name_of(4711)
    assert tree.rows_of([1, 4711]).tolist() == [2, -1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": np.array([1, 1])}, "unique"),
        ({"parent_ids": np.array([0, 9])}, "Parents"),
        ({"parent_ids": np.array([2, 1])}, "loop"),
    ],
)
def test_a_broken_tree_is_refused(change, message):
    fields = {
        "ids": np.array([1, 2]),
        "acronyms": ("a", "b"),
        "names": ("a", "b"),
        "parent_ids": np.array([0, 1]),
        "colors": np.zeros((2, 3), dtype=np.uint8),
    }
    with pytest.raises(InputError, match=message):
        Structures(**{**fields, **change})
