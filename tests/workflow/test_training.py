"""ketamap.workflow.training, and what `detect` does with it."""

import pandas as pd
import pytest
import tifffile

from ketamap.core.errors import InputError
from ketamap.core.settings import DetectionSettings
from ketamap.io.corrections import read_corrections, write_corrections
from ketamap.workflow.brain import detect
from ketamap.workflow.training import read_model, train_detector
from tests.detect.test_training import corrected, two_kinds

VOXEL = {"voxel_um": (1.0, 1.0, 1.0), "settings": DetectionSettings(soma_diameter_um=3.0)}


@pytest.fixture(scope="module")
def corrected_image(tmp_path_factory):
    """A TIFF stack in whose folder lie corrections of both formats."""
    folder = tmp_path_factory.mktemp("training")
    image, bright, dim = two_kinds(1)
    tifffile.imwrite(folder / "image.tif", image.clip(0).astype("uint16"))
    for name in ("corrected.csv", "corrected.xml"):
        write_corrections(folder / name, corrected(bright, dim), spacing_um=(1.0, 1.0, 1.0))
    return folder / "image.tif"


@pytest.mark.parametrize("ending", ["csv", "xml"])
def test_both_formats_make_a_model_that_detect_uses(tmp_path, corrected_image, ending):
    corrections = corrected_image.with_name(f"corrected.{ending}")
    out = tmp_path / "model.json"
    trained = train_detector(corrected_image, corrections=corrections, out=out, **VOXEL)
    before = detect(corrected_image, out=tmp_path / "before.csv", **VOXEL)
    after = detect(corrected_image, out=tmp_path / "after.xml", model=out, **VOXEL)
    kept = trained.corrections.kept
    assert len(after) < 0.6 * len(before)
    assert len(after) == pytest.approx(kept.sum(), abs=3)
    written = pd.read_csv(tmp_path / "model_corrections.csv")
    assert list(written.kept) == list(kept)
    assert len(read_corrections(tmp_path / "after.xml", spacing_um=(1.0, 1.0, 1.0))) == len(after)


def test_the_lines_tell_what_was_learned_from_and_whether_it_helped(tmp_path, corrected_image):
    trained = train_detector(
        corrected_image,
        corrections=corrected_image.with_name("corrected.csv"),
        out=tmp_path / "model.json",
        **VOXEL,
    )
    kept = int(trained.corrections.kept.sum())
    removed = len(trained.corrections) - kept
    assert trained.lines[0].startswith(f"{kept} kept and {removed} removed cells; ")
    assert "by the shipped score" in trained.lines[1]
    assert not any(line.startswith("Warning") for line in trained.lines)


def test_a_model_of_another_diameter_is_refused_before_cells_are_written(tmp_path, corrected_image):
    model = tmp_path / "model.json"
    corrections = corrected_image.with_name("corrected.csv")
    train_detector(corrected_image, corrections=corrections, out=model, **VOXEL)
    other = {**VOXEL, "settings": DetectionSettings(soma_diameter_um=4.0)}
    with pytest.raises(InputError, match="trained on somata of 3 um"):
        detect(corrected_image, out=tmp_path / "cells.csv", model=model, **other)
    assert not (tmp_path / "cells.csv").exists()


@pytest.mark.parametrize("text", ["{}", '{"names": 3, "weights": ["a"]}', "[]", "weights"])
def test_what_is_no_model_is_refused(tmp_path, text):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(InputError):
        read_model(tmp_path / "model.json")


def test_a_model_is_written_to_json_only(tmp_path, corrected_image):
    with pytest.raises(InputError, match=r"\.json"):
        train_detector(
            corrected_image,
            corrections=corrected_image.with_name("corrected.csv"),
            out=tmp_path / "model.csv",
            **VOXEL,
        )
