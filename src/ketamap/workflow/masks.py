"""The user's own mask of the tissue: read, checked against its image, made coarse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketamap.core.errors import ImageError
from ketamap.core.registration import TissueMask
from ketamap.core.space import VoxelGrid
from ketamap.core.volume import Blocks, Volume
from ketamap.io.images import describe_image, open_image

MASK_RESOLUTION_UM = 50.0
"""Voxel size of a mask that is kept: that of the lattice on which regions are measured."""


def read_tissue(mask: Path, image: Volume) -> TissueMask:
    """Read a mask of the tissue of an image.

    Parameters
    ----------
    mask
        Image that is 0 where there is no tissue: of the shape of ``image``, or of another
        one if it states its voxel size and fills the same box.
    image
        What it belongs to.

    Raises
    ------
    ImageError
        If it has another shape or box, or is empty.
    """
    from ketamap.register import coarse_image

    volume = _of_same_box(mask, image)
    yes = Volume(
        data=_NonZero(volume.data),
        grid=volume.grid,
        name=volume.name,
        block_shape=volume.block_shape,
    )
    share, grid = coarse_image(yes, max(MASK_RESOLUTION_UM, *volume.grid.spacing_um))
    present = share >= 0.5
    if not present.any():
        msg = (
            f"The mask {mask} is 0 everywhere: it says that {image.name} shows no tissue. Give "
            f"a mask that is 1 where there is tissue."
        )
        raise ImageError(msg)
    return TissueMask(grid=grid, present=present)


def _of_same_box(mask: Path, image: Volume) -> Volume:
    stated = describe_image(mask).spacing_um
    volume = open_image(mask, voxel_um=image.grid.spacing_um if stated is None else stated)
    if volume.grid.shape == image.grid.shape:
        return Volume(
            data=volume.data, grid=image.grid, name=volume.name, block_shape=volume.block_shape
        )
    reach_um = np.asarray(image.grid.shape) * image.grid.spacing_um
    own_um = np.asarray(volume.grid.shape) * volume.grid.spacing_um
    if stated is None or (np.abs(own_um - reach_um) > 2.0 * np.asarray(stated)).any():
        msg = (
            f"The mask {mask} is {_shape(volume.grid)}, but {image.name} is "
            f"{_shape(image.grid)}. Give a mask of the image's shape, or one that states its "
            f"voxel size and fills the same box."
        )
        raise ImageError(msg)
    return volume


def _shape(grid: VoxelGrid) -> str:
    voxels = " x ".join(map(str, grid.shape))
    return f"{voxels} voxels of {','.join(f'{um:g}' for um in grid.spacing_um)} um (z, y, x)"


@dataclass(frozen=True, eq=False, slots=True)
class _NonZero:
    """Blocks of another image, 1 where it is not 0."""

    image: Blocks

    @property
    def shape(self) -> tuple[int, ...]:
        return self.image.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8)

    def __getitem__(self, key: Any, /) -> NDArray[np.uint8]:
        return np.asarray(np.asarray(self.image[key]) != 0, dtype=np.uint8)
