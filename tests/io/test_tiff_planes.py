"""ketamap.io.tiff_planes"""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile

from ketamap.core.errors import ImageError
from ketamap.io.images import describe_image, open_image

VOXEL_UM = (5.0, 2.0, 2.0)
STACK = np.random.default_rng(0).integers(0, 4000, (12, 20, 30)).astype(np.uint16)


def write_planes(folder, name="brain_{}.tif", numbers=range(12), **options):
    folder.mkdir(exist_ok=True)
    for plane, number in zip(STACK, numbers, strict=False):
        tifffile.imwrite(folder / name.format(number), plane, **options)
    return folder


@pytest.mark.parametrize("name", ["brain_{}.tif", "brain_Z{:04d}_C1.ome.tif", "{:02}.TIFF"])
@pytest.mark.parametrize("options", [{}, {"compression": "lzw", "rowsperstrip": 7}])
def test_planes_are_stacked_in_natural_order(tmp_path, name, options):
    volume = open_image(write_planes(tmp_path / "p", name, **options), voxel_um=VOXEL_UM)
    np.testing.assert_array_equal(volume.load(), STACK)
    np.testing.assert_array_equal(volume.data[2:11:3, 5:9, 29], STACK[2:11:3, 5:9, 29])


def test_planes_may_be_numbered_in_any_regular_step(tmp_path):
    folder = write_planes(tmp_path / "p", "z{:05d}um.tif", range(0, 120, 10))
    assert open_image(folder, voxel_um=VOXEL_UM).grid.shape == STACK.shape


def test_threads_and_copies_read_the_same(tmp_path):
    volume = open_image(write_planes(tmp_path / "p", compression="zlib"), voxel_um=VOXEL_UM)
    copy = pickle.loads(pickle.dumps(volume))
    with ThreadPoolExecutor(4) as pool:
        planes = list(pool.map(lambda z: copy.data[z], range(12)))
    np.testing.assert_array_equal(np.stack(planes), STACK)


def test_other_files_beside_the_planes_do_no_harm(tmp_path):
    folder = write_planes(tmp_path / "p")
    (folder / "settings.txt").write_text("laser 30 %")
    (folder / "._brain_3.tif").write_bytes(b"left by another system")
    assert open_image(folder, voxel_um=VOXEL_UM).grid.shape == STACK.shape


@pytest.mark.parametrize("missing", [1, 5, 10])
def test_a_missing_plane_is_named(tmp_path, missing):
    folder = write_planes(tmp_path / "p")
    (folder / f"brain_{missing}.tif").unlink()
    with pytest.raises(ImageError, match=rf"plane {missing} is missing.*brain_{missing + 1}\.tif"):
        open_image(folder, voxel_um=VOXEL_UM)


def test_a_plane_of_another_shape_is_named(tmp_path):
    folder = write_planes(tmp_path / "p")
    tifffile.imwrite(folder / "brain_7.tif", STACK[7, :10])
    with pytest.raises(ImageError, match=r"brain_7\.tif is 10 x 30.*20 x 30"):
        open_image(folder, voxel_um=VOXEL_UM)


def test_a_plane_of_another_type_is_named(tmp_path):
    folder = write_planes(tmp_path / "p")
    tifffile.imwrite(folder / "brain_7.tif", STACK[7].astype(np.uint8))
    with pytest.raises(ImageError, match=r"brain_7\.tif.*uint8.*uint16"):
        open_image(folder, voxel_um=VOXEL_UM)


def test_a_plane_in_colour_is_named(tmp_path):
    folder = write_planes(tmp_path / "p")
    tifffile.imwrite(folder / "brain_0.tif", np.zeros((20, 30, 3), np.uint8), photometric="rgb")
    with pytest.raises(ImageError, match=r"brain_0\.tif is a colour image"):
        open_image(folder, voxel_um=VOXEL_UM)


def test_a_stack_among_the_planes_is_named(tmp_path):
    folder = write_planes(tmp_path / "p")
    tifffile.imwrite(folder / "brain_7.tif", STACK[:2])
    with pytest.raises(ImageError, match=r"brain_7\.tif holds 2 planes"):
        open_image(folder, voxel_um=VOXEL_UM)


def test_a_plane_that_was_cut_short_is_named(tmp_path):
    folder = write_planes(tmp_path / "p")
    file = folder / "brain_7.tif"
    file.write_bytes(file.read_bytes()[:900])
    with pytest.raises(ImageError, match=r"brain_7\.tif was cut short"):
        open_image(folder, voxel_um=VOXEL_UM)


def test_a_file_named_otherwise_is_named(tmp_path):
    folder = write_planes(tmp_path / "p")
    tifffile.imwrite(folder / "preview.tif", STACK[0])
    with pytest.raises(ImageError, match=r"preview\.tif is not named like"):
        open_image(folder, voxel_um=VOXEL_UM)


def test_two_channels_in_one_folder_are_refused(tmp_path):
    write_planes(tmp_path / "p", "C1_Z{:02}.tif")
    folder = write_planes(tmp_path / "p", "C2_Z{:02}.tif")
    with pytest.raises(ImageError, match="one channel"):
        open_image(folder, voxel_um=VOXEL_UM)


def test_the_same_number_twice_is_refused(tmp_path):
    folder = write_planes(tmp_path / "p")
    tifffile.imwrite(folder / "brain_03.tif", STACK[3])
    with pytest.raises(ImageError, match="does not follow"):
        open_image(folder, voxel_um=VOXEL_UM)


def test_a_folder_without_planes_is_refused(tmp_path):
    with pytest.raises(ImageError, match="holds no TIFF files"):
        open_image(tmp_path, voxel_um=VOXEL_UM)


def test_a_folder_with_one_stack_says_to_give_the_file(tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", STACK)
    with pytest.raises(ImageError, match=r"stack\.tif.*give the file"):
        open_image(tmp_path, voxel_um=VOXEL_UM)


def test_the_summary_tells_what_is_there(tmp_path):
    folder = write_planes(tmp_path / "p", compression="lzw")
    summary = describe_image(folder)
    assert summary.format == "folder of TIFF planes, lzw"
    assert (summary.axes, summary.shape, summary.dtype) == ("zyx", (12, 20, 30), "uint16")
    assert summary.spacing_um is None
    assert summary.size_on_disk_bytes == sum(f.stat().st_size for f in folder.iterdir())
    assert "--voxel-um" in summary.suggested_command
