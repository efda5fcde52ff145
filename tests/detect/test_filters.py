"""ketamap.detect.filters"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from ketamap.core.space import VoxelGrid
from ketamap.detect.filters import bin_block, difference_of_gaussians
from ketamap.detect.scale import plan_filters

PLAN = plan_filters(VoxelGrid(shape=(40, 40, 40), spacing_um=(1.0, 1.0, 1.0)), 3.0)

volumes = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=12),
    elements=st.integers(0, 1000).map(float),
)


def both_halves(half):
    return np.concatenate([half[:0:-1], half])


def reference(image):
    out = []
    for kernels in (PLAN.narrow, PLAN.wide):
        smooth = image.astype(np.float64)
        for axis, half in enumerate(kernels):
            smooth = ndimage.correlate1d(smooth, both_halves(half), axis, mode="nearest")
        out.append(smooth)
    return out[0] - out[1]


@settings(deadline=None, max_examples=40)
@given(image=volumes)
def test_the_difference_of_gaussians_is_that_of_scipy(image):
    ours = difference_of_gaussians(image, PLAN.narrow, PLAN.wide)
    np.testing.assert_allclose(ours, reference(image), atol=1e-3)


@settings(deadline=None, max_examples=40)
@given(image=volumes, cut=st.integers(1, 11))
def test_a_part_of_a_volume_answers_to_the_last_bit_like_the_whole(image, cut):
    image = np.tile(image, (3, 3, 3))
    whole = difference_of_gaussians(image, PLAN.narrow, PLAN.wide)
    part = difference_of_gaussians(
        np.ascontiguousarray(image[cut:, cut:, cut:]), PLAN.narrow, PLAN.wide
    )
    reach = max(len(k) - 1 for k in PLAN.wide)
    inside = (slice(reach, None),) * 3
    np.testing.assert_array_equal(part[inside], whole[cut:, cut:, cut:][inside])


@settings(deadline=None, max_examples=40)
@given(image=volumes, axis=st.integers(0, 2))
def test_flipping_the_image_flips_the_response_to_the_last_bit(image, axis):
    flipped = difference_of_gaussians(
        np.ascontiguousarray(np.flip(image, axis)), PLAN.narrow, PLAN.wide
    )
    np.testing.assert_array_equal(
        np.flip(flipped, axis), difference_of_gaussians(image, PLAN.narrow, PLAN.wide)
    )


@settings(deadline=None, max_examples=60)
@given(image=volumes, bins=st.tuples(*[st.integers(1, 4)] * 3), dtype=st.sampled_from("BHfd"))
def test_bins_are_means_with_the_last_voxel_repeated(image, bins, dtype):
    image = np.clip(image, 0, 255).astype(dtype)
    wide = [(0, -n % b) for n, b in zip(image.shape, bins, strict=True)]
    padded = np.pad(image.astype(np.float64), wide, mode="edge")
    (nz, ny, nx), (bz, by, bx) = padded.shape, bins
    wanted = padded.reshape(nz // bz, bz, ny // by, by, nx // bx, bx).mean(axis=(1, 3, 5))
    ours = bin_block(image, bins)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, wanted, rtol=1e-5)


def test_a_constant_image_has_no_response():
    flat = np.full((9, 10, 11), 65535.0, dtype=np.float32)
    response = difference_of_gaussians(flat, PLAN.narrow, PLAN.wide)
    assert np.abs(response).max() == pytest.approx(0.0, abs=65535 * 1e-6)
