"""ketamap.io.ome_zarr"""

import math
from concurrent.futures import ThreadPoolExecutor

import ngff_zarr
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ketamap.core.errors import ImageError, InputError, ResourceError
from ketamap.core.space import VoxelGrid
from ketamap.io.images import describe_image, open_image
from ketamap.io.ome_zarr import block_bounds, create_image, write_image

CHUNK, SHARD = (8, 8, 8), (16, 16, 16)
TYPES = (np.uint8, np.uint16, np.int16, np.uint32, np.float32)


def a_grid(shape, origin_um=(0.0, 0.0, 0.0)):
    return VoxelGrid(shape=shape, spacing_um=(5.0, 2.0, 2.5), origin_um=origin_um)


def an_array(shape, dtype=np.uint16, seed=0):
    return np.random.default_rng(seed).integers(0, 120, shape).astype(dtype)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    dtype=st.sampled_from(TYPES),
    origin_um=st.tuples(*[st.sampled_from([0.0, 12.5, -3.0])] * 3),
)
def test_reading_gives_back_what_was_written(tmp_path_factory, shape, dtype, origin_um):
    path = tmp_path_factory.mktemp("zarr") / "a.ome.zarr"
    grid, array = a_grid(shape, origin_um), an_array(shape, dtype)
    write_image(path, array, grid, chunk=CHUNK, shard=SHARD)
    volume = open_image(path)
    assert volume.grid.shape == grid.shape
    assert volume.grid.spacing_um == pytest.approx(grid.spacing_um, rel=1e-12)
    assert volume.grid.origin_um == pytest.approx(grid.origin_um, rel=1e-12)
    np.testing.assert_array_equal(volume.load(), array)
    assert volume.load().dtype == dtype


def test_blocks_may_be_written_in_any_order_by_several_threads(tmp_path):
    shape = (20, 37, 50)
    array = an_array(shape)
    with create_image(tmp_path / "a.zarr", a_grid(shape), "u2", chunk=CHUNK, shard=SHARD) as writer:
        assert writer.block_shape == (16, 16, 16)

        def write(bounds):
            start, stop = bounds
            writer.write(start, array[tuple(map(slice, start, stop))])

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(write, reversed(list(block_bounds(shape, writer.block_shape)))))
        writer.finish()
    np.testing.assert_array_equal(open_image(tmp_path / "a.zarr").load(), array)


@pytest.mark.parametrize(
    ("start", "shape"),
    [((0, 0, 8), (16, 16, 16)), ((0, 0, 0), (8, 16, 16)), ((0, 0, 32), (16,) * 3)],
)
def test_a_block_across_shards_is_refused(tmp_path, start, shape):
    grid = a_grid((32, 32, 40))
    with create_image(tmp_path / "a.zarr", grid, "u2", chunk=CHUNK, shard=SHARD) as writer:
        with pytest.raises(InputError, match="multiples of 16"):
            writer.write(start, np.ones(shape, np.uint16))
        writer.finish()
    assert not open_image(tmp_path / "a.zarr").load().any()


def test_several_shards_may_be_written_at_once(tmp_path):
    array = an_array((32, 32, 40))
    with create_image(
        tmp_path / "a.zarr", a_grid(array.shape), "u2", chunk=CHUNK, shard=SHARD
    ) as w:
        w.write((0, 0, 0), array[:, :16])
        w.write((0, 16, 0), array[:, 16:])
        w.finish()
    np.testing.assert_array_equal(open_image(tmp_path / "a.zarr").load(), array)


def a_pyramid(path, array, **options):
    write_image(path, array, a_grid(array.shape), chunk=(32, 32, 32), shard=(64, 64, 64), **options)
    return zarr.open_group(path, mode="r")


def test_coarser_levels_are_the_means_of_what_they_cover(tmp_path):
    array = an_array((6, 131, 300), np.float32)
    group = a_pyramid(tmp_path / "a.zarr", array)
    expected = array
    for level in ("1", "2"):
        padded = np.pad(expected, [(0, n % 2) for n in expected.shape], mode="edge")
        z, y, x = padded.shape
        expected = padded.reshape(z // 2, 2, y // 2, 2, x // 2, 2).mean(axis=(1, 3, 5))
        np.testing.assert_allclose(group[level][:], expected, rtol=1e-5)
    assert "3" not in group


def test_label_levels_hold_only_labels_that_are_there(tmp_path):
    array = np.random.default_rng(0).choice([0, 7, 2**40], (4, 150, 60)).astype(np.int64)
    group = a_pyramid(tmp_path / "a.zarr", array, labels=True)
    np.testing.assert_array_equal(group["1"][:], array[::2, ::2, ::2])


def test_sixty_four_bit_intensities_are_refused(tmp_path):
    with pytest.raises(ImageError, match="labels=True"):
        create_image(tmp_path / "a.zarr", a_grid((4, 4, 4)), np.int64)
    assert list(tmp_path.iterdir()) == []


def test_a_point_lies_at_the_same_place_in_every_level(tmp_path):
    """Plant a bright cube; its centre of mass in um must not move."""
    array = np.zeros((16, 64, 300), np.float32)
    array[4:8, 16:24, 96:104] = 100.0
    grid = a_grid(array.shape, origin_um=(1.0, 2.0, 3.0))
    write_image(tmp_path / "a.zarr", array, grid, chunk=CHUNK, shard=SHARD)
    scales = ngff_zarr.from_ngff_zarr(tmp_path / "a.zarr").images
    assert len(scales) == 3
    for image in scales:
        data = np.asarray(image.data)
        index = np.average(np.argwhere(data > 0), axis=0, weights=data[data > 0])
        um = [index[k] * image.scale[a] + image.translation[a] for k, a in enumerate("zyx")]
        assert um == pytest.approx([1 + 5.5 * 5, 2 + 19.5 * 2, 3 + 99.5 * 2.5])


def test_ngff_zarr_accepts_the_metadata(tmp_path):
    array = an_array((5, 20, 300))
    write_image(tmp_path / "a.ome.zarr", array, a_grid(array.shape), name="brain one")
    image = ngff_zarr.from_ngff_zarr(tmp_path / "a.ome.zarr", validate=False)
    assert image.metadata.name == "brain one"
    assert [a.unit for a in image.metadata.axes] == ["micrometer"] * 3
    np.testing.assert_array_equal(np.asarray(image.images[0].data), array)
    group = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    assert group.attrs["ome"]["version"] == "0.5"
    for dataset in group.attrs["ome"]["multiscales"][0]["datasets"]:
        kinds = [t["type"] for t in dataset["coordinateTransformations"]]
        assert kinds == ["scale", "translation"]  # in this order, one of each: OME-NGFF 0.5
        assert group[dataset["path"]].metadata.dimension_names == ("z", "y", "x")


def test_the_defaults_shard_large_images_and_fit_small_ones(tmp_path):
    with create_image(tmp_path / "a.zarr", a_grid((300, 600, 100)), "u2") as writer:
        assert writer.block_shape == (256, 256, 100)
        writer.finish()
    assert open_image(tmp_path / "a.zarr").block_shape == (64, 128, 100)  # decoded at once
    with create_image(tmp_path / "a.zarr", a_grid((3, 4, 5)), "u2") as writer:
        assert writer.block_shape == (3, 4, 5)


def start_and_fail(path, failure):
    with create_image(path, a_grid((4, 4, 4)), "u2") as writer:
        writer.write((0, 0, 0), np.ones((4, 4, 4), np.uint16))
        raise failure


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_an_image_that_failed(tmp_path, failure):
    with pytest.raises(failure):
        start_and_fail(tmp_path / "a.zarr", failure)
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_was_not_finished_is_not_there(tmp_path):
    with create_image(tmp_path / "a.zarr", a_grid((4, 4, 4)), "u2"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_explained_and_leaves_nothing(tmp_path, monkeypatch):
    writer = create_image(tmp_path / "a.zarr", a_grid((4, 4, 4)), "u2")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zarr.Array, "__setitem__", full)
    with pytest.raises(ResourceError, match=r"disk is full: .*a\.zarr"):
        writer.write((0, 0, 0), np.ones((4, 4, 4), np.uint16))
    assert list(tmp_path.iterdir()) == []


def test_an_older_image_is_replaced_and_other_folders_are_not(tmp_path):
    for value in (1, 2):
        write_image(tmp_path / "a.zarr", np.full((2, 2, 2), value, np.uint8), a_grid((2, 2, 2)))
    assert open_image(tmp_path / "a.zarr").load().max() == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.doc").write_text("years of work")
    with pytest.raises(InputError, match="no OME-Zarr image"):
        create_image(tmp_path / "mine", a_grid((2, 2, 2)), "u2")


def test_progress_ends_at_the_whole(tmp_path):
    told = []
    array = an_array((4, 40, 300))
    with create_image(tmp_path / "a.zarr", a_grid(array.shape), "u2") as writer:
        writer.write((0, 0, 0), array[..., :256])
        writer.finish(lambda done, total: told.append(done / total))
    assert told == sorted(told)
    assert math.isclose(told[-1], 1.0)


def test_an_array_of_another_shape_than_its_grid_is_refused(tmp_path):
    with pytest.raises(InputError, match="shape"):
        write_image(tmp_path / "a.zarr", np.zeros((2, 2, 3)), a_grid((2, 2, 2)))


def test_a_shard_that_is_no_multiple_of_a_chunk_is_refused(tmp_path):
    with pytest.raises(InputError, match="multiple"):
        create_image(tmp_path / "a.zarr", a_grid((9, 9, 9)), "u2", chunk=(4, 4, 4), shard=(6, 8, 8))


def test_the_summary_tells_the_pyramid(tmp_path):
    array = an_array((5, 20, 300))
    write_image(tmp_path / "a.ome.zarr", array, a_grid(array.shape))
    summary = describe_image(tmp_path / "a.ome.zarr")
    assert summary.format == "OME-Zarr 0.5"
    assert [level.shape for level in summary.levels] == [(5, 20, 300), (3, 10, 150), (2, 5, 75)]
    assert summary.levels[1].spacing_um == (10.0, 4.0, 5.0)
    assert "--voxel-um" not in summary.suggested_command
