"""Sample <-> atlas: points and images both ways, the direction in the name.

A transform is an affine map and two displacement fields that live in atlas space::

    to_sample(p) = affine(p + outward(p))          p in atlas um
    to_atlas(p)  = q + inward(q),  q = affine^-1(p)   p in sample um

A point that falls outside the field is outside: it becomes NaN and is never clamped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from ketamap.core.errors import InputError
from ketamap.core.interpolation import linear_vectors
from ketamap.core.space import FloatArray, VoxelGrid

_SLAB_VOXELS = 50_000
"""Voxels resampled at a time, whole planes at least: what a plane needs stays in the cache."""

_POINTS_AT_A_TIME = 8192
"""Points moved at a time, for the same reason: two to three times as fast as all at once."""


def _pieces(n: int) -> Iterator[slice]:
    return (slice(k, k + _POINTS_AT_A_TIME) for k in range(0, n, _POINTS_AT_A_TIME))


@dataclass(frozen=True, eq=False, slots=True)
class AffineMap:
    """An invertible affine map of 3D points, in micrometres."""

    matrix: FloatArray
    """Shape ``(4, 4)``, last row (0, 0, 0, 1)."""

    def __post_init__(self) -> None:
        m = self.matrix
        if m.shape != (4, 4) or not np.allclose(m[3], (0, 0, 0, 1)):
            msg = f"An affine map needs a (4, 4) matrix with last row 0 0 0 1, got {m!r}."
            raise InputError(msg)
        if not np.all(np.isfinite(m)) or abs(np.linalg.det(m[:3, :3])) < 1e-9:
            msg = f"The affine map cannot be inverted (determinant near 0): {m!r}."
            raise InputError(msg)

    def __call__(self, points_um: ArrayLike) -> FloatArray:
        """Map points, ``(n, 3)`` um."""
        points = np.asarray(points_um, dtype=np.float64)
        mapped = np.empty(points.shape)
        for some in _pieces(len(points)):
            for axis, (*row, shift) in enumerate(self.matrix[:3]):
                # No matrix product: threads of the algebra library made it ten times slower.
                z, y, x = (points[some, k] * row[k] for k in range(3))
                mapped[some, axis] = z + y + x + shift
        return mapped

    def inverse(self) -> AffineMap:
        """Return the map back."""
        return AffineMap(np.asarray(np.linalg.inv(self.matrix), dtype=np.float64))

    def after(self, first: AffineMap) -> AffineMap:
        """Return the map that applies ``first`` and then this one."""
        return AffineMap(self.matrix @ first.matrix)

    @property
    def determinant(self) -> float:
        """Signed volume change."""
        return float(np.linalg.det(self.matrix[:3, :3]))


@dataclass(frozen=True, eq=False, slots=True)
class DisplacementField:
    """Displacements known on a grid, linear in between."""

    grid: VoxelGrid
    """Where the vectors are known."""

    vectors_um: NDArray[np.float32]
    """Shape ``(3, z, y, x)``: displacement along the grid's axes, in micrometres."""

    def __post_init__(self) -> None:
        if self.vectors_um.shape != (3, *self.grid.shape):
            msg = (
                f"A displacement field on a grid of shape {self.grid.shape} needs vectors of "
                f"shape {(3, *self.grid.shape)}, got {self.vectors_um.shape}."
            )
            raise InputError(msg)

    @classmethod
    def zero(cls, grid: VoxelGrid) -> DisplacementField:
        """Return the field that moves nothing."""
        return cls(grid, np.zeros((3, *grid.shape), dtype=np.float32))

    def move(self, points_um: ArrayLike) -> FloatArray:
        """Points plus their displacement, ``(n, 3)`` um; NaN outside the grid's box.

        The box reaches half a voxel beyond the outermost centres, where the nearest
        vector is used.
        """
        points = np.asarray(points_um, dtype=np.float64)
        moved = np.empty(points.shape)
        for some in _pieces(len(points)):
            moved[some] = self._move(points[some])
        return moved

    def _move(self, points: FloatArray) -> FloatArray:
        index = self.grid.to_index(points).T
        with np.errstate(invalid="ignore"):
            inside = (index >= -0.5) & (index < np.asarray(self.grid.shape)[:, None] - 0.5)
        outside = ~inside.all(axis=0)
        index = np.where(outside, 0.0, index)
        moved = points + linear_vectors(self.vectors_um, index).T
        moved[outside] = np.nan
        return moved


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Transform:
    """Sample <-> atlas, both ways."""

    affine: AffineMap
    """Atlas um to sample um (turns, scales and flips axes as needed)."""

    outward: DisplacementField
    """Displacement in atlas space, applied before `affine` on the way to the sample."""

    inward: DisplacementField
    """Displacement in atlas space, applied after `affine`'s inverse on the way back."""

    @classmethod
    def from_affine(cls, affine: AffineMap, atlas_grid: VoxelGrid) -> Transform:
        """Make a transform without deformation."""
        zero = DisplacementField.zero(atlas_grid)
        return cls(affine=affine, outward=zero, inward=zero)

    def to_sample(self, atlas_um: ArrayLike) -> FloatArray:
        """Carry atlas positions to the sample, ``(n, 3)`` um; NaN where outside."""
        return self.affine(self.outward.move(atlas_um))

    def to_atlas(self, sample_um: ArrayLike) -> FloatArray:
        """Carry sample positions to the atlas, ``(n, 3)`` um; NaN where outside."""
        return self.inward.move(self.affine.inverse()(sample_um))

    def image_to_atlas(
        self,
        image: NDArray[Any],
        image_grid: VoxelGrid,
        atlas_grid: VoxelGrid,
        *,
        order: int = 1,
        fill: float = 0.0,
    ) -> NDArray[Any]:
        """Resample a sample image on an atlas grid.

        Parameters
        ----------
        image
            Shape ``image_grid.shape``, any real dtype, which is kept.
        image_grid, atlas_grid
            Where the voxels are, in sample and atlas um.
        order
            0 nearest (labels), 1 linear (intensities).
        fill
            Value of voxels that the image does not cover.
        """
        return _resample(image, image_grid, atlas_grid, self.to_sample, order, fill)

    def image_to_sample(
        self,
        image: NDArray[Any],
        image_grid: VoxelGrid,
        sample_grid: VoxelGrid,
        *,
        order: int = 1,
        fill: float = 0.0,
    ) -> NDArray[Any]:
        """Resample an atlas image on a sample grid; see `image_to_atlas`."""
        return _resample(image, image_grid, sample_grid, self.to_atlas, order, fill)

    def inverse_error_um(self, atlas_um: ArrayLike) -> FloatArray:
        """Distance between points and their round trip, ``(n,)`` um; NaN where outside."""
        points = np.asarray(atlas_um, dtype=np.float64)
        back = self.to_atlas(self.to_sample(points))
        return np.asarray(np.linalg.norm(back - points, axis=1))

    def jacobian_determinant(self) -> NDArray[np.float32]:
        """Volume of sample per volume of atlas at each voxel of the outward field.

        Positive where orientation is kept relative to `affine`, negative at a fold.
        Central differences inside, one-sided at the faces.
        """
        spacing = self.outward.grid.spacing_um
        gradient = np.empty((3, 3, *self.outward.grid.shape), dtype=np.float32)
        for component in range(3):
            for axis in range(3):
                gradient[component, axis] = (
                    np.gradient(self.outward.vectors_um[component], spacing[axis], axis=axis)
                    if self.outward.grid.shape[axis] > 1
                    else 0.0
                )
            gradient[component, component] += 1.0
        (a, b, c), (d, e, f), (g, h, i) = gradient
        local = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
        return np.asarray(local * abs(self.affine.determinant), dtype=np.float32)


def grid_points_um(grid: VoxelGrid) -> Iterator[tuple[slice, FloatArray]]:
    """Centres of a grid's voxels, slab by slab.

    Yields
    ------
    planes
        The z planes of the slab.
    points_um
        Shape ``(n, 3)``, in raster order.
    """
    nz, ny, nx = grid.shape
    step = max(1, _SLAB_VOXELS // (ny * nx))
    for start in range(0, nz, step):
        planes = slice(start, min(start + step, nz))
        index = np.indices((planes.stop - start, ny, nx), dtype=np.float64)
        index[0] += start
        yield planes, grid.to_um(index.reshape(3, -1).T)


def _resample(
    image: NDArray[Any],
    image_grid: VoxelGrid,
    target: VoxelGrid,
    carry: Callable[[ArrayLike], FloatArray],
    order: int,
    fill: float,
) -> NDArray[Any]:
    if image.shape != image_grid.shape:
        msg = f"The image has shape {image.shape} but its grid {image_grid.shape}."
        raise InputError(msg)
    out = np.full(target.shape, fill, dtype=image.dtype)
    for planes, points in grid_points_um(target):
        where = carry(points)
        index, inside = image_grid.nearest_index(where)
        values = np.full(len(points), fill, dtype=image.dtype)
        if order == 0:
            values[inside] = image[tuple(index[inside].T)]
        else:
            values[inside] = ndimage.map_coordinates(
                image, image_grid.to_index(where[inside]).T, order=order, mode="nearest"
            )
        out[planes] = values.reshape(out[planes].shape)
    return out
