"""Where voxels are: indices to micrometres, and how axes lie in the animal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ketamap.core.errors import InputError
from ketamap.core.units import UM3_PER_MM3

T = TypeVar("T")
Zyx: TypeAlias = tuple[T, T, T]
"""A value per axis in array order: z, then y, then x.  The only order used."""

FloatArray: TypeAlias = NDArray[np.float64]

ANATOMICAL_AXES = ("ap", "dv", "ml")
"""The body's axes in the order an atlas of orientation "asr" stores them."""

_AXIS_OF_LETTER = {"a": 0, "p": 0, "s": 1, "i": 1, "l": 2, "r": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class VoxelGrid:
    """A regular 3D sampling of physical space.

    Raises
    ------
    InputError
        If an axis has no voxels, or its spacing is not positive and finite.
    """

    shape: Zyx[int]
    """Number of voxels along z, y, x."""

    spacing_um: Zyx[float]
    """Distance between neighbouring voxel centres, in micrometres."""

    origin_um: Zyx[float] = (0.0, 0.0, 0.0)
    """Position of the centre of voxel (0, 0, 0), in micrometres."""

    def __post_init__(self) -> None:
        for axis, n, um, start in zip(
            "zyx", self.shape, self.spacing_um, self.origin_um, strict=True
        ):
            if n < 1:
                msg = f"shape[{axis}] must be at least 1, got {n}."
                raise InputError(msg)
            if not (isfinite(um) and um > 0):
                msg = f"spacing_um[{axis}] must be positive and finite, got {um}."
                raise InputError(msg)
            if not isfinite(start):
                msg = f"origin_um[{axis}] must be finite, got {start}."
                raise InputError(msg)

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        return int(np.prod(np.asarray(self.shape, dtype=np.int64)))

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel, mm3."""
        z, y, x = self.spacing_um
        return z * y * x / UM3_PER_MM3

    @property
    def centre_um(self) -> FloatArray:
        """Middle of the sampled box, ``(3,)`` um."""
        return self.to_um(0.5 * (np.asarray(self.shape, dtype=np.float64) - 1.0))

    def voxel_centres_um(self) -> FloatArray:
        """Centres of all voxels, ``(n, 3)`` um in raster order; slabs: `ketamap.core.transform.grid_points_um`."""
        return self.to_um(np.indices(self.shape).reshape(3, -1).T)

    def to_um(self, index: ArrayLike) -> FloatArray:
        """Physical position of (fractional) voxel indices, ``(..., 3)`` to um."""
        spacing = np.asarray(self.spacing_um, dtype=np.float64)
        return np.asarray(self.origin_um) + np.asarray(index, np.float64) * spacing

    def to_index(self, points_um: ArrayLike) -> FloatArray:
        """Fractional voxel index of positions, ``(..., 3)`` um; whole at centres."""
        offset = np.asarray(points_um, dtype=np.float64) - np.asarray(self.origin_um)
        return np.asarray(offset / np.asarray(self.spacing_um, dtype=np.float64))

    def nearest_index(self, points_um: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Voxel that contains each position.

        Parameters
        ----------
        points_um
            Shape ``(n, 3)``; NaN means "nowhere".

        Returns
        -------
        index
            Shape ``(n, 3)``; zero where the position is outside.
        inside
            Shape ``(n,)``; a voxel owns its lower faces and not its upper ones.
        """
        position = np.floor(self.to_index(points_um) + 0.5).T
        with np.errstate(invalid="ignore"):
            inside = np.all((position >= 0) & (position < np.asarray(self.shape)[:, None]), axis=0)
        index = np.where(inside, position, 0.0).astype(np.int64)
        return index.T, inside

    def cropped(self, start: Zyx[int], stop: Zyx[int]) -> VoxelGrid:
        """Return the grid of ``array[start:stop]``."""
        return VoxelGrid(
            shape=triple(int(b - a) for a, b in zip(start, stop, strict=True)),
            spacing_um=self.spacing_um,
            origin_um=triple(float(v) for v in self.to_um(start)),
        )

    def binned(self, factors: Zyx[int]) -> VoxelGrid:
        """Return the grid after averaging whole blocks of ``factors`` voxels.

        The last block of an axis may be incomplete; its centre is then placed as if it
        were whole.
        """
        return VoxelGrid(
            shape=triple(-(-n // f) for n, f in zip(self.shape, factors, strict=True)),
            spacing_um=triple(um * f for um, f in zip(self.spacing_um, factors, strict=True)),
            origin_um=triple(
                o + 0.5 * (f - 1) * um
                for o, um, f in zip(self.origin_um, self.spacing_um, factors, strict=True)
            ),
        )


@dataclass(frozen=True, slots=True)
class AxisMap:
    """How the axes of one orientation become those of another."""

    source_axes: Zyx[int]
    """For each target axis, the source axis it is taken from."""

    flipped: Zyx[bool]
    """For each target axis, whether it runs against its source axis."""

    def array(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """Reorder and flip a ``(z, y, x)`` array; a view, no copy."""
        turned = np.transpose(image, self.source_axes)
        return turned[tuple(slice(None, None, -1 if f else 1) for f in self.flipped)]

    def grid(self, source: VoxelGrid) -> VoxelGrid:
        """Return the grid of `array`'s result: same box, axes reordered."""
        a, b, c = self.source_axes
        return VoxelGrid(
            shape=(source.shape[a], source.shape[b], source.shape[c]),
            spacing_um=(source.spacing_um[a], source.spacing_um[b], source.spacing_um[c]),
            origin_um=(source.origin_um[a], source.origin_um[b], source.origin_um[c]),
        )

    def matrix(self, source: VoxelGrid) -> FloatArray:
        """Return the ``(4, 4)`` matrix from source um to target um.

        A flipped axis is mirrored about the middle of ``source``, so that voxel i of the
        source lands exactly on its voxel in `array`'s result.
        """
        out = np.zeros((4, 4))
        out[3, 3] = 1.0
        for target, (axis, flip) in enumerate(zip(self.source_axes, self.flipped, strict=True)):
            out[target, axis] = -1.0 if flip else 1.0
            out[target, 3] = 2.0 * source.centre_um[axis] if flip else 0.0
        return out


@dataclass(frozen=True, slots=True)
class Orientation:
    """How array axes lie in the animal, in BrainGlobe's three letters.

    Each letter names the side at which the axis starts: "asr" means that the first
    voxels along z are anterior, along y superior, along x right.

    Raises
    ------
    InputError
        If the code is not three letters, one of each of a/p, s/i and l/r.
    """

    code: str

    def __post_init__(self) -> None:
        letters = self.code
        axes = sorted(_AXIS_OF_LETTER.get(letter, -1) for letter in letters)
        if len(letters) != 3 or axes != [0, 1, 2]:
            msg = (
                f"Orientation {self.code!r} is not valid: give three letters, one of a/p, one "
                f"of s/i and one of l/r, each the side where that axis starts (z, y, x). "
                f"An atlas is 'asr': its first planes are anterior, superior, right."
            )
            raise InputError(msg)

    @property
    def axes(self) -> Zyx[int]:
        """For each array axis, the body axis it lies along: 0 ap, 1 dv, 2 ml."""
        return triple(_AXIS_OF_LETTER[letter] for letter in self.code)

    def map_to(self, target: Orientation) -> AxisMap:
        """Return the axis map that turns arrays and points of this orientation into ``target``."""
        source_axes = triple(self.axes.index(axis) for axis in target.axes)
        flipped = triple(
            self.code[axis] != letter for axis, letter in zip(source_axes, target.code, strict=True)
        )
        return AxisMap(source_axes, flipped)


ATLAS_ORIENTATION = Orientation("asr")
"""The orientation of every atlas in this package (BrainGlobe's convention)."""


def triple(values: Iterable[T]) -> Zyx[T]:
    """Return three values as a tuple that the type checker knows to be three."""
    a, b, c = values
    return (a, b, c)
