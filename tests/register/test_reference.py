"""ketamap.register.reference"""

import numpy as np
import pytest

from ketamap.register.reference import HEMISPHERE_MARGIN_UM, reference_at
from tests.register.scenes import toy_atlas


def test_at_its_own_resolution_the_atlas_is_unchanged():
    atlas = toy_atlas(200.0)
    reference = reference_at(atlas, 200.0)
    assert reference.grid == atlas.grid
    np.testing.assert_array_equal(reference.template, atlas.template)
    np.testing.assert_array_equal(reference.mask, atlas.brain_mask)


def test_a_coarser_reference_keeps_place_and_volume():
    atlas = toy_atlas(100.0)
    reference = reference_at(atlas, 200.0)
    fine_mm3 = atlas.brain_mask.sum() * atlas.grid.voxel_volume_mm3
    coarse_mm3 = reference.mask.sum() * reference.grid.voxel_volume_mm3
    assert coarse_mm3 == pytest.approx(fine_mm3, rel=0.02)
    np.testing.assert_allclose(
        reference.grid.to_um(np.argwhere(reference.mask)).mean(axis=0),
        atlas.grid.to_um(np.argwhere(atlas.brain_mask)).mean(axis=0),
        atol=10.0,
    )


@pytest.mark.parametrize("extent", ["left", "right"])
def test_one_hemisphere_lies_on_its_side_of_the_midline(extent):
    atlas = toy_atlas(200.0)
    half = reference_at(atlas, 200.0, extent)
    points = half.grid.to_um(np.argwhere(half.mask))
    assert np.all(atlas.is_left(points) == (extent == "left"))
    beyond = half.grid.to_um(np.argwhere(half.template > 0))
    assert np.all(atlas.is_left(beyond) == (extent == "left"))
    ml = half.grid.origin_um[2] + np.array([0, half.grid.shape[2] - 1]) * 200.0
    assert np.abs(ml - atlas.midline_um).min() <= HEMISPHERE_MARGIN_UM


def test_the_two_hemispheres_make_the_whole():
    atlas = toy_atlas(200.0)
    whole = reference_at(atlas, 200.0).mask.sum()
    assert whole == sum(reference_at(atlas, 200.0, side).mask.sum() for side in ("left", "right"))
