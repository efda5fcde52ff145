"""ketamap.io.ome_zarr_reader"""

from concurrent.futures import ThreadPoolExecutor

import ngff_zarr
import numpy as np
import pytest
import zarr

from ketamap.core.errors import ImageError
from ketamap.io.images import describe_image, open_image

ARRAY = np.random.default_rng(0).integers(0, 4000, (12, 20, 30)).astype(np.uint16)
MM = {"unit": "millimeter"}
UM = {"unit": "micrometer"}


def write_zarr(path, array, axes="zyx", version="0.4", unit=UM, image_steps=(), **extra):
    """Write a minimal OME-Zarr image as other programs do, without our writer."""
    v3 = version == "0.5"
    group = zarr.open_group(path, mode="w", zarr_format=3 if v3 else 2)
    data = group.create_array("0", shape=array.shape, chunks=(5,) * array.ndim, dtype=array.dtype)
    data[:] = array
    kinds = {"c": "channel", "t": "time"}
    multiscale = {
        "version": version,
        "axes": [
            {"name": a, "type": kinds.get(a, "space"), **({} if a in "ct" else unit)} for a in axes
        ],
        "datasets": [{
            "path": "0",
            "coordinateTransformations": [
                {"type": "scale", "scale": [1.0] * (len(axes) - 3) + [0.005, 0.002, 0.002]},
                {"type": "translation", "translation": [0.0] * (len(axes) - 3) + [0.01, 0.0, 0.0]},
            ],
        }],
        **({"coordinateTransformations": list(image_steps)} if image_steps else {}),
    }  # fmt: skip
    content = {"multiscales": [multiscale], **extra}
    group.attrs.update({"ome": {"version": "0.5", **content}} if v3 else content)
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_spacing_units_and_translation_come_from_the_metadata(tmp_path, version):
    path = write_zarr(tmp_path / "a.zarr", ARRAY, version=version, unit=MM)
    volume = open_image(path)
    assert volume.grid.spacing_um == pytest.approx((5, 2, 2))
    assert volume.grid.origin_um == pytest.approx((10, 0, 0))
    assert describe_image(path).format == f"OME-Zarr {version}"
    np.testing.assert_array_equal(volume.load(), ARRAY)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_what_ngff_zarr_writes_is_read(tmp_path, version):
    image = ngff_zarr.to_ngff_image(
        ARRAY,
        dims=["z", "y", "x"],
        scale={"z": 5.0, "y": 2.0, "x": 2.0},
        translation={"z": 7.0, "y": 0.0, "x": 1.0},
        axes_units=dict.fromkeys("zyx", "micrometer"),
    )
    multiscales = ngff_zarr.to_multiscales(image, scale_factors=[])
    ngff_zarr.to_ngff_zarr(tmp_path / "a.ome.zarr", multiscales, version=version)
    volume = open_image(tmp_path / "a.ome.zarr")
    assert volume.grid.spacing_um == (5, 2, 2)
    assert volume.grid.origin_um == pytest.approx((7, 0, 1))
    np.testing.assert_array_equal(volume.load(), ARRAY)


def test_a_folder_with_metadata_needs_no_suffix(tmp_path):
    for version in ("0.4", "0.5"):
        path = write_zarr(tmp_path / f"brain {version}", ARRAY, version=version)
        np.testing.assert_array_equal(open_image(path).load(), ARRAY)


def test_the_transformations_of_the_whole_image_are_applied_last(tmp_path):
    steps = [{"type": "scale", "scale": [2.0, 2.0, 2.0]}]
    volume = open_image(write_zarr(tmp_path / "a.zarr", ARRAY, unit=MM, image_steps=steps))
    assert volume.grid.spacing_um == pytest.approx((10, 4, 4))
    assert volume.grid.origin_um == pytest.approx((20, 0, 0))


def test_spacing_without_units_is_not_believed(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", ARRAY, unit={})
    with pytest.raises(ImageError, match="--voxel-um"):
        open_image(path)
    volume = open_image(path, voxel_um=(5, 2, 2))
    assert volume.grid.spacing_um == (5, 2, 2)
    assert volume.grid.origin_um == pytest.approx((10, 0, 0))  # two voxels, as the file says


@pytest.mark.parametrize(
    ("axes", "shape"), [("czyx", (2, 6, 10, 15)), ("tczyx", (1, 2, 6, 10, 15))]
)
def test_one_channel_of_several_is_chosen(tmp_path, axes, shape):
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    labels = {"omero": {"channels": [{"label": "TH"}, {"label": "auto"}]}}
    path = write_zarr(tmp_path / "a.zarr", array, axes, unit=MM, **labels)
    assert describe_image(path).channels == ("TH", "auto")
    with pytest.raises(ImageError, match=r"0: TH, 1: auto.*--channel"):
        open_image(path)
    volume = open_image(path, channel=1)
    np.testing.assert_array_equal(volume.load(), array.reshape(2, 6, 10, 15)[1])
    with pytest.raises(ImageError, match="no channel 2"):
        open_image(path, channel=2)


def test_many_threads_read_the_same_voxels(tmp_path):
    volume = open_image(write_zarr(tmp_path / "a.zarr", ARRAY))
    with ThreadPoolExecutor(4) as pool:
        planes = list(pool.map(lambda z: volume.data[z], range(12)))
    np.testing.assert_array_equal(np.stack(planes), ARRAY)


def test_time_points_and_planes_are_refused(tmp_path):
    path = write_zarr(tmp_path / "t.zarr", ARRAY[None].repeat(2, 0), "tzyx", unit=MM)
    with pytest.raises(ImageError, match="2 time points"):
        open_image(path)
    path = write_zarr(tmp_path / "2d.zarr", ARRAY, "cyx", unit=MM)
    with pytest.raises(ImageError, match="2D image"):
        open_image(path)


def test_complex_voxels_are_refused(tmp_path):
    with pytest.raises(ImageError, match="complex64"):
        open_image(write_zarr(tmp_path / "a.zarr", ARRAY.astype(np.complex64)))


def test_folders_that_are_no_image_are_refused_with_the_remedy(tmp_path):
    zarr.open_group(tmp_path / "bare.zarr", mode="w", zarr_format=3)
    with pytest.raises(ImageError, match="no OME-Zarr image metadata"):
        open_image(tmp_path / "bare.zarr")
    with pytest.raises(ImageError, match="not one of its levels"):
        open_image(write_zarr(tmp_path / "a.zarr", ARRAY) / "0")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(ImageError, match=r"empty\.zarr"):
        open_image(tmp_path / "empty.zarr")


def test_a_level_that_is_not_there_is_named(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", ARRAY)
    (path / "0").rename(path / "1")
    with pytest.raises(ImageError, match="level '0'"):
        open_image(path)


@pytest.mark.data
def test_a_brainglobe_template_is_read(shared_data):
    folder = shared_data / "brainglobe/brainglobe-atlasapi/templates/allen_mouse-template/3_2"
    summary = describe_image(folder / "template.ome.zarr")
    assert summary.spacing_um == pytest.approx((100, 100, 100))
    assert summary.shape == (132, 80, 114)
