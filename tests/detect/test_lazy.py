"""ketamap.detect.lazy"""

import threading

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from ketamap.core.errors import ImageError, InputError, ResourceError
from ketamap.core.settings import DetectionSettings
from ketamap.core.space import VoxelGrid
from ketamap.core.volume import Volume
from ketamap.detect import Resources, find_cells
from ketamap.detect.blocks import BASE_BYTES
from tests.detect.made import cell_image, found_um, spread_centres, volume_of

SMALL = DetectionSettings(soma_diameter_um=3.0)
"""Three voxels of 1 um."""

SHAPE = (40, 60, 66)
CENTRES = spread_centres(SHAPE, 90, least=6.0, seed=1)
IMAGE = cell_image(SHAPE, CENTRES, sigma=1.0)


def cells_in(image, spacing_um=(1.0, 1.0, 1.0), settings_=SMALL, **options):
    return find_cells(volume_of(image, spacing_um), settings_, **options)


def same_cells(one, two, within_um):
    """Share of cells of either table that have a partner in the other."""
    if not len(one) or not len(two):
        return float(len(one) == len(two))
    near, _ = cKDTree(two).query(one)
    back, _ = cKDTree(one).query(two)
    return min(np.mean(near <= within_um), np.mean(back <= within_um))


def test_planted_cells_are_found_where_they_are():
    found = cells_in(IMAGE)
    inside = np.all((CENTRES >= 1) & (np.array(SHAPE) - 1 > CENTRES), axis=1)
    distance, which = cKDTree(found_um(found)).query(CENTRES[inside])
    assert distance.max() < 0.5
    assert len(set(which)) == inside.sum()
    assert len(found) <= len(CENTRES)
    assert list(found.columns) == ["z_um", "y_um", "x_um", "score"]
    assert found.score.between(0, 1).all()


@pytest.mark.parametrize("height", [100, 1000, 50000])
def test_a_cell_that_stands_out_is_certain_however_bright(height):
    image = cell_image((24, 40, 40), [(12, 20, 20)], sigma=1.0, height=height)
    table = cells_in(image)
    np.testing.assert_allclose(found_um(table), [(12, 20, 20)], atol=0.3)
    assert table.score[0] > 0.95


def test_dimmer_cells_score_lower():
    scores = []
    for height in (20, 30, 200):
        image = cell_image((24, 40, 40), [(12, 20, 20)], sigma=1.0, height=height)
        table = cells_in(image, settings_=DetectionSettings(soma_diameter_um=3.0, min_score=0.0))
        near, which = cKDTree(found_um(table)).query((12, 20, 20))
        assert near < 1.5
        scores.append(table.score[which])
    assert scores[0] < scores[1] < scores[2]


@settings(deadline=None, max_examples=12)
@given(
    extra=st.integers(1_600_000, 12_000_000),
    workers=st.integers(1, 3),
    stored=st.tuples(*[st.sampled_from([1, 20, 33])] * 3),
    seed=st.integers(0, 1000),
)
def test_memory_workers_and_storage_do_not_change_a_bit(extra, workers, stored, seed):
    centres = np.random.default_rng(seed).uniform(0, np.array(SHAPE) - 1, (60, 3))
    image = cell_image(SHAPE, centres, sigma=1.0, seed=seed).astype(np.uint16)
    whole = cells_in(image)
    cut = find_cells(
        volume_of(image, block_shape=stored),
        SMALL,
        resources=Resources(memory_bytes=BASE_BYTES + workers * extra, workers=workers),
    )
    pd.testing.assert_frame_equal(whole, cut, check_exact=True)


def test_small_memory_really_cuts_the_volume():
    totals = []
    memory = BASE_BYTES + 1_100_000
    cells_in(
        IMAGE, resources=Resources(memory_bytes=memory), progress=lambda _, n: totals.append(n)
    )
    assert totals[0] >= 8
    assert len(totals) == totals[0] + 1


def test_cells_on_the_borders_of_tiles_are_neither_lost_nor_doubled():
    # tiles of 24 voxels meet at 24: faces, edges and the corner of eight blocks
    line = (12, 24, 36)
    last_or_first = np.random.default_rng(0).integers(0, 2, (27, 3))
    centres = np.array([(z, y, x) for z in line for y in line for x in line]) - last_or_first
    image = cell_image((48, 48, 48), centres, sigma=1.0)
    cut = Resources(memory_bytes=BASE_BYTES + 1_100_000)
    found = found_um(cells_in(image, resources=cut))
    assert len(found) == len(centres)
    assert cKDTree(found).query(centres)[0].max() < 0.5


@settings(deadline=None, max_examples=15)
@given(gain=st.floats(0.25, 4.0), shift=st.floats(0.0, 2000.0))
def test_gain_and_shift_change_no_more_than_a_hundredth_of_the_cells(gain, shift):
    one = found_um(cells_in(IMAGE))
    two = found_um(cells_in((IMAGE * np.float32(gain) + np.float32(shift)).astype(np.float32)))
    assert same_cells(one, two, 0.1) >= 0.99


@pytest.mark.parametrize("noise", [5.0, 30.0])
@pytest.mark.parametrize("seed", [0, 7])
def test_noise_and_contrast_doubled_change_no_more_than_a_hundredth_of_the_cells(noise, seed):
    one = cell_image(SHAPE, CENTRES, sigma=1.0, height=400.0, noise=noise)
    two = cell_image(SHAPE, CENTRES, sigma=1.0, height=800.0, noise=2 * noise, seed=seed)
    assert same_cells(found_um(cells_in(one)), found_um(cells_in(two)), 1.0) >= 0.99


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flipping_changes_no_more_than_a_hundredth_of_the_cells(axis):
    one = found_um(cells_in(IMAGE))
    two = found_um(cells_in(np.ascontiguousarray(np.flip(IMAGE, axis))))
    two[:, axis] = IMAGE.shape[axis] - 1 - two[:, axis]
    assert same_cells(one, two, 0.1) >= 0.99


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_swapping_axes_with_their_spacing_changes_no_more_than_a_hundredth(order):
    spacing = (2.5, 1.0, 1.0)
    centres = spread_centres((24, 60, 66), 60, least=6.0, seed=3)
    image = cell_image((24, 60, 66), centres, sigma=(0.8, 2.0, 2.0))
    setting = DetectionSettings(soma_diameter_um=6.0)
    one = found_um(cells_in(image, spacing, setting))
    turned = np.ascontiguousarray(np.transpose(image, order))
    two = found_um(cells_in(turned, tuple(spacing[a] for a in order), setting))
    assert len(one) > 40
    assert same_cells(one[:, list(order)], two, 0.3) >= 0.99


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_voxel_types_give_the_same_cells(dtype):
    image = np.clip(IMAGE * 0.4, 0, 255)
    one, two = found_um(cells_in(image.astype(dtype))), found_um(cells_in(image))
    assert same_cells(one, two, 0.2) >= 0.98


def test_voxels_finer_than_needed_give_the_same_cells():
    fine = np.repeat(np.repeat(IMAGE, 2, axis=1), 2, axis=2)
    one = found_um(cells_in(IMAGE, (2.0, 2.0, 2.0), DetectionSettings(soma_diameter_um=7.0)))
    two = found_um(cells_in(fine, (2.0, 1.0, 1.0), DetectionSettings(soma_diameter_um=7.0)))
    assert same_cells(one, two - (0.0, 0.5, 0.5), 0.7) >= 0.98


def test_noise_alone_has_no_cells():
    image = np.random.default_rng(0).normal(100, 10, (40, 80, 80)).astype(np.float32)
    assert len(cells_in(image)) == 0


def test_cells_in_one_corner_of_an_empty_volume_are_found_and_the_rest_is_silent():
    image = np.zeros((30, 80, 80), dtype=np.uint16)
    image[:, :40, :40] = cell_image((30, 40, 40), [(15, 20, 20)], sigma=1.0).astype(np.uint16)
    found = found_um(cells_in(image))
    near = np.linalg.norm(found - (15, 20, 20), axis=1)
    assert len(found) == 1
    assert near[0] < 0.5


def test_min_score_leaves_out_the_less_certain():
    table = cells_in(IMAGE)
    limit = float(table.score.median())
    cut = cells_in(IMAGE, settings_=DetectionSettings(soma_diameter_um=3.0, min_score=limit))
    expected = table[table.score >= limit].reset_index(drop=True)
    pd.testing.assert_frame_equal(cut, expected)


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_an_image_of_one_value_gives_an_empty_valid_table(value):
    table = cells_in(np.full((20, 30, 40), value, dtype=np.uint16))
    assert len(table) == 0
    assert list(table.dtypes) == [np.dtype(float)] * 4


def test_one_plane_works():
    centres = np.array([(0, 15, 15), (0, 30, 40), (0, 45, 20)], dtype=float)
    found = found_um(cells_in(cell_image((1, 60, 60), centres, sigma=1.0)))
    assert len(found) == 3
    assert cKDTree(found).query(centres)[0].max() < 0.5


def test_a_volume_thinner_than_a_soma_works():
    centres = np.array([(1, 15, 15), (1, 30, 40)], dtype=float)
    image = cell_image((3, 60, 60), centres, sigma=2.5)
    found = found_um(cells_in(image, settings_=DetectionSettings(soma_diameter_um=7.0)))
    assert len(found) == 2


def test_what_both_channels_show_is_not_a_cell():
    spots = spread_centres(SHAPE, 60, least=9.0, seed=5, margin=4)
    both, mine = spots[::2], spots[1::2]
    shared = cell_image(SHAPE, both, sigma=1.0, noise=0.0, base=0.0)
    rough = np.random.default_rng(9).normal(0, 20, SHAPE).astype(np.float32)
    signal = cell_image(SHAPE, mine, sigma=1.0) + shared + rough
    background = cell_image(SHAPE, [], sigma=1.0, seed=8) + shared + rough
    found = found_um(find_cells(volume_of(signal), SMALL, background=volume_of(background)))
    assert same_cells(found, mine, 0.7) >= 0.9
    assert cKDTree(found).query(both)[0].min() > 3.0


def test_nan_is_an_error_that_names_the_image_and_the_place():
    image = IMAGE.copy()
    image[3, 4, 5] = np.nan
    with pytest.raises(ImageError, match=r"test image, voxels .*NaN"):
        cells_in(image)


def test_a_background_of_another_shape_is_refused():
    with pytest.raises(ImageError, match="sampled alike"):
        find_cells(volume_of(IMAGE), SMALL, background=volume_of(IMAGE[:-1]))


def test_voxels_that_are_not_real_numbers_are_refused():
    with pytest.raises(ImageError, match="complex64"):
        cells_in(IMAGE.astype(np.complex64))


def test_no_workers_are_refused():
    with pytest.raises(InputError, match="workers"):
        Resources(workers=0)


class Unreadable:
    shape = (400, 4000, 4000)
    dtype = np.dtype(np.uint16)

    def __getitem__(self, key):
        raise AssertionError("read before the memory was checked")


def test_too_little_memory_is_refused_before_anything_is_read():
    grid = VoxelGrid(shape=Unreadable.shape, spacing_um=(5.0, 2.0, 2.0))
    with pytest.raises(ResourceError, match="GiB"):
        find_cells(
            Volume(data=Unreadable(), grid=grid),
            DetectionSettings(),
            resources=Resources(memory_bytes=100 * 2**20),
        )


def test_a_lazy_image_is_read_block_by_block():
    largest = []
    lock = threading.Lock()

    class Watched:
        shape, dtype = IMAGE.shape, IMAGE.dtype

        def __getitem__(self, key):
            block = IMAGE[key]
            with lock:
                largest.append(block.size)
            return block

    grid = VoxelGrid(shape=SHAPE, spacing_um=(1.0, 1.0, 1.0))
    cut = Resources(memory_bytes=BASE_BYTES + 2 * 1_100_000, workers=2)
    table = find_cells(Volume(data=Watched(), grid=grid), SMALL, resources=cut)
    pd.testing.assert_frame_equal(table, cells_in(IMAGE))
    assert max(largest) < 0.8 * IMAGE.size


def test_a_dask_image_gives_the_same_cells():
    grid = VoxelGrid(shape=SHAPE, spacing_um=(1.0, 1.0, 1.0))
    lazy = Volume(data=da.from_array(IMAGE, chunks=20), grid=grid)
    found = find_cells(lazy, SMALL, resources=Resources(workers=2))
    pd.testing.assert_frame_equal(found, cells_in(IMAGE))
