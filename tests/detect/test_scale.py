"""ketamap.detect.scale"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketamap.core.errors import InputError
from ketamap.core.space import VoxelGrid
from ketamap.detect.filters import difference_of_gaussians
from ketamap.detect.scale import (
    LEAST_SIGMA_BINS,
    NARROW_PER_DIAMETER,
    WIDE_PER_NARROW,
    plan_filters,
)

spacings = st.tuples(*[st.floats(0.3, 6.0)] * 3)


def grid(spacing_um, shape=(40, 300, 310)):
    return VoxelGrid(shape=shape, spacing_um=spacing_um)


@given(spacing_um=spacings, diameter_um=st.floats(6.0, 40.0))
def test_kernels_keep_the_mean_and_have_the_width_in_micrometres(spacing_um, diameter_um):
    plan = plan_filters(grid(spacing_um), diameter_um)
    for kernels, factor in ((plan.narrow, 1.0), (plan.wide, WIDE_PER_NARROW)):
        for half, um in zip(kernels, plan.bin_um, strict=True):
            k = half.astype(np.float64)
            assert k[0] + 2 * k[1:].sum() == pytest.approx(1.0, abs=1e-6)
            variance_um2 = 2 * np.sum(np.arange(len(k)) ** 2 * k) * um**2
            wanted = (factor * NARROW_PER_DIAMETER * diameter_um) ** 2 - um**2 / 12
            least = 0.0 if plan.coarse else (LEAST_SIGMA_BINS * um) ** 2
            assert variance_um2 == pytest.approx(max(wanted, least), rel=0.12, abs=0.02 * um**2)


@given(spacing_um=spacings, diameter_um=st.floats(6.0, 40.0))
def test_a_soma_spans_at_least_three_and_a_half_bins_where_voxels_are_averaged(
    spacing_um, diameter_um
):
    plan = plan_filters(grid(spacing_um), diameter_um)
    for bins, um in zip(plan.bins, plan.bin_um, strict=True):
        assert bins == 1 or diameter_um / um >= 3.5 - 1e-9


@given(spacing_um=spacings, diameter_um=st.floats(6.0, 40.0))
def test_tiles_cover_the_volume_once(spacing_um, diameter_um):
    plan = plan_filters(grid(spacing_um), diameter_um)
    for edges, n in zip(plan.tile_edges, plan.shape, strict=True):
        assert edges[0] == 0
        assert edges[-1] == n
        assert np.all(np.diff(edges) > 0)
        assert np.ptp(np.diff(edges)) <= 1


def test_the_white_gain_is_what_white_noise_gives():
    plan = plan_filters(grid((5.0, 4.0, 4.0)), 15.0)
    noise = np.random.default_rng(0).normal(0, 1, (40, 80, 80)).astype(np.float32)
    response = difference_of_gaussians(noise, plan.narrow, plan.wide)
    assert response[8:-8, 8:-8, 8:-8].std() == pytest.approx(plan.white_gain, rel=0.02)


def test_the_point_sharpness_is_what_a_single_bin_gives():
    plan = plan_filters(grid((5.0, 4.0, 4.0)), 15.0)
    image = np.zeros((21, 21, 21), dtype=np.float32)
    image[10, 10, 10] = 1.0
    r = difference_of_gaussians(image, plan.narrow, plan.wide)
    bend = sum(
        (2 * r[10, 10, 10] - r[tuple(np.add((10, 10, 10), s))] - r[tuple(np.subtract(10, s))])
        / um**2
        for s, um in zip(np.eye(3, dtype=int), plan.bin_um, strict=True)
    )
    assert bend / r[10, 10, 10] == pytest.approx(plan.point_sharpness, rel=1e-4)


def test_a_soma_smaller_than_a_voxel_is_refused_with_the_remedy():
    with pytest.raises(InputError, match=r"10 um along z.*finer level"):
        plan_filters(grid((10.0, 2.0, 2.0)), 8.0)


@pytest.mark.parametrize(
    ("spacing_um", "coarse"),
    [((5, 2, 2), False), ((10, 5, 5), False), ((10, 7, 7), True), ((6, 6, 6), True)],
)
def test_images_of_few_voxels_per_soma_are_coarse_whatever_the_order_of_axes(spacing_um, coarse):
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        turned = tuple(float(spacing_um[a]) for a in order)
        assert plan_filters(grid(turned), 15.0).coarse is coarse
