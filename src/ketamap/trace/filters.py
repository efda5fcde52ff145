"""Filters on one block in memory: log contrast, smoothing and ridge response.

Every output voxel is the same sum in the same order wherever its block begins, so blocks
agree to the last bit (no ``fastmath``). Beyond the block the outermost voxel is repeated:
right at the border of the volume, to be cut off elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.errors import ImageError
from ketamap.core.space import Zyx
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
    if block.dtype.kind in "ui" and block.dtype.itemsize <= 2:
        info = np.iinfo(block.dtype)
        table = _log(np.arange(info.min, info.max + 1, dtype=np.float64), dark, offset)
        out = np.empty(block.shape, dtype=np.float32)
        _look_up(np.ascontiguousarray(block).reshape(-1), table, -info.min, out.reshape(-1))
        return out
    if not np.isfinite(block.sum(dtype=np.float64)):
        msg = "contains NaN or infinite voxels. Replace them (0 where there is no tissue)."
        raise ImageError(msg)
    return _log(block.astype(np.float64), dark, offset)


def _log(values: NDArray[np.float64], dark: float, offset: float) -> F32:
    argument = np.maximum(1.0 + (values - dark) / offset, LEAST_ARGUMENT)
    return np.asarray(np.log(argument), dtype=np.float32)


@njit(nogil=True, cache=True)
def _look_up(values: NDArray[Any], table: F32, shift: int, out: F32) -> None:
    for i in range(values.shape[0]):
        out[i] = table[int(values[i]) + shift]


def ridge_response(contrast: F32, plan: RidgePlan) -> F32:
    """Tell how line-like each voxel's surroundings are.

    The image is smoothed by a sum of two Gaussians; of its Hessian the two most negative
    eigenvalues are added, that is the curvature across the best line through the voxel.
    A fibre answers with both, an edge or sheet with one, a dark gap with neither.

    Parameters
    ----------
    contrast
        Shape ``(z, y, x)``, from `log_contrast`.
    plan
        The filters.

    Returns
    -------
    numpy.ndarray of float32
        Shape of ``contrast``; unitless (curvature times `RidgePlan.sigma_um` squared).

    References
    ----------
    Sato et al. 1998, Med Image Anal 2:143, for the eigenvalues of a bright line.
    """
    widened = _at_least_three(contrast)
    smooth = np.empty_like(widened)
    _smooth_twice(widened, plan.narrow, plan.wide, smooth)
    out = np.empty_like(widened)
    norm = np.float32(1.0 / (1.0 + WIDE_WEIGHT))
    scale = np.asarray(plan.curvature, dtype=np.float32)
    _line_curvature(smooth, scale, norm, out)
    return out[tuple(slice(0, n) for n in contrast.shape)]


def _at_least_three(image: F32) -> F32:
    """Repeat the outermost voxel of axes that are too short for a second difference."""
    short = [(0, max(0, 3 - n)) for n in image.shape]
    return np.pad(image, short, mode="edge") if any(s[1] for s in short) else image


def _smooth_twice(image: F32, narrow: Zyx[F32], wide: Zyx[F32], out: F32) -> None:
    centre = np.empty_like(image)
    surround = np.empty_like(image)
    _smooth_planes(image, narrow[1], narrow[2], centre)
    _smooth_planes(image, wide[1], wide[2], surround)
    _add_along_z(centre, surround, narrow[0], wide[0], np.float32(WIDE_WEIGHT), out)


@njit(nogil=True, cache=True)
def _smooth_planes(image: F32, along_y: F32, along_x: F32, out: F32) -> None:
    """Convolve every plane along y and x, row by row while it is in the cache."""
    nz, ny, nx = image.shape
    ry, rx = along_y.shape[0] - 1, along_x.shape[0] - 1
    padded = np.empty(nx + 2 * rx, dtype=np.float32)
    for z in range(nz):
        plane = image[z]
        for y in range(ny):
            inner = padded[rx : rx + nx]
            centre = plane[y]
            w = along_y[0]
            for i in range(nx):
                inner[i] = w * centre[i]
            for k in range(1, ry + 1):
                w = along_y[k]
                above, below = plane[max(y - k, 0)], plane[min(y + k, ny - 1)]
                for i in range(nx):
                    inner[i] += w * (above[i] + below[i])
            for i in range(rx):
                padded[i] = padded[rx]
                padded[rx + nx + i] = padded[rx + nx - 1]
            row = out[z, y]
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
    centre: F32, surround: F32, narrow: F32, wide: F32, weight: np.float32, out: F32
) -> None:
    """Convolve along z with both kernels and add."""
    nz, ny, nx = centre.shape
    for z in range(nz):
        for y in range(ny):
            row = out[z, y]
            a, b = centre[z, y], surround[z, y]
            u, v = narrow[0], weight * wide[0]
            for i in range(nx):
                row[i] = u * a[i] + v * b[i]
            for k in range(1, narrow.shape[0]):
                u = narrow[k]
                a, b = centre[max(z - k, 0), y], centre[min(z + k, nz - 1), y]
                for i in range(nx):
                    row[i] += u * (a[i] + b[i])
            for k in range(1, wide.shape[0]):
                v = weight * wide[k]
                a, b = surround[max(z - k, 0), y], surround[min(z + k, nz - 1), y]
                for i in range(nx):
                    row[i] += v * (a[i] + b[i])


@njit(nogil=True, cache=True)
def _line_curvature(f: F32, scale: F32, norm: np.float32, out: F32) -> None:
    """Write minus the sum of the two lowest eigenvalues of the Hessian.

    That is the greatest eigenvalue minus the trace. The greatest is mean + 2 p cos(a / 3),
    cos a = det / 2 p**3 (Smith 1961, Commun ACM 4:168); cos(a / 3) is a polynomial in
    cos(a / 2) to 2e-4, so that the loop has no branches.
    """
    nz, ny, nx = f.shape
    cz, cy, cx = scale[0] * scale[0] * norm, scale[1] * scale[1] * norm, scale[2] * scale[2] * norm
    q = np.float32(0.25) * norm
    czy, czx, cyx = scale[0] * scale[1] * q, scale[0] * scale[2] * q, scale[1] * scale[2] * q
    two, half, one = np.float32(2.0), np.float32(0.5), np.float32(1.0)
    third, sixth = np.float32(1.0 / 3.0), np.float32(1.0 / 6.0)
    tiny = np.float32(1e-30)
    p0, p1 = np.float32(0.50017521), np.float32(0.57379667)
    p2, p3 = np.float32(-0.09388203), np.float32(0.01995412)
    for z in range(nz):
        a, c = max(z - 1, 0), min(z + 1, nz - 1)
        for y in range(ny):
            d, e = max(y - 1, 0), min(y + 1, ny - 1)
            mid, up, down = f[z, y], f[a, y], f[c, y]
            north, south = f[z, d], f[z, e]
            un, us, dn, ds = f[a, d], f[a, e], f[c, d], f[c, e]
            row = out[z, y]
            for x in range(1, nx - 1):
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
                p = np.sqrt(sixth * (kz * kz + ky * ky + kx * kx + two * off)) + tiny
                det = kz * (ky * kx - hyx * hyx)
                det -= hzy * (hzy * kx - hyx * hzx)
                det += hzx * (hzy * hyx - ky * hzx)
                cosine = half * det / (p * p * p + tiny)
                t = np.sqrt(max(half + half * min(cosine, one), np.float32(0.0)))
                share = p0 + t * (p1 + t * (p2 + t * p3))
                row[x] = two * (p * share - mean)
            row[0] = row[1]
            row[nx - 1] = row[nx - 2]
