"""ketamap.core.transform"""

import numpy as np
import pytest

from ketamap.core.atlas import atlas_grid
from ketamap.core.errors import InputError
from ketamap.core.space import VoxelGrid
from ketamap.core.transform import AffineMap, DisplacementField, Transform, grid_points_um

GRID = atlas_grid((20, 16, 18), (100.0, 100.0, 100.0))


def affine():
    """Turn by 0.1 rad, mirror, stretch and shift: volume times 1.2."""
    turn = np.array([[np.cos(0.1), -np.sin(0.1), 0], [np.sin(0.1), np.cos(0.1), 0], [0, 0, -1.0]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.diag([1.2, 1.0, 1.0])
    matrix[:3, 3] = (300.0, -150.0, 1900.0)
    return AffineMap(matrix)


def waves(amplitude_um=40.0):
    """A smooth field and its inverse by fixed-point iteration, exact to the field's grid."""

    def displacement(points):
        z, y, x = (points / 1000.0).T
        return amplitude_um * np.stack(
            [np.sin(y) * np.cos(x), np.cos(z) * np.sin(x), np.sin(z) * np.cos(y)], axis=1
        )

    centres = np.concatenate([p for _, p in grid_points_um(GRID)])
    inverse = np.zeros_like(centres)
    for _ in range(30):
        inverse = -displacement(centres + inverse)

    def field(v):
        return DisplacementField(GRID, v.T.reshape(3, *GRID.shape).astype(np.float32))

    return field(displacement(centres)), field(inverse)


def warp():
    outward, inward = waves()
    return Transform(affine=affine(), outward=outward, inward=inward)


def interior_points(n=500):
    return np.random.default_rng(7).uniform(250, 1300, size=(n, 3))


def test_points_come_back_both_ways():
    transform, points = warp(), interior_points()
    np.testing.assert_allclose(transform.to_atlas(transform.to_sample(points)), points, atol=0.5)
    there = transform.to_sample(points)
    np.testing.assert_allclose(transform.to_sample(transform.to_atlas(there)), there, atol=0.5)
    assert np.max(transform.inverse_error_um(points)) < 0.6


def test_points_outside_the_field_are_nowhere_and_never_clamped():
    transform = Transform.from_affine(AffineMap(np.eye(4)), GRID)
    points = np.array([[-1.0, 50, 50], [50, 50, 1801.0], [np.nan, 50, 50], [1.0, 1.0, 1799.0]])
    carried = transform.to_sample(points)
    assert np.isnan(carried).all(axis=1).tolist() == [True, True, True, False]
    np.testing.assert_allclose(carried[3], points[3])


def test_an_image_carried_to_the_atlas_holds_the_right_place():
    transform = warp()
    sample = VoxelGrid(shape=(60, 60, 60), spacing_um=(40.0, 40.0, 40.0), origin_um=(0, -300.0, 0))
    centre_atlas = np.array([[950.0, 750.0, 850.0]])
    centre = transform.to_sample(centre_atlas)
    z, y, x = (sample.to_um(np.indices(sample.shape).reshape(3, -1).T) - centre).T
    blob = np.exp(-(z**2 + y**2 + x**2) / (2 * 150.0**2)).reshape(sample.shape) * 1000
    carried = transform.image_to_atlas(blob.astype(np.float32), sample, GRID)
    peak = np.unravel_index(np.argmax(carried), carried.shape)
    np.testing.assert_allclose(GRID.to_um(peak), centre_atlas[0], atol=51)


def test_labels_stay_labels():
    transform = warp()
    labels = np.random.default_rng(0).choice([0, 17, 993], size=GRID.shape)
    grid = VoxelGrid(shape=(30, 30, 30), spacing_um=(70.0,) * 3)
    carried = transform.image_to_sample(labels, GRID, grid, order=0, fill=-5)
    assert set(np.unique(carried)) <= {0, 17, 993, -5}


def test_the_jacobian_of_an_affine_map_is_its_volume_change():
    transform = Transform.from_affine(affine(), GRID)
    np.testing.assert_allclose(transform.jacobian_determinant(), 1.2, rtol=1e-5)


def test_the_jacobian_integrates_to_the_volume_of_the_warped_box():
    transform = warp()
    inner = transform.jacobian_determinant()[5:12, 5:12, 5:12].sum() * 1e6
    low, high = GRID.to_um((5, 5, 5)) - 50, GRID.to_um((11, 11, 11)) + 50
    lattice = VoxelGrid(shape=(100, 90, 90), spacing_um=(20.0,) * 3, origin_um=(600, 100, 500))
    carried = transform.to_atlas(np.concatenate([p for _, p in grid_points_um(lattice)]))
    with np.errstate(invalid="ignore"):
        volume = np.all((carried >= low) & (carried < high), axis=1).sum() * 20.0**3
    assert volume == pytest.approx(inner, rel=0.02)


def test_slabs_cover_a_grid_once_in_order():
    points = np.concatenate([p for _, p in grid_points_um(GRID)])
    expected = GRID.to_um(np.indices(GRID.shape).reshape(3, -1).T)
    np.testing.assert_allclose(points, expected)


def test_a_singular_matrix_is_refused():
    with pytest.raises(InputError, match="cannot be inverted"):
        AffineMap(np.diag([1.0, 0.0, 1.0, 1.0]))


def test_a_field_of_another_shape_is_refused():
    with pytest.raises(InputError, match="needs vectors"):
        DisplacementField(GRID, np.zeros((3, 2, 2, 2), dtype=np.float32))
