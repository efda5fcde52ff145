"""ketamap.io.images"""

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.core.errors import ImageError, MissingInputError, SpacingMismatchError
from ketamap.core.space import VoxelGrid
from ketamap.io.images import describe_image, open_image
from ketamap.io.ome_zarr import write_image

GRID = VoxelGrid(shape=(4, 5, 6), spacing_um=(5.0, 2.0, 2.0))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The same voxels in each format."""
    folder = tmp_path_factory.mktemp("images")
    array = np.arange(120, dtype=np.uint16).reshape(4, 5, 6)
    metadata = {"axes": "ZYX", "PhysicalSizeZ": 5, "PhysicalSizeY": 2, "PhysicalSizeX": 2}
    tifffile.imwrite(folder / "stack.ome.tif", array, metadata=metadata)
    (folder / "planes").mkdir()
    for z, plane in enumerate(array):
        tifffile.imwrite(folder / "planes" / f"{z}.tif", plane)
    write_image(folder / "image.ome.zarr", array, GRID)
    return folder


NAMES = ("stack.ome.tif", "planes", "image.ome.zarr")


@pytest.mark.parametrize("name", NAMES)
def test_every_format_gives_the_same_volume(images, name):
    volume = open_image(images / name, voxel_um=(5, 2, 2))
    assert volume.grid == GRID
    assert volume.name == str(images / name)
    np.testing.assert_array_equal(volume.load(), np.arange(120).reshape(4, 5, 6))


KEYS = st.one_of(
    st.tuples(*[st.one_of(st.integers(-n, n - 1), st.slices(n).filter(lambda s: (s.step or 1) > 0))
                for n in GRID.shape]),
    st.integers(-4, 3),
    st.just(Ellipsis),
    st.tuples(st.just(Ellipsis), st.integers(0, 5)),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(NAMES), key=KEYS)
def test_slicing_means_what_it_means_in_numpy(images, name, key):
    volume = open_image(images / name, voxel_um=(5, 2, 2))
    expected = np.arange(120, dtype=np.uint16).reshape(4, 5, 6)[key]
    found = volume.data[key]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", [4, (0, 5), (0, 0, -7), (slice(None, None, -1),)])
def test_places_outside_and_backward_steps_are_index_errors(images, name, key):
    with pytest.raises(IndexError):
        open_image(images / name, voxel_um=(5, 2, 2)).data[key]


@pytest.mark.parametrize("name", ["stack.ome.tif", "image.ome.zarr"])
def test_spacing_that_contradicts_the_file_is_refused(images, name):
    with pytest.raises(SpacingMismatchError, match=r"5,2,2\.2 but the file says 5,2,2"):
        open_image(images / name, voxel_um=(5, 2, 2.2))
    assert open_image(images / name, voxel_um=(5.04, 2, 1.99)).grid.spacing_um == (5.04, 2, 1.99)
    assert open_image(images / name).grid.spacing_um == (5, 2, 2)


def test_spacing_that_nobody_states_is_asked_for(images):
    with pytest.raises(ImageError, match=r"planes does not say.*--voxel-um"):
        open_image(images / "planes")


@pytest.mark.parametrize(
    "wrong", [(0, 2, 2), (5, -2, 2), (5, 2, float("nan")), (5, 2), (1e400, 2, 2)]
)
@pytest.mark.parametrize("name", NAMES)
def test_spacing_that_is_not_positive_is_refused(images, name, wrong):
    with pytest.raises(ImageError, match="three numbers above 0"):
        open_image(images / name, voxel_um=wrong)


def test_a_missing_image_is_named_with_what_is_there(tmp_path):
    with pytest.raises(MissingInputError, match=r"brain\.tif is not there"):
        open_image(tmp_path / "deep" / "brain.tif")
    with pytest.raises(MissingInputError, match=r"brain\.zarr is not there"):
        describe_image(tmp_path / "brain.zarr")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ImageError, match="holds no TIFF files"):
        describe_image(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["tif", "zarr"])
def test_a_block_with_a_value_that_is_no_number_is_refused_by_place(tmp_path, kind, value):
    array = np.ones((4, 5, 6), np.float32)
    array[2, 3, 4] = value
    path = tmp_path / f"a.{kind}"
    if kind == "tif":
        tifffile.imwrite(path, array, photometric="minisblack")
    else:
        write_image(path, array, GRID)
    volume = open_image(path, voxel_um=(5, 2, 2))
    np.testing.assert_array_equal(volume.read((0, 0, 0), (2, 5, 6)), array[:2])
    with pytest.raises(ImageError, match=r"a\.\w+ holds values.*voxel z,y,x = 2,3,4"):
        volume.read((1, 1, 1), (4, 5, 6))


def test_a_stack_needs_no_channel_but_accepts_the_first(images):
    assert open_image(images / "stack.ome.tif", channel=0).grid == GRID
    with pytest.raises(ImageError, match="no channel 1: it has one; leave --channel out"):
        open_image(images / "stack.ome.tif", channel=1)


def test_a_channel_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    tifffile.imwrite(
        tmp_path / "two.ome.tif", np.zeros((4, 2, 5, 6), np.uint16), metadata={"axes": "ZCYX"}
    )
    with pytest.raises(ImageError, match="has no channel 2: give one of 0 to 1"):
        open_image(tmp_path / "two.ome.tif", voxel_um=(5, 2, 2), channel=2)


@pytest.mark.parametrize(("um", "verb"), [(2.0, "detect"), (25.0, "register")])
def test_an_image_too_coarse_for_cells_is_for_registration(tmp_path, um, verb):
    grid = VoxelGrid(shape=(4, 5, 6), spacing_um=(um, um, um))
    write_image(tmp_path / "a.ome.zarr", np.zeros(grid.shape, np.uint16), grid)
    said = describe_image(tmp_path / "a.ome.zarr").suggested_command
    assert said.startswith(f"ketamap {verb} ")


def test_describing_reads_no_voxels(images, monkeypatch):
    def explode(*_):
        raise AssertionError

    monkeypatch.setattr("ketamap.io.blocks.ZyxView.__getitem__", explode)
    monkeypatch.setattr("zarr.Array.__getitem__", explode)
    monkeypatch.setattr(tifffile.TiffPage, "asarray", explode)
    for name in NAMES:
        assert describe_image(images / name).shape == (4, 5, 6)
