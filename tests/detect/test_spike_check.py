"""ketamap.detect.spike_check"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import InputError
from ketamap.core.settings import DetectionSettings
from ketamap.detect.spike_check import recall_by_thirds, spike_in
from tests.detect.made import cell_image, spread_centres, volume_of

SMALL = DetectionSettings(soma_diameter_um=3.0)
SHAPE = (30, 60, 60)


def test_bright_somata_in_clean_tissue_come_back():
    image = cell_image(SHAPE, spread_centres(SHAPE, 25, least=9.0, margin=4), sigma=1.0)
    table = spike_in(volume_of(image), SMALL, n=15)
    assert len(table) == 15
    assert table.found.mean() > 0.9
    assert table.contrast.between(100, 2000).all()
    pd.testing.assert_frame_equal(table, spike_in(volume_of(image), SMALL, n=15))


def test_an_image_without_cells_gets_none():
    table = spike_in(volume_of(np.zeros(SHAPE, dtype=np.uint16)), SMALL, n=5)
    assert len(table) == 0
    assert len(recall_by_thirds(table, "contrast")) == 0


def test_recall_is_told_by_thirds():
    table = pd.DataFrame(
        {"z_um": range(6), "y_um": 0.0, "x_um": 0.0, "contrast": [6, 5, 4, 3, 2, 1]}
    )
    table["found"] = [True, True, True, False, False, False]
    thirds = recall_by_thirds(table, "contrast")
    assert thirds.recall.tolist() == [0.0, 0.5, 1.0]
    assert thirds.planted.tolist() == [2, 2, 2]
    assert thirds.least.tolist() == [1.0, 3.0, 5.0]


def test_no_somata_are_refused():
    with pytest.raises(InputError, match="At least 1"):
        spike_in(volume_of(np.zeros(SHAPE, dtype=np.uint16)), SMALL, n=0)
