"""ketamap.workflow.spike_check, and the verb `detect` with planted somata"""

import numpy as np
import pandas as pd
import pytest
import tifffile

from ketamap.core.settings import DetectionSettings
from ketamap.core.space import VoxelGrid
from ketamap.core.tables import CELLS, POINTS
from ketamap.detect.blocks import BASE_BYTES
from ketamap.io.ome_zarr import write_image
from ketamap.io.tables import read_table
from ketamap.workflow.brain import detect
from ketamap.workflow.spike_check import draw_recall, recall_steps, saved_spike_lines, spike_lines
from tests.detect.made import cell_image, spread_centres

SETTINGS = DetectionSettings(soma_diameter_um=3.0, spike_ins=10)


def detected(folder, n_cells, settings=SETTINGS, out="cells.csv"):
    shape = (30, 60, 60)
    centres = spread_centres(shape, n_cells, least=7.0, margin=4)
    image = cell_image(shape, centres, sigma=1.0)
    tifffile.imwrite(folder / "image.tif", image.clip(0).astype("uint16"))
    return detect(
        folder / "image.tif", out=folder / out, voxel_um=(1.0, 1.0, 1.0), settings=settings
    )


def test_the_planted_somata_and_their_picture_lie_beside_the_cells(tmp_path):
    cells = detected(tmp_path, 30)
    table = pd.read_csv(tmp_path / "cells_spikes.csv")
    assert (table.contrast_from == "cells").sum() == 10
    lines = saved_spike_lines(tmp_path / "cells.csv")
    assert lines[:-1] == spike_lines(table)
    assert "drawn from the detected cells" in lines[0]
    assert lines[-1] == f"planted somata -> {tmp_path / 'cells_spikes.csv'}"
    assert len(lines) == 8
    assert (tmp_path / "cells_spikes.png").read_bytes().startswith(b"\x89PNG")
    written = read_table(tmp_path / "cells.csv", CELLS)
    np.testing.assert_allclose(written.efficiency, cells.efficiency)


def test_few_cells_are_told_with_the_contrast_that_was_used(tmp_path):
    detected(tmp_path, 2)
    lines = saved_spike_lines(tmp_path / "cells.csv")
    assert "times the local noise, as too few cells were detected" in lines[0]


def test_an_empty_image_says_why_nothing_was_planted(tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", np.zeros((20, 30, 30), np.uint16))
    detect(
        tmp_path / "image.tif",
        out=tmp_path / "cells.xml",
        voxel_um=(1.0, 1.0, 1.0),
        settings=SETTINGS,
    )
    assert "the image is empty" in saved_spike_lines(tmp_path / "cells.xml")[0]
    assert not (tmp_path / "cells_spikes.png").exists()


def test_without_spike_ins_nothing_lies_beside_the_cells(tmp_path):
    cells = detected(tmp_path, 5, DetectionSettings(soma_diameter_um=3.0))
    assert "efficiency" not in cells
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cells.csv", "image.tif"]


def test_steps_of_recall_are_of_equal_size_and_hold_it_in_their_interval():
    rng = np.random.default_rng(0)
    spikes = pd.DataFrame({"contrast": rng.uniform(1, 9, 600), "neighbours": 3})
    spikes["found"] = rng.random(600) < spikes.contrast / 10
    steps = recall_steps(spikes, "contrast")
    assert steps.planted.tolist() == [100] * 6
    assert np.mean((steps.low < steps.middle / 10) & (steps.middle / 10 < steps.high)) > 0.8
    one = recall_steps(spikes, "neighbours")
    assert one.planted.tolist() == [600]
    assert one.recall[0] == pytest.approx(spikes.found.mean())


@pytest.mark.parametrize("found", [True, False])
@pytest.mark.parametrize("n", range(1, 60))
def test_all_or_none_found_lies_in_its_own_interval(n, found):
    spikes = pd.DataFrame({"contrast": np.full(n, 3.0), "found": found})
    (step,) = recall_steps(spikes, "contrast").itertuples()
    assert step.recall == float(found)
    assert 0.0 <= step.low <= step.recall <= step.high <= 1.0


def test_a_picture_of_all_found_can_be_drawn(tmp_path):
    for n in (1, 6, 29):
        spikes = pd.DataFrame({
            "contrast": np.linspace(1.0, 2.0, n), "neighbours": np.arange(n) % 3, "found": True,
            "contrast_from": "cells",
        })  # fmt: skip
        draw_recall(tmp_path / "all.png", spikes)
    assert (tmp_path / "all.png").is_file()


def test_an_ome_zarr_gives_the_same_in_little_memory(tmp_path):
    whole = detected(tmp_path, 30)
    image = tifffile.imread(tmp_path / "image.tif")
    grid = VoxelGrid(shape=image.shape, spacing_um=(1.0, 1.0, 1.0))
    write_image(tmp_path / "image.ome.zarr", image, grid)
    cells = detect(
        tmp_path / "image.ome.zarr",
        out=tmp_path / "zarr.parquet",
        settings=SETTINGS,
        memory_bytes=BASE_BYTES + 12_000_000,
    )
    pd.testing.assert_frame_equal(cells, whole)
    assert len(read_table(tmp_path / "zarr_spikes.parquet", POINTS)) == 15
