"""Maxima of the filter response: where they are, how high and what shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import product

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.space import Zyx
from ketamap.detect.device import Tops
from ketamap.detect.noise import select

F32 = NDArray[np.float32]

SHARP_LIMIT = 1.6
"""Maxima of the sharpened response alone count this many times as high as others: of those
lower down one in a hundred is a soma, and they are many."""

NEIGHBOURS = np.array(
    sorted(
        (
            (*step, 1 if step > (0, 0, 0) else -1)
            for step in product((-1, 0, 1), repeat=3)
            if any(step)
        ),
        key=lambda row: sum(map(abs, row[:3])),
    )
)
"""Steps to 26 neighbours, those that share a face first, and whether each is later in raster order."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Peaks:
    """Maxima of the response, one row each."""

    bins: NDArray[np.float64]
    """Shape ``(n, 3)``: position in bins of the volume, (z, y, x), with fraction."""

    response: F32
    """Shape ``(n,)``: height at the highest voxel, in intensity units."""

    level: F32
    """Shape ``(n,)``: brightness around the peak, about a soma away."""

    background: F32
    """Shape ``(n,)``: response of the background channel there, 0 without one."""

    white: F32
    """Shape ``(n,)``: standard deviation of white noise in a bin there."""

    evidence: F32
    """Shape ``(n, k)``: what the surroundings say, `ScoreModel.local_part`, or the features."""


def maxima(
    response: F32,
    lowest: F32,
    tile_of: Zyx[NDArray[np.int64]],
    start: Zyx[int],
    stop: Zyx[int],
) -> NDArray[np.int64]:
    """Find maxima among 26 neighbours: of the response, and of the sharpened response.

    Touching somata are often one maximum of the response and two of the sharpened one
    (`sharp_at`); maxima of that beside one of the response are the same soma and left out.

    Parameters
    ----------
    response
        Shape ``(z, y, x)``, finite.
    lowest
        Shape ``(tiles z, tiles y, tiles x)``: only voxels above this are looked at.
    tile_of
        Tile of each plane, row and column of ``response``.
    start, stop
        Voxels looked at; neighbours beyond them count as well.

    Returns
    -------
    numpy.ndarray of int64
        Shape ``(n, 3)``, raster order. Of equal neighbours the first in raster order is
        the maximum, so a plateau gives one or a few and never none. Voxels at the face of
        the volume have fewer neighbours and can be maxima.
    """
    room = 4096 + response.size // 256
    while True:
        found = np.empty((room, 3), dtype=np.int64)
        n = _fill_maxima(response, lowest, *tile_of, start, stop, found)
        if n <= room:
            return found[:n]
        room = n


def maxima_among(
    tops: Tops,
    response: F32,
    lowest: F32,
    tile_of: Zyx[NDArray[np.int64]],
    start: Zyx[int],
    stop: Zyx[int],
) -> NDArray[np.int64]:
    """Choose what `maxima` finds among the maxima of a whole block."""
    flat = np.concatenate([tops.plain, tops.sharp])
    factor = np.repeat([1.0, SHARP_LIMIT], [len(tops.plain), len(tops.sharp)])
    height = response.ravel()[flat]
    high = height > lowest.min()  # spares the rest of the work for most
    flat, factor, height = flat[high], factor[high], height[high]
    index = np.stack(np.unravel_index(flat, response.shape), axis=1)
    z, y, x = (tile[index[:, axis]] for axis, tile in enumerate(tile_of))
    kept = height > factor * lowest[z, y, x]
    kept &= np.all((index >= start) & (index < np.asarray(stop)), axis=1)
    return np.asarray(index[kept][np.argsort(flat[kept])], dtype=np.int64)


@njit(nogil=True, cache=True)
def _fill_maxima(  # noqa: PLR0913 (a kernel takes plain arrays)
    response: F32,
    lowest: F32,
    tile_z: NDArray[np.int64],
    tile_y: NDArray[np.int64],
    tile_x: NDArray[np.int64],
    start: Zyx[int],
    stop: Zyx[int],
    found: NDArray[np.int64],
) -> int:
    """Write as many maxima as there is room for; return how many there are."""
    n = 0
    for z in range(start[0], stop[0]):
        for y in range(start[1], stop[1]):
            row = response[z, y]
            limits = lowest[tile_z[z], tile_y[y]]
            for x in range(start[2], stop[2]):
                limit = limits[tile_x[x]]
                if row[x] > limit and _is_candidate(response, z, y, x, SHARP_LIMIT * limit):
                    if n < found.shape[0]:
                        found[n, 0] = z
                        found[n, 1] = y
                        found[n, 2] = x
                    n += 1
    return n


@njit(nogil=True, cache=True)
def _is_candidate(response: F32, z: int, y: int, x: int, least_sharp: float) -> bool:
    if _tops_faces(response, z, y, x) and _is_maximum(response, z, y, x):
        return True
    return response[z, y, x] > least_sharp and _is_sharp_candidate(response, z, y, x)


@njit(nogil=True, cache=True)
def _tops_faces(response: F32, z: int, y: int, x: int) -> bool:
    """Whether no neighbour that shares a face is higher: quick, and false for most voxels."""
    nz, ny, nx = response.shape
    v = response[z, y, x]
    return not (
        (x > 0 and response[z, y, x - 1] > v)
        or (x + 1 < nx and response[z, y, x + 1] > v)
        or (y > 0 and response[z, y - 1, x] > v)
        or (y + 1 < ny and response[z, y + 1, x] > v)
        or (z > 0 and response[z - 1, y, x] > v)
        or (z + 1 < nz and response[z + 1, y, x] > v)
    )


@njit(nogil=True, cache=True)
def _is_maximum(response: F32, z: int, y: int, x: int) -> bool:
    nz, ny, nx = response.shape
    v = response[z, y, x]
    for k in range(max(z - 1, 0), min(z + 2, nz)):
        for j in range(max(y - 1, 0), min(y + 2, ny)):
            for i in range(max(x - 1, 0), min(x + 2, nx)):
                u = response[k, j, i]
                earlier = k < z or (k == z and (j < y or (j == y and i < x)))
                if u > v or (u == v and earlier):
                    return False
    return True


@njit(nogil=True, cache=True)
def _is_sharp_candidate(response: F32, z: int, y: int, x: int) -> bool:
    """Whether the sharpened response has a maximum here, and the response none beside it."""
    nz, ny, nx = response.shape
    v = sharp_at(response, z, y, x)
    for m in range(NEIGHBOURS.shape[0]):
        k, j, i = z + NEIGHBOURS[m, 0], y + NEIGHBOURS[m, 1], x + NEIGHBOURS[m, 2]
        if 0 <= k < nz and 0 <= j < ny and 0 <= i < nx:
            u = sharp_at(response, k, j, i)
            if u > v or (u == v and NEIGHBOURS[m, 3] < 0):
                return False
    for m in range(NEIGHBOURS.shape[0]):
        k, j, i = z + NEIGHBOURS[m, 0], y + NEIGHBOURS[m, 1], x + NEIGHBOURS[m, 2]
        if 0 <= k < nz and 0 <= j < ny and 0 <= i < nx and _is_maximum(response, k, j, i):
            return False
    return True


@njit(nogil=True, cache=True)
def sharp_at(response: F32, z: int, y: int, x: int) -> np.float32:
    """Response less its second differences at one voxel; beyond the edge the outermost counts."""
    nz, ny, nx = response.shape
    along_z = response[max(z - 1, 0), y, x] + response[min(z + 1, nz - 1), y, x]
    along_y = response[z, max(y - 1, 0), x] + response[z, min(y + 1, ny - 1), x]
    along_x = response[z, y, max(x - 1, 0)] + response[z, y, min(x + 1, nx - 1)]
    return np.float32(np.float32(7.0) * response[z, y, x] - (along_z + along_y + along_x))


def sharp_neighbourhoods(response: F32, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sharpened response, `sharp_at`, at 3 x 3 x 3 voxels around each index.

    Parameters
    ----------
    response
        Shape ``(z, y, x)``; beyond it the outermost voxel counts.
    index
        Shape ``(n, 3)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, 3, 3, 3)``.
    """
    out = np.empty((len(index), 3, 3, 3), dtype=np.float64)
    _fill_sharp(response, index, out)
    return out


@njit(nogil=True, cache=True)
def _fill_sharp(response: F32, index: NDArray[np.int64], out: NDArray[np.float64]) -> None:
    nz, ny, nx = response.shape
    for n in range(out.shape[0]):
        for k in range(3):
            z = min(max(index[n, 0] + k - 1, 0), nz - 1)
            for j in range(3):
                y = min(max(index[n, 1] + j - 1, 0), ny - 1)
                for i in range(3):
                    x = min(max(index[n, 2] + i - 1, 0), nx - 1)
                    out[n, k, j, i] = sharp_at(response, z, y, x)


def neighbourhoods(image: F32, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Gather 3 x 3 x 3 voxels around each index, the outermost voxel repeated.

    Parameters
    ----------
    image
        Shape ``(z, y, x)``.
    index
        Shape ``(n, 3)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, 3, 3, 3)``.
    """
    step = np.arange(-1, 2)
    z, y, x = (np.clip(index[:, axis, None] + step, 0, image.shape[axis] - 1) for axis in range(3))
    spots = image[z[:, :, None, None], y[:, None, :, None], x[:, None, None, :]]
    return np.asarray(spots, dtype=np.float64)


def parabola_tops(around: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place the top of a parabola through three voxels along each axis.

    Parameters
    ----------
    around
        Shape ``(n, 3, 3, 3)``, the maximum in the middle.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, 3)``, offset from the middle in voxels, within +-0.5; 0 on a plateau.
    """
    middle = around[:, 1, 1, 1]
    before = np.stack([around[:, 0, 1, 1], around[:, 1, 0, 1], around[:, 1, 1, 0]], axis=1)
    after = np.stack([around[:, 2, 1, 1], around[:, 1, 2, 1], around[:, 1, 1, 2]], axis=1)
    bend = before - 2.0 * middle[:, None] + after
    slope = 0.5 * (before - after)
    offset = np.divide(slope, bend, out=np.zeros_like(bend), where=bend < 0.0)
    return np.asarray(np.clip(offset, -0.5, 0.5))


def profiles(
    image: F32,
    index: NDArray[np.int64],
    direction: NDArray[np.float64],
    distance_um: NDArray[np.float64],
    bin_um: Zyx[float],
) -> NDArray[np.float64]:
    """Read the image along a line to both sides of each index, linear between voxels.

    Parameters
    ----------
    image
        Shape ``(z, y, x)``; beyond it there is 0: no evidence of a fibre.
    index
        Shape ``(n, 3)``.
    direction
        Shape ``(n, 3)``, unit vectors in um.
    distance_um
        Shape ``(m,)``.
    bin_um
        Voxel edges.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, 2, m)``. Positions are taken relative to the index, so that the same
        place read from another block gives the same bits.
    """
    out = np.empty((len(index), 2, len(distance_um)), dtype=np.float64)
    step = direction / np.asarray(bin_um)
    _read_lines(image, index, step, distance_um, out)
    return out


@njit(nogil=True, cache=True)
def _read_lines(
    image: F32,
    index: NDArray[np.int64],
    step: NDArray[np.float64],
    distance: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    nz, ny, nx = image.shape
    for n in range(out.shape[0]):
        for side in range(2):
            for m in range(out.shape[2]):
                away = distance[m] if side == 0 else -distance[m]
                dz, dy, dx = step[n, 0] * away, step[n, 1] * away, step[n, 2] * away
                fz, fy, fx = np.floor(dz), np.floor(dy), np.floor(dx)
                value = 0.0
                for k in range(2):
                    z = index[n, 0] + int(fz) + k
                    wz = dz - fz if k == 1 else 1.0 - (dz - fz)
                    for j in range(2):
                        y = index[n, 1] + int(fy) + j
                        wy = dy - fy if j == 1 else 1.0 - (dy - fy)
                        for i in range(2):
                            x = index[n, 2] + int(fx) + i
                            wx = dx - fx if i == 1 else 1.0 - (dx - fx)
                            if 0 <= z < nz and 0 <= y < ny and 0 <= x < nx:
                                value += wz * wy * wx * image[z, y, x]
                out[n, side, m] = value


def ring_level(image: F32, index: NDArray[np.int64], radius: Zyx[int]) -> NDArray[np.float64]:
    """Brightness around each index: the middle of 14 voxels on a box around it.

    Parameters
    ----------
    image
        Shape ``(z, y, x)``.
    index
        Shape ``(n, 3)``.
    radius
        Distance of the box's faces; its corners are taken at 0.58 (1 / sqrt 3) of it.
        Beyond the image the outermost voxel counts.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``: the ninth of the 14 in ascending order, so that beside a border
        the brighter side counts.
    """
    faces = np.concatenate([np.eye(3), -np.eye(3)])
    corners = np.array(list(np.ndindex(2, 2, 2))) * 2.0 - 1.0
    steps = np.rint(np.concatenate([faces, corners / np.sqrt(3.0)]) * np.asarray(radius))
    out = np.empty(len(index), dtype=np.float64)
    _fill_ring_levels(image, index, steps.astype(np.int64), 8, out)
    return out


@njit(nogil=True, cache=True)
def _fill_ring_levels(
    image: F32,
    index: NDArray[np.int64],
    steps: NDArray[np.int64],
    rank: int,
    out: NDArray[np.float64],
) -> None:
    nz, ny, nx = image.shape
    values = np.empty(steps.shape[0], dtype=np.float32)
    for n in range(out.size):
        for m in range(values.size):
            z = min(max(index[n, 0] + steps[m, 0], 0), nz - 1)
            y = min(max(index[n, 1] + steps[m, 1], 0), ny - 1)
            x = min(max(index[n, 2] + steps[m, 2], 0), nx - 1)
            values[m] = image[z, y, x]
        out[n] = select(values, rank)


def hessian(around: NDArray[np.float64], bin_um: Zyx[float]) -> NDArray[np.float64]:
    """Second derivatives by central differences, ``(n, 3, 3)`` per um2."""
    out = np.empty((len(around), 3, 3))
    for a in range(3):
        for b in range(a, 3):
            up, down = [1, 1, 1], [1, 1, 1]
            up[a], down[a] = 2, 0
            if a == b:
                value = _at(around, up) - 2.0 * around[:, 1, 1, 1] + _at(around, down)
            else:
                cross, back = list(up), list(down)
                up[b], down[b], cross[b], back[b] = 2, 0, 0, 2
                corners = _at(around, up) + _at(around, down)
                value = 0.25 * (corners - _at(around, cross) - _at(around, back))
            out[:, a, b] = out[:, b, a] = value / (bin_um[a] * bin_um[b])
    return out


def _at(around: NDArray[np.float64], where: list[int]) -> NDArray[np.float64]:
    z, y, x = where
    return around[:, z, y, x]


def join_peaks(parts: Sequence[Peaks]) -> Peaks:
    """Put the peaks of all blocks into one list, in the order given."""
    return Peaks(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Peaks)}
    )
