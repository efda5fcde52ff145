"""ketamap.phantom.imaging"""

import numpy as np
import pytest

from ketamap.core.errors import InputError
from ketamap.core.space import VoxelGrid
from ketamap.phantom.imaging import BrainSettings, channel, somata
from ketamap.phantom.planting import Planted


def planted_at(positions_um):
    n = len(positions_um)
    return Planted(positions_um, positions_um, np.zeros(n, dtype=np.int64), np.array([n, 0]))


def test_a_soma_smaller_than_a_voxel_is_refused():
    with pytest.raises(InputError, match="smaller than a voxel"):
        BrainSettings(soma_diameter_um=20.0)


def test_neighbours_are_at_least_a_diameter_apart():
    assert BrainSettings().min_distance_um > BrainSettings().soma_diameter_um


def test_somata_are_sorted_and_as_wide_as_ball_spread_and_voxel_together():
    grid = VoxelGrid(shape=(40, 40, 40), spacing_um=(20.0, 10.0, 5.0))
    positions_um = np.random.default_rng(0).uniform(0, 200, (5000, 3))
    settings = BrainSettings(soma_sd_ln=0.25)
    made = somata(planted_at(positions_um), grid, settings, np.random.default_rng(1))
    assert np.all(np.diff(made.places[:, 0]) >= 0)
    # the variance along an axis of a solid ball, by drawing points in it
    ball = np.random.default_rng(2).uniform(-0.5, 0.5, (400_000, 3))
    ball = settings.soma_diameter_um * ball[np.sum(ball**2, axis=1) <= 0.25]
    voxel = np.array(grid.spacing_um) ** 2 / 12
    expected = np.sqrt(ball.var() + settings.point_spread_um**2 + voxel)
    np.testing.assert_allclose(made.sigma * np.array(grid.spacing_um), expected, rtol=0.01)
    assert np.median(made.peaks) == pytest.approx(settings.soma_counts, rel=0.03)
    assert np.log(made.peaks).std() == pytest.approx(0.25, rel=0.05)


def test_a_channel_has_the_tissue_brightness_and_shading_asked_for():
    lattice = VoxelGrid(shape=(5, 6, 7), spacing_um=(50.0,) * 3)
    grid = VoxelGrid(shape=(10, 12, 14), spacing_um=(25.0,) * 3)
    tissue = np.random.default_rng(0).uniform(0, 9, lattice.shape).astype(np.float32)
    tissue[:2] = 0.0
    settings = BrainSettings()
    made = channel(tissue, lattice, grid, settings, 70.0, 5)
    assert made.tissue[tissue > 0].mean() == pytest.approx(70.0, rel=1e-4)
    np.testing.assert_array_equal(made.ratio, 0.5)
    for n, profile in zip(grid.shape, made.profiles, strict=True):
        assert profile.shape == (n,)
        assert np.abs(profile - 1.0).max() <= settings.shading
