"""Painting blocks of a phantom image: tissue, somata, fibres, shading and noise.

Every voxel is computed from its own place alone (tissue interpolated from a lattice, the
spots of light that reach it in a fixed order, noise hashed from its index), so a block's voxels do
not depend on how the volume is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.space import FloatArray, Zyx
from ketamap.phantom.noise import keyed_hash, normal_from_hash

SPOT_REACH = 4.0
"""Spots are painted up to this many standard deviations from their centre."""

_SLAB_PLANES = 8
"""Planes painted at a time: bounds the memory beyond the block itself."""


class Channel(NamedTuple):
    """All that one channel's voxels are computed from."""

    tissue: NDArray[np.float32]
    """Tissue brightness on a lattice over the sample, shape ``(z, y, x)``, counts."""
    ratio: FloatArray
    """Lattice steps per voxel, ``(3,)``."""
    profiles: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
    """Light-sheet shading along each axis of the whole volume; they multiply."""
    offset: float
    """Counts with no light."""
    read_sd: float
    """Noise with no light, counts."""
    gain: float
    """Noise variance per count of light (shot noise)."""
    seed: int
    """Of the noise, see `noise.stream_seed`."""
    shape: Zyx[int]
    """Of the whole volume."""


class Spots(NamedTuple):
    """Gaussian spots of light in voxel units, sorted along z: somata, or fibres point by point."""

    places: FloatArray
    """Fractional voxel index, shape ``(n, 3)``, ascending along z."""
    peaks: NDArray[np.float32]
    """Brightness at the centre, counts, shape ``(n,)``."""
    sigma: FloatArray
    """Standard deviation of the profile along each axis, voxels, ``(3,)``."""


def paint_block(
    channel: Channel, lights: Sequence[Spots], start: Zyx[int], stop: Zyx[int]
) -> NDArray[np.uint16]:
    """Paint ``[start, stop)`` of a channel: tissue and each set of spots.

    Returns
    -------
    ndarray of uint16
        Shape ``stop - start``; rounded and clipped to 0..65535.
    """
    out = np.empty([b - a for a, b in zip(start, stop, strict=True)], dtype=np.uint16)
    for z in range(start[0], stop[0], _SLAB_PLANES):
        top = min(z + _SLAB_PLANES, stop[0])
        light = np.zeros((top - z, *out.shape[1:]), dtype=np.float32)
        for spots in lights:
            reach = SPOT_REACH * spots.sigma[0] + 1.0
            first, last = np.searchsorted(spots.places[:, 0], (z - reach, top + reach))
            places, peaks = spots.places[first:last], spots.peaks[first:last]
            _add_spots(light, places, peaks, spots.sigma, (z, start[1], start[2]))
        _finish(out[z - start[0] : top - start[0]], light, channel, (z, start[1], start[2]))
    return out


@njit(nogil=True, cache=True)
def _add_spots(
    light: NDArray[np.float32],
    places: FloatArray,
    peaks: NDArray[np.float32],
    sigma: FloatArray,
    start: Zyx[int],
) -> None:
    """Add Gaussian profiles, one spot after the other in the order given."""
    nz, ny, nx = light.shape
    for c in range(len(peaks)):
        # the support depends on the spot alone, never on the block
        z0, z1 = _support(places[c, 0], sigma[0], start[0], nz)
        y0, y1 = _support(places[c, 1], sigma[1], start[1], ny)
        x0, x1 = _support(places[c, 2], sigma[2], start[2], nx)
        if z0 >= z1 or y0 >= y1 or x0 >= x1:
            continue
        weights = np.empty(x1 - x0, dtype=np.float32)
        for x in range(x0, x1):
            weights[x - x0] = _profile(x + start[2] - places[c, 2], sigma[2])
        for z in range(z0, z1):
            wz = peaks[c] * _profile(z + start[0] - places[c, 0], sigma[0])
            for y in range(y0, y1):
                wzy = wz * _profile(y + start[1] - places[c, 1], sigma[1])
                for x in range(x0, x1):
                    light[z, y, x] += wzy * weights[x - x0]


@njit(nogil=True, cache=True, inline="always")
def _support(centre: float, sigma: float, start: int, n: int) -> tuple[int, int]:
    first = int(np.ceil(centre - SPOT_REACH * sigma)) - start
    last = int(np.floor(centre + SPOT_REACH * sigma)) + 1 - start
    return max(first, 0), min(last, n)


@njit(nogil=True, cache=True, inline="always")
def _profile(distance: float, sigma: float) -> np.float32:
    return np.float32(np.exp(-0.5 * (distance / sigma) ** 2))


@njit(nogil=True, cache=True)
def _finish(
    out: NDArray[np.uint16], light: NDArray[np.float32], channel: Channel, start: Zyx[int]
) -> None:
    """Add tissue to the spots, shade, add noise and round."""
    nz, ny, nx = out.shape
    _, vy, vx = channel.shape
    shade_z, shade_y, shade_x = channel.profiles
    offset, gain = np.float32(channel.offset), np.float32(channel.gain)
    read_variance = np.float32(channel.read_sd**2)
    for k in range(nz):
        for j in range(ny):
            z, y = start[0] + k, start[1] + j
            row = _tissue_row(channel.tissue, z * channel.ratio[0], y * channel.ratio[1])
            shade = shade_z[z] * shade_y[y]
            first = (z * vy + y) * vx + start[2]
            for i in range(nx):
                t = np.float32((start[2] + i) * channel.ratio[2])
                a = min(np.int32(t), np.int32(row.size - 2))
                tissue = row[a] + (row[a + 1] - row[a]) * min(t - np.float32(a), np.float32(1.0))
                value = (tissue + light[k, j, i]) * (shade * shade_x[start[2] + i])
                noise = normal_from_hash(keyed_hash(channel.seed, first + i))
                value += offset + noise * np.sqrt(read_variance + gain * value)
                out[k, j, i] = np.uint16(
                    min(max(value, np.float32(0.0)), np.float32(65535.0)) + np.float32(0.5)
                )


@njit(nogil=True, cache=True)
def _tissue_row(tissue: NDArray[np.float32], z: float, y: float) -> NDArray[np.float32]:
    """Interpolate the lattice along z and y; the outermost values go on beyond it."""
    nz, ny, _ = tissue.shape
    k, j = min(int(z), nz - 2), min(int(y), ny - 2)
    fz, fy = np.float32(min(z - k, 1.0)), np.float32(min(y - j, 1.0))
    one = np.float32(1.0)
    front = tissue[k, j] * (one - fy) + tissue[k, j + 1] * fy
    back = tissue[k + 1, j] * (one - fy) + tissue[k + 1, j + 1] * fy
    row: NDArray[np.float32] = front * (one - fz) + back * fz
    return row
