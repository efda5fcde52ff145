"""ketamap.register.quality"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.core.space import VoxelGrid
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.register.quality import Findings, assess, judge, lncc, local_ncc, ncc
from ketamap.register.reference import reference_at
from tests.register.scenes import toy_atlas

GOOD = {"ncc": 0.8, "lncc": 0.7, "least_jacobian": 0.5, "inverse_error_p95_um": 3.0}


def noise(seed, shape=(14, 13, 12)):
    return np.random.default_rng(seed).random(shape)


def test_local_correlation_equals_pearson_in_each_window():
    a, b = noise(1), noise(1) + 0.7 * noise(2)
    mask = np.ones(a.shape, dtype=bool)
    clipped = [np.clip(i, *np.percentile(i, (0.5, 99.5))) for i in (a, b)]
    window = (slice(3, 10), slice(2, 9), slice(4, 11))
    expected = np.corrcoef(clipped[0][window].ravel(), clipped[1][window].ravel())[0, 1]
    assert local_ncc(a, b, mask)[6, 5, 7] == pytest.approx(expected, abs=1e-9)


def test_correlation_equals_pearson_over_the_mask():
    a, b = noise(3), noise(3) + noise(4)
    mask = noise(5) > 0.4
    clipped = [np.clip(i, *np.percentile(i[mask], (0.5, 99.5)))[mask] for i in (a, b)]
    assert ncc(a, b, mask) == pytest.approx(np.corrcoef(*clipped)[0, 1], abs=1e-9)


@settings(deadline=None, max_examples=20)
@given(gain=st.floats(0.1, 1000.0), offset=st.floats(-1000.0, 1000.0))
def test_brightness_and_offset_do_not_matter(gain, offset):
    a, b = noise(6), noise(7) + noise(6)
    mask = np.ones(a.shape, dtype=bool)
    assert lncc(gain * a + offset, b, mask) == pytest.approx(lncc(a, b, mask), abs=1e-6)
    assert ncc(gain * a + offset, b, mask) == pytest.approx(ncc(a, b, mask), abs=1e-6)


def test_a_negative_image_correlates_with_minus_one():
    a = noise(8)
    mask = np.ones(a.shape, dtype=bool)
    assert lncc(a, -a, mask) == pytest.approx(-1.0)
    assert ncc(a, -a, mask) == pytest.approx(-1.0)


def test_windows_without_variance_are_left_out():
    a, b = noise(9, (30, 10, 10)), noise(9, (30, 10, 10))
    a[:15] = 0.5
    b[:15] = noise(10, (15, 10, 10))
    mask = np.ones(a.shape, dtype=bool)
    local = local_ncc(a, b, mask)
    assert np.isnan(local[:12]).all()
    assert np.isfinite(local[12:]).all()
    assert lncc(a, b, mask) == pytest.approx(local[12:].mean())


def test_a_constant_image_scores_zero_and_does_not_crash():
    mask = np.ones((8, 8, 8), dtype=bool)
    assert lncc(np.ones((8, 8, 8)), noise(1, (8, 8, 8)), mask) == 0.0
    assert ncc(np.ones((8, 8, 8)), noise(1, (8, 8, 8)), mask) == 0.0


def test_good_figures_pass_without_a_reason():
    assert judge(**GOOD) == ("pass", ())


@pytest.mark.parametrize(
    ("figure", "value", "verdict"),
    [
        ("lncc", 0.1, "fail"),
        ("ncc", 0.0, "fail"),
        ("least_jacobian", 0.05, "look"),
        ("least_jacobian", -0.1, "fail"),
        ("inverse_error_p95_um", 60.0, "look"),
        ("inverse_error_p95_um", 400.0, "fail"),
        ("inverse_error_p95_um", float("inf"), "fail"),
        ("inverse_error_p95_um", float("nan"), "fail"),
    ],
)
def test_one_bad_figure_decides_and_is_named(figure, value, verdict):
    got, reasons = judge(**{**GOOD, figure: value})
    assert got == verdict
    assert len(reasons) == 1


def test_a_suspicion_alone_means_fail():
    assert judge(**GOOD, findings=Findings(suspicions=("turned.",))) == ("fail", ("turned.",))


def test_the_identity_is_perfect():
    atlas = toy_atlas(100.0)
    identity = Transform.from_affine(AffineMap(np.eye(4)), atlas.grid)
    quality = assess(atlas.template, atlas.grid, identity, reference_at(atlas, 100.0))
    assert quality.lncc == pytest.approx(1.0, abs=1e-6)
    assert quality.least_jacobian == pytest.approx(1.0)
    assert quality.inverse_error_p95_um == pytest.approx(0.0, abs=1e-6)
    assert quality.verdict == "pass"


def test_a_fold_and_a_wrong_inverse_are_found():
    atlas = toy_atlas(200.0)
    fold = np.zeros((3, *atlas.grid.shape), dtype=np.float32)
    fold[0, 30:34] = -600.0
    transform = Transform(
        affine=AffineMap(np.eye(4)),
        outward=DisplacementField(atlas.grid, fold),
        inward=DisplacementField.zero(atlas.grid),
    )
    quality = assess(atlas.template, atlas.grid, transform, reference_at(atlas, 200.0))
    assert quality.least_jacobian < 0.0
    assert quality.verdict == "fail"
    moved = Transform(
        affine=AffineMap(np.eye(4)),
        outward=DisplacementField(atlas.grid, np.full_like(fold, 50.0)),
        inward=DisplacementField.zero(atlas.grid),
    )
    quality = assess(atlas.template, atlas.grid, moved, reference_at(atlas, 200.0))
    assert quality.inverse_error_p95_um == pytest.approx(50.0 * np.sqrt(3.0), rel=1e-3)


def test_an_image_elsewhere_scores_nothing():
    atlas = toy_atlas(200.0)
    far = VoxelGrid(shape=(5, 5, 5), spacing_um=(200.0,) * 3, origin_um=(1e6,) * 3)
    identity = Transform.from_affine(AffineMap(np.eye(4)), atlas.grid)
    quality = assess(np.ones((5, 5, 5)), far, identity, reference_at(atlas, 200.0))
    assert quality.verdict == "fail"
