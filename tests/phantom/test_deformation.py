"""ketamap.phantom.deformation"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.core.errors import InputError
from ketamap.core.space import ATLAS_ORIENTATION, Orientation, VoxelGrid
from ketamap.phantom.deformation import (
    LEAST_JACOBIAN,
    MARGIN_UM,
    inverse_vectors,
    random_transform,
    sample_grid,
)


@pytest.fixture(scope="module")
def brain_um(atlas):
    index = np.argwhere(atlas.brain_mask)[::97]
    jitter = np.random.default_rng(0).uniform(-0.5, 0.5, index.shape)
    return atlas.grid.to_um(index + jitter)


def rms(vectors):
    return np.sqrt(np.mean(np.sum(vectors**2, axis=1)))


@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 2**31), displacement_um=st.sampled_from([0.0, 150.0, 330.0]))
def test_both_directions_agree_and_nothing_folds(atlas, brain_um, seed, displacement_um):
    transform = random_transform(atlas, seed, displacement_um=displacement_um)
    assert np.percentile(transform.inverse_error_um(brain_um), 95) <= 5.0
    local = transform.jacobian_determinant() / abs(transform.affine.determinant)
    assert local.min() > LEAST_JACOBIAN


@pytest.mark.parametrize("displacement_um", [80.0, 150.0, 320.0])
def test_the_displacement_has_the_size_asked_for(atlas, brain_um, displacement_um):
    moved = random_transform(atlas, 5, displacement_um=displacement_um).outward.move(brain_um)
    assert rms(moved - brain_um) == pytest.approx(displacement_um, rel=0.05)


def test_scale_and_rotation_stay_within_their_bounds(atlas):
    for seed in range(3):
        matrix = random_transform(atlas, seed).affine.matrix[:3, :3]
        sizes = np.linalg.svd(matrix, compute_uv=False)
        assert np.all(np.abs(sizes - 1.0) <= 0.05 + 1e-9)


def test_the_same_seed_gives_the_same_brain_and_another_seed_another(atlas, brain_um):
    one, again, other = (random_transform(atlas, seed).to_sample(brain_um) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert rms(one - other) > 50.0


@pytest.mark.parametrize("code", ["psl", "asr", "lip", "ras"])
def test_sample_axes_run_as_the_orientation_says(atlas, brain_um, code):
    orientation = Orientation(code)
    transform = random_transform(atlas, 1, orientation=orientation)
    axes = ATLAS_ORIENTATION.map_to(orientation)
    moved = transform.to_sample(brain_um)
    for axis, (source, flipped) in enumerate(zip(axes.source_axes, axes.flipped, strict=True)):
        r = np.corrcoef(moved[:, axis], brain_um[:, source])[0, 1]
        assert r < -0.9 if flipped else r > 0.9


def test_the_sample_holds_the_brain_with_a_margin(atlas, brain_um):
    transform = random_transform(atlas, 2)
    grid = sample_grid(atlas, transform, (25.0, 20.0, 10.0))
    moved = transform.to_sample(brain_um)
    far = grid.to_um(np.asarray(grid.shape) - 1)
    assert np.all(moved.min(axis=0) > 0.5 * MARGIN_UM)
    assert np.all(moved.max(axis=0) < far - 0.5 * MARGIN_UM)
    corners = grid.to_um([(0, 0, 0), np.asarray(grid.shape) - 1])
    assert np.isfinite(transform.to_atlas(corners)).all()


def test_a_displacement_that_must_fold_is_refused(atlas):
    with pytest.raises(InputError, match="Lower displacement_um or raise smoothness_um"):
        random_transform(atlas, 0, displacement_um=800.0, smoothness_um=500.0)


def test_inverting_a_translation_gives_its_opposite():
    grid = VoxelGrid(shape=(6, 7, 8), spacing_um=(100.0, 50.0, 20.0))
    vectors = np.zeros((3, 6, 7, 8), dtype=np.float32)
    vectors[:] = np.array([30.0, -20.0, 10.0])[:, None, None, None]
    np.testing.assert_allclose(inverse_vectors(grid, vectors), -vectors, atol=1e-4)


def test_a_field_too_steep_to_invert_is_refused():
    grid = VoxelGrid(shape=(8, 8, 8), spacing_um=(100.0,) * 3)
    steep = np.random.default_rng(0).normal(0.0, 300.0, (3, 8, 8, 8)).astype(np.float32)
    with pytest.raises(InputError, match="too steep"):
        inverse_vectors(grid, steep)
