"""ketamap.quantify.density_maps"""

import numpy as np
import pytest

from ketamap.core.errors import InputError, TableError
from ketamap.core.registration import TissueMask
from ketamap.core.space import VoxelGrid
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.phantom import phantom_atlas, random_transform
from ketamap.quantify.density_maps import (
    density_map,
    kernel_volume_mm3,
    map_grid,
    sample_volume,
    tissue_of,
)
from tests.brains import tiny_atlas

ATLAS = tiny_atlas(shape=(24, 20, 28))
MIDDLE_UM = np.array([1200.0, 1000.0, 1400.0])


def scaled(factor=1.0, atlas=ATLAS):
    """A sample that is so many times as long in every direction."""
    return Transform.from_affine(AffineMap(np.diag([factor] * 3 + [1.0])), atlas.grid)


def tissue_and_sample(resolution_um=100.0, *, factor=1.0, seen=None, atlas=ATLAS, extent="whole"):
    tissue = tissue_of(atlas, map_grid(atlas, resolution_um), extent=extent)
    return tissue, sample_volume(tissue, scaled(factor, atlas), seen)


def lattice_of_points(tissue, per_axis):
    """Points that fill the voxels of the tissue evenly."""
    steps = (np.arange(per_axis) + 0.5) / per_axis - 0.5
    inside = np.argwhere(tissue.fraction > 0)
    offsets = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    return tissue.grid.to_um((inside[:, None] + offsets[None]).reshape(-1, 3))


@pytest.mark.parametrize("factor", [1.0, 1.25, 0.8])
def test_uniform_cells_give_a_constant_map_whatever_the_size_of_the_sample(factor):
    tissue, sample = tissue_and_sample(factor=factor)
    points = lattice_of_points(tissue, 2)
    made = density_map(points, None, sample, tissue.grid, 150.0)
    inside = tissue.fraction > 0
    expected = 8 / (0.001 * factor**3)  # 8 cells in 100 um cubes of the atlas
    np.testing.assert_allclose(made.density_per_mm3[inside], expected, rtol=1e-5)
    assert np.isnan(made.density_per_mm3[~inside]).all()


@pytest.mark.parametrize("factor", [1.0, 1.25])
def test_a_hole_in_the_tissue_has_no_density_and_takes_none_from_beside_it(factor):
    tissue = tissue_of(ATLAS, map_grid(ATLAS, 100.0))
    sample_grid = VoxelGrid(shape=(60, 60, 60), spacing_um=(60.0,) * 3)
    far = sample_grid.voxel_centres_um() - factor * MIDDLE_UM
    present = (np.linalg.norm(far, axis=1) > 450.0).reshape(sample_grid.shape)
    mask = TissueMask(grid=sample_grid, present=present)
    transform = scaled(factor)
    sample = sample_volume(tissue, transform, None, mask=mask)
    points = lattice_of_points(tissue, 4)
    there = mask.at(transform.to_sample(points))
    points = points[there]
    made = density_map(points, None, sample, tissue.grid, 150.0)
    centres = tissue.grid.voxel_centres_um()
    depth = np.linalg.norm(factor * (centres - MIDDLE_UM), axis=1).reshape(tissue.grid.shape)
    inside = tissue.fraction > 0
    assert np.isnan(made.density_per_mm3[inside & (depth < 300.0)]).all()
    kept = made.density_per_mm3[inside & (depth > 600.0)]
    np.testing.assert_allclose(kept, 64 / (0.001 * factor**3), rtol=0.05)
    assert np.isfinite(kept).all()
    whole = sample_volume(tissue, transform, None).volume_mm3.sum()
    assert sample.volume_mm3.sum() == pytest.approx(there.mean() * whole, rel=0.01)


def test_a_local_stretch_of_the_sample_is_divided_out():
    grid = ATLAS.grid
    ap = np.arange(grid.shape[0])[:, None, None] * 100.0
    vectors = np.zeros((3, *grid.shape), dtype=np.float32)
    vectors[0] = np.broadcast_to(60.0 * np.sin(ap / 300.0), grid.shape)
    field = DisplacementField(grid, vectors)
    transform = Transform(
        affine=AffineMap(np.eye(4)), outward=field, inward=DisplacementField.zero(grid)
    )
    tissue = tissue_of(ATLAS, grid)
    sample = sample_volume(tissue, transform, None)
    # cells of uniform density in the sample: as many in a voxel as it has sample volume
    centres = grid.to_um(np.argwhere(tissue.fraction > 0))
    true_stretch = 1.0 + 60.0 / 300.0 * np.cos((centres[:, 0] - 50.0) / 300.0)
    made = density_map(centres, 0.5 * true_stretch, sample, grid, 100.0)
    found = made.density_per_mm3[tissue.fraction > 0]
    assert np.ptp(true_stretch) > 0.35
    np.testing.assert_allclose(found, 500.0, rtol=0.01)


def test_the_volume_of_a_brain_is_that_of_its_sample():
    atlas = phantom_atlas(200.0)
    transform = random_transform(atlas, 3)
    tissue = tissue_of(atlas, map_grid(atlas, 200.0))
    sample = sample_volume(tissue, transform, None)
    # by dropping points into the sample and asking how many lie in the brain
    rng = np.random.default_rng(0)
    corners = transform.to_sample(atlas.grid.to_um(np.argwhere(atlas.brain_mask)))
    low, high = corners.min(axis=0) - 200.0, corners.max(axis=0) + 200.0
    points = rng.uniform(low, high, (200_000, 3))
    share = np.mean(atlas.regions_at(transform.to_atlas(points)) > 0)
    np.testing.assert_allclose(
        sample.volume_mm3.sum(), share * np.prod(high - low) / 1e9, rtol=0.01
    )


@pytest.mark.parametrize("resolution_um", [50.0, 100.0])
def test_mass_is_conserved_away_from_edges(resolution_um):
    tissue, sample = tissue_and_sample(resolution_um)
    points = MIDDLE_UM + np.random.default_rng(1).normal(0, 60.0, (50, 3))
    weights = np.random.default_rng(2).uniform(0.1, 2.0, 50)
    made = density_map(points, weights, sample, tissue.grid, 100.0)
    mass = np.nansum(made.density_per_mm3) * tissue.grid.voxel_volume_mm3
    np.testing.assert_allclose(mass, weights.sum(), rtol=1e-4)
    assert (made.used, made.left_out) == (50, 0)


@pytest.mark.parametrize("resolution_um", [50.0, 75.0, 100.0])
def test_the_kernel_is_in_um_whatever_the_voxel_size(resolution_um):
    tissue, sample = tissue_and_sample(resolution_um)
    made = density_map([MIDDLE_UM], None, sample, tissue.grid, 120.0)
    weight = np.nan_to_num(made.density_per_mm3)
    where = tissue.grid.to_um(np.moveaxis(np.indices(weight.shape), 0, -1))
    centre = np.array([np.average(where[..., k], weights=weight) for k in range(3)])
    spread = [np.sqrt(np.average((where[..., k] - centre[k]) ** 2, weights=weight)) for k in (0, 1)]
    np.testing.assert_allclose(spread, 120.0, rtol=0.01)
    # the cell is moved to the middle of its voxel
    assert np.all(np.abs(centre - MIDDLE_UM) <= resolution_um / 2 + 0.1)
    assert np.nanmax(made.density_per_mm3) <= 1.02 / ((2 * np.pi) ** 1.5 * 0.12**3)


def test_points_on_the_other_side_give_the_mirrored_map():
    tissue, sample = tissue_and_sample()
    points = MIDDLE_UM + np.random.default_rng(4).normal(0, 300.0, (200, 3))
    mirrored = points * [1, 1, -1] + [0, 0, 2 * ATLAS.midline_um]
    a, b = (density_map(p, None, sample, tissue.grid, 150.0) for p in (points, mirrored))
    np.testing.assert_allclose(a.density_per_mm3, b.density_per_mm3[:, :, ::-1], rtol=1e-5)


def test_what_the_image_does_not_show_is_no_tissue():
    half = VoxelGrid(shape=(13, 20, 28), spacing_um=(100.0,) * 3, origin_um=(50.0,) * 3)
    tissue, sample = tissue_and_sample(seen=half)
    assert np.all(sample.imaged[13:] == 0)
    np.testing.assert_array_equal(sample.imaged[:12], tissue.fraction[:12])
    points = lattice_of_points(tissue, 2)
    shown = points[points[:, 0] < 1300.0]
    made = density_map(shown, None, sample, tissue.grid, 150.0)
    known = np.isfinite(made.density_per_mm3)
    np.testing.assert_allclose(made.density_per_mm3[known], 8000.0, rtol=1e-5)
    assert not known[13:].any()
    assert known[12].any()


def test_a_voxel_that_the_image_cuts_has_a_part_of_its_volume():
    cut = VoxelGrid(shape=(49, 80, 112), spacing_um=(25.0,) * 3, origin_um=(12.5,) * 3)  # to 1225
    tissue, sample = tissue_and_sample(seen=cut)
    inside = tissue.fraction[12] > 0
    np.testing.assert_allclose(sample.imaged[12][inside], 0.25)
    np.testing.assert_allclose(sample.volume_mm3[12][inside], 0.00025, rtol=1e-5)


@pytest.mark.parametrize("extent", ["left", "right"])
def test_half_a_brain_has_tissue_on_one_side(extent):
    tissue, _ = tissue_and_sample(extent=extent)
    left = tissue.grid.to_um(np.argwhere(tissue.fraction > 0))[:, 2] >= ATLAS.midline_um
    assert np.all(left == (extent == "left"))
    assert tissue.fraction.sum() == pytest.approx(ATLAS.brain_mask.sum() / 2)


def test_a_coarse_map_holds_the_tissue_of_a_fine_atlas():
    for resolution_um in (100.0, 200.0, 300.0):
        tissue, sample = tissue_and_sample(resolution_um)
        np.testing.assert_allclose(
            sample.volume_mm3.sum(), ATLAS.brain_mask.sum() * 0.001, rtol=0.03
        )
        assert set(np.unique(tissue.region_id)) <= {0, 1, 2, 3}
        assert np.all((tissue.region_id > 0) == (tissue.fraction > 0))


def test_points_outside_the_tissue_are_counted_apart():
    tissue, sample = tissue_and_sample()
    points = [MIDDLE_UM, [50.0, 50.0, 50.0], [np.nan] * 3, [1e6, 0.0, 0.0]]
    made = density_map(points, None, sample, tissue.grid, 150.0)
    assert (made.used, made.left_out) == (1, 3)


def test_no_points_are_a_density_of_zero():
    tissue, sample = tissue_and_sample()
    made = density_map(np.empty((0, 3)), None, sample, tissue.grid, 150.0)
    assert np.nanmax(made.density_per_mm3) == 0.0


def test_the_kernel_volume_is_the_inverse_of_its_mean_height():
    x = np.linspace(-1.5, 1.5, 121)
    line = np.exp(-0.5 * (x / 0.15) ** 2)
    line /= line.sum() * (x[1] - x[0])
    squared = (np.sum(line**2) * (x[1] - x[0])) ** 3
    assert kernel_volume_mm3(150.0) == pytest.approx(1 / squared, rel=1e-6)


def test_what_cannot_be_mapped_is_refused():
    tissue, sample = tissue_and_sample()
    with pytest.raises(InputError, match="Widen the kernel"):
        density_map([MIDDLE_UM], None, sample, tissue.grid, 40.0)
    with pytest.raises(InputError, match="resolution_um"):
        map_grid(ATLAS, 5.0)
    with pytest.raises(TableError, match="1 points have 2 weights"):
        density_map([MIDDLE_UM], [1.0, 2.0], sample, tissue.grid, 150.0)
    with pytest.raises(TableError, match="0 or more"):
        density_map([MIDDLE_UM], [-1.0], sample, tissue.grid, 150.0)
