"""ketamap.cli.trace: the verbs `trace` and `quantify`."""

import inspect
from dataclasses import asdict

import numpy as np
import pytest
import tifffile

from ketamap.cli.trace import trace
from ketamap.core.settings import TracingSettings
from tests.cli.test_wrong_input import refused
from tests.workflow.traced_images import SHAPE, fibre_image, write_fibres, write_labels

VOXEL = ("--voxel-um", "2,2,2")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The image as a TIFF stack that states no voxel size."""
    path = tmp_path_factory.mktemp("image") / "image.tif"
    tifffile.imwrite(path, fibre_image())
    return path


def test_the_verb_says_threshold_length_and_where(ketamap, tmp_path, image):
    code, out, err = ketamap("trace", image, *VOXEL, "--out", tmp_path / "trace")
    assert code == 0, err
    assert "sd of the noise (band " in out
    assert "mm of axon (band " in out
    assert "0 of cell bodies" in out
    assert str(tmp_path / "trace" / "axons.parquet") in out


def test_labels_calibrate_and_the_calibration_serves_another_image(ketamap, tmp_path, image):
    labels = write_labels(tmp_path)
    first = ketamap("trace", image, *VOXEL, "--calibrate", labels, "--out", tmp_path / "a")
    other = write_fibres(tmp_path, seed=5)
    record = tmp_path / "a" / "trace.json"
    second = ketamap("trace", other, "--calibration", record, "--out", tmp_path / "b")
    assert first[0] == second[0] == 0, first[2] + second[2]
    assert (tmp_path / "b" / "trace.json").exists()


def test_a_dark_image_has_no_axons(ketamap, tmp_path):
    tifffile.imwrite(tmp_path / "dark.tif", np.zeros(SHAPE, np.uint16))
    code, out, err = ketamap("trace", tmp_path / "dark.tif", *VOXEL, "--out", tmp_path / "trace")
    assert code == 0, err
    assert "0.00 mm of axon (band 0.00 to 0.00)" in out
    assert "0 rows" in out


def test_padding_is_warned_of_and_tissue_to_the_borders_is_not(ketamap, tmp_path, image):
    padded = np.concatenate([fibre_image(), np.zeros_like(fibre_image())], axis=2)
    tifffile.imwrite(tmp_path / "padded.tif", padded)
    code, out, err = ketamap("trace", tmp_path / "padded.tif", *VOXEL, "--out", tmp_path / "p")
    assert code == 0, err
    assert "repeats its least intensity" in out
    _, plain, _ = ketamap("trace", image, *VOXEL, "--out", tmp_path / "t")
    assert "repeats its least intensity" not in plain


def labels_of(kind, folder):
    """Labels that cannot be used, and a word of the complaint."""
    painted = np.ones(SHAPE, np.uint8)
    painted[12, 20] = 2
    made = {
        "another shape": ({"labels": painted[:10]}, "shape"),
        "no axon": ({"labels": np.ones(SHAPE, np.uint8)}, "no axon"),
        "no background": ({"labels": np.where(painted == 2, 2, 0).astype(np.uint8)}, "background"),
        "unknown label": ({"labels": np.where(painted == 2, 9, painted).astype(np.uint8)}, "9"),
        "shares": ({"labels": painted / 2.0}, "whole numbers"),
        "beyond the image": ({"labels": painted[:5], "start": (38, 0, 0)}, "does not lie"),
        "no labels": ({"mask": painted}, "labels"),
    }
    arrays, says = made[kind]
    np.savez(folder / "labels.npz", **arrays)
    return folder / "labels.npz", says


@pytest.mark.parametrize(
    "kind",
    ["another shape", "no axon", "no background", "unknown label", "shares", "beyond the image",
     "no labels"],
)  # fmt: skip
def test_labels_that_do_not_fit_are_refused(ketamap, tmp_path, image, kind):
    labels, says = labels_of(kind, tmp_path)
    result = ketamap("trace", image, *VOXEL, "--calibrate", labels, "--out", tmp_path / "out")
    refused(result, says)
    assert not list(tmp_path.glob("*out*"))


def test_labels_of_another_kind_of_file_are_refused(ketamap, tmp_path, image):
    (tmp_path / "labels.png").write_bytes(b"no picture")
    result = ketamap(
        "trace", image, *VOXEL, "--calibrate", tmp_path / "labels.png", "--out", tmp_path / "out"
    )
    refused(result, "labels.png", ".npz")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "--voxel-um"),
        (("--voxel-um", "2,2"), "2,2"),
        ((*VOXEL, "--fibre-sigma-um", "-1"), "fibre_sigma_um"),
        ((*VOXEL, "--threshold", "0"), "threshold"),
        ((*VOXEL, "--workers", "0"), "workers"),
        ((*VOXEL, "--memory", "10MB"), "GiB"),
        (("--voxel-um", "90,2,2"), "Axons cannot be followed"),
        ((*VOXEL, "--fibre-sigma-um", "40"), "20 voxels of 2 um"),
        ((*VOXEL, "--calibration", "."), "is a folder"),
    ],
)
def test_options_that_cannot_be_met_are_refused(ketamap, tmp_path, image, options, says):
    refused(ketamap("trace", image, *options, "--out", tmp_path / "out"), says)
    assert not list(tmp_path.glob("*out*"))


def test_defaults_are_those_of_a_study():
    stated = {name: p.default for name, p in inspect.signature(trace).parameters.items()}
    shared = {k: v for k, v in asdict(TracingSettings()).items() if k in stated}
    assert len(shared) >= 4
    assert {k: stated[k] for k in shared} == shared


def test_quantify_needs_something_to_quantify(ketamap, tmp_path):
    result = ketamap("quantify", "--registration", tmp_path, "--out", tmp_path / "regions.csv")
    refused(result, "--cells", "--axons")
