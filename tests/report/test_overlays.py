"""ketamap.report.overlays"""

import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ketamap.core.errors import ImageError
from ketamap.report.overlays import BOUNDARY_RGB, GREYS, LONGEST_PIXELS, overlay_uri


def decoded(uri):
    head, body = uri.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))).convert("RGB"))


def test_boundaries_are_coloured_and_the_rest_keeps_its_grey():
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (30, 40), dtype=np.uint8)
    boundary = rng.random((30, 40)) < 0.1
    picture = decoded(overlay_uri(grey, boundary))
    assert np.all(picture[boundary] == BOUNDARY_RGB)
    error = np.abs(picture[~boundary].astype(int) - grey[~boundary][:, None])
    assert error.max() <= 255 / (GREYS - 1)


@settings(deadline=None, max_examples=20)
@given(rows=st.integers(1, 900), columns=st.integers(1, 900))
def test_large_pictures_are_reduced_in_proportion(rows, columns):
    grey = np.full((rows, columns), 100, np.uint8)
    picture = decoded(overlay_uri(grey, np.zeros((rows, columns), bool)))
    assert max(picture.shape[:2]) <= LONGEST_PIXELS
    step = -(-max(rows, columns) // LONGEST_PIXELS)
    assert picture.shape[:2] == (max(rows // step, 1), max(columns // step, 1))
    assert np.ptp(picture) == 0


def test_a_boundary_of_another_shape_is_refused():
    with pytest.raises(ImageError, match="one 2D shape"):
        overlay_uri(np.zeros((3, 4), np.uint8), np.zeros((4, 3), bool))
