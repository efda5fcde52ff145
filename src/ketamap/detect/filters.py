"""Filters on one block in memory: binning and the difference of Gaussians.

Every output voxel is the same sum in the same order wherever its block begins, so blocks
agree to the last bit (no ``fastmath``). Beyond the block the outermost voxel is repeated:
right at the border of the volume, to be cut off elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.space import Zyx

F32 = NDArray[np.float32]


def bin_block(block: NDArray[Any], bins: Zyx[int]) -> F32:
    """Average ``bins`` voxels along each axis, plane by plane.

    Parameters
    ----------
    block
        Shape ``(z, y, x)``, any real dtype; it begins on a bin. An incomplete last bin is
        filled by repeating the outermost voxel.
    bins
        Voxels per bin.

    Returns
    -------
    numpy.ndarray of float32
        Shape ``ceil(shape / bins)``.
    """
    (nz, ny, nx), (bz, by, bx) = block.shape, bins
    out = np.zeros((-(-nz // bz), -(-ny // by), -(-nx // bx)), dtype=np.float32)
    if bins == (1, 1, 1):
        out[...] = block
        return out
    plane = np.empty((ny, nx), dtype=np.float32)
    for z in range(out.shape[0] * bz):
        plane[...] = block[min(z, nz - 1)]
        add_binned_plane(out[z // bz], plane, by, bx)
    out *= np.float32(1.0 / (bz * by * bx))
    return out


@njit(nogil=True, cache=True)
def add_binned_plane(total: F32, plane: F32, by: int, bx: int) -> None:
    """Add the sums of ``by`` x ``bx`` pixels of a plane to ``total``, in place."""
    ny, nx = plane.shape
    my, mx = total.shape
    row = np.empty(mx * bx, dtype=np.float32)
    for j in range(my):
        for i in range(row.size):
            row[i] = 0.0
        for k in range(by):
            more = plane[min(j * by + k, ny - 1)]
            for i in range(nx):
                row[i] += more[i]
        for i in range(nx, row.size):
            row[i] = row[nx - 1]
        out = total[j]
        if bx == 2:  # spelled out: vectorises
            for i in range(mx):
                out[i] += row[2 * i] + row[2 * i + 1]
        else:
            for i in range(mx * bx):
                out[i // bx] += row[i]


def difference_of_gaussians(image: F32, narrow: Zyx[F32], wide: Zyx[F32]) -> F32:
    """Smooth narrowly and widely and subtract.

    Parameters
    ----------
    image
        Shape ``(z, y, x)``, C order, finite.
    narrow, wide
        Half kernels (centre first) along z, y, x.

    Returns
    -------
    numpy.ndarray of float32
        Shape of ``image``; positive where a blob is brighter than its surroundings.
    """
    centre = np.empty_like(image)
    surround = np.empty_like(image)
    smooth_planes(image, narrow[1], narrow[2], centre)
    smooth_planes(image, wide[1], wide[2], surround)
    out = np.empty_like(image)
    subtract_along_z(centre, surround, narrow[0], wide[0], out)
    return out


@njit(nogil=True, cache=True)
def smooth_planes(image: F32, along_y: F32, along_x: F32, out: F32) -> None:
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
def subtract_along_z(centre: F32, surround: F32, narrow: F32, wide: F32, out: F32) -> None:
    """Convolve along z with both kernels and subtract."""
    nz, ny, nx = centre.shape
    for z in range(nz):
        for y in range(ny):
            row = out[z, y]
            a, b = centre[z, y], surround[z, y]
            u, v = narrow[0], wide[0]
            for i in range(nx):
                row[i] = u * a[i] - v * b[i]
            for k in range(1, narrow.shape[0]):
                u = narrow[k]
                a, b = centre[max(z - k, 0), y], centre[min(z + k, nz - 1), y]
                for i in range(nx):
                    row[i] += u * (a[i] + b[i])
            for k in range(1, wide.shape[0]):
                v = wide[k]
                a, b = surround[max(z - k, 0), y], surround[min(z + k, nz - 1), y]
                for i in range(nx):
                    row[i] -= v * (a[i] + b[i])
