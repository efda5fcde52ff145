"""ketamap.detect.kernels"""

import numpy as np
import pytest

from ketamap.core.errors import ImageError
from ketamap.core.space import VoxelGrid
from ketamap.detect.device import on_cpu
from ketamap.detect.features import FEATURES, LIMITS
from ketamap.detect.kernels import (
    LEAST_Z,
    BlockExtent,
    examine_block,
    measure_tile,
    noise_features,
    own_response,
)
from ketamap.detect.model import default_model
from ketamap.detect.noise import map_noise
from ketamap.detect.scale import plan_filters
from tests.detect.made import cell_image

FINE_UM = (3.0, 3.0, 3.0)
"""Five voxels per soma of 15 um: fine enough to tell specks."""

SHAPE = (40, 60, 60)


def plan_and_extent(image, spacing_um=FINE_UM):
    plan = plan_filters(VoxelGrid(shape=image.shape, spacing_um=spacing_um), 15.0)
    extent = BlockExtent(
        start=(0, 0, 0),
        core_start=(0, 0, 0),
        core_stop=plan.shape,
        tiles=tuple(slice(0, n) for n in plan.tiles),
    )
    return plan, extent


def scored(image, model=None):
    """Return candidates, their noise features and their probabilities."""
    model = model or default_model()
    plan, extent = plan_and_extent(image)
    result = examine_block(on_cpu(image, plan), plan, extent, model=model)
    noise = map_noise(result.noise, plan.tile_edges, 0.01)
    rows = noise_features(result.peaks, noise, plan)
    return result.peaks, rows, model.probability(result.peaks.evidence, rows)


def cells_near(image, centre, within=3.0):
    peaks, _, chance = scored(image)
    return np.sum((np.linalg.norm(peaks.bins - centre, axis=1) < within) & (chance >= 0.5))


def test_candidates_are_listed_from_well_below_what_becomes_a_cell():
    image = cell_image(SHAPE, [(20, 30, 30)], sigma=1.8)
    _, rows, chance = scored(image)
    assert chance.max() > 0.5
    assert np.sum(chance < 0.5) > 5
    assert np.exp(rows[:, 0]).min() < 1.5 * LEAST_Z


def test_without_a_model_the_features_are_kept():
    image = cell_image(SHAPE, [(20, 30, 30)], sigma=1.8)
    plan, extent = plan_and_extent(image)
    bare = examine_block(on_cpu(image, plan), plan, extent, model=None).peaks
    assert bare.evidence.shape == (len(bare.bins), len(FEATURES))
    assert np.all((bare.evidence >= LIMITS[0]) & (bare.evidence <= LIMITS[1]))
    summed = examine_block(on_cpu(image, plan), plan, extent, model=default_model()).peaks
    np.testing.assert_array_equal(summed.evidence, default_model().local_part(bare.evidence))


def test_a_soma_is_a_cell_and_a_hot_voxel_is_not():
    soma = cell_image(SHAPE, [(20, 30, 30)], sigma=1.8)
    speck = cell_image(SHAPE, [], sigma=1.8)
    speck[20, 30, 30] += 5000.0
    assert cells_near(soma, (20, 30, 30)) == 1
    assert cells_near(speck, (20, 30, 30)) == 0


def test_a_long_fibre_and_a_bright_edge_are_no_cells_between_their_ends():
    fibre = cell_image(SHAPE, [], sigma=1.0)
    fibre += 400.0 * cell_image(
        SHAPE, [(20, 30, 30)], sigma=(1.5, 1.5, 1e6), height=1.0, base=0.0, noise=0.0
    )
    edge = cell_image(SHAPE, [], sigma=1.0)
    edge[:, :30] += 400.0
    for image in (fibre, edge):
        peaks, _, chance = scored(image)
        inside = np.all((peaks.bins > 8) & (peaks.bins < np.array(SHAPE) - 9), axis=1)
        assert not np.any(chance[inside] >= 0.5)


def test_a_soma_drawn_out_by_the_point_spread_is_one_cell():
    image = cell_image(SHAPE, [(20, 30, 30)], sigma=(3.5, 1.8, 1.8))
    assert cells_near(image, (20, 30, 30), within=12.0) == 1


def test_two_somata_that_touch_are_two_cells():
    image = cell_image(SHAPE, [(20, 30, 27.5), (20, 30, 32.5)], sigma=1.6)
    assert cells_near(image, (20, 30, 30), within=6.0) == 2


def test_the_background_channel_takes_its_share_of_the_response():
    image = cell_image(SHAPE, [(20, 30, 30)], sigma=1.8)
    rough = cell_image(SHAPE, [], sigma=1.0, noise=40.0, base=0.0, seed=4)
    plan, extent = plan_and_extent(image)
    other = on_cpu(image + 2 * rough, plan)
    both = examine_block(on_cpu(image + rough, plan), plan, extent, model=None, background=other)
    noise = map_noise(both.noise, plan.tile_edges, 0.01)
    assert 0.4 < noise.background_slope < 0.6
    own = own_response(both.peaks, noise)
    np.testing.assert_allclose(
        own,
        both.peaks.response - noise.background_slope * np.maximum(both.peaks.background, 0),
        atol=1e-4,
    )
    assert np.all(own <= both.peaks.response)


def test_measuring_a_tile_gives_the_noise_that_examining_it_gives():
    image = cell_image(SHAPE, [(20, 30, 30)], sigma=1.8)
    plan, extent = plan_and_extent(image)
    block = on_cpu(image, plan)
    alone, full = measure_tile(block, plan, extent), examine_block(block, plan, extent, model=None)
    assert alone.peaks is None
    np.testing.assert_array_equal(alone.noise.sigma, full.noise.sigma)
    np.testing.assert_array_equal(alone.noise.white, full.noise.white)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_refused(value):
    image = cell_image(SHAPE, [], sigma=1.0)
    image[1, 2, 3] = value
    with pytest.raises(ImageError, match="NaN or infinite"):
        scored(image)
