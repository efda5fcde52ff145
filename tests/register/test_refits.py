"""ketamap.register.refits"""

import numpy as np
import pytest

from ketamap.core.settings import RegistrationSettings
from ketamap.core.space import ATLAS_ORIENTATION, VoxelGrid
from ketamap.register.align import align
from ketamap.register.refits import DISTURBANCE_UM, disturbance
from tests.register.scenes import toy_atlas, warped

GRID = VoxelGrid(shape=(30, 25, 20), spacing_um=(200.0,) * 3)


def test_a_disturbance_has_its_size_repeats_and_is_undone_by_its_opposite():
    one, again, other = (disturbance(GRID, 3, sign) for sign in (1.0, 1.0, -1.0))
    np.testing.assert_array_equal(one.vectors_um, again.vectors_um)
    np.testing.assert_array_equal(one.vectors_um, -other.vectors_um)
    rms = np.sqrt(np.sum(one.vectors_um.astype(float) ** 2, axis=0).mean())
    assert rms == pytest.approx(DISTURBANCE_UM, rel=1e-3)


def test_a_disturbance_does_not_fold():
    gradient = np.gradient(disturbance(GRID, 1, 1.0).vectors_um[0], 200.0, axis=0)
    assert np.abs(gradient).max() < 0.9


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


def test_no_refits_no_estimate():
    atlas = toy_atlas(200.0)
    volume, _ = warped(atlas, orientation=ATLAS_ORIENTATION, spacing_um=200.0)
    settings = RegistrationSettings(resolution_um=200.0, iterations=(5, 0, 0), refits=0)
    registration = align(volume, atlas, orientation=ATLAS_ORIENTATION, settings=settings)
    assert registration.error is None
    assert np.isnan(registration.quality.error_median_um)
