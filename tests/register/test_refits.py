"""ketamap.register.refits"""

import numpy as np
import pytest
from scipy import ndimage

from ketamap.core.settings import RegistrationSettings
from ketamap.core.space import ATLAS_ORIENTATION, VoxelGrid
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.register.align import align
from ketamap.register.engine import Picture
from ketamap.register.reference import Reference, reference_at
from ketamap.register.refits import (
    DISTURBANCE_UM,
    ERROR_SHARES,
    GAIN_MIDDLE,
    GAIN_WIDTH,
    bent,
    disturbance,
    estimate_error,
    expected_error,
    spread_of,
    structure,
)
from tests.register.scenes import toy_atlas, warped

GRID = VoxelGrid(shape=(30, 25, 20), spacing_um=(200.0,) * 3)


def piece_of(whole):
    """A box within a reference, most of it tissue: a refit of it takes less than a second."""
    start, stop = (16, 4, 10), (50, 36, 47)
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    return Reference(
        grid=whole.grid.cropped(start, stop),
        template=np.ascontiguousarray(whole.template[box]),
        mask=np.ascontiguousarray(whole.mask[box]),
    )


def test_a_disturbance_has_its_size_repeats_and_is_undone_by_its_opposite():
    one, again, other = (disturbance(GRID, 3, sign) for sign in (1.0, 1.0, -1.0))
    np.testing.assert_array_equal(one.vectors_um, again.vectors_um)
    np.testing.assert_array_equal(one.vectors_um, -other.vectors_um)
    rms = np.sqrt(np.sum(one.vectors_um.astype(float) ** 2, axis=0).mean())
    assert rms == pytest.approx(DISTURBANCE_UM, rel=1e-3)


def test_a_disturbance_does_not_fold():
    gradient = np.gradient(disturbance(GRID, 1, 1.0).vectors_um[0], 200.0, axis=0)
    assert np.abs(gradient).max() < 0.9


@pytest.mark.slow
def test_a_fit_that_is_off_is_estimated_worse_than_the_true_one():
    reference = piece_of(reference_at(toy_atlas(200.0), 200.0))
    upright = Picture(image=reference.template, grid=reference.grid)
    around = VoxelGrid(shape=(2, 2, 2), spacing_um=(2e4,) * 3, origin_um=(-2e3,) * 3)
    still = DisplacementField(around, np.zeros((3, 2, 2, 2), np.float32))
    moved = np.eye(4)
    moved[:3, 3] = (400.0, 0.0, 0.0)
    true, off = (
        estimate_error(
            Transform(affine=AffineMap(matrix), outward=still, inward=still),
            reference,
            upright,
            refits=2,
        )
        for matrix in (np.eye(4), moved)
    )
    assert true.error_um.shape == true.grid.shape == reference.grid.shape
    assert np.isfinite(true.error_um[reference.mask]).mean() > 0.8
    error_um = [np.nanmedian(e.error_um[reference.mask]) for e in (true, off)]
    assert error_um[1] > 1.3 * error_um[0]


EVEN = np.ones(1)
BETTER, WORSE = 0.5, -1.0
"""Gains of refits that better a first fit, and of refits that come nowhere near it."""


def um(value):
    return np.array([value])


def test_refits_that_better_a_fit_put_its_error_at_their_distance():
    error = expected_error(um(300.0), um(40.0), BETTER, EVEN)
    np.testing.assert_allclose(error, ERROR_SHARES[1] * np.hypot(300.0, 40.0), rtol=1e-3)


def test_refits_that_come_nowhere_near_a_fit_tell_by_their_spread_alone():
    error = expected_error(um(300.0), um(40.0), WORSE, EVEN)
    np.testing.assert_allclose(error, ERROR_SHARES[0] * 40.0, rtol=1e-2)


def test_the_estimate_rises_with_what_refits_gain():
    gains = GAIN_MIDDLE + GAIN_WIDTH * np.linspace(-3.0, 3.0, 7)
    errors = [expected_error(um(100.0), um(60.0), g, EVEN)[0] for g in gains]
    assert np.all(np.diff(errors) > 0.0)


def test_a_good_fit_is_trusted_less_where_the_template_is_plain():
    distance, spread = np.zeros(2), np.full(2, 60.0)
    plain, rich = expected_error(distance, spread, WORSE, np.array([0.1, 2.0]))
    assert plain > 1.5 * rich
    plain, rich = expected_error(distance, spread, BETTER, np.array([0.1, 2.0]))
    assert plain == pytest.approx(rich, rel=1e-3)


def test_the_spread_is_the_distance_of_refits_from_their_mean_wherever_that_is():
    around = 70.0 * np.array([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0], [0, -1.0, 0]])
    steps = np.array([0.0, 0.0, 500.0]) + np.repeat(around[:, None], np.prod(GRID.shape), axis=1)
    np.testing.assert_allclose(spread_of(steps, GRID), np.full(GRID.shape, 70.0))


def test_the_spread_of_a_place_that_leaves_the_image_is_that_of_its_neighbours():
    rng = np.random.default_rng(0)
    steps = 50.0 * rng.standard_normal((4, int(np.prod(GRID.shape)), 3))
    lost = steps.copy()
    lost[1, np.ravel_multi_index((9, 9, 9), GRID.shape)] = np.nan
    one, other = spread_of(steps, GRID), spread_of(lost, GRID)
    assert other[9, 9, 9] == pytest.approx(one[9, 9, 9], rel=0.05)
    np.testing.assert_allclose(other[25:], one[25:])
    assert np.all(np.isnan(spread_of(np.full_like(steps, np.nan), GRID)))


def test_structure_needs_change_in_every_direction():
    rng = np.random.default_rng(0)
    template = np.zeros(GRID.shape, np.float32)
    template[:12] = ndimage.gaussian_filter(rng.standard_normal((12, 25, 20)), 1.0)  # blobs
    template[20:] = np.sin(np.arange(25))[None, :, None]  # sheets
    reference = Reference(grid=GRID, template=template, mask=np.ones(GRID.shape, np.bool_))
    found = structure(template, reference)
    assert np.median(found[3:8]) > 100.0 * np.abs(np.median(found[25:]))
    np.testing.assert_allclose(structure(3.0 * template, reference), found, atol=1e-6)


def test_a_hole_moves_with_the_image_that_is_disturbed():
    inside = np.linalg.norm((GRID.voxel_centres_um() - GRID.centre_um) / 1500.0, axis=1) < 1.0
    hole = inside.reshape(GRID.shape)
    image = np.where(hole, np.float32(0.0), np.float32(1.0))
    moved = bent(Picture(image=image, grid=GRID, hole=hole), disturbance(GRID, 2, 1.0))
    assert moved.hole is not None
    np.testing.assert_array_equal(moved.hole[moved.image < 0.2], True)
    np.testing.assert_array_equal(moved.hole[moved.image > 0.8], False)
    assert np.any(moved.hole != hole)


@pytest.mark.slow
def test_a_fit_that_was_not_given_time_is_estimated_worse_and_to_be_looked_at():
    atlas = toy_atlas(200.0)
    volume, _ = warped(atlas, orientation=ATLAS_ORIENTATION, spacing_um=200.0)
    found = {}
    for iterations in ((30, 30, 10), (1, 0, 0)):
        settings = RegistrationSettings(resolution_um=200.0, iterations=iterations, refits=2)
        found[iterations] = align(volume, atlas, orientation=ATLAS_ORIENTATION, settings=settings)
    good, poor = found.values()
    assert good.error is not None
    assert good.error.error_um.shape == good.error.grid.shape
    assert poor.quality.error_median_um > 1.3 * good.quality.error_median_um
