"""ketamap.report.contours"""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ketamap.report.contours import outlines, path_text, simplified, smooth_labels


def area(polygon):
    x, y = polygon.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=8))


@settings(deadline=None, max_examples=60)
@given(mask=masks)
def test_outlines_enclose_the_area_of_the_mask_up_to_cut_corners(mask):
    enclosed = abs(sum(area(line) for line in outlines(mask, tolerance=0.0)))
    corners = sum(len(line) for line in outlines(mask, tolerance=0.0))
    assert abs(enclosed - mask.sum()) <= 0.125 * corners + 1e-9


@settings(deadline=None, max_examples=60)
@given(
    labels=hnp.arrays(
        np.int64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=9),
        elements=st.integers(-1, 3),
    ),
    enlarge=st.integers(1, 4),
)  # fmt: skip
def test_smoothing_invents_no_label_and_leaves_no_gap(labels, enlarge):
    fine = smooth_labels(labels, enlarge)
    assert fine.shape == tuple(n * enlarge for n in labels.shape)
    assert set(np.unique(fine)) <= set(np.unique(labels))


def test_a_large_disc_keeps_its_area_when_smoothed():
    y, x = np.indices((40, 40))
    disc = (np.hypot(y - 19.5, x - 19.5) < 14).astype(np.int64)
    fine = smooth_labels(disc, 4)
    assert abs(fine.sum() / 16 / disc.sum() - 1) < 0.02


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1000), tolerance=st.floats(0.0, 0.5))
def test_dropped_points_lie_within_tolerance_of_the_chord_that_replaced_them(seed, tolerance):
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    points = np.stack([np.cos(angle), np.sin(angle)], 1) * rng.uniform(3, 4, (30, 1))
    closed = np.vstack([points, points[:1]])
    kept = simplified(closed, tolerance)
    at = [int(np.flatnonzero((points == p).all(axis=1))[0]) for p in kept] + [30]
    for a, b in pairwise(at):
        along = (closed[b] - closed[a]) / np.hypot(*(closed[b] - closed[a]))
        offset = closed[a:b] - closed[a]
        assert np.all(abs(offset[:, 0] * along[1] - offset[:, 1] * along[0]) <= tolerance + 1e-9)


def test_a_square_is_written_as_four_corners():
    square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
    assert path_text([square], (10, 5)) == "M0 0l20 0 0 10 -20 0z"


def test_points_on_a_straight_line_are_dropped():
    closed = np.array([[0, 0], [1, 0], [2, 0], [2, 1], [2, 2], [0, 2], [0, 1], [0, 0]], float)
    np.testing.assert_array_equal(simplified(closed, 0.0), [[0, 0], [2, 0], [2, 2], [0, 2]])
