"""ketamap.trace.thinning and lengths: topology, ends and length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ketamap.trace.thinning import thinning_reach
from tests.trace.made import links_of, thin_mask

UNIT = (1.0, 1.0, 1.0)
EVERY = np.ones((3, 3, 3))


def blobs(seed, shape=(24, 26, 28), share=0.25):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 1.5)
    return smooth > np.quantile(smooth, 1.0 - share)


def tunnels_and_parts(mask):
    """Euler characteristic and number of parts of an object, padded by background."""
    m = np.pad(mask.astype(np.int64), 1)

    def cells(axes):
        joined = m
        for axis in axes:
            n = joined.shape[axis]
            joined = np.maximum(joined.take(range(n - 1), axis), joined.take(range(1, n), axis))
        return joined.sum()

    corners, faces = cells((0, 1, 2)), sum(cells((a,)) for a in range(3))
    edges = sum(cells(a) for a in ((0, 1), (0, 2), (1, 2)))
    return corners - edges + faces - m.sum(), ndimage.label(mask, EVERY)[1]


@settings(deadline=None, max_examples=12)
@given(seed=st.integers(0, 10_000))
def test_thinning_keeps_parts_and_tunnels(seed):
    mask = blobs(seed)
    skeleton = thin_mask(mask, spur_voxels=0)
    assert np.all(mask[skeleton])
    assert skeleton.sum() < 0.5 * mask.sum()
    assert tunnels_and_parts(skeleton) == tunnels_and_parts(mask)


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10_000), cut=st.tuples(*[st.integers(1, 5)] * 3))
def test_a_block_with_its_halo_thins_as_the_whole_does(seed, cut):
    mask = blobs(seed, (64, 64, 96), share=0.1)
    whole = thin_mask(mask)
    part = thin_mask(mask[cut[0] :, cut[1] :, cut[2] :], origin=cut)
    far = tuple(slice(c + r, None) for c, r in zip(cut, thinning_reach(), strict=True))
    here = tuple(slice(r, None) for r in thinning_reach())
    np.testing.assert_array_equal(part[here], whole[far])


def tube(way, spacing, radius=2.2, half=30.0, shape_um=90.0):
    shape = [round(shape_um / s) for s in spacing]
    axes = np.meshgrid(
        *(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij"
    )
    at = np.stack(axes, -1) - 0.5 * shape_um
    way = np.asarray(way, float) / np.linalg.norm(way)
    nearest = np.clip(at @ way, -half, half)[..., None] * way
    weight = np.exp(-0.5 * (np.linalg.norm(at - nearest, axis=-1) / radius) ** 2)
    return weight > 0.35, weight.astype(np.float32)


@pytest.mark.parametrize(
    "way", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (1, 1, 1), (0.2, 0.5, 0.9)]
)
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 1.0, 1.0)])
def test_a_tube_is_as_long_in_every_direction(way, spacing):
    mask, weight = tube(way, spacing)
    links = links_of(thin_mask(mask, spacing_um=spacing), weight, spacing)
    with_caps = 60.0 + 2 * 3.2
    assert 0.94 * 60.0 < links.length_um.sum() < 1.03 * with_caps


def test_a_spur_is_clipped_and_a_branch_is_not():
    mask = np.zeros((9, 40, 40), bool)
    mask[4, 20, 3:37] = True
    mask[4, 18:20, 20] = True
    skeleton = thin_mask(mask)
    assert not skeleton[4, 18, 20]
    assert skeleton[4].any(axis=0)[3:37].all()
    assert skeleton.sum() == 34
    mask[4, 8:20, 20] = True
    assert thin_mask(mask)[4, 8:20, 20].all()


def test_the_redundant_diagonal_of_a_corner_is_left_out():
    skeleton = np.zeros((3, 6, 6), np.uint8)
    skeleton[1, 1, 1:5] = 1
    skeleton[1, 1:5, 4] = 1
    links = links_of(skeleton, np.zeros(skeleton.shape, np.float32))
    assert len(links.length_um) == 6
