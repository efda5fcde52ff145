"""ketamap.core.space"""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketamap.core.errors import InputError
from ketamap.core.space import ATLAS_ORIENTATION, Orientation, VoxelGrid

CODES = [
    "".join(letters) for order in permutations(("ap", "si", "lr")) for letters in product(*order)
]
GRID = VoxelGrid(shape=(3, 5, 4), spacing_um=(5.0, 2.0, 1.5), origin_um=(10.0, -4.0, 0.5))


def test_there_are_forty_eight_orientations():
    assert len(CODES) == 48


@given(source=st.sampled_from(CODES), target=st.sampled_from(CODES))
def test_turning_an_array_and_its_points_agree(source, target):
    turn = Orientation(source).map_to(Orientation(target))
    labels = np.arange(GRID.n_voxels).reshape(GRID.shape)
    turned, grid = turn.array(labels), turn.grid(GRID)
    index = np.argwhere(labels >= 0)
    matrix = turn.matrix(GRID)
    carried = GRID.to_um(index) @ matrix[:3, :3].T + matrix[:3, 3]
    landed, inside = grid.nearest_index(carried)
    assert inside.all()
    np.testing.assert_array_equal(turned[tuple(landed.T)], labels[tuple(index.T)])


@given(code=st.sampled_from(CODES), via=st.sampled_from(CODES))
def test_there_and_back_is_the_identity(code, via):
    out = Orientation(code).map_to(Orientation(via))
    back = Orientation(via).map_to(Orientation(code))
    image = np.arange(GRID.n_voxels).reshape(GRID.shape)
    np.testing.assert_array_equal(back.array(out.array(image)), image)
    np.testing.assert_allclose(back.matrix(out.grid(GRID)) @ out.matrix(GRID), np.eye(4))


def test_the_shared_brain_flips_front_to_back_and_left_to_right():
    turn = Orientation("psl").map_to(ATLAS_ORIENTATION)
    assert turn.source_axes == (0, 1, 2)
    assert turn.flipped == (True, False, True)


@pytest.mark.parametrize("code", ["", "as", "asrr", "aps", "xyz", "ASR", "aar", "a r"])
def test_nonsense_letters_are_refused_with_the_rule(code):
    with pytest.raises(InputError, match="one of a/p"):
        Orientation(code)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shape": (0, 1, 1)}, r"shape\[z\]"),
        ({"spacing_um": (1.0, 0.0, 1.0)}, r"spacing_um\[y\]"),
        ({"spacing_um": (1.0, 1.0, -2.0)}, r"spacing_um\[x\]"),
        ({"spacing_um": (float("nan"), 1.0, 1.0)}, r"spacing_um\[z\]"),
        ({"origin_um": (0.0, float("inf"), 0.0)}, r"origin_um\[y\]"),
    ],
)
def test_an_impossible_grid_is_refused_naming_axis_and_value(fields, message):
    with pytest.raises(InputError, match=message):
        VoxelGrid(**{"shape": (2, 2, 2), "spacing_um": (1.0, 1.0, 1.0), **fields})


def test_every_point_belongs_to_the_voxel_around_it():
    rng = np.random.default_rng(4)
    index = rng.integers(0, GRID.shape, size=(200, 3))
    jitter = rng.uniform(-0.499, 0.499, size=(200, 3))
    found, inside = GRID.nearest_index(GRID.to_um(index + jitter))
    assert inside.all()
    np.testing.assert_array_equal(found, index)


def test_points_beyond_the_box_or_nowhere_are_outside():
    points = GRID.to_um([[-0.6, 0, 0], [0, 4.6, 0], [np.nan, 0, 0], [2.4, 4.4, 3.4]])
    assert GRID.nearest_index(points)[1].tolist() == [False, False, False, True]


def test_binning_keeps_the_middle_of_whole_blocks():
    grid = VoxelGrid(shape=(4, 6, 8), spacing_um=(5.0, 2.0, 2.0))
    binned = grid.binned((2, 3, 4))
    assert binned.shape == (2, 2, 2)
    np.testing.assert_allclose(binned.centre_um, grid.centre_um)


def test_cropping_keeps_positions():
    cropped = GRID.cropped((1, 2, 0), (3, 4, 4))
    np.testing.assert_allclose(cropped.to_um((0, 0, 0)), GRID.to_um((1, 2, 0)))
    assert cropped.shape == (2, 2, 4)
