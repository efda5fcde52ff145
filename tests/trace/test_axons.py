"""ketamap.trace.axons: properties of the whole trace."""

import numpy as np
import pytest

from ketamap.core.errors import ImageError
from ketamap.trace import trace_axons
from tests.trace.made import draw, random_walks, volume_of

SPACING = (2.0, 2.0, 2.0)
SHAPE = (60, 72, 72)
SIZE = np.asarray(SHAPE) * 2.0 - 2.0


@pytest.fixture(scope="module")
def image():
    curves, _ = random_walks(SIZE, 3000.0, np.random.default_rng(3))
    return np.rint(draw(curves, SHAPE, SPACING, noise=40.0)).astype(np.uint16)


@pytest.fixture(scope="module")
def tracing(image):
    return trace_axons(volume_of(image))


@pytest.mark.parametrize(("megabytes", "workers"), [(430, 1), (480, 2), (4096, 3)])
def test_neither_memory_nor_workers_change_the_answer(image, tracing, megabytes, workers):
    again = trace_axons(volume_of(image), memory_bytes=megabytes * 2**20, workers=workers)
    assert again.axons.equals(tracing.axons)
    assert dict(again.quality) == dict(tracing.quality)


def test_nan_is_refused_by_name(image):
    broken = image.astype(np.float32)
    broken[30, 30, 30] = np.nan
    with pytest.raises(ImageError, match="NaN"):
        trace_axons(volume_of(broken))
