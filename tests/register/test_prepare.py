"""ketamap.register.prepare"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.core.errors import ImageError
from ketamap.core.space import VoxelGrid
from ketamap.core.volume import Volume
from ketamap.register import prepare
from ketamap.register.prepare import coarse_image, enhance, isotropic_grid, otsu_threshold


def blob(grid, centre_um, sigma_um):
    axes = [grid.origin_um[k] + np.arange(n) * grid.spacing_um[k] for k, n in enumerate(grid.shape)]
    parts = [np.exp(-0.5 * ((a - c) / sigma_um) ** 2) for a, c in zip(axes, centre_um, strict=True)]
    return np.einsum("i,j,k->ijk", *parts)


def centroid_um(image, grid):
    weights = image / image.sum()
    return np.array(
        [
            (weights.sum(axis=tuple(j for j in range(3) if j != k)) @ np.arange(n))
            * grid.spacing_um[k]
            + grid.origin_um[k]
            for k, n in enumerate(image.shape)
        ]
    )


@settings(deadline=None, max_examples=25)
@given(
    spacing=st.tuples(*[st.floats(15.0, 130.0)] * 3),
    origin=st.tuples(*[st.floats(-500.0, 500.0)] * 3),
    resolution=st.sampled_from([50.0, 100.0, 150.0]),
    shift=st.tuples(*[st.floats(-150.0, 150.0)] * 3),
)
def test_a_blob_keeps_its_position_within_a_twentieth_of_a_voxel(
    spacing, origin, resolution, shift
):
    shape = tuple(int(2600.0 / um) for um in spacing)
    grid = VoxelGrid(shape=shape, spacing_um=spacing, origin_um=origin)
    planted = grid.centre_um + shift
    data = blob(grid, planted, 180.0).astype(np.float32)
    image, coarse = coarse_image(Volume(data=data, grid=grid), resolution)
    assert coarse.spacing_um == (resolution,) * 3
    assert np.all(np.abs(centroid_um(image, coarse) - planted) < 0.05 * resolution)


@settings(deadline=None, max_examples=25)
@given(
    shape=st.tuples(*[st.integers(1, 23)] * 3),
    block=st.one_of(st.none(), st.tuples(*[st.integers(1, 9)] * 3)),
    budget=st.integers(1, 3000),
)
def test_how_the_volume_is_read_does_not_change_the_means(shape, block, budget):
    data = np.random.default_rng(1).integers(0, 60000, shape).astype(np.uint16)
    grid = VoxelGrid(shape=shape, spacing_um=(25.0, 40.0, 10.0))
    whole, _ = coarse_image(Volume(data=data, grid=grid), 100.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "BLOCK_VOXELS", budget)
        parts, _ = coarse_image(Volume(data=data, grid=grid, block_shape=block), 100.0)
    np.testing.assert_array_equal(parts, whole)


def test_no_read_is_larger_than_the_budget_and_every_voxel_is_read_once():
    class Counting:
        shape = (40, 300, 200)
        dtype = np.dtype(np.uint16)

        def __init__(self):
            self.seen = np.zeros(self.shape, dtype=int)
            self.largest = 0

        def __getitem__(self, key):
            self.seen[key] += 1
            self.largest = max(self.largest, self.seen[key].size)
            return np.ones(self.seen[key].shape, dtype=np.uint16)

    for block in (None, (8, 64, 64), (40, 300, 200)):
        data = Counting()
        grid = VoxelGrid(shape=data.shape, spacing_um=(5.0, 2.0, 2.0))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prepare, "BLOCK_VOXELS", 150_000)
            coarse_image(Volume(data=data, grid=grid, block_shape=block), 100.0)
        assert data.largest <= 150_000
        assert np.all(data.seen == 1)


def test_whole_factors_give_plain_block_means():
    data = np.random.default_rng(2).random((8, 10, 12)).astype(np.float32)
    grid = VoxelGrid(shape=data.shape, spacing_um=(50.0, 50.0, 25.0))
    image, coarse = coarse_image(Volume(data=data, grid=grid), 100.0)
    expected = data.reshape(4, 2, 5, 2, 3, 4).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(image, expected, rtol=1e-6)
    assert coarse.origin_um == (25.0, 25.0, 37.5)


def test_a_constant_stays_constant_where_blocks_are_incomplete():
    grid = VoxelGrid(shape=(7, 11, 13), spacing_um=(30.0, 17.0, 45.0))
    image, _ = coarse_image(Volume(data=np.full(grid.shape, 7, np.uint8), grid=grid), 100.0)
    np.testing.assert_allclose(image, 7.0, rtol=1e-6)


def test_the_coarse_box_lies_on_the_same_centre():
    grid = VoxelGrid(
        shape=(101, 57, 33), spacing_um=(7.0, 13.0, 29.0), origin_um=(5.0, -8.0, 300.0)
    )
    coarse = isotropic_grid(grid, 100.0)
    np.testing.assert_allclose(coarse.centre_um, grid.centre_um)


def test_nan_is_refused_with_the_volume_named():
    data = np.ones((20, 20, 20), dtype=np.float32)
    data[3, 4, 5] = np.nan
    volume = Volume(
        data=data, grid=VoxelGrid(shape=data.shape, spacing_um=(50.0,) * 3), name="scan7"
    )
    with pytest.raises(ImageError, match=r"scan7 holds NaN"):
        coarse_image(volume, 100.0)


def test_progress_reaches_its_total():
    seen = []
    grid = VoxelGrid(shape=(9, 9, 9), spacing_um=(50.0,) * 3)
    coarse_image(
        Volume(data=np.ones(grid.shape), grid=grid, block_shape=(4, 4, 4)),
        100.0,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1][0] == seen[-1][1]


@settings(deadline=None, max_examples=30)
@given(scale=st.floats(0.01, 1000.0), offset=st.floats(-500.0, 500.0))
def test_enhancing_does_not_depend_on_brightness_or_offset(scale, offset):
    image = blob(VoxelGrid(shape=(20, 20, 20), spacing_um=(1.0,) * 3), (10, 9, 8), 4.0)
    plain = enhance(image.astype(np.float32))
    other = enhance((scale * image + offset).astype(np.float32))
    # float32 leaves fewer digits where a small image sits on a large offset
    assert np.abs(other - plain).max() < 0.05 + 2e-3 * abs(offset) / scale
    assert plain.min() == 0.0
    assert plain.max() == 1.0


def test_an_empty_image_is_refused():
    with pytest.raises(ImageError, match="empty"):
        enhance(np.full((5, 5, 5), 3.0, dtype=np.float32))


def test_otsu_agrees_with_an_exhaustive_search():
    rng = np.random.default_rng(3)
    image = np.concatenate([rng.normal(2.0, 0.5, 4000), rng.normal(8.0, 1.0, 2000)])

    def within(t):
        parts = (image[image <= t], image[image > t])
        return sum(p.size * p.var() for p in parts if p.size)

    best = min(np.linspace(image.min(), image.max(), 500), key=within)
    assert within(otsu_threshold(image)) <= within(best) * 1.001
