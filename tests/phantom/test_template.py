"""ketamap.phantom.template"""

import numpy as np
import pytest
from scipy import ndimage

from ketamap.phantom.template import TEXTURE_AMPLITUDE, paint_half, smooth


def test_fibre_tracts_are_darker_than_grey_matter(atlas):
    structures = atlas.structures
    tracts = structures.descendants(structures.id_of("fiber tracts"))
    grey = structures.descendants(structures.id_of("grey"))
    dark = np.median(atlas.template[np.isin(atlas.annotation, tracts)])
    bright = np.median(atlas.template[np.isin(atlas.annotation, grey)])
    assert dark < 0.7 * bright


def test_the_template_is_dark_outside_the_brain(atlas):
    far = ~ndimage.binary_dilation(atlas.brain_mask, iterations=3)
    assert np.abs(atlas.template[far]).max() == 0.0
    assert np.median(atlas.template[atlas.brain_mask]) > 50.0


def test_large_regions_have_texture_to_hold_on_to(atlas):
    for acronym in ("CP", "MOB", "CA1", "SCm"):
        inside = ndimage.binary_erosion(
            atlas.annotation == atlas.structures.id_of(acronym), iterations=2
        )
        values = atlas.template[inside]
        assert values.std() > 0.02 * values.mean(), acronym


@pytest.mark.parametrize("resolution_um", [50.0, 100.0])
def test_texture_depends_on_the_place_and_stays_within_bounds(resolution_um):
    n = int(3000 / resolution_um)
    flat = np.zeros((n, n, n), dtype=np.int16)
    image = paint_half(flat, np.zeros_like(flat, dtype=np.float32), np.array([1.0]), resolution_um)
    assert np.abs(image - 1.0).max() <= 2 * TEXTURE_AMPLITUDE
    finer = np.zeros((2 * n, 2 * n, 2 * n), dtype=np.int16)
    fine = paint_half(
        finer, np.zeros_like(finer, dtype=np.float32), np.array([1.0]), resolution_um / 2
    )
    mean = fine.reshape(n, 2, n, 2, n, 2).mean(axis=(1, 3, 5))
    assert np.corrcoef(mean.ravel(), image.ravel())[0, 1] > 0.98


def test_voxels_outside_stay_empty():
    outside = np.full((3, 4, 5), -1, dtype=np.int16)
    nothing = paint_half(outside, np.full((3, 4, 5), np.inf, np.float32), np.array([1.0]), 100.0)
    assert not nothing.any()


def test_smoothing_keeps_the_brightness_of_a_large_area():
    image = np.full((20, 20, 20), 7.0, dtype=np.float32)
    assert smooth(image, 100.0)[10, 10, 10] == pytest.approx(7.0, rel=1e-4)
