"""The voxels of a block that may be fibre, as a list, and scratch images to look around them.

Few voxels of a brain are fibre: lists of them are worked on, and images of a block are only
touched where they are. The images are one voxel larger on every side, so that the 27 places
around a voxel are fixed offsets in them.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import DTypeLike, NDArray

from ketamap.core.space import Zyx
from ketamap.trace.filters import F32
from ketamap.trace.scale import triple

OUTSIDE = 4
"""State of the voxels around the block: neither fibre nor background."""

Places = NDArray[np.int32]
"""Shape ``(n,)``: places of voxels in the flat padded images, ascending."""


class Workspace:
    """Memory that blocks use one after another: to return and fetch it costs system time."""

    def __init__(self) -> None:
        self._held: dict[str, NDArray[Any]] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array that holds what the last user of the name left, zeros if none did."""
        size = prod(shape)
        if name not in self._held or self._held[name].size < size:
            self._held[name] = np.zeros(size, dtype=dtype)
        return self._held[name][:size].reshape(shape)


class Board:
    """Scratch images of one block; whoever writes in it leaves zeros behind.

    Parameters
    ----------
    shape
        Shape of the block, ``(z, y, x)``.
    workspace
        Where the images are; left out: new ones. One board at a time may use it, and closes.
    """

    def __init__(self, shape: tuple[int, ...], workspace: Workspace | None = None) -> None:
        self.shape = triple(shape)
        self.padded: Zyx[int] = triple(n + 2 for n in shape)
        size = prod(self.padded)
        workspace = workspace or Workspace()
        self.state: NDArray[np.uint8] = workspace.take("state", (size,), np.uint8)
        self.number: NDArray[np.int32] = workspace.take("number", (size,), np.int32)
        _surround(self.state.reshape(self.padded), OUTSIDE)
        self.strides = np.array([self.padded[1] * self.padded[2], self.padded[2], 1])
        around = np.array(list(np.ndindex(3, 3, 3)), dtype=np.int64) - 1
        self.steps: NDArray[np.int64] = np.asarray(around @ self.strides, dtype=np.int64)
        """Offsets of the 27 places around a voxel."""

    def close(self) -> None:
        """Leave zeros to the next board in the workspace."""
        _surround(self.state.reshape(self.padded), 0)

    def index(self, where: Places) -> NDArray[np.int64]:
        """Return the places as indices of the block, shape ``(n, 3)``."""
        z, rest = np.divmod(where.astype(np.int64), self.strides[0])
        y, x = np.divmod(rest, self.strides[1])
        return np.stack([z, y, x], axis=1) - 1

    def places(self, mask: NDArray[np.bool_]) -> Places:
        """List the voxels of a mask of the block."""
        index = np.argwhere(mask) + 1
        return np.asarray(index @ self.strides, dtype=np.int32)


def _surround(image: NDArray[np.uint8], state: int) -> None:
    for axis in range(3):
        for end in (0, -1):
            image[(slice(None),) * axis + (end,)] = state


def places_above(score: F32, threshold: float) -> tuple[Places, F32]:
    """List the voxels of a block whose score reaches a threshold, and their scores."""
    least = np.float32(threshold)
    n = _count_above(score, least)
    where, value = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.float32)
    _list_above(score, least, where, value)
    return where, value


@njit(nogil=True, cache=True)
def _count_above(score: F32, least: np.float32) -> int:
    n = 0
    for plane in score:
        for row in plane:
            for value in row:
                n += value >= least
    return n


@njit(nogil=True, cache=True)
def _list_above(score: F32, least: np.float32, where: Places, value: F32) -> None:
    nz, ny, nx = score.shape
    n = 0
    for z in range(nz):
        for y in range(ny):
            row = score[z, y]
            at = ((z + 1) * (ny + 2) + y + 1) * (nx + 2) + 1
            for x in range(nx):
                if row[x] >= least:
                    where[n], value[n] = at + x, row[x]
                    n += 1
