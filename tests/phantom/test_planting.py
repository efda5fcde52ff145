"""ketamap.phantom.planting"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from ketamap.core.errors import InputError
from ketamap.phantom.deformation import random_transform, sample_grid
from ketamap.phantom.planting import most_cells_per_mm3, plant
from ketamap.phantom.warping import carry_labels, unit_volume, volumes_mm3


@pytest.fixture(scope="module")
def ground(atlas):
    transform = random_transform(atlas, 7)
    grid = sample_grid(atlas, transform, (100.0,) * 3)
    labels = carry_labels(unit_volume(atlas), atlas.grid, transform, grid)
    return transform, grid, labels, volumes_mm3(labels, grid, len(atlas.structures)).ravel()


@settings(deadline=None, max_examples=10)
@given(
    seed=st.integers(0, 10**6),
    distance_um=st.sampled_from([65.0, 130.0]),
    dense=st.lists(st.sampled_from(["VTA", "SNc", "PAG", "MRN", "SNr", "RN"]), max_size=6),
)
def test_all_cells_asked_are_planted_apart_and_in_their_place(
    atlas, ground, seed, distance_um, dense
):
    transform, grid, labels, volumes = ground
    density = np.zeros(len(atlas.structures))
    density[[atlas.structures.position(atlas.structures.id_of(a)) for a in dense]] = 0.8
    per_mm3 = np.repeat(density, 2) * most_cells_per_mm3(distance_um)
    asked = np.floor(per_mm3 * volumes).astype(np.int64)
    before = asked.copy()
    planted = plant(atlas, transform, labels, grid, asked, distance_um, np.random.default_rng(seed))
    found = np.bincount(planted.units, minlength=len(asked))
    np.testing.assert_array_equal(asked, before)
    np.testing.assert_array_equal(found, asked)
    carried = transform.to_atlas(planted.positions_um)
    np.testing.assert_allclose(planted.atlas_um, carried)
    ids = atlas.structures.ids[planted.units // 2]
    np.testing.assert_array_equal(atlas.regions_at(carried), ids)
    np.testing.assert_array_equal(atlas.is_left(carried), planted.units % 2 == 0)
    if len(found) > 1 and found.sum() > 1:
        gaps, _ = cKDTree(planted.positions_um).query(planted.positions_um, k=2)
        assert gaps[:, 1].min() >= distance_um


def test_cells_spread_evenly_in_a_large_structure(atlas, ground):
    transform, grid, labels, _ = ground
    unit = 2 * atlas.structures.position(atlas.structures.id_of("CP"))
    asked = np.zeros(2 * len(atlas.structures), dtype=np.int64)
    asked[unit] = 2000
    planted = plant(atlas, transform, labels, grid, asked, 65.0, np.random.default_rng(1))
    voxels_um = grid.to_um(np.argwhere(labels == unit))
    spread = voxels_um.std(axis=0)
    offset = planted.positions_um.mean(axis=0) - voxels_um.mean(axis=0)
    assert np.all(np.abs(offset) < 5 * spread / np.sqrt(2000))
    np.testing.assert_allclose(planted.positions_um.std(axis=0), spread, rtol=0.1)


def test_more_cells_than_fit_are_refused(atlas, ground):
    transform, grid, labels, volumes = ground
    unit = 2 * atlas.structures.position(atlas.structures.id_of("VTA"))
    asked = np.zeros(2 * len(atlas.structures), dtype=np.int64)
    asked[unit] = int(3 * most_cells_per_mm3(65.0) * volumes[unit])
    with pytest.raises(InputError, match="do not fit at 65 um apart"):
        plant(atlas, transform, labels, grid, asked, 65.0, np.random.default_rng(1))


def test_nothing_asked_gives_nothing(atlas, ground):
    transform, grid, labels, _ = ground
    asked = np.zeros(2 * len(atlas.structures), dtype=np.int64)
    planted = plant(atlas, transform, labels, grid, asked, 65.0, np.random.default_rng(1))
    assert planted.positions_um.shape == (0, 3)
    assert planted.units.shape == (0,)
