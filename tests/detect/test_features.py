"""ketamap.detect.features"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.core.space import VoxelGrid
from ketamap.detect.features import (
    FEATURES,
    LIMITS,
    SHELL_STEP,
    SHELLS,
    circle_levels,
    crowding,
    describe,
    directions,
    opposite_sides,
    saddles,
    shell_means,
    steps_away,
)
from ketamap.detect.filters import difference_of_gaussians
from ketamap.detect.scale import plan_filters
from tests.detect.made import cell_image

UM = (5.0, 4.0, 4.0)
SHAPE = (25, 31, 33)
MIDDLE = np.array([[12, 15, 16]])
IMAGE = cell_image(SHAPE, [(12, 15, 16), (12, 20, 19), (6, 9, 8)], sigma=(1.2, 1.5, 1.5))


def features_of(image, index=MIDDLE, spacing_um=UM, white=5.0, start=(0, 0, 0), whole=None):
    plan = plan_filters(VoxelGrid(shape=whole or image.shape, spacing_um=spacing_um), 15.0)
    response = difference_of_gaussians(image, plan.narrow, plan.wide)
    white = np.full(len(index), white)
    return describe(image, response, np.asarray(index), start, white=white, plan=plan)


def column(rows, name):
    return rows[:, FEATURES.index(name)]


def test_every_feature_is_finite_and_within_the_limits_whatever_the_image():
    image = np.zeros(SHAPE, dtype=np.float32)
    image[12, 15, 16] = 60000.0
    for white in (1e-30, 1e-3, 1e9):
        rows = features_of(image, white=white)
        assert rows.shape == (1, len(FEATURES))
        assert np.all((rows >= LIMITS[0]) & (rows <= LIMITS[1]))


@settings(deadline=None, max_examples=20)
@given(gain=st.floats(0.25, 4.0), shift=st.floats(-100.0, 1000.0))
def test_gain_and_shift_leave_every_feature(gain, shift):
    other = (IMAGE * np.float32(gain) + np.float32(shift)).astype(np.float32)
    np.testing.assert_allclose(
        features_of(other, white=5.0 * gain), features_of(IMAGE), rtol=2e-3, atol=2e-3
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_flip_leaves_every_feature(axis):
    mirrored = MIDDLE.copy()
    mirrored[:, axis] = SHAPE[axis] - 1 - MIDDLE[:, axis]
    other = features_of(np.ascontiguousarray(np.flip(IMAGE, axis)), mirrored)
    np.testing.assert_allclose(other, features_of(IMAGE), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_swapping_axes_with_their_spacing_leaves_every_feature(order):
    turned = np.ascontiguousarray(np.transpose(IMAGE, order))
    other = features_of(turned, MIDDLE[:, list(order)], tuple(UM[a] for a in order))
    np.testing.assert_allclose(other, features_of(IMAGE), rtol=2e-3, atol=2e-3)


def test_a_block_gives_the_same_bits_as_the_whole():
    image = cell_image((40, 60, 60), [(20, 30, 30), (20, 34, 33)], sigma=(1.2, 1.5, 1.5))
    plan = plan_filters(VoxelGrid(shape=image.shape, spacing_um=UM), 15.0)
    low = np.array([20, 30, 30]) - plan.halo
    high = np.array([20, 30, 30]) + plan.halo + 1
    block = image[tuple(map(slice, low, high))]
    cut = features_of(block, np.array([plan.halo]), start=tuple(low), whole=image.shape)
    np.testing.assert_array_equal(cut, features_of(image, [(20, 30, 30)]))


def test_a_soma_a_speck_a_fibre_and_a_sheet_differ():
    def one(sigma):
        return features_of(cell_image(SHAPE, [MIDDLE[0]], sigma=sigma))

    soma, speck = one((1.2, 1.5, 1.5)), one((0.3, 0.3, 0.3))
    fibre, sheet = one((1.2, 1.5, 1e6)), one((1.2, 1e6, 1e6))
    assert column(soma, "sharpness") < 0.85 < column(speck, "sharpness")
    assert column(soma, "beside_125") < 0.3 < 0.8 < column(fibre, "beside_125")
    assert column(soma, "breadth") > 0.5 > 0.2 > column(sheet, "breadth")
    assert column(soma, "opposite_1") > 0.5 > 0.2 > column(fibre, "opposite_1")
    assert column(fibre, "opposite_10") > 0.2 > column(sheet, "opposite_4")


def test_signal_is_counted_in_deviations_of_the_noise():
    one, two = features_of(IMAGE, white=5.0), features_of(IMAGE, white=10.0)
    for name in ("contrast", "inner_signal", "whole_signal"):
        assert column(one, name) - column(two, name) == pytest.approx(np.log(2.0), abs=1e-5)


def test_shells_of_a_radial_image_fall_as_it_does():
    scale = np.array([5.0, 4.0, 4.0]) / (SHELL_STEP * 60.0)
    offset = np.array([[0.0, 0.0, 0.0]])
    axes = [(np.arange(n) - n // 2) * s for n, s in zip((31, 41, 41), scale, strict=True)]
    far = np.sqrt(axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2)
    mean, weight = shell_means(
        (10.0 - far).astype(np.float32), np.array([[15, 20, 20]]), offset, (5.0, 4.0, 4.0), 60.0
    )
    # a linear weight over one step on either side, and more of a ball's volume on the outer
    steps = np.arange(1, SHELLS)
    np.testing.assert_allclose(mean[0, 1:], 10.0 - steps - 1 / (3 * steps), atol=0.1)
    volumes = 4 * np.pi * steps**2 / np.prod(scale)
    np.testing.assert_allclose(weight[0, 1:], volumes, rtol=0.25)


def test_opposite_sides_take_the_brighter_of_each_pair():
    assert len({tuple(np.round(np.abs(d), 6)) for d in directions()}) < 13
    gaps = directions() @ directions().T - 2 * np.eye(13)
    assert np.abs(gaps).max(initial=0, where=~np.eye(13, dtype=bool)) < 1 - 1e-6
    image = np.zeros((11, 11, 11), dtype=np.float32)
    image[5, 5, 8:] = 7.0
    sides = opposite_sides(image, np.array([[5, 5, 5]]), np.zeros((1, 3)), (1.0, 1.0, 1.0), 3.0)
    np.testing.assert_allclose(sides[0], [0.0] * 12 + [7.0], atol=1e-6)


def test_a_saddle_is_the_deepest_dip_on_the_way_to_the_highest_bin():
    row = np.array([50, 100, 80, 90, 150, 0], dtype=np.float32).reshape(1, 1, -1)
    found = saddles(row, np.array([[0, 0, 1], [0, 0, 4]]), (3, 3, 3))
    sharp = 3 * row[0, 0] - np.roll(row[0, 0], 1) - np.roll(row[0, 0], -1)
    np.testing.assert_allclose(found[:, 0], [0.8, 0.0])
    np.testing.assert_allclose(found[:, 1], [1.5, 1.0])
    np.testing.assert_allclose(found[:, 2], [sharp[2:4].min() / sharp[1], 0.0])


def test_circles_see_the_plane_that_flickers():
    response = np.random.default_rng(0).normal(0, 1, (41, 41, 41)).astype(np.float32)
    response[20] *= 9.0
    level = circle_levels(response, np.array([[20, 20, 20]]), (3.0, 3.0, 3.0), 15.0)[0]
    assert level[0] > 3 * max(level[1:])


def test_crowding_is_the_share_of_the_bins_around_that_are_higher():
    plan = plan_filters(VoxelGrid(shape=SHAPE, spacing_um=UM), 15.0)
    response = np.zeros(SHAPE, dtype=np.float32)
    response[:, :, 17:] = 3.0
    heights = np.array([[1.0, 1.0], [5.0, 2.0]])
    found = crowding(response, np.array([[12, 15, 16], [0, 0, 32]]), heights, plan)
    np.testing.assert_allclose(found, [[3 / 7, 0.0], [1.0, 1.0]])


def test_steps_away_are_sorted_so_that_the_order_of_axes_does_not_matter():
    response = np.random.default_rng(0).normal(0, 1, (5, 6, 7)).astype(np.float32)
    here, there = np.array([[2, 3, 4], [0, 0, 0]]), np.array([[4, 2, 3], [0, 0, 0]])
    one = steps_away(response, here, 1)
    np.testing.assert_array_equal(one, steps_away(response.transpose(2, 0, 1), there, 1))
    means = [np.mean([response[1, 3, 4], response[3, 3, 4]])]
    means += [np.mean([response[2, 2, 4], response[2, 4, 4]])]
    means += [np.mean([response[2, 3, 3], response[2, 3, 5]])]
    np.testing.assert_allclose(one[0, :3], np.sort(means), rtol=1e-6)
