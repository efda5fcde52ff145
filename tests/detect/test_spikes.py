"""ketamap.detect.spikes"""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ketamap.core.space import VoxelGrid
from ketamap.detect.filters import difference_of_gaussians
from ketamap.detect.scale import plan_filters
from ketamap.detect.spikes import (
    NEAREST_CELL,
    NEAREST_SPIKE,
    RIM,
    STRAY,
    Spikes,
    add_soma,
    draw_spikes,
    response_per_height,
    with_spikes,
)
from tests.detect.made import volume_of

UM = (5.0, 2.0, 2.0)
GRID = VoxelGrid(shape=(40, 120, 120), spacing_um=UM)
CELLS = np.random.default_rng(0).uniform(0, 1, (60, 3)) * (195.0, 238.0, 238.0)
HEIGHTS = np.array([50.0, 80.0, 200.0])


def drawn(seed=0, n=40, cells=CELLS):
    return draw_spikes(GRID, cells, HEIGHTS, n=n, diameter_um=15.0, seed=seed)


def test_spikes_lie_near_cells_but_not_on_them_nor_on_each_other():
    spikes = drawn()
    assert 20 < len(spikes.um) <= 40
    away = cKDTree(CELLS).query(spikes.um)[0]
    assert np.all((away >= NEAREST_CELL * 15.0) & (away <= STRAY[1] * 15.0))
    assert cKDTree(spikes.um).query(spikes.um, k=2)[0][:, 1].min() >= NEAREST_SPIKE * 15.0
    assert set(spikes.height) <= set(HEIGHTS)


def test_the_seed_decides():
    np.testing.assert_array_equal(drawn(3).um, drawn(3).um)
    assert not np.array_equal(drawn(3).um[:5], drawn(4).um[:5])


def test_without_cells_nothing_is_planted():
    spikes = drawn(cells=np.empty((0, 3)))
    assert spikes.um.shape == (0, 3)
    assert spikes.height.shape == (0,)


def test_a_soma_has_the_volume_and_height_of_a_ball():
    light = np.zeros((41, 41, 41), dtype=np.float32)
    volume = 4 / 3 * np.pi * 8.0**3 * (1 + (np.pi / RIM) ** 2)  # integral of a logistic rim
    add_soma(light, np.array([20.3, 19.8, 20.0]), 3.0, np.array([8.0, 8.0, 8.0]))
    assert light[20, 20, 20] == pytest.approx(3.0, rel=0.01)
    assert light.sum() == pytest.approx(3.0 * volume, rel=0.03)
    where = np.argwhere(light > 0)
    centre = np.average(where, axis=0, weights=light[light > 0])
    np.testing.assert_allclose(centre, (20.3, 19.8, 20.0), atol=0.02)


def test_a_soma_outside_a_block_changes_nothing():
    light = np.zeros((5, 5, 5), dtype=np.float32)
    add_soma(light, np.array([-30.0, 2.0, 2.0]), 3.0, np.array([4.0, 4.0, 4.0]))
    assert not light.any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_blocks_of_a_spiked_image_fit_together_and_keep_the_type(dtype):
    image = np.full(GRID.shape, 250, dtype=dtype)
    volume = with_spikes(volume_of(image, UM), drawn())
    whole = volume.read((0, 0, 0), GRID.shape)
    left, right = (volume.read((3, 0, a), (40, 120, b)) for a, b in ((0, 57), (57, 120)))
    np.testing.assert_allclose(np.concatenate([left, right], axis=2), whole[3:], atol=1e-4)
    assert whole.dtype == dtype
    assert np.all(whole >= 250)
    assert np.any(whole > 252)


def test_the_response_per_height_turns_a_response_into_a_height():
    spikes = Spikes(um=np.array([[100.0, 120.0, 120.0]]), height=np.array([70.0]), diameter_um=15.0)
    image = np.full(GRID.shape, 100.0, dtype=np.float32)
    light = with_spikes(volume_of(image, UM), spikes).read((0, 0, 0), GRID.shape)
    plan = plan_filters(GRID, 15.0)
    binned = light.reshape(40, 60, 2, 60, 2).mean(axis=(2, 4), dtype=np.float32)
    assert plan.bins == (1, 2, 2)
    top = difference_of_gaussians(binned, plan.narrow, plan.wide).max()
    assert top / response_per_height(GRID, 15.0) == pytest.approx(70.0, rel=0.06)
