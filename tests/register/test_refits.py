"""ketamap.register.refits"""

import numpy as np
import pytest

from ketamap.core.settings import RegistrationSettings
from ketamap.core.space import ATLAS_ORIENTATION, VoxelGrid
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.register.align import align
from ketamap.register.engine import Picture
from ketamap.register.reference import Reference, reference_at
from ketamap.register.refits import DISTURBANCE_UM, disturbance, estimate_error
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
