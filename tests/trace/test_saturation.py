"""ketamap.trace.saturation: sparse lengths stay as they are, dense ones only grow."""

import numpy as np

from ketamap.trace import corrected_length


def test_sparse_lengths_stay_as_they_are():
    np.testing.assert_array_equal(corrected_length([3.0, 5.0], [0.0, 0.1]), [3.0, 5.0])


def test_the_correction_rises_with_occupancy_and_stays_finite():
    corrected = corrected_length(1.0, np.linspace(0.0, 1.0, 101))
    assert np.all(np.diff(corrected) >= 0.0)
    assert 1.2 < corrected[-1] < 2.0
