"""ketamap.detect on a real light-sheet crop, signal and autofluorescence."""

import pytest
import tifffile

from ketamap.core.settings import DetectionSettings
from ketamap.detect import find_cells
from tests.detect.made import volume_of

CROP_MM3 = 30 * 510 * 667 * 20e-9


@pytest.fixture
def channel(shared_data):
    def read(name):
        image = tifffile.imread(shared_data / "cells" / f"{name}_5x2x2um.tif")
        return volume_of(image, (5.0, 2.0, 2.0))

    return read


@pytest.mark.data
def test_the_labelled_channel_has_many_cells_and_the_other_few(channel):
    signal = find_cells(channel("signal"), DetectionSettings())
    background = find_cells(channel("background"), DetectionSettings())
    assert len(signal) / CROP_MM3 > 1000
    assert len(background) / CROP_MM3 < 50
    inside_brain = background[background.y_um > 200]
    assert len(inside_brain) / CROP_MM3 <= 5


@pytest.mark.data
def test_the_other_channel_takes_away_some_cells_and_adds_none(channel):
    signal, background = channel("signal"), channel("background")
    alone = find_cells(signal, DetectionSettings())
    both = find_cells(signal, DetectionSettings(), background=background)
    assert 0.5 * len(alone) < len(both) <= len(alone)
