"""A volume on disk or in memory, with the grid that says where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ketamap.core.errors import ImageError
from ketamap.core.space import VoxelGrid, Zyx


class Blocks(Protocol):
    """Anything that gives blocks by slicing: NumPy, zarr, dask or a lazy TIFF stack."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels along each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one voxel."""

    def __getitem__(self, key: Any, /) -> Any:
        """Read a block."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Volume:
    """A 3D image, read block by block.

    Raises
    ------
    ImageError
        If the data is not three-dimensional or does not have the grid's shape.
    """

    data: Blocks
    """Shape ``(z, y, x)``; nothing is read until a block is asked for."""

    grid: VoxelGrid
    """Where the voxels are."""

    name: str = "image"
    """What to call it in messages: a path, usually."""

    block_shape: Zyx[int] | None = None
    """Shape of the unit in which the data is stored, if it has one."""

    def __post_init__(self) -> None:
        if len(self.data.shape) != 3:
            msg = (
                f"{self.name} has {len(self.data.shape)} axes of shape {self.data.shape}; "
                f"three (z, y, x) are needed. Select one channel and one time point."
            )
            raise ImageError(msg)
        if tuple(self.data.shape) != tuple(self.grid.shape):
            msg = f"{self.name} has shape {self.data.shape} but its grid {self.grid.shape}."
            raise ImageError(msg)

    def read(self, start: Zyx[int], stop: Zyx[int]) -> NDArray[Any]:
        """Read ``[start, stop)`` into memory."""
        key = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        return np.asarray(self.data[key])

    def load(self) -> NDArray[Any]:
        """Read all of it into memory."""
        return self.read((0, 0, 0), self.grid.shape)
