"""What is bright but no line: vessels, bright edges, somata and whatever else is thick.

On a sphere around a voxel of a fibre only the two spots where the fibre passes are bright. Around
one inside or at the wall of something as thick as the sphere, about half or more of it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.trace.board import Board, Places
from ketamap.trace.scale import RidgePlan

BRIGHT_SHARE = 0.58
"""Part of the sphere that is bright around what is not a line. Made-up lines cover .1 to .5 by
density and noise, the labelled axons .1 to .56, vessels of 24 um and more and bright edges .5
to .7."""

AVERAGINGS = 2
"""Times that the share is averaged with those of the neighbours along the lines: noise evens
out."""

DARK_QUANTILE = 0.2
"""The background is this quantile on the sphere."""


def sphere_steps(plan: RidgePlan, diameter_um: float) -> NDArray[np.int64]:
    """List the voxels on a sphere as steps from its middle, shape ``(n, 3)``."""
    radius = 0.5 * diameter_um
    half = 0.5 * sorted(plan.spacing_um)[1]
    most = [int((radius + half) / um) for um in plan.spacing_um]
    steps = np.array(list(np.ndindex(*(2 * m + 1 for m in most)))) - most
    away = np.linalg.norm(steps * np.asarray(plan.spacing_um), axis=1)
    return np.asarray(steps[np.abs(away - radius) <= half], dtype=np.int64)


def on_lines(
    where: Places, board: Board, image: NDArray[Any], sphere: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell which voxels belong to lines thinner than the sphere.

    Bright is what is nearer to the brightness of the voxel (the mean of 27) than to that of the
    sphere's dark part.

    Parameters
    ----------
    where
        Voxels of a skeleton.
    board
        Scratch images of the block.
    image
        Shape of the block: intensities.
    sphere
        From `sphere_steps`.

    Returns
    -------
    numpy.ndarray of bool
        Shape ``(n,)``.
    """
    share = _bright_shares(where, board.strides, _plain(image), sphere)
    board.number[where] = np.arange(1, len(where) + 1, dtype=np.int32)
    for _ in range(AVERAGINGS):
        share = _averaged(where, board.number, board.steps, share)
    board.number[where] = 0
    return np.asarray(share < BRIGHT_SHARE)


def _plain(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image of a type that the kernel is compiled for."""
    return image if image.dtype in (np.uint8, np.uint16, np.float32) else image.astype(np.float32)


@njit(nogil=True, cache=True)
def _bright_shares(
    where: Places, strides: NDArray[np.int64], image: NDArray[Any], sphere: NDArray[np.int64]
) -> NDArray[np.float64]:
    nz, ny, nx = image.shape
    out = np.zeros(where.shape[0], dtype=np.float64)
    shell = np.empty(sphere.shape[0], dtype=np.float64)
    for m in range(where.shape[0]):
        z, rest = where[m] // strides[0] - 1, where[m] % strides[0]
        y, x = rest // strides[1] - 1, rest % strides[1] - 1
        n = 0
        for s in range(sphere.shape[0]):
            k, j, i = z + sphere[s, 0], y + sphere[s, 1], x + sphere[s, 2]
            if 0 <= k < nz and 0 <= j < ny and 0 <= i < nx:
                shell[n] = image[k, j, i]
                n += 1
        total, count = 0.0, 0
        for k in range(max(z - 1, 0), min(z + 2, nz)):
            for j in range(max(y - 1, 0), min(y + 2, ny)):
                for i in range(max(x - 1, 0), min(x + 2, nx)):
                    total += image[k, j, i]
                    count += 1
        if n > 0:
            dark = np.partition(shell[:n], int(DARK_QUANTILE * n))[int(DARK_QUANTILE * n)]
            level = 0.5 * (dark + total / count)
            out[m] = np.count_nonzero(shell[:n] > level) / n
    return out


@njit(nogil=True, cache=True)
def _averaged(
    where: Places, number: NDArray[np.int32], steps: NDArray[np.int64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    out = np.empty_like(share)
    for m in range(where.shape[0]):
        total, count = 0.0, 0
        for step in steps:
            q = number[where[m] + step] - 1
            if q >= 0:
                total += share[q]
                count += 1
        out[m] = total / count
    return out
