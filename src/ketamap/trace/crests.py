"""How far below the crest of a fibre a voxel lies: what is near the middle, what on a flank."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.trace.board import Board, Places
from ketamap.trace.filters import F32
from ketamap.trace.scale import RidgePlan

CREST_SHARE = 0.36
"""Least share of a voxel of a line. Lines on the flanks of bright fibres, and bridges between
two, lie below. Without it made-up fibres of ten times the noise come out up to a fifth too long,
from .4 on dense ones too short."""

CREST_PER_SIGMA = 1.7
"""Radius of what is near, in filter widths."""


def crest_steps(plan: RidgePlan) -> NDArray[np.int64]:
    """List the voxels within `CREST_PER_SIGMA` filter widths as steps, shape ``(n, 3)``.

    Along an axis with voxels too coarse to place a line on the crest nothing is compared.
    """
    radius = CREST_PER_SIGMA * plan.sigma_um
    most = [int(radius / um) if radius >= 1.5 * um else 0 for um in plan.spacing_um]
    steps = np.array(list(np.ndindex(*(2 * m + 1 for m in most)))) - most
    near = np.linalg.norm(steps * np.asarray(plan.spacing_um), axis=1) <= radius
    return np.asarray(steps[near], dtype=np.int64)


def crest_shares(where: Places, board: Board, score: F32, plan: RidgePlan) -> F32:
    """Scores of voxels as shares of the highest score near each.

    Parameters
    ----------
    where
        Voxels with a score above 0.
    board
        Scratch images of the block.
    score
        Shape of the block.
    plan
        The filters.

    Returns
    -------
    numpy.ndarray of float32
        Shape ``(n,)``, above 0, 1 on a crest.
    """
    return np.asarray(_shares(where, board.strides, score, crest_steps(plan)))


@njit(nogil=True, cache=True)
def _shares(where: Places, strides: NDArray[np.int64], score: F32, steps: NDArray[np.int64]) -> F32:
    nz, ny, nx = score.shape
    out = np.empty(where.shape[0], dtype=np.float32)
    for n in range(where.shape[0]):
        z, rest = where[n] // strides[0] - 1, where[n] % strides[0]
        y, x = rest // strides[1] - 1, rest % strides[1] - 1
        own = score[z, y, x]
        top = own
        for s in range(steps.shape[0]):
            k, j, i = z + steps[s, 0], y + steps[s, 1], x + steps[s, 2]
            if 0 <= k < nz and 0 <= j < ny and 0 <= i < nx:
                top = max(top, score[k, j, i])
        out[n] = own / top
    return out
