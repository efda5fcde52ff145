"""What the image readers have in common: a stored image and a lazy (z, y, x) view of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketamap.core.errors import ImageError
from ketamap.core.space import Zyx
from ketamap.core.volume import Blocks

ZYX = ("z", "y", "x")
"""The axes of a volume, in order."""

_REAL_KINDS = "biuf"
"""NumPy kinds of voxels that can be read: flags, whole and real numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of a pyramid."""

    shape: Zyx[int]
    """Number of voxels along z, y, x."""

    spacing_um: Zyx[float] | None
    """Distance between voxel centres, um; None where the file does not say."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class StoredImage:
    """An image as a file describes it; nothing of its voxels has been read."""

    path: str
    """Where it is, for messages."""

    format: str
    """Name of the file format, for people."""

    data: Blocks
    """Full resolution, axes as in `axes`."""

    axes: str
    """One letter per axis of `data`: z, y, x and maybe c and t."""

    spacing_um: Zyx[float] | None = None
    """What the file states, with units; None where it does not."""

    origin_voxels: Zyx[float] = (0.0, 0.0, 0.0)
    """Position of the first voxel's centre, in voxels of `spacing_um`."""

    channels: tuple[str, ...] = ()
    """Names of the channels, one per place along c; empty without that axis."""

    levels: tuple[Level, ...] = ()
    """Levels of the pyramid, finest first; one where there is no pyramid."""

    block_shape: Zyx[int] | None = None
    """Shape of the unit that is decoded at once: a chunk, a tile or a plane."""

    @property
    def shape(self) -> Zyx[int]:
        """Number of voxels along z, y, x."""
        z, y, x = (int(self.data.shape[self.axes.index(axis)]) for axis in ZYX)
        return (z, y, x)


@dataclass(frozen=True, eq=False, slots=True)
class ZyxView:
    """A lazy (z, y, x) view of a stored image, one channel and time point.

    Safe to read from several threads where the source is.  A block with NaN or infinite
    values is refused when it is read: finding them earlier would mean reading everything.
    """

    source: Blocks
    """The stored array."""

    axes: str
    """One letter per axis of `source`."""

    fixed: dict[str, int]
    """Place along each axis that is not z, y or x."""

    name: str
    """What to call the image in messages."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels along z, y, x."""
        return tuple(int(self.source.shape[self.axes.index(axis)]) for axis in ZYX)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one voxel, in the machine's byte order."""
        return np.dtype(self.source.dtype).newbyteorder("=")

    @property
    def ndim(self) -> int:
        """Three."""
        return 3

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Read a block: slices (step 1 or more) and whole numbers, as with NumPy.

        Raises
        ------
        ImageError
            If a value in the block is NaN or infinite.
        """
        slices, dropped = _as_slices(key, self.shape)
        wanted = dict(zip(ZYX, slices, strict=True))
        block = np.asarray(
            self.source[tuple(wanted.get(a, self.fixed.get(a, 0)) for a in self.axes)]
        )
        kept = [axis for axis in self.axes if axis in ZYX]
        block = block.transpose([kept.index(axis) for axis in ZYX])
        if block.dtype.kind == "f":
            _refuse_nan(block, [s.start for s in slices], self.name)
        block = np.asarray(block, dtype=self.dtype)
        return block[tuple(0 if gone else slice(None) for gone in dropped)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001
        """Read everything (NumPy's protocol)."""
        del copy
        return np.asarray(self[:], dtype=dtype)


def require_real(dtype: np.dtype[Any], name: str) -> None:
    """Refuse voxels that are not real numbers.

    Raises
    ------
    ImageError
        If the type is complex, object, text or a record.
    """
    if dtype.kind not in _REAL_KINDS:
        msg = (
            f"{name} has voxels of type {dtype}; whole or real numbers are needed. Save it as "
            f"unsigned 16-bit."
        )
        raise ImageError(msg)


def _as_slices(key: Any, shape: tuple[int, ...]) -> tuple[list[slice], list[bool]]:
    """Return a full slice per axis and whether the axis is dropped (a whole number)."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys[at : at + 1] = [slice(None)] * (len(shape) - len(keys) + 1)
    keys += [slice(None)] * (len(shape) - len(keys))
    slices, dropped = [], []
    for one, size in zip(keys, shape, strict=True):
        if isinstance(one, slice):
            start, stop, step = one.indices(size)
            if step < 1:
                msg = f"Images are read forwards; a step of {step} is not possible."
                raise IndexError(msg)
            slices.append(slice(start, max(start, stop), step))
            dropped.append(False)
        else:
            place = int(one)
            if not -size <= place < size:
                msg = f"Plane {place} is not in an axis of {size}."
                raise IndexError(msg)
            slices.append(slice(place % size, place % size + 1, 1))
            dropped.append(True)
    return slices, dropped


def _refuse_nan(block: NDArray[Any], start: list[int], name: str) -> None:
    if not block.size or (np.isfinite(block.min()) and np.isfinite(block.max())):
        return  # min and max of a block with a NaN are NaN: no temporary array is needed
    where = np.argwhere(~np.isfinite(block))[0] + np.asarray(start)
    msg = (
        f"{name} holds values that are not finite numbers (NaN or infinite), the first at "
        f"voxel z,y,x = {','.join(map(str, where))} (from 0). Replace them, for instance by "
        f"0 outside the tissue, and save the image again."
    )
    raise ImageError(msg)
