"""ketamap.phantom.warping"""

import numpy as np
import pytest

from ketamap.phantom.deformation import random_transform, sample_grid
from ketamap.phantom.warping import carry_image, carry_labels, unit_volume, volumes_mm3


@pytest.fixture(scope="module")
def carried(atlas):
    transform = random_transform(atlas, 7)
    grid = sample_grid(atlas, transform, (80.0, 100.0, 120.0))
    return transform, grid, carry_labels(unit_volume(atlas), atlas.grid, transform, grid)


def test_units_name_structure_and_side(atlas):
    units = unit_volume(atlas)
    inside = atlas.brain_mask
    np.testing.assert_array_equal(units >= 0, inside)
    np.testing.assert_array_equal(
        atlas.structures.ids[units[inside] // 2], atlas.annotation[inside]
    )
    points_um = atlas.grid.to_um(np.argwhere(inside))
    np.testing.assert_array_equal(units[inside] % 2 == 0, atlas.is_left(points_um))


def test_carried_labels_are_those_of_the_exact_transform(atlas, carried):
    transform, grid, labels = carried
    picked = np.argwhere(labels > -2)[::53]
    exact = atlas.regions_at(transform.to_atlas(grid.to_um(picked)))
    unit = labels[tuple(picked.T)]
    found = np.where(unit >= 0, atlas.structures.ids[unit // 2], 0)
    assert np.mean(found == np.maximum(exact, 0)) > 0.99


def test_a_carried_image_is_that_of_the_exact_transform(atlas, carried):
    transform, grid, _ = carried
    exact = transform.image_to_sample(atlas.template, atlas.grid, grid)
    fast = carry_image(atlas.template, atlas.grid, transform, grid)
    middle = (slice(20, -20), slice(None), slice(None))  # the faces of the atlas cut differently
    assert np.percentile(np.abs(fast - exact)[middle], 99.5) < 2.0  # of about 140


def test_volumes_scale_with_the_affine(atlas, carried):
    transform, grid, labels = carried
    n = len(atlas.structures)
    at_home = volumes_mm3(unit_volume(atlas), atlas.grid, n)
    in_sample = volumes_mm3(labels, grid, n)
    assert at_home.sum() == pytest.approx(
        np.count_nonzero(atlas.brain_mask) * atlas.grid.voxel_volume_mm3
    )
    ratio = in_sample.sum() / (at_home.sum() * abs(transform.affine.determinant))
    assert ratio == pytest.approx(1.0, abs=0.05)
