"""ketamap.phantom.render"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.phantom.noise import stream_seed
from ketamap.phantom.render import Channel, Spots, paint_block

SHAPE = (20, 14, 17)


def make_channel(*, tissue=0.0, read_sd=0.0, gain=0.0, shade=1.0, offset=0.0, seed=1):
    rng = np.random.default_rng(0)
    lattice = tissue * rng.uniform(0.5, 1.5, (11, 8, 9)).astype(np.float32)
    flat = tuple(np.full(n, 1.0, dtype=np.float32) for n in SHAPE)
    profiles = (np.full(SHAPE[0], shade, dtype=np.float32), *flat[1:])
    return Channel(lattice, np.full(3, 0.5), profiles, offset, read_sd, gain, seed, SHAPE)


def make_somata(places, peaks, sigma=0.9):
    order = np.argsort(np.asarray(places)[:, 0], kind="stable")
    return Spots(
        np.asarray(places, dtype=np.float64)[order],
        np.asarray(peaks, dtype=np.float32)[order],
        np.full(3, sigma),
    )


WHOLE = ((0, 0, 0), SHAPE)
places = st.tuples(*(st.floats(-2.0, n + 1.0) for n in SHAPE))


@settings(deadline=None, max_examples=40)
@given(
    cells=st.lists(places, min_size=1, max_size=12),
    chunk=st.tuples(*(st.integers(3, 20) for _ in SHAPE)),
)
def test_cutting_the_volume_changes_no_voxel(cells, chunk):
    channel = make_channel(tissue=60.0, read_sd=3.0, gain=1.0, offset=100.0)
    somata = make_somata(cells, np.linspace(50, 900, len(cells)))
    whole = paint_block(channel, [somata], *WHOLE)
    for z in range(0, SHAPE[0], chunk[0]):
        for y in range(0, SHAPE[1], chunk[1]):
            for x in range(0, SHAPE[2], chunk[2]):
                start = (z, y, x)
                stop = tuple(min(a + c, n) for a, c, n in zip(start, chunk, SHAPE, strict=True))
                cut = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
                np.testing.assert_array_equal(
                    paint_block(channel, [somata], start, stop), whole[cut]
                )


def test_a_soma_is_a_gaussian_at_its_place():
    place, sigma = np.array([9.3, 6.8, 8.1]), 1.1
    image = paint_block(make_channel(), [make_somata([place], [30000.0], sigma)], *WHOLE)
    index = np.indices(SHAPE).reshape(3, -1).T
    expected = 30000.0 * np.exp(-0.5 * np.sum((index - place) ** 2, axis=1) / sigma**2)
    np.testing.assert_allclose(image.ravel(), expected, atol=12.0)  # 30000 exp(-8): the reach
    weights = image.ravel() / image.sum()
    np.testing.assert_allclose(weights @ index, place, atol=0.01)


def test_somata_add_up():
    one = make_somata([(9, 6, 8)], [4000.0])
    other = make_somata([(10, 7, 8)], [3000.0])
    both = make_somata([(9, 6, 8), (10, 7, 8)], [4000.0, 3000.0])
    sums = [paint_block(make_channel(), [s], *WHOLE).astype(int) for s in (one, other, both)]
    assert np.abs(sums[0] + sums[1] - sums[2]).max() <= 1  # rounding


def test_tissue_is_interpolated_between_the_knots():
    channel = make_channel(tissue=1000.0)
    image = paint_block(channel, [], *WHOLE)
    np.testing.assert_allclose(image[::2, ::2, ::2], channel.tissue[:10, :7, :9], atol=0.51)
    halfway = 0.5 * (channel.tissue[2, 3, 4] + channel.tissue[2, 3, 5])
    assert image[4, 6, 9] == pytest.approx(halfway, abs=0.51)


def test_shading_dims_tissue_and_somata_but_not_the_offset():
    somata = make_somata([(9, 6, 8)], [4000.0])
    lit = paint_block(make_channel(tissue=500.0, offset=100.0), [somata], *WHOLE) - 100.0
    dim = paint_block(make_channel(tissue=500.0, offset=100.0, shade=0.8), [somata], *WHOLE) - 100.0
    np.testing.assert_allclose(dim, 0.8 * lit, atol=1.0)


@pytest.mark.parametrize(("tissue", "read_sd", "gain"), [(0.0, 5.0, 1.0), (1000.0, 2.0, 2.0)])
def test_noise_has_the_variance_of_camera_and_light(tissue, read_sd, gain):
    clean = paint_block(make_channel(tissue=tissue, offset=100.0), [], *WHOLE)
    n_draws = 40
    draws = np.stack(
        [
            paint_block(
                make_channel(
                    tissue=tissue, read_sd=read_sd, gain=gain, offset=100.0, seed=stream_seed(s)
                ),
                [],
                *WHOLE,
            )
            for s in range(n_draws)
        ]
    )
    expected = read_sd**2 + gain * (clean - 100.0) + 1 / 12  # and rounding
    assert np.mean(draws.var(axis=0, ddof=1) / expected) == pytest.approx(1.0, abs=0.02)
    error = np.mean(draws - clean.astype(float))
    assert abs(error) < 5 * np.sqrt(expected.mean() / draws.size)


def test_values_are_clipped_and_never_wrap():
    bright = make_somata([(9, 6, 8)], [1e6])
    image = paint_block(make_channel(read_sd=50.0, offset=0.0), [bright], *WHOLE)
    assert image[9, 6, 8] == 65535
    assert image[0, 0].max() < 500


def test_an_empty_block_is_empty():
    assert paint_block(make_channel(), [], (3, 3, 3), (3, 5, 5)).shape == (0, 2, 2)
