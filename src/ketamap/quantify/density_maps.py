"""Density of points in atlas space, per volume of the sample, with the edges of tissue allowed for.

A cell counts where it lies in the atlas, but density is cells per mm3 of the brain as it was
in the sample.  So both are smoothed with the same kernel, cells and the tissue they were
looked for in, the latter as sample volume (atlas volume times the Jacobian determinant of
atlas -> sample), and divided::

    density(v) = sum_i w_i K(v - x_i) / integral_imaged tissue K(v - u) J(u) du

Near an edge the integral is smaller by the part of the kernel that lies beyond it, and where
the registration has stretched the sample it is smaller or larger by that stretch: points of
uniform density in the sample give a constant map, whatever the shape of the brain.

References
----------
Diggle P (1985) A kernel method for smoothing point process data. Applied Statistics 34:138
(the kernel's mass inside the window as the correction of its edges).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import pi, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from ketamap.core.atlas import OUTSIDE_BRAIN, Atlas, atlas_grid
from ketamap.core.errors import InputError, TableError
from ketamap.core.registration import TissueMask
from ketamap.core.settings import Extent
from ketamap.core.space import FloatArray, VoxelGrid
from ketamap.core.transform import Transform
from ketamap.core.units import UM_PER_MM

LEAST_TISSUE = 0.5
"""Part of a voxel that must be imaged tissue for the voxel to have a density."""

LEAST_KERNEL_VOXELS = 0.5
"""Least standard deviation of the kernel in voxels; below, it is not a Gaussian any more."""

REACH = 4.0
"""Standard deviations at which the kernel is cut off: 6e-5 of it lies beyond along an axis."""

FINEST_UM, COARSEST_UM = 20.0, 500.0
"""Voxel sizes of a map."""

_EDGE_POINTS = 4
"""Points per axis at which a voxel that the image's box cuts is looked at."""

_MASK_POINTS = 2
"""Points per axis at which a voxel is looked up in a mask of tissue."""

_SLAB = 400_000
"""Voxels looked at together."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Tissue:
    """The brain on the grid of a map."""

    grid: VoxelGrid
    """Where the voxels lie in the atlas."""

    fraction: NDArray[np.float32]
    """Part of each voxel that belongs to a structure, shape ``grid.shape``."""

    region_id: NDArray[np.int64]
    """Structure nearest the middle of each voxel, 0 where there is none."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SampleVolume:
    """How much of one animal's brain each voxel of a map stands for."""

    volume_mm3: NDArray[np.float32]
    """Imaged tissue in the sample's own mm3, shape of the map."""

    imaged: NDArray[np.float32]
    """Part of each voxel that is tissue and was imaged."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DensityMap:
    """Points of one animal as a density."""

    density_per_mm3: NDArray[np.float32]
    """Weight per mm3 of the sample; NaN where no tissue was imaged (`LEAST_TISSUE`)."""

    used: int
    """Points in imaged tissue."""

    left_out: int
    """Points elsewhere."""


def map_grid(atlas: Atlas, resolution_um: float) -> VoxelGrid:
    """Make the grid of a map: the atlas's box at another voxel size.

    Raises
    ------
    InputError
        If the voxel size lies outside `FINEST_UM` to `COARSEST_UM`.
    """
    if not FINEST_UM <= resolution_um <= COARSEST_UM:
        msg = f"resolution_um must lie between {FINEST_UM:g} and {COARSEST_UM:g}, got {resolution_um:g}."
        raise InputError(msg)
    box = np.multiply(atlas.grid.shape, atlas.grid.spacing_um)
    shape = np.ceil(box / resolution_um - 1e-6).astype(int)
    return atlas_grid(shape.tolist(), (resolution_um,) * 3)


def tissue_of(atlas: Atlas, grid: VoxelGrid, *, extent: Extent = "whole") -> Tissue:
    """Find the tissue in each voxel of a map.

    Parameters
    ----------
    atlas
        The atlas.
    grid
        Of the map; each voxel is looked at in as many points as atlas voxels fit into it.
    extent
        Part of the brain that was imaged; the other hemisphere is not tissue.
    """
    per_axis = [
        max(1, round(g / a)) for g, a in zip(grid.spacing_um, atlas.grid.spacing_um, strict=True)
    ]
    offsets = _offsets(per_axis) * np.asarray(grid.spacing_um)
    fraction = np.zeros(grid.n_voxels, dtype=np.float32)
    region_id = np.zeros(grid.n_voxels, dtype=np.int64)
    for start in range(0, grid.n_voxels, _SLAB):
        part = slice(start, min(start + _SLAB, grid.n_voxels))
        centres = _centres(grid, np.arange(part.start, part.stop))
        for offset in offsets:  # from the middle outwards: the first structure found stays
            found = np.maximum(atlas.regions_at(centres + offset), OUTSIDE_BRAIN)
            if extent != "whole":
                found[atlas.is_left(centres + offset) != (extent == "left")] = OUTSIDE_BRAIN
            fraction[part] += found > OUTSIDE_BRAIN
            region_id[part] = np.where(region_id[part] > OUTSIDE_BRAIN, region_id[part], found)
    return Tissue(
        grid=grid,
        fraction=(fraction / np.float32(len(offsets))).reshape(grid.shape),
        region_id=region_id.reshape(grid.shape),
    )


def sample_volume(
    tissue: Tissue,
    transform: Transform,
    seen: VoxelGrid | None,
    *,
    mask: TissueMask | None = None,
) -> SampleVolume:
    """Measure the imaged tissue of one animal in its own space.

    Parameters
    ----------
    tissue
        Of the atlas.
    transform
        Sample <-> atlas.
    seen
        Grid of the image in which the points were looked for; None: all was seen.
    mask
        Where the sample has tissue; None: everywhere.

    Notes
    -----
    The local volume is the Jacobian determinant of `Transform.to_sample` at the middle of
    the voxel, linear between the nodes of the displacement field.  A fold has none.
    """
    grid = tissue.grid
    inside = np.flatnonzero(tissue.fraction.ravel() > 0)
    jacobian = np.maximum(transform.jacobian_determinant(), 0.0)
    volume = np.zeros(grid.n_voxels, dtype=np.float32)
    imaged = np.zeros(grid.n_voxels, dtype=np.float32)
    for start in range(0, inside.size, _SLAB):
        voxels = inside[start : start + _SLAB]
        centres = _centres(grid, voxels)
        share = tissue.fraction.ravel()[voxels] * _seen_part(centres, grid, transform, seen)
        if mask is not None:
            share *= _present_part(centres, grid, transform, mask)
        where = transform.outward.grid.to_index(centres).T
        local = ndimage.map_coordinates(jacobian, where, order=1, mode="nearest")
        imaged[voxels] = share
        volume[voxels] = share * local * grid.voxel_volume_mm3
    return SampleVolume(volume_mm3=volume.reshape(grid.shape), imaged=imaged.reshape(grid.shape))


def density_map(
    points_um: ArrayLike,
    weights: ArrayLike | None,
    sample: SampleVolume,
    grid: VoxelGrid,
    kernel_um: float,
) -> DensityMap:
    """Smooth points into a density per mm3 of the sample.

    Parameters
    ----------
    points_um
        Atlas positions (ap, dv, ml), shape ``(n, 3)``, um; NaN is nowhere.
    weights
        What each point counts, shape ``(n,)``, 0 or more (mm of axon, for instance); None: 1.
    sample
        Where tissue was imaged.
    grid
        Of the map.
    kernel_um
        Standard deviation of the Gaussian kernel, um.

    Returns
    -------
    DensityMap
        Points are put into the voxel that holds them before they are smoothed, which adds a
        twelfth of the squared voxel size to the kernel's variance.

    Raises
    ------
    InputError
        If the kernel is too small for the grid.
    TableError
        If weights are negative or not finite, or there is not one for each point.
    """
    require_kernel(kernel_um, grid)
    points = np.asarray(points_um, dtype=np.float64).reshape(-1, 3)
    each = _weights(weights, len(points))
    index, within = grid.nearest_index(points)
    there = within & (sample.imaged[tuple(index.T)] > 0)
    flat = np.ravel_multi_index(tuple(index[there].T), grid.shape)
    counts = np.bincount(flat, each[there], minlength=grid.n_voxels).reshape(grid.shape)
    sigma = [kernel_um / um for um in grid.spacing_um]
    mass, volume = (
        ndimage.gaussian_filter(
            np.asarray(image, dtype=np.float64), sigma, mode="constant", truncate=REACH
        )
        for image in (counts, sample.volume_mm3)
    )
    known = (sample.imaged >= LEAST_TISSUE) & (sample.volume_mm3 > 0)
    density = np.full(grid.shape, np.nan, dtype=np.float32)
    density[known] = mass[known] / volume[known]
    used = int(there.sum())
    return DensityMap(density_per_mm3=density, used=used, left_out=len(points) - used)


def require_kernel(kernel_um: float, grid: VoxelGrid) -> None:
    """Refuse a kernel that the grid cannot show.

    Raises
    ------
    InputError
        If its standard deviation is below `LEAST_KERNEL_VOXELS` voxels, or not finite.
    """
    coarsest = max(grid.spacing_um)
    if not LEAST_KERNEL_VOXELS * coarsest <= kernel_um < np.inf:
        msg = (
            f"A kernel of {kernel_um:g} um cannot be shown with voxels of {coarsest:g} um; it "
            f"needs {LEAST_KERNEL_VOXELS * coarsest:g} um or more. Widen the kernel, or give a "
            f"finer resolution."
        )
        raise InputError(msg)


def kernel_volume_mm3(kernel_um: float) -> float:
    """Volume in which a flat kernel would have the variance of this Gaussian: (2 sqrt(pi) s)**3.

    The number of points behind the density at a place is density times this volume
    (the inverse of the integral of the squared kernel).
    """
    return float((2.0 * sqrt(pi) * kernel_um / UM_PER_MM) ** 3)


def _weights(weights: ArrayLike | None, n: int) -> FloatArray:
    if weights is None:
        return np.ones(n)
    each = np.asarray(weights, dtype=np.float64)
    if each.shape != (n,):
        msg = f"{n} points have {each.size} weights; each point needs one."
        raise TableError(msg)
    if not np.all(np.isfinite(each)) or np.any(each < 0):
        msg = "Weights of points must be finite and 0 or more."
        raise TableError(msg)
    return each


def _centres(grid: VoxelGrid, flat: NDArray[np.int64]) -> FloatArray:
    return grid.to_um(np.stack(np.unravel_index(flat, grid.shape), axis=-1))


def _offsets(per_axis: list[int]) -> FloatArray:
    """Points that divide a voxel evenly, in voxels from its middle, nearest first."""
    axes = [(np.arange(n) + 0.5) / n - 0.5 for n in per_axis]
    points = np.array(list(product(*axes)))
    return points[np.argsort(np.sum(points**2, axis=1), kind="stable")]


def _seen_part(
    centres: FloatArray, grid: VoxelGrid, transform: Transform, seen: VoxelGrid | None
) -> FloatArray:
    """Part of each voxel that the image shows; those that its box cuts are looked at finely."""
    carried = transform.to_sample(centres)
    if seen is None:
        return np.asarray(np.isfinite(carried).all(axis=1), dtype=np.float64)
    stretch = np.linalg.norm(transform.affine.matrix[:3, :3], ord=2)
    margin = 1.5 * stretch * float(np.linalg.norm(grid.spacing_um)) / 2
    depth = _depth_um(carried, seen)
    part = np.asarray(depth > 0, dtype=np.float64)
    cut = np.flatnonzero(np.abs(depth) < margin)
    if cut.size:
        offsets = _offsets([_EDGE_POINTS] * 3) * np.asarray(grid.spacing_um)
        hits = [_depth_um(transform.to_sample(centres[cut] + o), seen) > 0 for o in offsets]
        part[cut] = np.mean(hits, axis=0)
    return part


def _present_part(
    centres: FloatArray, grid: VoxelGrid, transform: Transform, mask: TissueMask
) -> FloatArray:
    """Part of each voxel in which the sample has tissue."""
    offsets = _offsets([_MASK_POINTS] * 3) * np.asarray(grid.spacing_um)
    return np.asarray(np.mean([mask.at(transform.to_sample(centres + o)) for o in offsets], axis=0))


def _depth_um(points: FloatArray, box: VoxelGrid) -> FloatArray:
    """Distance inside the outer faces of a grid's voxels, negative outside; least of all axes."""
    half = 0.5 * np.asarray(box.spacing_um)
    low = box.to_um((0, 0, 0)) - half
    high = box.to_um(np.asarray(box.shape) - 1) + half
    depth = np.minimum(points - low, high - points).min(axis=1)
    return np.asarray(np.where(np.isnan(depth), -np.inf, depth))
