"""ketamap.register.engine"""

import numpy as np
import pytest
import SimpleITK as sitk
from picsl_greedy import GreedyFloat3D

from ketamap.core.errors import RegistrationError
from ketamap.core.space import ATLAS_ORIENTATION, VoxelGrid
from ketamap.core.transform import AffineMap
from ketamap.register import engine
from ketamap.register.engine import (
    Picture,
    Schedule,
    fit,
    fit_affine,
    greedy_matrix,
    relaxed,
)
from ketamap.register.prepare import enhance
from ketamap.register.quiet import captured_output
from tests.register.scenes import toy_atlas, warped

SHORT = Schedule(affine=(60, 30), deformable=(30, 30, 10))


@pytest.fixture(scope="module")
def scene():
    atlas = toy_atlas(200.0)
    volume, to_atlas = warped(
        atlas, orientation=ATLAS_ORIENTATION, spacing_um=200.0, amplitude_um=150.0
    )
    fixed = Picture(image=enhance(atlas.template), grid=atlas.grid)
    moving = Picture(image=enhance(volume.load()), grid=volume.grid)
    return atlas, fixed, moving, to_atlas, fit(fixed, moving, SHORT)


def brain_points_um(atlas, moving, transform):
    """Sample positions of brain voxels, by the fitted map (truth judges them anew)."""
    points = atlas.grid.to_um(np.argwhere(atlas.brain_mask)[::7])
    return transform.to_sample(points)


def test_a_planted_warp_is_recovered(scene):
    atlas, _, moving, to_atlas, transform = scene
    sample = brain_points_um(atlas, moving, transform)
    truth = to_atlas(sample)
    before = np.linalg.norm(transform.affine.inverse()(sample) - truth, axis=1)
    after = np.linalg.norm(transform.to_atlas(sample) - truth, axis=1)
    assert np.nanmedian(before) > 60.0  # the warp is there
    assert np.nanmedian(after) < 40.0  # a fifth of a voxel
    assert np.nanpercentile(after, 95) < 150.0


def test_both_directions_agree(scene):
    atlas, _, _, _, transform = scene
    points = atlas.grid.to_um(np.argwhere(atlas.brain_mask)[::7])
    assert np.nanpercentile(transform.inverse_error_um(points), 95) < 10.0


def test_the_transform_reproduces_the_engines_own_reslice(scene, tmp_path):
    _, fixed, moving, _, transform = scene

    def itk(image, grid, *, vector=False):
        out = sitk.GetImageFromArray(np.ascontiguousarray(image), isVector=vector)
        out.SetSpacing([um / 1000.0 for um in grid.spacing_um[::-1]])
        out.SetOrigin([um / 1000.0 for um in grid.origin_um[::-1]])
        return out

    vectors = np.moveaxis(transform.outward.vectors_um[::-1] / 1000.0, 0, -1)
    np.savetxt(tmp_path / "affine.mat", greedy_matrix(transform.affine))
    warp = itk(vectors, transform.outward.grid, vector=True)
    sitk.WriteImage(warp, str(tmp_path / "warp.nii.gz"))
    session = GreedyFloat3D()
    with captured_output():
        session.execute(
            f"-V 0 -d 3 -rf fixed -rm moving resliced -r {tmp_path}/warp.nii.gz {tmp_path}/affine.mat",
            fixed=itk(fixed.image, fixed.grid),
            moving=itk(moving.image, moving.grid),
            resliced=None,
        )
    theirs = sitk.GetArrayFromImage(session["resliced"])
    ours = transform.image_to_atlas(moving.image, moving.grid, fixed.grid)
    inside = (slice(3, -3),) * 3  # beyond the moving image conventions differ by a voxel
    assert np.abs(theirs - ours)[inside].max() < 2e-3


def test_the_same_input_gives_the_same_transform_bit_for_bit(scene):
    _, fixed, moving, _, first = scene
    second = fit(fixed, moving, SHORT)
    np.testing.assert_array_equal(first.affine.matrix, second.affine.matrix)
    np.testing.assert_array_equal(first.outward.vectors_um, second.outward.vectors_um)
    np.testing.assert_array_equal(first.inward.vectors_um, second.inward.vectors_um)


def test_a_map_is_relaxed_until_nothing_is_squeezed_too_far(scene, monkeypatch):
    atlas, fixed, moving, _, free = scene
    brain = fixed.image > 0.0
    least = free.jacobian_determinant()[brain].min()
    bound = least + 0.05
    monkeypatch.setattr(engine, "LEAST_JACOBIAN", bound)
    bounded = fit(fixed, moving, SHORT)
    assert bounded.jacobian_determinant()[brain].min() >= bound
    points = atlas.grid.to_um(np.argwhere(atlas.brain_mask)[::7])
    assert np.nanpercentile(bounded.inverse_error_um(points), 95) < 10.0
    moved = np.linalg.norm(bounded.to_sample(points) - free.to_sample(points), axis=1)
    assert np.median(moved) < 1.0  # um: far from the tight places all stays


def test_a_velocity_is_smoothed_only_near_the_tight_places():
    rough = np.random.default_rng(0).normal(size=(20, 20, 20, 3)).astype(np.float32)
    squeezed = np.zeros((20, 20, 20), dtype=np.bool_)
    squeezed[3, 3, 3] = True
    root = sitk.GetImageFromArray(rough, isVector=True)
    smooth = sitk.GetArrayFromImage(relaxed(root, squeezed))
    np.testing.assert_array_equal(smooth[17:], rough[17:])
    assert np.abs(smooth[3, 3, 3]).max() < 0.5 * np.abs(rough[3, 3, 3]).max()


def test_a_known_affine_is_recovered_in_our_coordinates(scene):
    atlas, fixed, _, _, _ = scene
    planted = AffineMap(
        np.array(
            [
                [1.05, 0.06, 0.0, 900.0],
                [-0.06, 0.97, 0.03, -700.0],
                [0.0, -0.03, 1.02, 2500.0],
                [0, 0, 0, 1.0],
            ]
        )
    )
    grid = VoxelGrid(shape=(80, 60, 75), spacing_um=(200.0,) * 3, origin_um=(0.0, -1500.0, 1500.0))
    index = np.indices(grid.shape).reshape(3, -1).T
    back = planted.inverse()(grid.to_um(index))
    where, inside = fixed.grid.nearest_index(back)
    image = np.where(inside, fixed.image[tuple(where.T)], 0.0).reshape(grid.shape)
    found = fit_affine(fixed, Picture(image=image.astype(np.float32), grid=grid), SHORT)
    points = atlas.grid.to_um(np.argwhere(atlas.brain_mask)[::11])
    error = np.linalg.norm(found(points) - planted(points), axis=1)
    assert error.max() < 100.0  # half a voxel, after a shift of 2.8 mm and 3.5 degrees


def test_greedys_matrix_swaps_axes_units_and_signs():
    matrix = np.eye(4)
    matrix[:3, 3] = (1000.0, 2000.0, 3000.0)  # z, y, x um
    np.testing.assert_allclose(
        greedy_matrix(AffineMap(matrix))[:3, 3], (-3.0, -2.0, 1.0)
    )  # R, A, S mm


def test_a_failure_of_the_engine_says_what_was_asked(scene):
    _, fixed, moving, _, _ = scene
    with pytest.raises(RegistrationError, match="greedy -d 3"):
        fit_affine(fixed, moving, Schedule(affine=()))


def test_nothing_is_printed(scene, capfd):
    _, fixed, moving, _, _ = scene
    fit_affine(fixed, moving, Schedule(affine=(30, 5)))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
