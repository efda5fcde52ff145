"""ketamap.stats.tfce"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from ketamap.core.errors import InputError
from ketamap.stats.tfce import CONNECTIVITIES, Enhancement, Lattice, tfce

WHOLE = np.ones((4, 5, 3), dtype=bool)
maps = hnp.arrays(  # few distinct values, so ties and plateaus are common
    np.float32, WHOLE.shape, elements=st.integers(-4, 4).map(float)
)


def enhanced(volume, mask=None, how=None, **more):
    mask = np.ones(volume.shape, dtype=bool) if mask is None else mask
    how = how or Enhancement()
    out = np.zeros(volume.shape)
    out[mask] = tfce(volume[mask], Lattice.of(mask, how.connectivity), how, **more)
    return out


def summed_over_thresholds(volume, how, step):
    """The integral of the paper as a sum of steps at mid heights."""
    structure = ndimage.generate_binary_structure(3, 1 if how.connectivity == 6 else 3)
    out = np.zeros(volume.shape)
    for sign in (1, -1):
        for h in np.arange(step / 2, (sign * volume).max(), step):
            labels, _ = ndimage.label(sign * volume >= h, structure)
            size = np.bincount(labels.ravel()).astype(float)
            size[0] = 0.0
            out += sign * size[labels] ** how.extent_power * h**how.height_power * step
    return out


@settings(deadline=None, max_examples=40)
@given(volume=maps, connectivity=st.sampled_from(CONNECTIVITIES))
def test_whole_heights_give_the_sum_over_their_levels(volume, connectivity):
    how = Enhancement(connectivity=connectivity)
    structure = ndimage.generate_binary_structure(3, 1 if connectivity == 6 else 3)
    expected = np.zeros(volume.shape)
    for sign in (1, -1):
        for level in (1, 2, 3, 4):  # between two whole heights clusters do not change
            labels, _ = ndimage.label(sign * volume >= level, structure)
            size = np.bincount(labels.ravel()).astype(float)
            size[0] = 0.0
            expected += sign * np.sqrt(size[labels]) * (level**3 - (level - 1) ** 3) / 3
    np.testing.assert_allclose(enhanced(volume, how=how), expected, rtol=1e-6)


@settings(deadline=None, max_examples=30)
@given(volume=maps, axis=st.integers(0, 2), connectivity=st.sampled_from(CONNECTIVITIES))
def test_flipping_an_axis_flips_the_scores(volume, axis, connectivity):
    how = Enhancement(connectivity=connectivity)
    np.testing.assert_allclose(
        np.flip(enhanced(np.flip(volume, axis), how=how), axis), enhanced(volume, how=how)
    )


@settings(deadline=None, max_examples=30)
@given(volume=maps)
def test_changing_the_sign_changes_the_sign(volume):
    np.testing.assert_array_equal(enhanced(-volume), -enhanced(volume))


@settings(deadline=None, max_examples=30)
@given(volume=maps)
def test_scores_are_larger_where_values_are(volume):
    higher = volume + (volume > 0)
    assert np.all(enhanced(higher)[volume > 0] > enhanced(volume)[volume > 0])


@settings(deadline=None, max_examples=30)
@given(volume=maps)
def test_more_neighbours_never_lower_a_score(volume):
    six, many = (enhanced(volume, how=Enhancement(connectivity=c)) for c in CONNECTIVITIES)
    assert np.all(np.abs(many) >= np.abs(six) * (1 - 1e-12))


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize(("e", "h"), [(0.5, 2.0), (1.0, 1.0), (0.7, 2.5)])
def test_it_is_the_integral_of_the_paper(connectivity, e, h):
    rng = np.random.default_rng(4)
    volume = ndimage.gaussian_filter(rng.normal(size=(9, 8, 10)), 1.0) * 10
    how = Enhancement(extent_power=e, height_power=h, connectivity=connectivity)
    mask = rng.uniform(size=volume.shape) < 0.85
    volume[~mask] = 0.0
    exact = enhanced(volume, mask, how)
    coarse, fine = (summed_over_thresholds(volume, how, s) for s in (0.02, 0.005))
    largest = np.abs(exact).max()
    assert np.abs(fine - exact).max() < 2e-3 * largest
    assert np.abs(fine - exact).mean() < 0.5 * np.abs(coarse - exact).mean()


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
def test_it_agrees_with_mne(connectivity):
    # mne 1.13.2, mne.stats.cluster_level, thresholds from 0 in steps of 0.0005: its sums lie
    # within a step times the slope of the integral of the exact value
    stored = pd.read_csv(Path(__file__).parent / "data" / "tfce_mne_1.13.csv")
    volume = stored["value"].to_numpy().reshape(6, 5, 7)
    found = enhanced(volume, how=Enhancement(connectivity=connectivity)).ravel()
    theirs = stored[f"tfce_{connectivity}"].to_numpy()
    np.testing.assert_allclose(np.abs(found), np.abs(theirs), rtol=1e-3, atol=2e-3)


def test_two_far_peaks_do_not_know_each_other():
    volume = np.zeros((3, 3, 12), dtype=np.float32)
    volume[1, 1, 1:3], volume[1, 1, 8] = 3.0, 2.0
    found = enhanced(volume)
    np.testing.assert_allclose(found[1, 1, 1], np.sqrt(2) * 9.0, rtol=1e-6)
    np.testing.assert_allclose(found[1, 1, 8], 8.0 / 3.0, rtol=1e-6)


def test_voxels_outside_the_mask_connect_nothing():
    volume = np.ones((1, 1, 5), dtype=np.float32)
    mask = np.array([True, True, False, True, True])[None, None]
    np.testing.assert_allclose(enhanced(volume, mask)[mask], np.sqrt(2) / 3, rtol=1e-6)


def test_an_extent_in_mm3_does_not_depend_on_the_voxel_size():
    field = np.zeros((4, 4, 4), dtype=np.float32)
    field[1:3, 1:3, 1:3] = 2.0
    fine = np.kron(field, np.ones((2, 2, 2), dtype=np.float32))
    a = enhanced(field, voxel_extent=0.008).max()
    b = enhanced(fine, voxel_extent=0.001).max()
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_no_positive_values_have_no_positive_scores():
    assert not np.any(enhanced(np.full((2, 2, 2), -1.0, dtype=np.float32)) >= 0)
    assert not np.any(enhanced(np.zeros((2, 2, 2), dtype=np.float32)))


def test_what_cannot_be_enhanced_is_refused():
    lattice = Lattice.of(WHOLE)
    with pytest.raises(InputError, match="60 voxels"):
        tfce(np.zeros(7), lattice)
    with pytest.raises(InputError, match="finite"):
        tfce(np.full(60, np.nan), lattice)
    with pytest.raises(InputError, match="6 or 26"):
        Enhancement(connectivity=18)
    with pytest.raises(InputError, match="between 0 and 10"):
        Enhancement(height_power=-1.0)
