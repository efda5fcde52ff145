"""ketamap.phantom.pieces"""

import numpy as np
import pytest

from ketamap.phantom.pieces import CCF_MIDLINE_UM, draw_half, load_pieces


def by_definition(pieces, points_um, threshold):
    """The rule as it is written, every piece at every point."""
    offset = points_um[:, None] - pieces.centres_um
    precision = np.linalg.inv(pieces.covariances_um2)
    m2 = np.einsum("npi,pij,npj->np", offset, precision, offset)
    label = np.argmax(pieces.log_weights - 0.5 * m2, axis=1)
    return np.where(m2.min(axis=1) <= threshold, label, -1), m2.min(axis=1)


@pytest.fixture(scope="module")
def pieces():
    return load_pieces()


def test_the_table_holds_what_it_should(pieces):
    assert len(pieces.region_ids) == 657
    assert len(np.unique(pieces.region_ids)) == 351
    assert np.all(np.linalg.eigvalsh(pieces.covariances_um2) > 0)
    assert 240 < pieces.volumes_mm3.sum() < 260  # one hemisphere, mm3
    assert pieces.centres_um[:, 2].max() < CCF_MIDLINE_UM


@pytest.mark.parametrize(("resolution_um", "threshold"), [(400.0, 5.0), (300.0, 3.0)])
def test_drawing_equals_the_definition(pieces, resolution_um, threshold):
    shape = tuple(int(um // resolution_um) for um in (13200, 8000, 5700))
    labels, least = draw_half(pieces, shape, resolution_um, 0.0, threshold)
    index = np.indices(shape).reshape(3, -1).T
    expected, m2 = by_definition(pieces, (index + 0.5) * resolution_um, threshold)
    inside = expected >= 0
    np.testing.assert_array_equal(labels.ravel(), expected)
    np.testing.assert_allclose(least.ravel()[inside], m2[inside], rtol=1e-4, atol=1e-4)


def test_a_voxel_far_from_all_pieces_is_outside(pieces):
    labels, least = draw_half(pieces, (2, 2, 2), 10.0, 0.0, 5.0)
    assert np.all(labels == -1)
    assert np.all(least > 5.0)
