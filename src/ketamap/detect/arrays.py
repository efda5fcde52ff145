"""The filters and maxima of a block as array operations, for a GPU.

``xp`` is NumPy or a library with the same functions, such as CuPy. Every sum is taken in float32,
operation by operation, in the order of `ketamap.detect.filters` and `ketamap.detect.peaks`: the
answer is theirs to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from ketamap.core.space import Zyx
from ketamap.detect.device import F32
from ketamap.detect.peaks import NEIGHBOURS

FILTER_BYTES_PER_BIN = 24
"""Six float32 arrays at a time: image, both smoothed images, their difference and two on the way."""


def bytes_needed(itemsize: int, bins: Zyx[int], n_bins: int) -> int:
    """Memory that a block takes where ``xp`` keeps its arrays, bytes.

    Parameters
    ----------
    itemsize
        Bytes per voxel.
    bins
        Voxels per bin.
    n_bins
        Bins of the block.
    """
    twice = 2 * itemsize * prod(bins) * n_bins  # as it is, and filled up to whole bins
    return max(twice + 4 * (bins[2] + 2) * n_bins, FILTER_BYTES_PER_BIN * n_bins)


def bin_array(xp: Any, block: Any, bins: Zyx[int]) -> Any:
    """Average ``bins`` voxels along each axis, as `ketamap.detect.filters.bin_block`.

    Parameters
    ----------
    xp
        NumPy or the like.
    block
        Its array ``(z, y, x)`` of uint8, uint16 or float32.
    bins
        Voxels per bin.

    Returns
    -------
    array of float32
        A new one, C order.
    """
    if bins == (1, 1, 1):
        return block.astype(xp.float32)
    missing = [(0, -n % b) for n, b in zip(block.shape, bins, strict=True)]
    filled = xp.pad(block, missing, mode="edge")
    shape = tuple(n // b for n, b in zip(filled.shape, bins, strict=True))
    out = xp.zeros(shape, dtype=xp.float32)
    for z in range(bins[0]):
        _add_binned(xp, out, filled[z :: bins[0]], bins[1], bins[2])
    out *= float(np.float32(1.0 / prod(bins)))
    return out


def _add_binned(xp: Any, total: Any, planes: Any, by: int, bx: int) -> None:
    """Add the sums of ``by`` x ``bx`` pixels of each plane, in place."""
    rows = xp.zeros((*total.shape[:2], planes.shape[2]), dtype=xp.float32)
    for y in range(by):
        rows += planes[:, y::by]
    if bx == 2:
        total += rows[:, :, 0::2] + rows[:, :, 1::2]
    else:
        for x in range(bx):
            total += rows[:, :, x::bx]


def difference_of_arrays(xp: Any, image: Any, narrow: Zyx[F32], wide: Zyx[F32]) -> Any:
    """Smooth narrowly and widely and subtract.

    As `ketamap.detect.filters.difference_of_gaussians`, for an array of ``xp``.
    """
    centre, surround = (
        _smooth(xp, _smooth(xp, image, kernels[1], 1), kernels[2], 2) for kernels in (narrow, wide)
    )
    out = centre * float(narrow[0][0])
    out -= surround * float(wide[0][0])
    _add_pairs(xp, out, centre, narrow[0], 0)
    _add_pairs(xp, out, surround, -wide[0], 0)
    return out


def find_tops(xp: Any, response: Any) -> tuple[Any, Any]:
    """Find every maximum above 0 that `ketamap.detect.peaks.maxima` finds with a limit.

    Returns
    -------
    plain, sharp
        Flat indices into ``response``, rising: maxima of it, and maxima of the sharpened response
        that are not beside one of those.
    """
    plain = _tops(xp, response)
    near = plain.copy()
    for here, there, _ in _steps(response.shape):
        view = near[here]
        view |= plain[there]
    sharp = _tops(xp, _sharpened(xp, response))
    sharp &= ~near
    bright = response > 0.0
    return xp.flatnonzero(plain & bright), xp.flatnonzero(sharp & bright)


def _smooth(xp: Any, image: Any, half: F32, axis: int) -> Any:
    """Convolve along an axis with a kernel given by its half, centre first."""
    out = image * float(half[0])
    _add_pairs(xp, out, image, half, axis)
    return out


def _add_pairs(xp: Any, total: Any, image: Any, half: F32, axis: int) -> None:
    """Add the weighted voxels to both sides of each, in place."""
    for k in range(1, len(half)):
        total += _pair(xp, image, k, axis) * float(half[k])


def _pair(xp: Any, image: Any, steps: int, axis: int) -> Any:
    """Sum of the voxels ``steps`` before and after each; beyond the edge the outermost counts."""
    n = image.shape[axis]
    before, after = (xp.clip(xp.arange(n) + way, 0, n - 1) for way in (-steps, steps))
    both = xp.take(image, before, axis=axis)
    both += xp.take(image, after, axis=axis)
    return both


def _sharpened(xp: Any, response: Any) -> Any:
    """Response less its second differences, as `ketamap.detect.peaks.sharp_at`."""
    beside = _pair(xp, response, 1, 0)
    beside += _pair(xp, response, 1, 1)
    beside += _pair(xp, response, 1, 2)
    out = response * 7.0
    out -= beside
    return out


def _tops(xp: Any, values: Any) -> Any:
    """Whether each voxel is a maximum among 26; of equal neighbours the first in raster order."""
    top = xp.ones(values.shape, dtype=bool)
    for here, there, later in _steps(values.shape):
        view = top[here]
        if later:
            view &= values[here] >= values[there]
        else:
            view &= values[here] > values[there]
    return top


def _steps(shape: Zyx[int]) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...], bool]]:
    """Voxels that have a neighbour, those neighbours, and whether they are later, for each of 26."""
    for *step, order in NEIGHBOURS.tolist():
        pairs = list(zip(shape, step, strict=True))
        here = tuple(slice(max(-d, 0), n - max(d, 0)) for n, d in pairs)
        there = tuple(slice(max(d, 0), n - max(-d, 0)) for n, d in pairs)
        yield here, there, order > 0
