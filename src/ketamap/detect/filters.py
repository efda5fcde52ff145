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
    native = np.dtype(block.dtype) in (np.uint8, np.uint16)
    plane = np.empty((ny, nx), dtype=block.dtype if native else np.float32)
    for z in range(out.shape[0] * bz):
        plane[...] = block[min(z, nz - 1)]
        add_binned_plane(out[z // bz], plane, by, bx)
    out *= np.float32(1.0 / (bz * by * bx))
    return out


@njit(nogil=True, cache=True)
def add_binned_plane(total: F32, plane: NDArray[Any], by: int, bx: int) -> None:
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
    out = np.empty_like(image)
    _fill_difference(image, narrow, wide, out)
    return out


@njit(nogil=True, cache=True)
def _fill_difference(image: F32, narrow: Zyx[F32], wide: Zyx[F32], out: F32) -> None:
    """Smooth all rows of one y along y and x, then along z while they are in the cache."""
    nz, ny, nx = image.shape
    centre = np.empty((nz, nx), dtype=np.float32)
    surround = np.empty((nz, nx), dtype=np.float32)
    padded = np.empty(nx + 2 * max(narrow[2].size, wide[2].size), dtype=np.float32)
    for y in range(ny):
        for kernels, smooth in ((narrow, centre), (wide, surround)):
            for z in range(nz):
                _smooth_row(image[z], y, kernels[1], kernels[2], padded, smooth[z])
        for z in range(nz):
            _subtract_rows(centre, surround, z, narrow[0], wide[0], out[z, y])


@njit(nogil=True, cache=True)
def _smooth_row(plane: F32, y: int, along_y: F32, along_x: F32, padded: F32, out: F32) -> None:
    """Convolve row ``y`` of a plane along y, then along x."""
    ny, nx = plane.shape
    rx = along_x.size - 1
    inner = padded[rx : rx + nx]
    w, row = along_y[0], plane[y]
    for i in range(nx):
        inner[i] = w * row[i]
    for k in range(1, along_y.size):
        _add_pair(inner, along_y[k], plane[max(y - k, 0)], plane[min(y + k, ny - 1)])
    for i in range(rx):
        padded[i] = padded[rx]
        padded[rx + nx + i] = padded[rx + nx - 1]
    w = along_x[0]
    for i in range(nx):
        out[i] = w * inner[i]
    for k in range(1, along_x.size):
        _add_pair(out, along_x[k], padded[rx - k : rx - k + nx], padded[rx + k : rx + k + nx])


@njit(nogil=True, cache=True)
def _subtract_rows(centre: F32, surround: F32, z: int, narrow: F32, wide: F32, out: F32) -> None:
    """Convolve along the first axis at ``z``, with both kernels, and subtract."""
    last = centre.shape[0] - 1
    u, v, a, b = narrow[0], wide[0], centre[z], surround[z]
    for i in range(out.size):
        out[i] = u * a[i] - v * b[i]
    for k in range(1, narrow.size):
        _add_pair(out, narrow[k], centre[max(z - k, 0)], centre[min(z + k, last)])
    for k in range(1, wide.size):
        _add_pair(out, -wide[k], surround[max(z - k, 0)], surround[min(z + k, last)])


@njit(nogil=True, cache=True)
def _add_pair(total: F32, weight: np.float32, one: F32, other: F32) -> None:
    for i in range(total.size):
        total[i] += weight * (one[i] + other[i])
