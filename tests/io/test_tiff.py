"""ketamap.io.tiff"""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ketamap.core.errors import ImageError
from ketamap.io.images import describe_image, open_image
from ketamap.io.tiff import PagedStack, RawStack, open_tiff

SHAPE = (7, 45, 52)
VOXEL_UM = (5.0, 2.0, 2.0)


def a_stack(shape=SHAPE, dtype=np.uint16, seed=0):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


LAYOUTS = {
    "plain": {},
    "lzw": {"compression": "lzw", "rowsperstrip": 8},
    "zlib with predictor": {"compression": "zlib", "predictor": True, "rowsperstrip": 11},
    "zstd tiles": {"compression": "zstd", "tile": (16, 32)},
    "plain tiles": {"tile": (16, 16)},
    "big-endian": {"byteorder": ">"},
    "big-endian zlib": {"byteorder": ">", "compression": "zlib"},
    "BigTIFF": {"bigtiff": True, "compression": "zlib"},
    "ImageJ": {"imagej": True},
    "OME": {"ome": True, "compression": "zlib"},
}


@pytest.fixture(scope="module")
def stacks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacks")
    for name, options in LAYOUTS.items():
        metadata = {"axes": "ZYX"}
        tifffile.imwrite(folder / f"{name}.tif", a_stack(), metadata=metadata, **options)
    return folder


def any_slice(size):
    return st.slices(size).filter(lambda s: s.step is None or s.step > 0)


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(key=st.tuples(*(any_slice(n) for n in SHAPE)))
def test_any_block_of_any_layout_is_what_was_written(stacks, layout, key):
    volume = open_image(stacks / f"{layout}.tif", voxel_um=VOXEL_UM)
    block = volume.data[key]
    np.testing.assert_array_equal(block, a_stack()[key])
    assert block.dtype == np.uint16
    assert block.dtype.isnative


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_the_type_of_the_voxels_is_kept(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", a_stack(dtype=dtype), compression="zlib")
    loaded = open_image(tmp_path / "a.tif", voxel_um=VOXEL_UM).load()
    np.testing.assert_array_equal(loaded, a_stack(dtype=dtype))
    assert loaded.dtype == dtype


def test_uncompressed_stacks_are_mapped_and_others_read_by_page(stacks):
    assert isinstance(open_tiff(stacks / "plain.tif").data, RawStack)
    assert isinstance(open_tiff(stacks / "lzw.tif").data, PagedStack)


def test_a_small_block_decodes_only_the_strips_it_touches(stacks, monkeypatch):
    read = []
    original = tifffile.FileHandle.read_segments

    def counted(self, offsets, *args, **options):
        read.append(len(offsets))
        return original(self, offsets, *args, **options)

    monkeypatch.setattr(tifffile.FileHandle, "read_segments", counted)
    volume = open_image(stacks / "lzw.tif", voxel_um=VOXEL_UM)
    volume.read((2, 9, 0), (3, 15, 4))  # rows 9 to 14 lie in the second strip of 8 rows
    assert read == [1]


@pytest.mark.parametrize("layout", ["plain", "zstd tiles"])
def test_many_threads_read_the_same_voxels(stacks, layout):
    volume = open_image(stacks / f"{layout}.tif", voxel_um=VOXEL_UM)
    with ThreadPoolExecutor(4) as pool:
        planes = list(pool.map(lambda z: volume.data[z], list(range(7)) * 8))
    np.testing.assert_array_equal(np.stack(planes[:7]), a_stack())
    np.testing.assert_array_equal(np.stack(planes[-7:]), a_stack())


@pytest.mark.parametrize("layout", ["plain", "lzw"])
def test_a_copy_for_a_worker_is_small_and_reads_the_same(stacks, layout):
    volume = open_image(stacks / f"{layout}.tif", voxel_um=VOXEL_UM)
    packed = pickle.dumps(volume)
    assert len(packed) < 2000
    np.testing.assert_array_equal(pickle.loads(packed).load(), a_stack())


def test_ome_metadata_gives_the_spacing_in_any_unit(tmp_path):
    metadata = {
        "axes": "ZYX", "PhysicalSizeZ": 5, "PhysicalSizeY": 2000, "PhysicalSizeX": 0.002,
        "PhysicalSizeYUnit": "nm", "PhysicalSizeXUnit": "mm",
    }  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", a_stack(), metadata=metadata)
    assert describe_image(tmp_path / "a.ome.tif").spacing_um == pytest.approx((5, 2, 2))


@pytest.mark.parametrize(
    ("unit", "factor"), [("um", 1), ("micron", 1), ("\\u00B5m", 1), ("mm", 1000), ("nm", 0.001)]
)
def test_imagej_metadata_gives_the_spacing_where_it_names_a_unit(tmp_path, unit, factor):
    tifffile.imwrite(
        tmp_path / "a.tif", a_stack(), imagej=True, resolution=(1 / 2, 1 / 4),
        metadata={"axes": "ZYX", "spacing": 5, "unit": unit},
    )  # fmt: skip
    expected = (5 * factor, 4 * factor, 2 * factor)
    assert describe_image(tmp_path / "a.tif").spacing_um == pytest.approx(expected)


@pytest.mark.parametrize("unit", ["pixel", "", "parsec"])
def test_spacing_without_a_unit_of_length_is_not_believed(tmp_path, unit):
    tifffile.imwrite(
        tmp_path / "a.tif", a_stack(), imagej=True, resolution=(1, 1),
        metadata={"axes": "ZYX", "spacing": 5, "unit": unit},
    )  # fmt: skip
    assert describe_image(tmp_path / "a.tif").spacing_um is None


def test_a_spacing_of_zero_in_the_file_counts_as_not_stated(tmp_path):
    metadata = {"axes": "ZYX", "PhysicalSizeZ": 0, "PhysicalSizeY": 2, "PhysicalSizeX": 2}
    tifffile.imwrite(tmp_path / "a.ome.tif", a_stack(), metadata=metadata)
    assert describe_image(tmp_path / "a.ome.tif").spacing_um is None


@pytest.mark.parametrize(
    ("axes", "options"),
    [
        ("ZCYX", {"imagej": True}),
        ("CZYX", {"ome": True}),
        ("ZCYX", {"ome": True, "tile": (16, 16)}),
    ],
)
def test_one_channel_of_several_is_chosen(tmp_path, axes, options):
    stack = a_stack((4, 2, 20, 30) if axes == "ZCYX" else (2, 4, 20, 30))
    tifffile.imwrite(tmp_path / "a.tif", stack, metadata={"axes": axes}, **options)
    for channel in (0, 1):
        volume = open_image(tmp_path / "a.tif", voxel_um=VOXEL_UM, channel=channel)
        expected = stack[:, channel] if axes == "ZCYX" else stack[channel]
        np.testing.assert_array_equal(volume.load(), expected)
        np.testing.assert_array_equal(volume.data[1:3, 4, 5:9], expected[1:3, 4, 5:9])


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((45, 52), {}, "2D image"),
        ((45, 52, 3), {"photometric": "rgb"}, "colour image"),
        ((7, 45, 52, 3), {"photometric": "rgb"}, "colour image"),
        ((7, 3, 45, 52), {"photometric": "rgb", "planarconfig": "separate"}, "colour image"),
        ((5, 45, 52), {"imagej": True, "metadata": {"axes": "TYX"}}, "labelled as time"),
        ((2, 3, 45, 52), {"photometric": "minisblack"}, "cannot be told apart"),
    ],
)
def test_what_is_not_one_grey_volume_is_refused(tmp_path, shape, options, words):
    tifffile.imwrite(tmp_path / "a.tif", a_stack(shape, np.uint8), **options)
    with pytest.raises(ImageError, match=words):
        open_image(tmp_path / "a.tif", voxel_um=VOXEL_UM)


def test_time_points_are_refused(tmp_path):
    stack = a_stack((2, 3, 20, 30))
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(ImageError, match="2 time points"):
        open_image(tmp_path / "a.tif", voxel_um=VOXEL_UM)


def test_complex_voxels_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", a_stack().astype(np.complex64))
    with pytest.raises(ImageError, match="complex64"):
        open_image(tmp_path / "a.tif", voxel_um=VOXEL_UM)


def test_images_of_different_shapes_in_one_file_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(a_stack((4, 20, 30)), photometric="minisblack")
        tif.write(a_stack((4, 10, 30)), photometric="minisblack")
    with pytest.raises(ImageError, match="2 images, of shapes"):
        open_image(tmp_path / "a.tif", voxel_um=VOXEL_UM)


def test_a_file_that_is_no_tiff_is_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"PK\3\4 something else entirely")
    with pytest.raises(ImageError, match=r"a\.tif cannot be read as TIFF"):
        open_image(tmp_path / "a.tif", voxel_um=VOXEL_UM)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("share", [0.4, 0.97])
def test_a_file_that_was_cut_short_is_refused(stacks, tmp_path, layout, share):
    whole = (stacks / f"{layout}.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ImageError, match=r"a\.tif"):
        open_image(tmp_path / "a.tif", voxel_um=VOXEL_UM)


def test_damage_inside_a_file_is_refused_when_it_is_read(stacks, tmp_path):
    content = bytearray((stacks / "zlib with predictor.tif").read_bytes())
    offset = open_tiff(stacks / "zlib with predictor.tif").data._where[3][0][0]
    content[offset : offset + 50] = bytes(50)
    (tmp_path / "a.tif").write_bytes(content)
    volume = open_image(tmp_path / "a.tif", voxel_um=VOXEL_UM)
    np.testing.assert_array_equal(volume.data[2], a_stack()[2])
    with pytest.raises(ImageError, match=r"a\.tif is damaged"):
        volume.data[3]


@pytest.mark.data
def test_the_real_stacks_are_read_as_tifffile_reads_them(shared_data):
    for name in ("brain/mouse_brain_50x40x40um_psl.tif", "cells/signal_5x2x2um.tif"):
        volume = open_image(shared_data / name, voxel_um=VOXEL_UM)
        np.testing.assert_array_equal(volume.load(), tifffile.imread(shared_data / name))
