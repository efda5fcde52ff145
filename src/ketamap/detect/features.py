"""What the surroundings of a candidate look like: the numbers that a score is made of.

Everything is a ratio of intensities of one place, so gain and offset of the image do not
matter; directions come in opposite pairs and are sorted, so flips do not either. Positions are
taken relative to the candidate's own bin, so blocks agree to the last bit.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.space import Zyx
from ketamap.detect.peaks import (
    hessian,
    neighbourhoods,
    parabola_tops,
    profiles,
    sharp_at,
    sharp_neighbourhoods,
)
from ketamap.detect.scale import FilterPlan

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SHELLS = 6
"""Concentric shells, a quarter of a diameter apart: 0 to 1.25 diameters."""

SHELL_STEP = 0.25
"""Distance between shells, and half the width of one, in soma diameters."""

PARTS_OF_A_BIN = 3
"""Centres are rounded to a third of a bin before shells are laid around them."""

CIRCLES_PER_DIAMETER = (1.3, 1.7)
"""Radii of circles around a candidate on which the response's magnitude is read."""

OPPOSITE_PER_DIAMETER = 0.9
"""Distance at which opposite sides are compared, in soma diameters."""

CROWD_PER_DIAMETER = 1.7
"""How far around a candidate the response says whether others are near, in soma diameters."""

FEATURES = (
    "sharpness",
    "breadth",
    "length",
    "beside_050",
    "beside_075",
    "beside_100",
    "beside_125",
    "saddle",
    "shell_025",
    "shell_050",
    "shell_075",
    "shell_100",
    "contrast",
    "opposite_1",
    "opposite_4",
    "opposite_7",
    "opposite_10",
    "opposite_13",
    "bin_z",
    "bin_yx",
    "rim",
    "inner_signal",
    "whole_signal",
    "over_plane",
    "over_calm",
    "shoulder",
    "shadow",
    "sharp_shoulder",
    "sharp_saddle",
    "crowd",
    "crowd_strong",
    "next_1",
    "next_2",
    "next_3",
    "next_least",
    "next_most",
    "second_1",
    "second_2",
    "second_3",
    "second_least",
    "second_most",
)
"""Names of the columns of `describe`.

``sharpness``: curvature over height, of a single bin's; ``breadth``, ``length``: middle and
least curvature over the greatest; ``beside``: response left at fractions of a diameter along
the flattest direction, on the weaker side; ``saddle``: see `saddles`; ``shell``: brightness at a
distance, from 1 in the middle to 0 at 1.25 diameters; ``opposite``: middle minus the brighter of
two opposite sides, likewise, the brightest pair first; ``bin_z``, ``bin_yx``: longest and
shortest edge of a bin in diameters; ``rim``: distance to the border of the volume in diameters;
``contrast``, ``inner_signal``, ``whole_signal``: log of the brightness of the middle, of half and of
three quarters of a diameter over the surroundings, in standard deviations of white noise;
``over_plane``, ``over_calm``: log of the response over its usual magnitude on circles around it, of
the circle where that is greatest (a plane that flickers) and least; ``shoulder``: greatest of 27
bins over the candidate's; ``shadow``: log of the highest response within a diameter over its own;
``sharp_shoulder``, ``sharp_saddle``: as without ``sharp``, in the sharpened response; ``crowd``,
``crowd_strong``: see `crowding`, above four standard deviations of white noise and above half its
height; ``next``, ``second``: response one and two bins away over its own, see `steps_away`.
"""

LIMITS = (-6.0, 8.0)
"""Features are cut off here."""


def describe(
    image: F32,
    response: F32,
    index: NDArray[np.int64],
    first: Zyx[int],
    *,
    white: F64,
    plan: FilterPlan,
) -> F32:
    """Describe candidates.

    Parameters
    ----------
    image, response
        Shape ``(z, y, x)``: the binned block and its difference of Gaussians.
    index
        Candidates in the block, shape ``(n, 3)``; the response is above 0 there.
    first
        First bin of the block in the volume.
    white
        Standard deviation of white noise in a bin, per candidate, above 0.
    plan
        The filters.

    Returns
    -------
    numpy.ndarray of float32
        Shape ``(n, len(FEATURES))``, finite.
    """
    d, bin_um = plan.diameter_um, plan.bin_um
    height = response[tuple(index.T)].astype(np.float64)
    around = neighbourhoods(response, index)
    sharp = sharp_neighbourhoods(response, index)
    top = parabola_tops(sharp)
    curvature, axes = np.linalg.eigh(hessian(around, bin_um))
    steepest = np.maximum(-curvature[:, 0], 1e-9 * height)
    beside = profiles(response, index, axes[:, :, 2], plan.profile, bin_um).min(axis=1)
    shell, weight = shell_means(image, index, top, bin_um, d)
    opposite = opposite_sides(image, index, top, bin_um, OPPOSITE_PER_DIAMETER * d)
    step = np.maximum(shell[:, 0] - shell[:, -1], 0.25 * white)
    place = index + np.asarray(first)
    rim = np.minimum(place, np.asarray(plan.shape) - 1 - place) * np.asarray(bin_um)
    edges = np.sort(bin_um) / d
    n = len(index)
    saddle, shadow, sharp_saddle = saddles(response, index, plan.merge).T
    crowd = crowding(response, index, np.stack([4.0 * plan.white_gain * white, 0.5 * height]), plan)
    columns = [
        -curvature.sum(axis=1) / height / plan.point_sharpness,
        -curvature[:, 1] / steepest,
        -curvature[:, 2] / steepest,
        *(beside[:, k] / height for k in (3, 5, 7, 9)),
        saddle,
        *((shell[:, k] - shell[:, -1]) / step for k in range(1, 5)),
        np.log(step / white),
        *((shell[:, 0] - opposite[:, -1 - k]) / step for k in (0, 3, 6, 9, 12)),
        np.full(n, edges[2]),
        np.full(n, edges[0]),
        np.minimum(rim.min(axis=1) / d, 1.5),
        _signal(shell, weight, 2, white),
        _signal(shell, weight, 3, white),
        *_over_circles(response, index, height, plan),
        around.reshape(n, 27).max(axis=1) / height,
        np.log(shadow),
        sharp.reshape(n, 27).max(axis=1) / np.maximum(sharp[:, 1, 1, 1], 1e-3 * height),
        sharp_saddle,
        *crowd.T,
        *(steps_away(response, index, 1) / height[:, None]).T,
        *(steps_away(response, index, 2) / height[:, None]).T,
    ]
    return np.asarray(np.clip(np.stack(columns, axis=1), *LIMITS), dtype=np.float32)


def _over_circles(
    response: F32, index: NDArray[np.int64], height: F64, plan: FilterPlan
) -> tuple[F64, F64]:
    """Log of the height over the greatest and the least of `circle_levels`."""
    level = circle_levels(response, index, plan.bin_um, plan.diameter_um)
    ratio = np.log(height[:, None] / np.maximum(level, 1e-3 * height[:, None]))
    return ratio.min(axis=1), ratio.max(axis=1)


def circle_levels(
    response: F32, index: NDArray[np.int64], bin_um: Zyx[float], diameter_um: float
) -> F64:
    """Median magnitude of the response on circles around each candidate, one per axis.

    Parameters
    ----------
    response
        Shape ``(z, y, x)``; beyond it the outermost bin counts.
    index
        Shape ``(n, 3)``.
    bin_um
        Bin edges.
    diameter_um
        The soma's: the circles' radii are `CIRCLES_PER_DIAMETER`.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, 3)``: of circles in the planes across z, y and x. Their points are those of
        the nearest bins, symmetric about the candidate.
    """
    angle = np.arange(8) * (np.pi / 4.0)
    radius = np.repeat(np.asarray(CIRCLES_PER_DIAMETER) * diameter_um, 8)
    flat = radius * np.tile(np.stack([np.cos(angle), np.sin(angle)]), 2)
    out = np.empty((len(index), 3))
    for axis in range(3):
        step = np.insert(flat, axis, 0.0, axis=0).T / np.asarray(bin_um)
        away = np.sign(step) * np.floor(np.abs(step) + 0.5)
        spot = index[:, None, :] + away.astype(np.int64)
        z, y, x = (np.clip(spot[..., k], 0, response.shape[k] - 1) for k in range(3))
        out[:, axis] = np.median(np.abs(response[z, y, x]), axis=1)
    return out


def _signal(shell: F64, weight: F64, inner: int, white: F64) -> F64:
    """Log of inner shells over the two outermost, in deviations of the difference's noise."""
    within, around = weight[:, :inner].sum(axis=1), weight[:, -2:].sum(axis=1)
    middle = (shell[:, :inner] * weight[:, :inner]).sum(axis=1) / np.maximum(within, 1e-9)
    outside = (shell[:, -2:] * weight[:, -2:]).sum(axis=1) / np.maximum(around, 1e-9)
    outside = np.where(around > 0.0, outside, shell[:, -1])
    noise = white * np.sqrt(1.0 / np.maximum(within, 0.5) + 1.0 / np.maximum(around, 0.5))
    return np.asarray(np.log(np.maximum((middle - outside) / noise, 0.2)))


def shell_means(
    image: F32, index: NDArray[np.int64], offset: F64, bin_um: Zyx[float], diameter_um: float
) -> tuple[F64, F64]:
    """Average brightness of concentric shells around each candidate.

    Parameters
    ----------
    image
        Shape ``(z, y, x)``; bins beyond it do not count.
    index, offset
        Shape ``(n, 3)``: bin and fraction of a bin.
    bin_um
        Bin edges.
    diameter_um
        The soma's.

    Returns
    -------
    mean, weight
        Shape ``(n, SHELLS)`` each; weights fall off linearly over `SHELL_STEP`. A shell
        without a bin repeats the one inside it, with weight 0.
    """
    spots, ends, share = _shell_table(bin_um, diameter_um)
    part = np.clip(np.rint(offset * PARTS_OF_A_BIN), -1, 1).astype(np.int64) + 1
    place = (part[:, 0] * 3 + part[:, 1]) * 3 + part[:, 2]
    total = np.empty((len(index), SHELLS + 1), dtype=np.float64)
    weight = np.empty_like(total)
    _fill_shells(image, index, ends[place], spots, share, total, weight)
    mean = np.empty((len(index), SHELLS), dtype=np.float64)
    last = image[tuple(index.T)].astype(np.float64)
    for k in range(SHELLS):
        some = weight[:, k] > 1e-3
        last = np.divide(total[:, k], weight[:, k], out=last, where=some)
        mean[:, k] = last
    return mean, weight[:, :SHELLS]


@lru_cache(maxsize=8)
def _shell_table(
    bin_um: Zyx[float], diameter_um: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], F64]:
    """Bins of the shells for each of 27 places of a centre within its bin.

    Returns
    -------
    spots
        Shape ``(m, 3)``: bins relative to the centre's.
    ends
        Shape ``(27, SHELLS + 1)``: where each place's shells begin and end in ``spots``.
    share
        Shape ``(m,)``: weight in the next shell; the rest is the inner one's.
    """
    scale = np.asarray(bin_um) / (SHELL_STEP * diameter_um)
    reach = np.ceil(SHELLS / scale).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1)
    bins = grid.reshape(-1, 3)
    spots, shares, ends, done = [], [], [], 0
    for place in np.ndindex(3, 3, 3):
        offset = (np.asarray(place) - 1.0) / PARTS_OF_A_BIN
        far = np.sqrt((((bins - offset) * scale) ** 2).sum(axis=1))
        order = np.argsort(far.astype(np.int64), kind="stable")
        inner = far[order].astype(np.int64)
        first = np.searchsorted(inner, np.arange(SHELLS + 1))
        ends.append(done + first)
        spots.append(bins[order[: first[-1]]])
        shares.append((far[order] - inner)[: first[-1]])
        done += int(first[-1])
    return np.concatenate(spots), np.asarray(ends), np.concatenate(shares)


@njit(nogil=True, cache=True)
def _fill_shells(
    image: F32,
    index: NDArray[np.int64],
    ends: NDArray[np.int64],
    spots: NDArray[np.int64],
    share: F64,
    total: F64,
    weight: F64,
) -> None:
    """Sum up brightness and weights per shell."""
    nz, ny, nx = image.shape
    total[:], weight[:] = 0.0, 0.0
    for n in range(index.shape[0]):
        z0, y0, x0 = index[n, 0], index[n, 1], index[n, 2]
        for k in range(ends.shape[1] - 1):
            bright, outer_bright, count, outer = 0.0, 0.0, 0, 0.0
            for m in range(ends[n, k], ends[n, k + 1]):
                z, y, x = z0 + spots[m, 0], y0 + spots[m, 1], x0 + spots[m, 2]
                if 0 <= z < nz and 0 <= y < ny and 0 <= x < nx:
                    far, v = share[m], image[z, y, x]
                    bright += v
                    outer_bright += far * v
                    count += 1
                    outer += far
            total[n, k] += bright - outer_bright
            weight[n, k] += count - outer
            total[n, k + 1] += outer_bright
            weight[n, k + 1] += outer


def directions() -> F64:
    """Thirteen axes: one of each pair of opposite neighbours among 26, unit vectors (13, 3)."""
    half = np.array(list(np.ndindex(3, 3, 3))[14:], dtype=np.float64) - 1.0
    return np.asarray(half / np.linalg.norm(half, axis=1, keepdims=True))


def opposite_sides(
    image: F32, index: NDArray[np.int64], offset: F64, bin_um: Zyx[float], distance_um: float
) -> F64:
    """Read the brighter of two opposite sides, along thirteen axes.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, 13)``, rising. A blob is brighter than all of them; beside an edge, within
        a sheet or a fibre some or all are as bright as the candidate. Beyond the image the
        outermost bin counts.
    """
    out = np.empty((len(index), 13), dtype=np.float64)
    _fill_opposite(image, index, offset, directions() * distance_um / np.asarray(bin_um), out)
    out.sort(axis=1)
    return out


@njit(nogil=True, cache=True)
def _fill_opposite(image: F32, index: NDArray[np.int64], offset: F64, step: F64, out: F64) -> None:
    for n in range(out.shape[0]):
        for m in range(step.shape[0]):
            one = _between(image, index[n], offset[n], step[m], 1.0)
            other = _between(image, index[n], offset[n], step[m], -1.0)
            out[n, m] = max(one, other)


@njit(nogil=True, cache=True)
def _between(image: F32, index: NDArray[np.int64], offset: F64, step: F64, sign: float) -> float:
    """Linear interpolation; the outermost bin is repeated."""
    nz, ny, nx = image.shape
    dz, dy, dx = offset[0] + sign * step[0], offset[1] + sign * step[1], offset[2] + sign * step[2]
    fz, fy, fx = np.floor(dz), np.floor(dy), np.floor(dx)
    value = 0.0
    for k in range(2):
        z = min(max(index[0] + int(fz) + k, 0), nz - 1)
        wz = dz - fz if k == 1 else 1.0 - (dz - fz)
        for j in range(2):
            y = min(max(index[1] + int(fy) + j, 0), ny - 1)
            wy = dy - fy if j == 1 else 1.0 - (dy - fy)
            for i in range(2):
                x = min(max(index[2] + int(fx) + i, 0), nx - 1)
                wx = dx - fx if i == 1 else 1.0 - (dx - fx)
                value += wz * wy * wx * image[z, y, x]
    return value


def saddles(response: F32, index: NDArray[np.int64], reach: Zyx[int]) -> F64:
    """Tell how deep the response dips on the way to the highest bin nearby.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, 3)``: least response on the straight way to the highest bin of the box, over
        the candidate's own (0 where the candidate is itself the highest); the highest over the
        candidate's own; and the first of the three in the sharpened response.
    """
    out = np.empty((len(index), 3), dtype=np.float64)
    _fill_saddles(response, index, reach, out)
    return out


@njit(nogil=True, cache=True)
def _fill_saddles(image: F32, index: NDArray[np.int64], reach: Zyx[int], out: F64) -> None:
    nz, ny, nx = image.shape
    for n in range(index.shape[0]):
        z, y, x = index[n, 0], index[n, 1], index[n, 2]
        own = image[z, y, x]
        best, dz, dy, dx = own, 0, 0, 0
        for k in range(max(z - reach[0], 0), min(z + reach[0] + 1, nz)):
            for j in range(max(y - reach[1], 0), min(y + reach[1] + 1, ny)):
                for i in range(max(x - reach[2], 0), min(x + reach[2] + 1, nx)):
                    if image[k, j, i] > best:
                        best, dz, dy, dx = image[k, j, i], k - z, j - y, i - x
        steps = max(abs(dz), abs(dy), abs(dx))
        sharp = max(sharp_at(image, z, y, x), np.float32(1e-3) * own)
        least, least_sharp = own, sharp
        for m in range(1, steps):
            k = z + int(np.floor(dz * m / steps + 0.5))
            j = y + int(np.floor(dy * m / steps + 0.5))
            i = x + int(np.floor(dx * m / steps + 0.5))
            least = min(least, image[k, j, i])
            least_sharp = min(least_sharp, sharp_at(image, k, j, i))
        out[n, 0] = least / own if steps else 0.0
        out[n, 1] = best / own
        out[n, 2] = least_sharp / sharp if steps else 0.0


def steps_away(response: F32, index: NDArray[np.int64], steps: int) -> F64:
    """Read the response some bins away along the three axes.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, 5)``: the means of the two sides along each axis, rising, then the least and
        the greatest of the six; beyond the volume the outermost bin counts.
    """
    values = np.empty((len(index), 3, 2))
    for axis in range(3):
        for side in range(2):
            spot = list(index.T)
            shifted = spot[axis] + (steps if side else -steps)
            spot[axis] = np.clip(shifted, 0, response.shape[axis] - 1)
            values[:, axis, side] = response[tuple(spot)]
    six = values.reshape(-1, 6)
    ends = np.stack([six.min(axis=1), six.max(axis=1)], axis=1)
    return np.concatenate([np.sort(values.mean(axis=2), axis=1), ends], axis=1)


def crowding(response: F32, index: NDArray[np.int64], least: F64, plan: FilterPlan) -> F64:
    """Share of the bins around each candidate where the response exceeds either of two heights.

    Parameters
    ----------
    response
        Shape ``(z, y, x)``; bins beyond it do not count.
    index
        Shape ``(n, 3)``.
    least
        Shape ``(2, n)``: the heights.
    plan
        Every other bin within `CROWD_PER_DIAMETER` along each axis is looked at.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, 2)``.
    """
    reach = [int(CROWD_PER_DIAMETER * plan.diameter_um / um) // 2 for um in plan.bin_um]
    out = np.empty((len(index), len(least)), dtype=np.float64)
    _fill_crowding(response, index, least, np.asarray(reach), out)
    return out


@njit(nogil=True, cache=True)
def _fill_crowding(
    response: F32, index: NDArray[np.int64], least: F64, reach: NDArray[np.int64], out: F64
) -> None:
    nz, ny, nx = response.shape
    for n in range(out.shape[0]):
        low, high, seen, above, far_above = least[0, n], least[1, n], 0, 0, 0
        first_x = index[n, 2] - 2 * min(reach[2], index[n, 2] // 2)
        last_x = index[n, 2] + 2 * min(reach[2], (nx - 1 - index[n, 2]) // 2)
        for k in range(-reach[0], reach[0] + 1):
            z = index[n, 0] + 2 * k
            for j in range(-reach[1], reach[1] + 1):
                y = index[n, 1] + 2 * j
                if not (0 <= z < nz and 0 <= y < ny):
                    continue
                row = response[z, y]
                for x in range(first_x, last_x + 1, 2):
                    above += row[x] > low
                    far_above += row[x] > high
                seen += (last_x - first_x) // 2 + 1
        out[n, 0] = above / seen
        out[n, 1] = far_above / seen
