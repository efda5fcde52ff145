"""ketamap.core.errors and ketamap.core.volume"""

import pickle

import numpy as np
import pytest

from ketamap.core.errors import ImageError, KetamapError, SpacingMismatchError
from ketamap.core.space import VoxelGrid
from ketamap.core.volume import Volume


def test_an_error_survives_the_trip_back_from_a_worker():
    error = SpacingMismatchError("brain.tif", (5.0, 2.0, 2.0), (4.0, 2.0, 2.0))
    back = pickle.loads(pickle.dumps(error))
    assert str(back) == str(error)
    assert "5,2,2" in str(back)
    assert "4,2,2" in str(back)


def test_errors_are_also_the_built_in_they_resemble():
    assert issubclass(SpacingMismatchError, ValueError)
    assert issubclass(SpacingMismatchError, KetamapError)


def test_a_volume_with_a_channel_axis_is_refused_with_the_remedy():
    with pytest.raises(ImageError, match="Select one channel"):
        Volume(data=np.zeros((2, 3, 4, 5)), grid=VoxelGrid(shape=(3, 4, 5), spacing_um=(1, 1, 1)))


def test_a_volume_reads_blocks():
    data = np.arange(60).reshape(3, 4, 5)
    volume = Volume(data=data, grid=VoxelGrid(shape=(3, 4, 5), spacing_um=(1, 1, 1)))
    np.testing.assert_array_equal(volume.read((1, 0, 2), (3, 2, 4)), data[1:3, 0:2, 2:4])
    np.testing.assert_array_equal(volume.load(), data)
