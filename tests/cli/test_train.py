"""ketamap.cli.train: the verb `train-detector`, and `detect` with its model."""

import pytest
import tifffile

from ketamap.io.corrections import write_corrections
from tests.cli.test_wrong_input import refused
from tests.detect.test_training import corrected, two_kinds

CELLS = ("--voxel-um", "1", "--soma-diameter-um", "3")


@pytest.mark.slow
def test_a_model_is_trained_said_and_used(ketamap, tmp_path):
    image, bright, dim = two_kinds(1)
    tifffile.imwrite(tmp_path / "image.tif", image.clip(0).astype("uint16"))
    xml, model = tmp_path / "corrected.xml", tmp_path / "model.json"
    write_corrections(xml, corrected(bright, dim), spacing_um=(1.0, 1.0, 1.0))
    code, out, err = ketamap(
        "train-detector", tmp_path / "image.tif", "--corrections", xml, *CELLS, "--out", model
    )
    assert code == 0, err
    assert f"{len(bright)} kept and {len(dim)} removed cells" in out
    assert f"model -> {model}" in out
    detect = ("detect", tmp_path / "image.tif", "--model", model, "--out", tmp_path / "cells.xml")
    code, out, err = ketamap(*detect, *CELLS, "--spike-in", "2")
    assert code == 0, err
    assert "cells_spikes.csv" in out
    refused(ketamap(*detect, "--voxel-um", "1"), "trained on somata of 3 um")
