"""Filters on one block, plane by plane: log contrast, smoothing and ridge response.

Only as many planes as the kernels are long are held, so that they stay in the cache and no
copy of the block is made. Every output voxel is the same sum in the same order wherever its
block begins, so blocks agree to the last bit (no ``fastmath``). Beyond the block the
image is mirrored: right at the border of the volume, to be cut off elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.errors import ImageError
from ketamap.trace.scale import WIDE_WEIGHT, RidgePlan

F32 = NDArray[np.float32]

LEAST_ARGUMENT = 0.25
"""Logarithms are taken no closer to zero than this share of the offset."""


def log_contrast(block: NDArray[Any], dark: float, offset: float) -> F32:
    """Return ``log(1 + (block - dark) / offset)``: multiplying the image changes nothing.

    Parameters
    ----------
    block
        Shape ``(z, y, x)``, any real dtype.
    dark
        Intensity of the darkest voxels.
    offset
        Intensity added, so that noise in the dark is not blown up.

    Raises
    ------
    ImageError
        If a voxel is NaN or infinite.
    """
    out = np.empty(block.shape, dtype=np.float32)
    for z, plane in enumerate(log_planes(block, dark, offset)):
        out[z] = plane
    return out


def log_planes(block: NDArray[Any], dark: float, offset: float) -> Iterator[F32]:
    """Yield the planes of `log_contrast`; the next plane may overwrite the last.

    Raises
    ------
    ImageError
        If a voxel is NaN or infinite.
    """
    if block.dtype.kind in "ui" and block.dtype.itemsize <= 2:
        info = np.iinfo(block.dtype)
        table = _log(np.arange(info.min, info.max + 1, dtype=np.float64), dark, offset)
        out = np.empty(block.shape[1:], dtype=np.float32)
        for plane in block:
            _look_up(np.ascontiguousarray(plane).reshape(-1), table, -info.min, out.reshape(-1))
            yield out
        return
    for plane in block:
        if not np.isfinite(plane.sum(dtype=np.float64)):
            msg = "contains NaN or infinite voxels. Replace them (0 where there is no tissue)."
            raise ImageError(msg)
        yield _log(plane.astype(np.float64), dark, offset)


def _log(values: NDArray[np.float64], dark: float, offset: float) -> F32:
    argument = np.maximum(1.0 + (values - dark) / offset, LEAST_ARGUMENT)
    return np.asarray(np.log(argument), dtype=np.float32)


@njit(nogil=True, cache=True)
def _look_up(values: NDArray[Any], table: F32, shift: int, out: F32) -> None:
    for i in range(values.shape[0]):
        out[i] = table[int(values[i]) + shift]


def ridge_response(contrast: F32, plan: RidgePlan, *, dark_lines: bool = False) -> F32:
    """Return the ridge response of a whole block, see `ridge_planes`.

    Parameters
    ----------
    contrast
        Shape ``(z, y, x)``, from `log_contrast`.
    plan
        The filters.
    dark_lines
        Answer to dark lines instead: the response of the inverted image.
    """
    out = np.empty_like(contrast)
    for z, plane in enumerate(ridge_planes(contrast, contrast.shape, plan, dark_lines=dark_lines)):
        out[z] = plane
    return out


def ridge_planes(
    planes: Iterable[F32], shape: tuple[int, ...], plan: RidgePlan, *, dark_lines: bool = False
) -> Iterator[F32]:
    """Tell how line-like each voxel's surroundings are, plane by plane.

    The image is smoothed by a sum of two Gaussians; of its Hessian the two most negative
    eigenvalues are added, that is the curvature across the best line through the voxel.
    A fibre answers with both, an edge or sheet with one, a dark gap with neither.

    Parameters
    ----------
    planes
        The planes of a block in order, log contrast, each of shape ``(y, x)``.
    shape
        Shape of the block, ``(z, y, x)``.
    plan
        The filters.
    dark_lines
        Answer to dark lines instead.

    Yields
    ------
    numpy.ndarray of float32
        Response of every plane, unitless (curvature times `RidgePlan.sigma_um` squared).
        The next plane overwrites it.

    References
    ----------
    Sato et al. 1998, Med Image Anal 2:143, for the eigenvalues of a bright line.
    """
    scale = np.asarray(plan.curvature, dtype=np.float32)
    norm = np.float32((-1.0 if dark_lines else 1.0) / (1.0 + WIDE_WEIGHT))
    out = np.empty(shape[1:], dtype=np.float32)
    ring = np.empty((3, shape[1], shape[2] + 2), dtype=np.float32)
    last = shape[0] - 1
    for z, smooth in enumerate(_smoothed(planes, shape, plan)):
        ring[z % 3, :, 1:-1] = smooth
        ring[z % 3, :, 0], ring[z % 3, :, -1] = smooth[:, 0], smooth[:, -1]
        if z > 0:
            _line_curvature(
                ring[max(z - 2, 0) % 3], ring[(z - 1) % 3], ring[z % 3], scale, norm, out
            )
            yield out
    _line_curvature(ring[max(last - 1, 0) % 3], ring[last % 3], ring[last % 3], scale, norm, out)
    yield out


def _smoothed(planes: Iterable[F32], shape: tuple[int, ...], plan: RidgePlan) -> Iterator[F32]:
    """Smooth a block by the sum of both Gaussians; the next plane overwrites the last."""
    reach = len(plan.wide[0]) - 1
    n, width = shape[0], 2 * reach + 1
    centre, surround = (np.empty((width, *shape[1:]), dtype=np.float32) for _ in range(2))
    out = np.empty(shape[1:], dtype=np.float32)
    padded = np.empty(shape[2] + 2 * len(plan.wide[2]), dtype=np.float32)

    def finish(q: int) -> F32:
        slots = np.array([_mirror(z, n) % width for z in range(q - reach, q + reach + 1)])
        kernels = plan.narrow[0], plan.wide[0]
        _add_along_z(centre, surround, slots, *kernels, np.float32(WIDE_WEIGHT), out)
        return out

    for z, plane in enumerate(planes):
        _smooth_plane(plane, plan.narrow[1], plan.narrow[2], padded, centre[z % width])
        _smooth_plane(plane, plan.wide[1], plan.wide[2], padded, surround[z % width])
        if z >= reach:
            yield finish(z - reach)
    for q in range(max(n - reach, 0), n):
        yield finish(q)


@njit(nogil=True, cache=True)
def _mirror(i: int, n: int) -> int:
    """Place in ``0 .. n - 1`` that a place beyond it mirrors, the outermost one twice."""
    while i < 0 or i >= n:
        i = -1 - i if i < 0 else 2 * n - 1 - i
    return i


@njit(nogil=True, cache=True)
def _smooth_plane(plane: F32, along_y: F32, along_x: F32, padded: F32, out: F32) -> None:
    """Convolve a plane along y and x, row by row."""
    ny, nx = plane.shape
    ry, rx = along_y.shape[0] - 1, along_x.shape[0] - 1
    inner = padded[rx : rx + nx]
    for y in range(ny):
        centre = plane[y]
        w = along_y[0]
        for i in range(nx):
            inner[i] = w * centre[i]
        for k in range(1, ry + 1):
            w = along_y[k]
            above, below = plane[_mirror(y - k, ny)], plane[_mirror(y + k, ny)]
            for i in range(nx):
                inner[i] += w * (above[i] + below[i])
        for i in range(rx):
            padded[rx - 1 - i] = inner[_mirror(-1 - i, nx)]
            padded[rx + nx + i] = inner[_mirror(nx + i, nx)]
        row = out[y]
        w = along_x[0]
        for i in range(nx):
            row[i] = w * inner[i]
        for k in range(1, rx + 1):
            w = along_x[k]
            left, right = padded[rx - k : rx - k + nx], padded[rx + k : rx + k + nx]
            for i in range(nx):
                row[i] += w * (left[i] + right[i])


@njit(nogil=True, cache=True)
def _add_along_z(
    centre: F32,
    surround: F32,
    slots: NDArray[np.int64],
    narrow: F32,
    wide: F32,
    weight: np.float32,
    out: F32,
) -> None:
    """Convolve the middle one of the planes in ``slots`` along z with both kernels and add."""
    ny, nx = out.shape
    mid = slots.shape[0] // 2
    for y in range(ny):
        row = out[y]
        a, b = centre[slots[mid], y], surround[slots[mid], y]
        u, v = narrow[0], weight * wide[0]
        for i in range(nx):
            row[i] = u * a[i] + v * b[i]
        for k in range(1, narrow.shape[0]):
            u = narrow[k]
            a, b = centre[slots[mid - k], y], centre[slots[mid + k], y]
            for i in range(nx):
                row[i] += u * (a[i] + b[i])
        for k in range(1, wide.shape[0]):
            v = weight * wide[k]
            a, b = surround[slots[mid - k], y], surround[slots[mid + k], y]
            for i in range(nx):
                row[i] += v * (a[i] + b[i])


@njit(nogil=True, cache=True, error_model="numpy")
def _line_curvature(
    before: F32, here: F32, after: F32, scale: F32, norm: np.float32, out: F32
) -> None:
    """Write minus the sum of the two lowest eigenvalues of the Hessian in a plane.

    That is the greatest eigenvalue minus the trace. The greatest is mean + 2 p cos(a / 3),
    cos a = det / 2 p**3 (Smith 1961, Commun ACM 4:168); cos(a / 3) is a polynomial in
    cos(a / 2) to 2e-4, so that the loop has no branches. The planes are one column wider on
    either side than ``out``.
    """
    ny, nx = out.shape
    cz, cy, cx = scale[0] * scale[0] * norm, scale[1] * scale[1] * norm, scale[2] * scale[2] * norm
    q = np.float32(0.25) * norm
    czy, czx, cyx = scale[0] * scale[1] * q, scale[0] * scale[2] * q, scale[1] * scale[2] * q
    two, half, one = np.float32(2.0), np.float32(0.5), np.float32(1.0)
    third, sixth = np.float32(1.0 / 3.0), np.float32(1.0 / 6.0)
    tiny = np.float32(1e-30)
    p0, p1 = np.float32(0.50017521), np.float32(0.57379667)
    p2, p3 = np.float32(-0.09388203), np.float32(0.01995412)
    for y in range(ny):
        d, e = max(y - 1, 0), min(y + 1, ny - 1)
        mid, up, down = here[y], before[y], after[y]
        north, south = here[d], here[e]
        un, us, dn, ds = before[d], before[e], after[d], after[e]
        row = out[y]
        for i in range(nx):
            x = i + 1
            m = two * mid[x]
            hzz = cz * (up[x] + down[x] - m)
            hyy = cy * (north[x] + south[x] - m)
            hxx = cx * (mid[x - 1] + mid[x + 1] - m)
            hzy = czy * (ds[x] + un[x] - us[x] - dn[x])
            hzx = czx * (down[x + 1] + up[x - 1] - up[x + 1] - down[x - 1])
            hyx = cyx * (south[x + 1] + north[x - 1] - north[x + 1] - south[x - 1])
            trace = hzz + hyy + hxx
            mean = third * trace
            kz, ky, kx = hzz - mean, hyy - mean, hxx - mean
            off = hzy * hzy + hzx * hzx + hyx * hyx
            p = np.sqrt(sixth * (kz * kz + ky * ky + kx * kx + two * off))
            det = kz * (ky * kx - hyx * hyx)
            det -= hzy * (hzy * kx - hyx * hzx)
            det += hzx * (hzy * hyx - ky * hzx)
            cosine = half * det / (p * p * p + tiny)
            t = np.sqrt(max(half + half * min(cosine, one), np.float32(0.0)))
            share = p0 + t * (p1 + t * (p2 + t * p3))
            row[i] = two * (p * share - mean)
