"""ketamap.workflow.spike_check"""

import pandas as pd
import tifffile

from ketamap.core.settings import DetectionSettings
from ketamap.workflow.spike_check import check_by_spikes, spike_lines
from tests.detect.made import cell_image, spread_centres


def test_the_planted_somata_are_written_beside_the_cells(tmp_path):
    shape = (30, 50, 50)
    image = cell_image(shape, spread_centres(shape, 20, least=9.0, margin=4), sigma=1.0)
    tifffile.imwrite(tmp_path / "image.tif", image.clip(0).astype("uint16"))
    path, lines = check_by_spikes(
        tmp_path / "image.tif",
        cells=tmp_path / "cells.csv",
        n=10,
        voxel_um=(1.0, 1.0, 1.0),
        settings=DetectionSettings(soma_diameter_um=3.0),
    )
    table = pd.read_csv(path)
    assert path == tmp_path / "cells_spikes.csv"
    assert list(table.columns) == ["z_um", "y_um", "x_um", "contrast", "neighbours", "found"]
    assert lines == spike_lines(table)
    assert lines[0].startswith(f"{len(table)} somata planted")
    assert len(lines) == 7


def test_without_cells_the_lines_say_why_nothing_was_planted():
    assert "no cells were detected" in spike_lines(pd.DataFrame({"found": []}))[0]
