"""ketamap.register.align"""

import numpy as np
import pytest

from ketamap.core.errors import ImageError, RegistrationError
from ketamap.core.settings import RegistrationSettings
from ketamap.core.space import Orientation, VoxelGrid
from ketamap.core.volume import Volume
from ketamap.register.align import align
from tests.register.scenes import toy_atlas, warped

QUICK = RegistrationSettings(resolution_um=200.0, iterations=(30, 30, 10), refits=0)
PSL = Orientation("psl")


@pytest.fixture(scope="module")
def atlas():
    return toy_atlas(200.0)


@pytest.fixture(scope="module")
def aligned(atlas):
    volume, to_atlas = warped(atlas, orientation=PSL, spacing_um=100.0)
    steps = []
    registration = align(
        volume,
        atlas,
        orientation=PSL,
        settings=QUICK,
        progress=lambda done, total: steps.append(done / total),
    )
    return volume, to_atlas, registration, steps


def median_error_um(registration, to_atlas, atlas, keep=None):
    points = atlas.grid.to_um(np.argwhere(atlas.brain_mask)[::5])
    if keep is not None:
        points = points[keep(points)]
    sample = registration.transform.to_sample(points)
    truth = to_atlas(sample)
    return float(
        np.nanmedian(np.linalg.norm(registration.transform.to_atlas(sample) - truth, axis=1))
    )


def test_a_warped_brain_in_another_orientation_is_found_and_passes(aligned, atlas):
    volume, to_atlas, registration, _ = aligned
    assert median_error_um(registration, to_atlas, atlas) < 40.0
    assert registration.quality.verdict == "pass"
    assert registration.sample_grid == volume.grid
    assert registration.orientation == PSL


def test_no_refits_no_estimate(aligned):
    registration = aligned[2]
    assert registration.error is None
    assert np.isnan(registration.quality.error_median_um)


def test_the_template_carried_to_the_sample_is_the_sample(aligned, atlas):
    volume, _, registration, _ = aligned
    carried = registration.transform.image_to_sample(atlas.template, atlas.grid, volume.grid)
    assert np.corrcoef(carried.ravel(), volume.load().ravel())[0, 1] > 0.97


def test_points_just_outside_the_atlas_box_are_carried_not_lost(aligned, atlas):
    _, _, registration, _ = aligned
    outside = np.array([[-300.0, 4000.0, 5700.0], [6600.0, 4000.0, 11600.0]])
    assert np.isfinite(registration.transform.to_sample(outside)).all()
    assert np.isnan(registration.transform.to_atlas(np.array([[1e6, 0.0, 0.0]]))).all()


def test_progress_rises_to_the_end(aligned):
    steps = aligned[3]
    assert steps == sorted(steps)
    assert steps[-1] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("extent", ["left", "right"])
def test_one_hemisphere_is_aligned_to_its_own_side(atlas, extent):
    volume, to_atlas = warped(atlas, orientation=Orientation("asr"), spacing_um=200.0)
    index = np.argwhere(np.ones(volume.grid.shape, dtype=bool))
    true_left = atlas.is_left(to_atlas(volume.grid.to_um(index))).reshape(volume.grid.shape)
    half = np.where(true_left == (extent == "left"), volume.load(), 0.0).astype(np.float32)
    registration = align(
        Volume(data=half, grid=volume.grid),
        atlas,
        orientation=Orientation("asr"),
        extent=extent,
        settings=QUICK,
    )
    on_side = lambda points: atlas.is_left(points) == (extent == "left")  # noqa: E731
    assert median_error_um(registration, to_atlas, atlas, on_side) < 60.0
    assert registration.quality.verdict == "pass"
    assert registration.quality.least_jacobian > 0.1


@pytest.mark.slow
def test_front_to_back_flip_fails_and_names_the_orientation(atlas):
    volume, _ = warped(atlas, orientation=Orientation("asr"), spacing_um=200.0)
    flipped = Volume(data=np.ascontiguousarray(volume.load()[::-1]), grid=volume.grid)
    quality = align(flipped, atlas, orientation=Orientation("asr"), settings=QUICK).quality
    assert quality.verdict == "fail"
    assert "orientation" in quality.reasons[0]


@pytest.mark.slow
@pytest.mark.parametrize("content", ["noise", "sphere"])
def test_something_else_than_a_brain_fails_without_a_crash(atlas, content):
    grid = VoxelGrid(shape=(66, 40, 57), spacing_um=(200.0,) * 3)
    rng = np.random.default_rng(5)
    data = rng.random(grid.shape).astype(np.float32)
    if content == "sphere":
        index = np.indices(grid.shape).reshape(3, -1).T
        far = np.linalg.norm(grid.to_um(index) - grid.centre_um, axis=1)
        data = 0.01 * data + (far < 3000.0).reshape(grid.shape)
    volume = Volume(data=data.astype(np.float32), grid=grid)
    assert align(volume, atlas, orientation=PSL, settings=QUICK).quality.verdict == "fail"


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_spacing_wrong_by_ten_is_refused_with_both_sizes(atlas, factor):
    um = 200.0 * factor
    grid = VoxelGrid(shape=(66, 40, 57), spacing_um=(um,) * 3)
    volume = Volume(data=np.ones(grid.shape, dtype=np.uint8), grid=grid, name="scan3")
    with pytest.raises(
        RegistrationError, match=r"scan3 is .* but toy .* 13\.2 x 8 x 11\.4 mm.*--voxel-um"
    ):
        align(volume, atlas, orientation=PSL, settings=QUICK)


def test_an_empty_image_is_refused(atlas):
    grid = VoxelGrid(shape=(66, 40, 57), spacing_um=(200.0,) * 3)
    volume = Volume(data=np.full(grid.shape, 9, dtype=np.uint16), grid=grid)
    with pytest.raises(ImageError, match="empty"):
        align(volume, atlas, orientation=PSL, settings=QUICK)
