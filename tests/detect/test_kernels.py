"""ketamap.detect.kernels"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketamap.core.errors import ImageError
from ketamap.core.space import VoxelGrid
from ketamap.detect.kernels import (
    LEAST_Z,
    BlockExtent,
    examine_block,
    score_of_z,
    score_peaks,
)
from ketamap.detect.noise import map_noise
from ketamap.detect.scale import plan_filters
from tests.detect.made import cell_image

FINE_UM = (3.0, 3.0, 3.0)
"""Five voxels per soma of 15 um: fine enough to tell specks."""

SHAPE = (40, 60, 60)


def z_scores(image, spacing_um=FINE_UM):
    """Return positions in bins and responses over noise of all candidates."""
    plan = plan_filters(VoxelGrid(shape=image.shape, spacing_um=spacing_um), 15.0)
    extent = BlockExtent(
        start=(0, 0, 0),
        core_start=(0, 0, 0),
        core_stop=plan.shape,
        tiles=tuple(slice(0, n) for n in plan.tiles),
    )
    result = examine_block(image, plan, extent)
    noise = map_noise(result.noise, plan.tile_edges, 0.01)
    return result.peaks.bins, score_peaks(result.peaks, noise)


def cells_near(image, centre, within=3.0):
    bins, z = z_scores(image)
    return np.sum((np.linalg.norm(bins - centre, axis=1) < within) & (z >= LEAST_Z))


@given(z=st.lists(st.floats(0.0, 1e4), min_size=2))
def test_scores_lie_between_0_and_1_and_never_fall_with_the_response(z):
    score = score_of_z(np.sort(z))
    assert np.all((score >= 0) & (score <= 1))
    assert np.all(np.diff(score) >= 0)


def test_candidates_are_listed_from_well_below_the_threshold():
    _, z = z_scores(cell_image(SHAPE, [(20, 30, 30)], sigma=1.8))
    assert z.min() < 0.5 * LEAST_Z
    assert z.max() > LEAST_Z


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
        bins, z = z_scores(image)
        inside = np.all((bins > 8) & (bins < np.array(SHAPE) - 9), axis=1)
        assert not np.any(z[inside] >= LEAST_Z)


def test_a_soma_drawn_out_by_the_point_spread_is_one_cell():
    image = cell_image(SHAPE, [(20, 30, 30)], sigma=(4.5, 1.8, 1.8))
    assert cells_near(image, (20, 30, 30), within=12.0) == 1


def test_two_somata_that_touch_are_two_cells():
    image = cell_image(SHAPE, [(20, 30, 28), (20, 30, 33)], sigma=1.3)
    assert cells_near(image, (20, 30, 30.5), within=6.0) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_refused(value):
    image = cell_image(SHAPE, [], sigma=1.0)
    image[1, 2, 3] = value
    with pytest.raises(ImageError, match="NaN or infinite"):
        z_scores(image)
