"""ketamap.cli.main: wrong input gives one clear line, exit code 1, and nothing half-written."""

import subprocess

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml

from ketamap.core.atlas import atlas_grid
from ketamap.core.registration import Registration, RegistrationQuality
from ketamap.core.space import Orientation
from ketamap.core.transform import AffineMap, Transform
from ketamap.io.registrations import save_registration


@pytest.fixture
def stack(tmp_path):
    """Write an array as a TIFF stack without metadata."""

    def write(array, name="image.tif", **options):
        path = tmp_path / name
        tifffile.imwrite(path, array, **options)
        return path

    return write


def noise(shape=(20, 30, 30)):
    return np.random.default_rng(0).poisson(100, shape).astype(np.uint16)


def refused(result, *words):
    """One line that begins with Error: and names what it must; no traceback."""
    code, _, err = result
    assert code == 1
    lines = [line for line in err.splitlines() if line and not line.endswith(" ...")]
    assert len(lines) == 1, err
    assert lines[0].startswith("Error: ")
    for word in words:
        assert word.lower() in lines[0].lower(), lines[0]


def detect(ketamap, tmp_path, image, voxel_um="5,2,2", *more):
    out = tmp_path / "cells.parquet"
    before = set(tmp_path.iterdir())
    result = ketamap("detect", image, "--voxel-um", voxel_um, "--out", out, *more)
    assert set(tmp_path.iterdir()) - before <= ({out} if result[0] == 0 else set())
    return result


def test_a_missing_file(ketamap, tmp_path):
    refused(detect(ketamap, tmp_path, tmp_path / "nowhere.tif"), "nowhere.tif")


def test_an_empty_folder(ketamap, tmp_path):
    (tmp_path / "planes").mkdir()
    refused(detect(ketamap, tmp_path, tmp_path / "planes"), "planes")


def test_a_2d_image(ketamap, tmp_path, stack):
    refused(detect(ketamap, tmp_path, stack(noise((30, 40)))), "image.tif")


def test_a_colour_image(ketamap, tmp_path, stack):
    image = stack(np.zeros((5, 30, 40, 3), np.uint8), photometric="rgb")
    refused(detect(ketamap, tmp_path, image), "colour")


def test_a_volume_with_nan(ketamap, tmp_path, stack):
    volume = noise().astype(np.float32)
    volume[3, 4, 5] = np.nan
    refused(detect(ketamap, tmp_path, stack(volume)), "nan")


@pytest.mark.parametrize("value", [0, 65535])
@pytest.mark.parametrize("more", [(), ("--spike-in", "5")])
def test_an_image_of_one_value_gives_an_empty_table_and_says_so(
    ketamap, tmp_path, stack, value, more
):
    out = tmp_path / "cells.csv"
    image = stack(np.full((20, 30, 30), value, np.uint16))
    code, text, _ = ketamap("detect", image, "--voxel-um", "5,2,2", "--out", out, *more)
    assert code == 0
    assert "no cell was found" in text
    assert list(pd.read_csv(out).columns)[:4] == ["z_um", "y_um", "x_um", "score"]
    assert len(pd.read_csv(out)) == 0
    assert not more or "no somata planted: the image is empty" in text


@pytest.mark.parametrize("shape", [(1, 40, 40), (2, 40, 40), (1, 1, 1), (40, 1, 40)])
def test_one_plane_and_volumes_thinner_than_a_soma_give_a_table(ketamap, tmp_path, shape):
    image = tmp_path / "image.tif"
    tifffile.imwrite(image, noise(shape), metadata={"axes": "ZYX"})
    out = tmp_path / "cells.csv"
    code, text, err = ketamap(
        "detect", image, "--voxel-um", "5,2,2", "--out", out, "--spike-in", "5"
    )
    assert code == 0, err
    assert "cells ->" in text
    assert len(pd.read_csv(out)) <= 2


def test_a_soma_under_two_voxels_works_and_one_under_one_voxel_says_why_not(
    ketamap, tmp_path, stack
):
    image = stack(noise())
    code, text, _ = detect(ketamap, tmp_path, image, "5,5,5", "--soma-diameter-um", "9")
    assert code == 0
    assert "cells ->" in text
    result = detect(ketamap, tmp_path, image, "10,5,5", "--soma-diameter-um", "9")
    refused(result, "at least one voxel", "finer level")


def test_a_device_that_is_not_known_and_one_that_is_not_there(
    ketamap, tmp_path, stack, monkeypatch
):
    image = stack(noise())
    refused(detect(ketamap, tmp_path, image, "5,2,2", "--device", "tpu"), "cpu or gpu", "'tpu'")
    monkeypatch.setattr("ketamap.detect.gpu.find_spec", lambda name: None)
    result = detect(ketamap, tmp_path, image, "5,2,2", "--device", "gpu")
    refused(result, "CuPy", "not installed", "pip install 'ketamap[gpu]'")


def test_a_background_of_another_shape(ketamap, tmp_path, stack):
    other = stack(noise((20, 30, 28)), "background.tif")
    result = detect(ketamap, tmp_path, stack(noise()), "5,2,2", "--background", other)
    refused(result, "background.tif", "sampled alike")


@pytest.mark.parametrize("voxel_um", ["0,2,2", "5,-2,2", "5,2", "a,b,c", "nan,2,2", ""])
def test_an_impossible_spacing(ketamap, tmp_path, stack, voxel_um):
    refused(detect(ketamap, tmp_path, stack(noise()), voxel_um), "--voxel-um")


def test_no_spacing_at_all(ketamap, tmp_path, stack):
    result = ketamap("detect", stack(noise()), "--out", tmp_path / "cells.parquet")
    refused(result, "--voxel-um")


@pytest.mark.parametrize("diameter", ["0", "-3", "100000"])
def test_an_impossible_soma(ketamap, tmp_path, stack, diameter):
    result = detect(ketamap, tmp_path, stack(noise()), "5,2,2", "--soma-diameter-um", diameter)
    refused(result, "soma_diameter_um")


@pytest.mark.parametrize("size", ["4 apples", "1KB"])
def test_memory_that_is_no_size_or_too_small(ketamap, tmp_path, stack, size):
    refused(detect(ketamap, tmp_path, stack(noise()), "5,2,2", "--memory", size), "memory")


def test_a_table_of_unknown_kind(ketamap, tmp_path, stack):
    result = ketamap(
        "detect", stack(noise()), "--voxel-um", "5,2,2", "--out", tmp_path / "cells.xlsx"
    )
    refused(result, "cells.xlsx", "parquet")


@pytest.mark.parametrize("letters", ["xyz", "aps", "as", "ASR"])
def test_wrong_orientation_letters(ketamap, tmp_path, stack, letters):
    result = ketamap(
        "register", stack(noise()), "--voxel-um", "100", "--orientation", letters,
        "--atlas", "phantom_mouse_200um", "--out", tmp_path / "out",
    )  # fmt: skip
    refused(result, letters, "orientation")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["phantom_mouse_3um", "phantom_rat", "phantom_mouse_xum"])
def test_an_unknown_atlas(ketamap, tmp_path, stack, name):
    result = ketamap(
        "register", stack(noise()), "--voxel-um", "100", "--orientation", "asr",
        "--atlas", name, "--out", tmp_path / "out",
    )  # fmt: skip
    refused(result, "phantom")
    assert not (tmp_path / "out").exists()


def test_a_registration_that_is_none(ketamap, tmp_path):
    cells = tmp_path / "cells.csv"
    pd.DataFrame({"z_um": [1.0], "y_um": [1.0], "x_um": [1.0], "score": [1.0]}).to_csv(
        cells, index=False
    )
    (tmp_path / "reg").mkdir()
    result = ketamap(
        "quantify", "--registration", tmp_path / "reg", "--cells", cells,
        "--out", tmp_path / "regions.csv",
    )  # fmt: skip
    refused(result, "not a registration")
    assert not (tmp_path / "regions.csv").exists()


@pytest.fixture
def study(tmp_path, stack):
    """A study file of two groups of three; change it before it is written."""
    image = stack(noise())

    def write(change):
        content = {
            "study": "test",
            "atlas": "phantom_mouse_200um",
            "orientation": "asr",
            "voxel_um": [100, 100, 100],
            "animals": [
                {
                    "animal": f"m{k}",
                    "signal": image.name,
                    "drug": "ketamine",
                    "dose_mg_per_kg": 30 * (k % 2),
                    "days": 10,
                }
                for k in range(6)
            ],
            "design": {"factor": "group", "control": "vehicle 10 d"},
        }
        change(content)
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("atlas"), ["study.yaml", "atlas"]),
        (lambda c: c["animals"][2].pop("dose_mg_per_kg"), ["dose_mg_per_kg"]),
        (lambda c: c["animals"][1].update(animal="m0"), ["m0"]),
        (lambda c: c["animals"][1].update(signal="gone.tif"), ["gone.tif"]),
        (lambda c: c["animals"].__delitem__(slice(2, None, 2)), ["vehicle 10 d"]),
        (lambda c: c.update(orientation="xyz"), ["xyz"]),
        (lambda c: c.update(voxel_um=[0, 1, 1]), ["voxel_um"]),
        (lambda c: c.update(atlass="x"), ["atlass"]),
        (lambda c: c["animals"][0].update(days=0), ["days"]),
        (lambda c: c["design"].pop("control"), ["control"]),
    ],
    ids=[
        "missing key", "missing dose", "duplicate animal", "missing image", "group of one",
        "orientation", "spacing", "unknown key", "no days", "no control",
    ],
)  # fmt: skip
def test_a_study_file_with_a_fault(ketamap, tmp_path, study, change, words):
    out = tmp_path / "out"
    code, _, err = ketamap("run", study(change), "--out", out)
    assert code == 1
    assert "Traceback" not in err
    for word in words:
        assert word in err
    assert not out.exists()


def test_a_folder_in_use_is_not_overwritten(ketamap, tmp_path, study):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    refused(ketamap("run", study(lambda c: None), "--out", out), "--resume")
    assert (out / "thesis.txt").read_text() == "precious"


def test_a_report_of_nothing(ketamap, tmp_path):
    refused(ketamap("report", tmp_path), "analysis")


@pytest.mark.parametrize("count", ["2", "0"])
def test_a_demo_too_small_for_statistics(ketamap, tmp_path, count):
    result = ketamap("demo", "--out", tmp_path / "demo", "--animals-per-group", count)
    refused(result, "at least 3")
    assert not (tmp_path / "demo").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs Linux and the permission to mount a tmpfs")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_leaves_nothing_half_written(ketamap, tmp_path, small_disk):
    grid = atlas_grid((4, 4, 4), (100.0, 100.0, 100.0))
    save_registration(tmp_path / "reg", identity_registration(grid))
    points = tmp_path / "points.csv"
    positions = np.random.default_rng(0).uniform(50, 350, size=(50_000, 3))
    pd.DataFrame(positions, columns=["z_um", "y_um", "x_um"]).to_csv(points, index=False)
    for name in ("carried.csv", "carried.parquet"):
        result = ketamap(
            "transform", points, "--registration", tmp_path / "reg", "--to", "atlas",
            "--out", small_disk / name,
        )  # fmt: skip
        refused(result, "full", name)
        assert list(small_disk.iterdir()) == []


def identity_registration(grid):
    return Registration(
        transform=Transform.from_affine(AffineMap(np.eye(4)), grid),
        quality=RegistrationQuality(
            ncc=1.0, lncc=1.0, least_jacobian=1.0, inverse_error_p95_um=0.0, verdict="pass"
        ),
        sample_grid=grid,
        orientation=Orientation("asr"),
        atlas="phantom_mouse_100um",
    )


def test_points_that_are_none(ketamap, tmp_path):
    save_registration(
        tmp_path / "reg", identity_registration(atlas_grid((4, 4, 4), (100.0, 100.0, 100.0)))
    )
    points = tmp_path / "points.csv"
    points.write_text("a,b,c\n1,2,3\n")
    result = ketamap(
        "transform", points, "--registration", tmp_path / "reg", "--to", "atlas",
        "--out", tmp_path / "out.csv",
    )  # fmt: skip
    refused(result, "z_um")
    assert not (tmp_path / "out.csv").exists()


def test_a_mask_of_another_shape(ketamap, tmp_path, stack):
    result = ketamap(
        "register", stack(noise()), "--voxel-um", "400", "--orientation", "asr",
        "--atlas", "phantom_mouse_200um", "--out", tmp_path / "out",
        "--mask", stack(np.ones((20, 30, 31), np.uint8), "mask.tif"),
    )  # fmt: skip
    refused(result, "mask.tif is 20 x 30 x 31", "20 x 30 x 30", "same box")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rounds", ["0", "11"])
def test_a_template_of_no_rounds(ketamap, tmp_path, study, rounds):
    result = ketamap(
        "template", study(lambda c: None), "--out", tmp_path / "out", "--rounds", rounds
    )
    refused(result, "--rounds", "1 to 10")
    assert not (tmp_path / "out").exists()


PHANTOM_SHAPE = (66, 40, 57)
"""Of phantom_mouse_200um."""


def align(ketamap, tmp_path, image, voxel_um="200", *more):
    return ketamap(
        "register", image, "--voxel-um", voxel_um, "--orientation", "asr", "--atlas",
        "phantom_mouse_200um", "--out", tmp_path / "out", "--resolution-um", "200",
        "--iterations", "5x0x0", "--refits", "0", *more,
    )  # fmt: skip


@pytest.mark.parametrize("voxel_um", ["20", "2000"])
def test_a_spacing_wrong_by_a_factor_of_ten(ketamap, tmp_path, stack, voxel_um):
    result = align(ketamap, tmp_path, stack(noise(PHANTOM_SHAPE)), voxel_um)
    refused(result, "image.tif is", "13.2 x 8 x 11.4 mm", "--voxel-um (now", voxel_um)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [0, 700])
def test_an_empty_image(ketamap, tmp_path, stack, value):
    result = align(ketamap, tmp_path, stack(np.full(PHANTOM_SHAPE, value, np.uint16)))
    refused(result, "image.tif is empty", f"every voxel is {value}", "channel")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("content", ["noise", "sphere"])
def test_an_image_of_something_else_fails_and_says_what_to_check(ketamap, tmp_path, stack, content):
    image = noise(PHANTOM_SHAPE)
    if content == "sphere":
        index = np.indices(PHANTOM_SHAPE).T - np.array(PHANTOM_SHAPE) / 2
        image = (image + 900 * (np.linalg.norm(index, axis=-1).T < 18)).astype(np.uint16)
    code, said, err = align(ketamap, tmp_path, stack(image))
    assert code == 1
    assert "verdict fail" in said
    assert "the registration of" in err
    assert "orientation" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("to", ["atlas", "sample"])
@pytest.mark.parametrize("bad", ["", "nan", "inf"])
def test_points_that_are_nowhere(ketamap, tmp_path, to, bad):
    save_registration(
        tmp_path / "reg", identity_registration(atlas_grid((4, 4, 4), (100.0, 100.0, 100.0)))
    )
    points = tmp_path / "points.csv"
    names = {"atlas": "z_um,y_um,x_um", "sample": "ap_um,dv_um,ml_um"}[to]
    points.write_text(f"{names}\n1,2,3\n4,{bad},6\n7,8,9\n")
    result = ketamap(
        "transform", points, "--registration", tmp_path / "reg", "--to", to,
        "--out", tmp_path / "out.csv",
    )  # fmt: skip
    refused(result, "points.csv", names.split(",")[1], "row 2", "1 of 3 rows")
    assert not (tmp_path / "out.csv").exists()


def test_cells_that_are_nowhere(ketamap, tmp_path):
    save_registration(
        tmp_path / "reg", identity_registration(atlas_grid((4, 4, 4), (100.0, 100.0, 100.0)))
    )
    cells = tmp_path / "cells.csv"
    cells.write_text("z_um,y_um,x_um,score\n1,2,3,1\n4,,6,1\n")
    result = ketamap(
        "quantify", "--registration", tmp_path / "reg", "--cells", cells,
        "--out", tmp_path / "regions.csv",
    )  # fmt: skip
    assert result[0] == 1
    assert "cells.csv is not a valid cells table" in result[2]
    assert "y_um has missing values (row 2" in result[2]
    assert not (tmp_path / "regions.csv").exists()
