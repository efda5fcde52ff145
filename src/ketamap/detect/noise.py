"""How strongly the response varies where there is no cell, everywhere in the volume.

Noise is measured on a lattice of tiles fixed in the volume. One straight line through all
tiles says what noise to expect at a brightness (the prior); a tile may depart from it by a
bounded factor, interpolated between tile centres. So neither an empty tile nor one packed
with cells sets its own standard, and multiplying or shifting all intensities changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from ketamap.core.space import Zyx
from ketamap.detect.device import Filtered

F32 = NDArray[np.float32]

SAMPLES_PER_TILE = 2048
"""Bins looked at in a tile: the quantiles are then known to about 4 %."""

WHITE_SAMPLES = 512
"""Second differences looked at per axis of a tile: white noise is then known to about 5 %."""

FEWEST_SAMPLES = 32
"""A tile with fewer bins that are not empty has no noise of its own."""

LOWER_QUANTILE = 0.158655
"""Normal distribution function at -1: median minus this quantile is one standard deviation.
Cells lie above the median, so the lower half hardly sees them."""

PRIOR_QUANTILE = 0.4
"""The prior runs a little below the middle of the tiles: cells only ever add to the noise."""

PRIOR_TILES = 400
"""Tiles that the prior's slope is fitted on: evenly spread in brightness order."""

RATIO_LIMITS = (0.8, 1.3)
"""How far the noise of a place may depart from the prior at its brightness."""

TILE_EXCESS_AT_MOST = 2.5
"""A tile's own measurement is never undercut by more than this factor."""

CALM = 3.0
"""Responses within this many standard deviations say what two channels share: no cell does."""

LEAST_SHARED = 0.05
"""Part of the background's response that is not noise, at least: where there is less to compare
the slope is taken lower, not higher."""

ROUNDING = 4e-6
"""Responses below this fraction of the brightness are float32 rounding, not image."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class TileNoise:
    """Noise and brightness of tiles; arrays of one shape, NaN where a tile is empty."""

    sigma: NDArray[np.float64]
    """Standard deviation of the response, in intensity units."""

    level: NDArray[np.float64]
    """Median intensity: cells hardly move it."""

    own: NDArray[np.float64]
    """Mean square of the response, where neither it nor the background's stands out; this and
    the next three are 0 without a background."""

    joint: NDArray[np.float64]
    """Mean product of the two responses there."""

    other: NDArray[np.float64]
    """Mean square of the background's there."""

    other_white: NDArray[np.float64]
    """What white noise gives of that."""

    white: NDArray[np.float64]
    """Standard deviation of white noise in a bin, in intensity units."""


def measure_tiles(
    block: Filtered,
    edges: Zyx[NDArray[np.int64]],
    *,
    background: Filtered | None = None,
    white_gain: float = 1.0,
) -> TileNoise:
    """Measure the noise of each tile of a block.

    Parameters
    ----------
    block
        The binned image and its difference of Gaussians.
    edges
        Borders of the tiles in this block's bins.
    background
        The background channel, same shape.
    white_gain
        Standard deviation of the response to white noise of standard deviation 1.

    Returns
    -------
    TileNoise
        One value per tile. A tile that is empty (zero, or constant up to rounding) is NaN.
    """
    image, response = block.image, block.response
    shape = tuple(len(e) - 1 for e in edges)
    out = _no_tiles(shape)
    for tile in np.ndindex(*shape):
        where = _lattice(edges, tile)
        r, v = _samples(response[where], image[where], ROUNDING)
        if r.size < FEWEST_SAMPLES:
            continue
        low, middle = _low_and_middle(r)
        out.sigma[tile] = middle - low
        out.level[tile] = select(v, v.size // 2)
        out.white[tile] = white_noise(image[_whole(edges, tile)])
        if background is not None:
            filled = np.abs(response[where]) > ROUNDING * np.abs(image[where])
            both = response[where][filled], background.response[where][filled]
            calm = _calm(both[0], low, middle) & _calm(both[1], *_low_and_middle(both[1].copy()))
            out.own[tile], out.joint[tile], out.other[tile] = _moments(*(v[calm] for v in both))
            white = white_noise(background.image[_whole(edges, tile)])
            out.other_white[tile] = (white_gain * white) ** 2
    return out


def white_noise(image: F32) -> float:
    """Measure the standard deviation of noise that differs from bin to bin.

    From second differences (variance 6 sigma**2), by their median magnitude (0.6745 sigma for a
    normal distribution), along the axis where it is least: structure only adds. Bins that do not
    differ from their neighbours at all are left out (no tissue, or saturated).

    Parameters
    ----------
    image
        Shape ``(z, y, x)``.

    Returns
    -------
    float
        0 where no axis has three bins or nothing differs.
    """
    least = np.inf
    step = max(1, round(float(np.sqrt(image.size / WHITE_SAMPLES))))
    for axis in range(3):
        if image.shape[axis] < 3:
            continue
        others = [n for k, n in enumerate(image.shape) if k != axis]
        some = _bends(image, axis, step if min(others) >= step else 1, ROUNDING)
        if some.size >= FEWEST_SAMPLES:
            least = min(least, select(some, some.size // 2) / (0.6745 * np.sqrt(6.0)))
    return least if np.isfinite(least) else 0.0


@njit(nogil=True, cache=True)
def _samples(response: F32, image: F32, rounding: float) -> tuple[F32, F32]:
    """Response and brightness of the bins where the response is more than rounding."""
    r = np.empty(response.size, dtype=np.float32)
    v = np.empty(response.size, dtype=np.float32)
    m = 0
    for i in range(response.shape[0]):
        for j in range(response.shape[1]):
            for k in range(response.shape[2]):
                if abs(response[i, j, k]) > rounding * abs(image[i, j, k]):
                    r[m], v[m] = response[i, j, k], image[i, j, k]
                    m += 1
    return r[:m], v[:m]


@njit(nogil=True, cache=True)
def select(values: F32, k: int) -> float:
    """Return the value of rank ``k``, from 0, and leave ``values`` partly sorted around it.

    Hoare 1961 (Commun ACM 4:321, algorithm 65).
    """
    low, high = 0, values.size - 1
    while low < high:
        pivot, i, j = values[(low + high) // 2], low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return float(values[k])


@njit(nogil=True, cache=True)
def _bends(image: F32, axis: int, step: int, rounding: float) -> F32:
    """Magnitudes of second differences along an axis that are more than rounding.

    Lines along the axis are ``step`` bins apart.
    """
    every = (1 if axis == 0 else step, 1 if axis == 1 else step, 1 if axis == 2 else step)
    dz, dy, dx = int(axis == 0), int(axis == 1), int(axis == 2)
    nz, ny, nx = image.shape
    count = 1
    for n, by in zip(image.shape, every):  # noqa: B905 (numba knows no strict)
        count *= -(-n // by)
    out = np.empty(count, dtype=np.float32)
    m = 0
    for i in range(dz, nz - dz, every[0]):
        for j in range(dy, ny - dy, every[1]):
            for k in range(dx, nx - dx, every[2]):
                v = image[i, j, k]
                bend = abs(image[i + dz, j + dy, k + dx] - 2.0 * v + image[i - dz, j - dy, k - dx])
                if bend > rounding * abs(v):
                    out[m] = bend
                    m += 1
    return out[:m]


def _whole(edges: Zyx[NDArray[np.int64]], tile: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(int(e[t]), int(e[t + 1])) for e, t in zip(edges, tile, strict=True))


def _no_tiles(shape: tuple[int, ...]) -> TileNoise:
    empty = {name: np.full(shape, np.nan) for name in ("sigma", "level")}
    return TileNoise(
        **empty, **{f.name: np.zeros(shape) for f in fields(TileNoise) if f.name not in empty}
    )


def _low_and_middle(values: F32) -> tuple[float, float]:
    """Return what lies one standard deviation below the median, and it; reorders the values."""
    low = select(values, round(LOWER_QUANTILE * (values.size - 1)))
    return low, select(values, round(0.5 * (values.size - 1)))


def _calm(values: F32, low: float, middle: float) -> NDArray[np.bool_]:
    return np.asarray(np.abs(values - middle) < CALM * (middle - low))


def _moments(response: F32, background: F32) -> tuple[float, float, float]:
    """Mean square, product and square of two responses; 0 of none."""
    if not response.size:
        return 0.0, 0.0, 0.0
    r, b = response.astype(np.float64), background.astype(np.float64)
    return float(np.mean(r * r)), float(np.mean(r * b)), float(np.mean(b * b))


def _shared_slope(tiles: TileNoise) -> float:
    """Response per response of the background, in what the two share.

    Least squares, with the background's white noise taken off its square: noise in a regressor
    flattens the slope (Fuller 1987, Measurement Error Models, section 1.2). What the two share
    from bin to bin is taken for noise as well, so the slope is held below that of the inverse
    regression, which no true slope exceeds (Frisch 1934, Statistical Confluence Analysis).
    """
    own, joint, other = (float(np.sum(v)) for v in (tiles.own, tiles.joint, tiles.other))
    if joint <= 0.0:
        return 0.0
    shared = max(other - float(np.sum(tiles.other_white)), LEAST_SHARED * other)
    return min(joint / shared, own / joint)


def _lattice(edges: Zyx[NDArray[np.int64]], tile: tuple[int, ...]) -> tuple[slice, ...]:
    """Every n-th row and column of a tile, so that about `SAMPLES_PER_TILE` are left."""
    spans = [(int(e[t]), int(e[t + 1])) for e, t in zip(edges, tile, strict=True)]
    n = np.prod([b - a for a, b in spans])
    step = max(1, round(float(np.sqrt(n / SAMPLES_PER_TILE))))
    return tuple(slice(a, b, s) for (a, b), s in zip(spans, (1, step, step), strict=True))


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class NoiseMap:
    """The noise to expect at any place and brightness."""

    offset: float
    """Noise at brightness 0."""

    per_level: float
    """Noise per brightness."""

    floor: float
    """Least noise, above the rounding of the filters and the steps of whole numbers."""

    levels: tuple[float, float]
    """Brightness range of the tiles; outside it the nearer end counts."""

    ratio: NDArray[np.float64]
    """Shape ``tiles``: noise of the tile over the prior, within `RATIO_LIMITS`."""

    tile_sigma: NDArray[np.float64]
    """Shape ``tiles``: as measured, 0 where empty."""

    brightest: NDArray[np.float64]
    """Shape ``tiles``: greatest brightness of the tile and its neighbours."""

    centres: Zyx[NDArray[np.float64]]
    """Tile centres along each axis, in bins."""

    background_slope: float
    """Response per response of the background channel."""

    def prior(self, level: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Noise expected at a brightness, any shape."""
        at = np.clip(level, *self.levels)
        return np.asarray(np.maximum(self.offset + self.per_level * at, self.floor))

    def at(self, bins: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.float64]:
        """Noise at positions ``(n, 3)`` in bins of brightness ``(n,)``.

        Where cells are packed, the brightness read around one of them is that of others;
        tissue no brighter than the tiles nearby is what the prior is asked about.
        """
        where = np.stack(
            [
                np.interp(bins[:, axis], centres, np.arange(len(centres)))
                for axis, centres in enumerate(self.centres)
            ]
        )
        ratio = ndimage.map_coordinates(self.ratio, where, order=1, mode="nearest")
        near = tuple(np.rint(where).astype(np.int64))
        tissue = np.minimum(level, self.brightest[near])
        least = self.tile_sigma[near] / TILE_EXCESS_AT_MOST
        return np.asarray(np.maximum(ratio * self.prior(tissue), least))


def map_noise(tiles: TileNoise, edges: Zyx[NDArray[np.int64]], floor: float) -> NoiseMap:
    """Fit the prior to all tiles of a volume and let each depart from it a little.

    Parameters
    ----------
    tiles
        Arrays of shape ``(tiles z, tiles y, tiles x)``.
    edges
        Borders of the tiles, in bins.
    floor
        Least noise, in intensity units.
    """
    filled = np.isfinite(tiles.sigma)
    level, sigma = tiles.level[filled], tiles.sigma[filled]
    offset, per_level = fit_line(level, sigma) if len(level) else (0.0, 0.0)
    z, y, x = (np.asarray(0.5 * (e[:-1] + e[1:] - 1), dtype=np.float64) for e in edges)
    least = max(floor, 0.25 * float(np.quantile(sigma, PRIOR_QUANTILE)) if len(sigma) else 0.0)
    expected = np.maximum(offset + per_level * level, least)
    ratio = np.ones(tiles.sigma.shape)
    ratio[filled] = np.clip(sigma / expected, *RATIO_LIMITS) if least > 0.0 else 1.0
    return NoiseMap(
        offset=offset,
        per_level=per_level,
        floor=least,
        levels=(float(level.min()), float(level.max())) if len(level) else (0.0, 0.0),
        ratio=ratio,
        tile_sigma=np.where(filled, tiles.sigma, 0.0),
        brightest=ndimage.maximum_filter(np.where(filled, tiles.level, -np.inf), size=3),
        centres=(z, y, x),
        background_slope=_shared_slope(tiles),
    )


def fit_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Fit a straight line that a quarter of wild points cannot turn.

    The slope is the median over pairs (Theil 1950; Sen 1968, J Am Stat Assoc 63:1379), not
    negative; the line then passes at `PRIOR_QUANTILE` of the residuals. Both follow any
    scaling and shift of x and y.

    Returns
    -------
    offset, slope
    """
    order = np.argsort(x, kind="stable")
    chosen = order[np.unique(np.linspace(0, len(x) - 1, PRIOR_TILES).astype(np.int64))]
    u, v = x[chosen], y[chosen]
    a, b = np.triu_indices(len(u), k=1)
    run = u[b] - u[a]
    apart = run > 0.05 * (u[-1] - u[0])
    slopes = (v[b] - v[a])[apart] / run[apart]
    slope = max(0.0, float(np.median(slopes))) if slopes.size else 0.0
    return float(np.quantile(y - slope * x, PRIOR_QUANTILE)), slope


def join_tiles(shape: Zyx[int], parts: Iterable[tuple[Zyx[slice], Any]]) -> TileNoise:
    """Put the tiles of all blocks into one lattice.

    Parameters
    ----------
    shape
        Number of tiles along each axis.
    parts
        For each block, where its tiles lie in the lattice, and its `TileNoise`.
    """
    whole = _no_tiles(shape)
    for where, part in parts:
        for one in fields(TileNoise):
            getattr(whole, one.name)[where] = getattr(part, one.name)
    return whole
