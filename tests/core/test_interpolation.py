"""ketamap.core.interpolation"""

import numpy as np
import pytest
from scipy import ndimage

from ketamap.core.interpolation import linear_vectors


@pytest.mark.parametrize("shape", [(7, 5, 6), (1, 5, 6), (7, 1, 1), (1, 1, 1)])
def test_vectors_between_voxels_agree_with_scipy_inside_and_beyond_the_edge(shape):
    rng = np.random.default_rng(3)
    vectors = rng.normal(0.0, 100.0, (3, *shape)).astype(np.float32)
    index = rng.uniform(-0.5, np.asarray(shape)[:, None] - 0.5, (3, 20_000))
    peer = [ndimage.map_coordinates(one, index, order=1, mode="nearest") for one in vectors]
    np.testing.assert_allclose(linear_vectors(vectors, index), peer, atol=1e-3)


def test_a_point_has_the_same_vector_alone_and_among_many():
    rng = np.random.default_rng(4)
    vectors = rng.normal(0.0, 100.0, (3, 8, 9, 10)).astype(np.float32)
    index = rng.uniform(0.0, 7.0, (3, 10_000))
    together = linear_vectors(vectors, index)
    for one in (0, 4711, 9999):
        np.testing.assert_array_equal(
            linear_vectors(vectors, index[:, [one]])[:, 0], together[:, one]
        )


def test_no_points_give_no_vectors():
    assert linear_vectors(np.zeros((3, 2, 2, 2), np.float32), np.empty((3, 0))).shape == (3, 0)
