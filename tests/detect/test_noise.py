"""ketamap.detect.noise"""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.detect.device import Filtered
from ketamap.detect.noise import (
    TileNoise,
    fit_line,
    join_tiles,
    map_noise,
    measure_tiles,
    select,
    white_noise,
)

EDGES = tuple(np.array([0, 16, 32]) for _ in range(3))


def noise_block(sd, level=100.0, seed=0):
    rng = np.random.default_rng(seed)
    response = rng.normal(0.0, sd, (32, 32, 32)).astype(np.float32)
    return np.full(response.shape, level, dtype=np.float32), response


def block_of(image, response):
    return Filtered(image=image, response=response.astype(np.float32))


@pytest.mark.parametrize("sd", [0.5, 20.0])
def test_the_noise_of_a_tile_is_its_standard_deviation(sd):
    tiles = measure_tiles(block_of(*noise_block(sd)), EDGES)
    np.testing.assert_allclose(tiles.sigma, sd, rtol=0.12)
    np.testing.assert_allclose(tiles.level, 100.0)


def test_bright_cells_in_a_tile_hardly_raise_its_noise():
    image, response = noise_block(1.0)
    response[::5, ::5, ::5] += 100.0
    assert measure_tiles(block_of(image, response), EDGES).sigma.max() < 1.2


def test_empty_and_constant_tiles_have_no_noise_of_their_own():
    image, response = noise_block(1.0)
    image[:16], response[:16] = 0.0, 0.0
    tiles = measure_tiles(block_of(image, response), EDGES)
    assert np.all(np.isnan(tiles.sigma[0]))
    assert np.all(np.isfinite(tiles.sigma[1]))


def background_slope(response, background, white):
    """Noise of a block with a background of grain 1, which gives its response ``white``."""
    level, grain = noise_block(1.0, seed=9)
    tiles = measure_tiles(
        block_of(level, response),
        EDGES,
        background=block_of(level + grain, background),
        white_gain=white,
    )
    return map_noise(tiles, EDGES, 0.01)


@pytest.mark.parametrize("noise", [0.5, 5.0, 10.0])
def test_the_share_of_the_background_channel_is_found_however_noisy_it_is(noise):
    shared, mine, its = (noise_block(sd, seed=k)[1] for k, sd in enumerate((5.0, 3.0, noise)))
    found = background_slope(0.6 * shared + mine, shared + its, white=noise)
    assert found.background_slope == pytest.approx(0.6, abs=0.05 + 0.01 * noise)


def test_what_two_channels_share_from_bin_to_bin_does_not_steepen_the_slope():
    shared = noise_block(5.0)[1]
    assert background_slope(0.6 * shared, shared, white=5.0).background_slope == pytest.approx(0.6)


def test_a_background_that_shares_nothing_takes_nothing():
    mine, its = noise_block(3.0)[1], noise_block(5.0, seed=1)[1]
    assert background_slope(mine, its, white=5.0).background_slope < 0.3


@pytest.mark.parametrize("gain", [0.25, 4.0])
def test_the_slope_follows_the_gain_of_either_channel(gain):
    shared, mine, its = (noise_block(sd, seed=k)[1] for k, sd in enumerate((5.0, 3.0, 4.0)))
    before = background_slope(shared + mine, shared + its, 4.0).background_slope
    brighter = background_slope(gain * (shared + mine), shared + its, 4.0).background_slope
    dimmer = background_slope(shared + mine, gain * (shared + its), 4.0 * gain).background_slope
    np.testing.assert_allclose([brighter / gain, dimmer * gain], before, rtol=2e-3)


@settings(deadline=None, max_examples=40)
@given(
    gain=st.floats(0.25, 4.0),
    shift=st.floats(-50.0, 500.0),
    seed=st.integers(0, 20),
)
def test_the_prior_follows_gain_and_shift(gain, shift, seed):
    rng = np.random.default_rng(seed)
    level = rng.uniform(50, 500, 60)
    sigma = 1.0 + 0.04 * level + rng.normal(0, 0.5, 60)
    offset, slope = fit_line(level, sigma)
    offset2, slope2 = fit_line(gain * level + shift, gain * sigma)
    assert slope2 == pytest.approx(slope, rel=1e-6)
    assert offset2 + slope2 * (gain * 200 + shift) == pytest.approx(
        gain * (offset + slope * 200), rel=1e-6
    )


def test_a_quarter_of_wild_tiles_does_not_turn_the_prior():
    level = np.linspace(50, 500, 80)
    sigma = 1.0 + 0.04 * level
    sigma[::4] *= 5.0
    offset, slope = fit_line(level, sigma)
    assert offset + slope * 300 == pytest.approx(13.0, rel=0.15)


def tile_row(sigma, level):
    sigma, level = np.array(sigma, dtype=float), np.array(level, dtype=float)
    shape = (1, 1, len(sigma))
    known = {"sigma": sigma.reshape(shape), "level": level.reshape(shape)}
    others = {f.name: np.zeros(shape) for f in fields(TileNoise) if f.name not in known}
    tiles = TileNoise(**known, **others | {"white": np.ones(shape)})
    edges = (np.array([0, 10]), np.array([0, 10]), np.arange(len(sigma) + 1) * 10)
    return tiles, edges


def noise_at(noise, x, level):
    return noise.at(np.array([[5.0, 5.0, x]]), np.array([float(level)]))[0]


def test_an_empty_tile_takes_the_prior():
    tiles, edges = tile_row([2, 2, np.nan, 2, 2], [100, 100, np.nan, 100, 100])
    assert noise_at(map_noise(tiles, edges, 0.1), 24.5, 100) == pytest.approx(2.0)


def test_a_tile_packed_with_cells_does_not_set_its_own_standard():
    tiles, edges = tile_row([2, 2, 4, 2, 2, 2, 2], [100] * 7)
    assert noise_at(map_noise(tiles, edges, 0.1), 24.5, 100) <= 1.3 * 2.0 + 1e-9


def test_a_quiet_tile_does_not_find_noise():
    tiles, edges = tile_row([2, 2, 0.01, 2, 2, 2, 2], [100] * 7)
    assert noise_at(map_noise(tiles, edges, 0.0), 24.5, 100) >= 0.8 * 2.0 - 1e-9


def test_noise_changes_gradually_between_tiles():
    tiles, edges = tile_row([2, 2, 2.4, 2.4, 2, 2, 2], [100] * 7)
    noise = map_noise(tiles, edges, 0.1)
    along = np.array([noise_at(noise, x, 100) for x in np.arange(0, 69, 0.5)])
    assert np.abs(np.diff(along)).max() < 0.025


def test_a_volume_without_any_filled_tile_has_the_floor_as_noise():
    tiles, edges = tile_row([np.nan, np.nan], [np.nan, np.nan])
    assert noise_at(map_noise(tiles, edges, 0.3), 5.0, 0.0) == pytest.approx(0.3)


def test_tiles_of_blocks_join_into_one_lattice():
    part = TileNoise(**{f.name: np.ones((1, 1, 2)) for f in fields(TileNoise)})
    where = (slice(0, 1), slice(1, 2), slice(1, 3))
    whole = join_tiles((1, 2, 3), [(where, part)])
    assert np.isnan(whole.sigma).sum() == 4
    for one in fields(TileNoise):
        assert getattr(whole, one.name)[where].sum() == 2


@pytest.mark.parametrize("sd", [0.5, 20.0])
def test_white_noise_is_its_standard_deviation_also_on_a_slope_and_beside_cells(sd):
    rng = np.random.default_rng(0)
    image = rng.normal(100.0, sd, (24, 24, 24)).astype(np.float32)
    assert white_noise(image) == pytest.approx(sd, rel=0.1)
    slope = np.arange(24, dtype=np.float32)
    assert white_noise(image + slope[:, None] * 3 + slope * 2) == pytest.approx(sd, rel=0.1)
    image[::8, ::8, ::8] += 1000.0
    assert white_noise(image) == pytest.approx(sd, rel=0.12)


def test_an_image_of_one_value_or_two_planes_has_no_white_noise():
    assert white_noise(np.full((9, 9, 9), 7.0, dtype=np.float32)) == 0.0
    assert white_noise(np.ones((2, 2, 2), dtype=np.float32)) == 0.0


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.integers(-9, 9), min_size=1, max_size=60), share=st.floats(0.0, 1.0))
def test_a_rank_is_that_of_the_sorted_values(values, share):
    k = round(share * (len(values) - 1))
    assert select(np.array(values, dtype=np.float32), k) == sorted(values)[k]
