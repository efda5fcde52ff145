"""ketamap.trace.thick: vessels and edges are left out and counted, fibres are not."""

import numpy as np
import pytest
from scipy import ndimage

from ketamap.trace import trace_axons
from tests.trace.made import draw, random_walks, volume_of

SPACING = (2.0, 2.0, 2.0)
SHAPE = (64, 64, 72)


def blurred(shape_mask, height):
    return height * ndimage.gaussian_filter(shape_mask.astype(float), 0.9)


def made(thing):
    """Fibres, something else added, then noise."""
    size = (np.array(SHAPE) - 1) * 2.0
    curves, _ = random_walks(size, 800.0, np.random.default_rng(0))
    clean = draw(curves, SHAPE, SPACING, noise=0.0) + thing
    noise = np.random.default_rng(1).normal(0.0, 30.0, SHAPE) * np.sqrt(clean / 300.0)
    return volume_of(np.rint(clean + noise).clip(0).astype(np.uint16))


@pytest.fixture(scope="module")
def fibres_alone():
    return trace_axons(made(0.0))


def test_next_to_nothing_of_thin_fibres_is_left_out(fibres_alone):
    counted = fibres_alone.axons.length_um.sum()
    assert 2.0 * fibres_alone.quality["thick_voxels"] < 0.05 * counted


@pytest.mark.parametrize("thing", ["vessel of 40 um", "vessel of 24 um", "edge"])
def test_what_is_thick_adds_little_length_and_is_counted(fibres_alone, thing):
    z, y, x = np.meshgrid(*(np.arange(n) * 2.0 for n in SHAPE), indexing="ij")
    away = np.hypot(z - 64.0 + 0.2 * (x - 72.0), y - 64.0)
    mask = {
        "vessel of 40 um": away < 20.0,
        "vessel of 24 um": away < 12.0,
        "edge": z + 0.3 * y > 80.0,
    }[thing]
    tracing = trace_axons(made(blurred(mask, 300.0)))
    assert tracing.quality["thick_voxels"] > 300
    before = fibres_alone.axons.length_um.sum()
    assert tracing.axons.length_um.sum() == pytest.approx(before, rel=0.4)
    assert tracing.axons.length_um.sum() < 0.4 * 2.0 * tracing.quality["thick_voxels"] + before
