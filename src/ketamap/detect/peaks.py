"""Maxima of the filter response: where they are, how high and what shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.space import Zyx

F32 = NDArray[np.float32]


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


@njit(nogil=True, cache=True)
def maxima(
    response: F32,
    lowest: F32,
    tile_y: NDArray[np.int64],
    tile_x: NDArray[np.int64],
    tile_z: NDArray[np.int64],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Find voxels that no neighbour among 26 exceeds.

    Parameters
    ----------
    response
        Shape ``(z, y, x)``, finite.
    lowest
        Shape ``(tiles z, tiles y, tiles x)``: only voxels above this are looked at.
    tile_y, tile_x, tile_z
        Tile of each plane, row and column of ``response``.
    start, stop
        Voxels looked at, ``(3,)`` each; neighbours beyond them count as well.

    Returns
    -------
    numpy.ndarray of int64
        Shape ``(n, 3)``, raster order. Of equal neighbours the first in raster order is
        the maximum, so a plateau gives one or a few and never none. Voxels at the face of
        the volume have fewer neighbours and can be maxima.
    """
    nz, ny, nx = response.shape
    size = 1024
    found = np.empty((size, 3), dtype=np.int64)
    n = 0
    for z in range(start[0], stop[0]):
        for y in range(start[1], stop[1]):
            row = response[z, y]
            limits = lowest[tile_z[z], tile_y[y]]
            for x in range(start[2], stop[2]):
                v = row[x]
                if v <= limits[tile_x[x]]:
                    continue
                if (x > 0 and row[x - 1] >= v) or (x + 1 < nx and row[x + 1] > v):
                    continue
                best = True
                for k in range(max(z - 1, 0), min(z + 2, nz)):
                    for j in range(max(y - 1, 0), min(y + 2, ny)):
                        earlier = k < z or (k == z and j < y)
                        if k == z and j == y:
                            continue
                        for i in range(max(x - 1, 0), min(x + 2, nx)):
                            u = response[k, j, i]
                            if u > v or (u == v and earlier):
                                best = False
                if best:
                    if n == size:
                        size *= 2
                        more = np.empty((size, 3), dtype=np.int64)
                        more[:n] = found
                        found = more
                    found[n, 0], found[n, 1], found[n, 2] = z, y, x
                    n += 1
    return found[:n].copy()


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
    return image[z[:, :, None, None], y[:, None, :, None], x[:, None, None, :]].astype(np.float64)


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
    return np.clip(offset, -0.5, 0.5)


@dataclass(frozen=True, eq=False, slots=True)
class Shape:
    """Curvature of maxima, one row each."""

    sharpness: NDArray[np.float64]
    """Shape ``(n,)``: sum of curvatures over height, per um2."""

    flattest: NDArray[np.float64]
    """Shape ``(n, 3)``: unit vector (z, y, x) in um along which the response falls least."""


def shape_of(around: NDArray[np.float64], bin_um: Zyx[float]) -> Shape:
    """Measure the curvature of maxima.

    Parameters
    ----------
    around
        Shape ``(n, 3, 3, 3)``, the maximum (above 0) in the middle.
    bin_um
        Voxel edges, so that curvature is per um2 and a ball is round in any voxels.
    """
    curvature, axes = np.linalg.eigh(hessian(around, bin_um))
    return Shape(-curvature.sum(axis=1) / around[:, 1, 1, 1], axes[:, :, 2])


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
        Shape ``(z, y, x)``; beyond it the outermost voxel counts.
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
    away = np.stack([distance_um, -distance_um])[None, :, :, None]
    offset = direction[:, None, None, :] * away / np.asarray(bin_um)
    whole = np.floor(offset)
    part = offset - whole
    corner = index[:, None, None, :] + whole.astype(np.int64)
    out = np.zeros(offset.shape[:3])
    for step in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(np.asarray(step) == 1, part, 1.0 - part), axis=-1)
        z, y, x = (
            np.clip(corner[..., axis] + step[axis], 0, image.shape[axis] - 1) for axis in range(3)
        )
        out += weight * image[z, y, x]
    return out


def persistence(beside: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tell how much of a peak is left at the far ends of its profile, on the weaker side.

    Parameters
    ----------
    beside
        Shape ``(n, 2, m)``, from `profiles`.
    height
        Shape ``(n,)``, above 0.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``: about 1 within a long fibre, vessel or edge, near or below 0 for a
        soma, also when a single neighbour touches it.
    """
    return np.asarray(beside[:, :, -1].min(axis=1) / height)


def is_shoulder(
    beside: NDArray[np.float64], height: NDArray[np.float64], saddle: float
) -> NDArray[np.bool_]:
    """Tell which peaks are the lower part of a longer soma.

    A peak is a shoulder if along its profile the response rises above its own height
    before it has fallen below ``saddle`` of it.

    Parameters
    ----------
    beside
        Shape ``(n, 2, m)``, from `profiles`.
    height
        Shape ``(n,)``.
    saddle
        Fraction of the height.
    """
    least_so_far = np.minimum.accumulate(beside, axis=2)
    own = height[:, None, None]
    return np.asarray(np.any((beside > own) & (least_so_far > saddle * own), axis=(1, 2)))


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
    spot = index[:, None, :] + steps.astype(np.int64)
    z, y, x = (np.clip(spot[..., axis], 0, image.shape[axis] - 1) for axis in range(3))
    return np.sort(image[z, y, x], axis=1)[:, 8].astype(np.float64)


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
