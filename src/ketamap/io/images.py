"""Images of any supported format: open one as a volume, or describe it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ketamap.core.errors import ImageError, MissingInputError, SpacingMismatchError
from ketamap.core.space import VoxelGrid, Zyx
from ketamap.core.volume import Volume
from ketamap.io.blocks import Level, StoredImage, ZyxView
from ketamap.io.files import size_on_disk_bytes
from ketamap.io.ome_zarr_reader import is_zarr, open_ome_zarr
from ketamap.io.tiff import open_tiff
from ketamap.io.tiff_planes import open_planes

SPACING_TOLERANCE = 0.01
"""Relative difference of declared and stated spacing that still counts as the same: room
for rounding in metadata, far below the 5 % or more of a wrong objective or z step."""


CELLS_UM = 20.0
"""Voxels coarser than this show no cells of ordinary size; such an image is for registration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSummary:
    """What `ketamap inspect` shows."""

    path: str
    """The file or folder."""

    format: str
    """Name of the file format."""

    axes: str
    """One letter per stored axis."""

    shape: tuple[int, ...]
    """Number of voxels along `axes`."""

    dtype: str
    """Type of one voxel."""

    spacing_um: Zyx[float] | None
    """What the file states, (z, y, x); None where it does not."""

    channels: tuple[str, ...]
    """Names of the channels, empty without a channel axis."""

    levels: tuple[Level, ...]
    """Levels of the pyramid, finest first; one where there is no pyramid."""

    size_on_disk_bytes: int
    """Bytes of all its files."""

    block_shape: Zyx[int] | None
    """Shape of the unit that is decoded at once: a chunk, a tile or a plane."""

    suggested_command: str
    """A command line to start from."""


def open_image(
    path: Path, *, voxel_um: Zyx[float] | None = None, channel: int | None = None
) -> Volume:
    """Open a volume: a TIFF stack, a folder of TIFF planes, or OME-Zarr 0.4 or 0.5.

    No voxels are read.  Reading blocks from several threads, or from workers that got a
    copy, is safe; a block with NaN or infinite values is refused when it is read.

    Parameters
    ----------
    path
        The file or folder.
    voxel_um
        Declared spacing (z, y, x), um; needed where the file does not state it with units.
    channel
        Which channel, from 0; needed where there is more than one.

    Raises
    ------
    MissingInputError
        If there is nothing at ``path``.
    SpacingMismatchError
        If the file states another spacing than ``voxel_um``.
    ImageError
        If it cannot be read as one volume of real numbers; the message says what to do.
    """
    stored = _stored(Path(path))
    spacing = _spacing_um(stored, voxel_um)
    z, y, x = (o * um for o, um in zip(stored.origin_voxels, spacing, strict=True))
    return Volume(
        data=ZyxView(stored.data, stored.axes, _fixed(stored, channel), stored.path),
        grid=VoxelGrid(shape=stored.shape, spacing_um=spacing, origin_um=(z, y, x)),
        name=stored.path,
        block_shape=stored.block_shape,
    )


def describe_image(path: Path) -> ImageSummary:
    """Describe an image without reading its voxels.

    Raises
    ------
    MissingInputError
        If there is nothing at ``path``.
    ImageError
        If it is not an image of a supported format.
    """
    path = Path(path)
    stored = _stored(path)
    return ImageSummary(
        path=stored.path,
        format=stored.format,
        axes=stored.axes,
        shape=tuple(int(n) for n in stored.data.shape),
        dtype=str(stored.data.dtype.newbyteorder("=")),
        spacing_um=stored.spacing_um,
        channels=stored.channels,
        levels=stored.levels,
        size_on_disk_bytes=size_on_disk_bytes(path),
        block_shape=stored.block_shape,
        suggested_command=_suggestion(stored),
    )


def _stored(path: Path) -> StoredImage:
    return _opener(path)(path)


def _opener(path: Path) -> Callable[[Path], StoredImage]:
    if not path.exists():
        near = _nearest_folder(path)
        msg = f"{path} is not there (the folder {near} is). Check the path."
        raise MissingInputError(msg)
    if path.is_file():
        return open_tiff
    return open_ome_zarr if is_zarr(path) else open_planes


def _nearest_folder(path: Path) -> Path:
    return next((p for p in path.absolute().parents if p.exists()), Path("/"))


def _spacing_um(stored: StoredImage, declared: Zyx[float] | None) -> Zyx[float]:
    if declared is None:
        if stored.spacing_um is None:
            msg = (
                f"{stored.path} does not say how large its voxels are. Add --voxel-um Z,Y,X "
                f"(um between voxel centres, planes first), for instance --voxel-um 5,2,2."
            )
            raise ImageError(msg)
        return stored.spacing_um
    if len(declared) != 3 or not all(0.0 < um < float("inf") for um in declared):
        given = ",".join(f"{um:g}" for um in declared)
        msg = f"--voxel-um {given}: three numbers above 0 are needed (z, y, x, in um)."
        raise ImageError(msg)
    z, y, x = (float(um) for um in declared)
    if stored.spacing_um is not None and any(
        abs(d - s) > SPACING_TOLERANCE * s
        for d, s in zip((z, y, x), stored.spacing_um, strict=True)
    ):
        raise SpacingMismatchError(stored.path, (z, y, x), stored.spacing_um)
    return (z, y, x)


def _fixed(stored: StoredImage, channel: int | None) -> dict[str, int]:
    """Return the place along each axis that is not z, y or x."""
    sizes = dict(zip(stored.axes, stored.data.shape, strict=True))
    if sizes.get("t", 1) > 1:
        msg = f"{stored.path} has {sizes['t']} time points. Save one of them as a volume."
        raise ImageError(msg)
    n = int(sizes.get("c", 1))
    if channel is None and n > 1:
        names = ", ".join(f"{k}: {name}" for k, name in enumerate(stored.channels))
        msg = f"{stored.path} has {n} channels ({names}). Choose one with --channel."
        raise ImageError(msg)
    chosen = 0 if channel is None else channel
    if not 0 <= chosen < n:
        msg = f"{stored.path} has no channel {chosen}: {_channels_there(n)}."
        raise ImageError(msg)
    return {axis: chosen if axis == "c" else 0 for axis in stored.axes if axis in "ct"}


def _channels_there(n: int) -> str:
    return "it has one; leave --channel out" if n == 1 else f"give one of 0 to {n - 1}"


def _suggestion(stored: StoredImage) -> str:
    """Return a command to start from, with a gap only where the user must decide."""
    if stored.spacing_um is not None and sorted(stored.spacing_um)[1] > CELLS_UM:
        return (
            f"ketamap register {shlex.quote(stored.path)} --orientation ZYX "
            f"--atlas NAME --out DIR   (too coarse for cells of 15 um)"
        )
    parts = ["ketamap", "detect", shlex.quote(stored.path)]
    parts += [] if stored.spacing_um else ["--voxel-um", "Z,Y,X"]
    parts += ["--channel", "0"] if len(stored.channels) > 1 else []
    return " ".join([*parts, "--soma-diameter-um", "15", "--out", "cells.parquet"])
