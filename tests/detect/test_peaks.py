"""ketamap.detect.peaks"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from ketamap.detect.peaks import (
    maxima,
    neighbourhoods,
    parabola_tops,
    profiles,
    ring_level,
)

few_values = hnp.arrays(  # few distinct values, so ties are common
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=7),
    elements=st.integers(0, 4).map(float),
)


def all_maxima(image, lowest=0.0):
    tiles = tuple(np.zeros(n, dtype=np.int64) for n in image.shape)
    return maxima(image, np.full((1, 1, 1), lowest, np.float32), tiles, (0, 0, 0), image.shape)


def blob(widths, shape=(21, 21, 21)):
    z, y, x = (np.arange(n) - n // 2 for n in shape)
    r2 = (z[:, None, None] / widths[0]) ** 2 + (y[:, None] / widths[1]) ** 2 + (x / widths[2]) ** 2
    return (100.0 * np.exp(-0.5 * r2)).astype(np.float32)


def middle_of(image):
    return np.array([[n // 2 for n in image.shape]])


def sharpened(image):
    edge = np.pad(image, 1, mode="edge")
    sides = sum(np.roll(edge, k, axis) for axis in range(3) for k in (-1, 1))
    return (7 * edge - sides)[1:-1, 1:-1, 1:-1]


@settings(deadline=None, max_examples=80)
@given(image=few_values)
def test_maxima_are_of_the_response_or_of_the_sharpened_response(image):
    found = all_maxima(image)
    sharp = sharpened(image)
    tops = [a == ndimage.maximum_filter(a, 3, mode="nearest") for a in (image, sharp)]
    for spot in map(tuple, found):
        assert image[spot] > 0
        assert tops[0][spot] or tops[1][spot]


@settings(deadline=None, max_examples=80)
@given(image=few_values)
def test_no_strict_maximum_of_the_response_is_missed(image):
    around = np.ones((3, 3, 3), dtype=bool)
    around[1, 1, 1] = False
    beside = ndimage.maximum_filter(image, footprint=around, mode="constant", cval=-1.0)
    strict = np.argwhere((image > beside) & (image > 0))
    assert {tuple(i) for i in strict} <= {tuple(i) for i in all_maxima(image)}


def test_blobs_that_melt_into_one_maximum_are_two_of_the_sharpened_response():
    line, across = np.arange(25), np.exp(-0.5 * ((np.arange(9) - 4) / 2.0) ** 2)
    both = sum(np.exp(-0.5 * ((line - c) / 3.0) ** 2) for c in (9, 15))
    image = (both[:, None, None] * across[:, None] * across).astype(np.float32)
    assert image.max() == image[12, 4, 4]
    assert [tuple(i) for i in all_maxima(image, 0.5)] == [(10, 4, 4), (12, 4, 4), (14, 4, 4)]


@settings(deadline=None, max_examples=60)
@given(image=few_values)
def test_two_maxima_never_touch(image):
    found = all_maxima(image)
    for k, one in enumerate(found):
        gaps = np.abs(found[k + 1 :] - one).max(axis=1, initial=0)
        assert np.all(gaps > 1)


def test_a_plateau_has_one_maximum():
    image = np.zeros((5, 6, 7), dtype=np.float32)
    image[1:3, 2:4, 2:4] = 3.0
    np.testing.assert_array_equal(all_maxima(image), [[1, 2, 2]])


def test_more_maxima_than_the_first_guess_are_all_returned():
    image = np.zeros((2, 200, 200), dtype=np.float32)
    image[0, ::2, ::2] = 1.0
    assert len(all_maxima(image)) == 10_000


@settings(deadline=None)
@given(top=st.tuples(*[st.floats(-0.45, 0.45)] * 3))
def test_the_top_of_a_parabola_is_found_exactly(top):
    z, y, x = (np.arange(-1, 2) - t for t in top)
    image = 50.0 - z[:, None, None] ** 2 - 2.0 * y[:, None] ** 2 - 3.0 * x**2
    around = neighbourhoods(image.astype(np.float32), np.array([[1, 1, 1]]))
    np.testing.assert_allclose(parabola_tops(around)[0], top, atol=1e-4)


def test_a_plateau_has_its_top_in_the_middle():
    np.testing.assert_array_equal(parabola_tops(np.ones((2, 3, 3, 3))), np.zeros((2, 3)))


def lines_through(image, direction, distances):
    return profiles(
        image,
        middle_of(image),
        np.array([direction], dtype=float),
        np.asarray(distances, dtype=float),
        (1.0, 1.0, 1.0),
    )


@settings(deadline=None, max_examples=40)
@given(way=st.tuples(*[st.floats(-1.0, 1.0)] * 3).filter(lambda w: np.linalg.norm(w) > 0.1))
def test_profiles_are_linear_interpolation(way):
    image = np.random.default_rng(0).random((9, 10, 11)).astype(np.float32)
    way = np.array(way) / np.linalg.norm(way)
    distances = np.array([0.7, 1.9, 6.3])
    ours = lines_through(image, way, distances)[0]
    for side, sign in enumerate((1, -1)):
        spots = middle_of(image)[0][:, None] + sign * way[:, None] * distances
        wanted = ndimage.map_coordinates(image, spots, order=1, mode="grid-constant", output=float)
        np.testing.assert_allclose(ours[side], wanted, atol=1e-6)


def test_the_level_around_a_cell_is_that_of_its_surroundings():
    image = blob((2, 2, 2)) + 30.0
    level = ring_level(image, middle_of(image), (8, 8, 8))
    assert level[0] == pytest.approx(30.0, abs=1.0)
