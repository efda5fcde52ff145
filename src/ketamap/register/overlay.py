"""Pictures of a registration: the sample in atlas space under region boundaries."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ketamap.core.atlas import Atlas
from ketamap.core.space import VoxelGrid
from ketamap.core.transform import Transform
from ketamap.register.prepare import isotropic_grid

OVERLAY_RESOLUTION_UM = 100.0
"""Pixel size of the pictures (the atlas's own voxels where they are coarser)."""

PLANES = ("coronal", "horizontal", "sagittal")
"""The plane across each atlas axis: ap, dv, ml."""

WINDOW_PERCENTILES = (1.0, 99.5)
"""Intensities of the brain shown as black and white."""

SAGITTAL_OFFSET_UM = 1500.0
"""Distance of the sagittal picture from the midline, where little is to be seen."""

OverlaySlice: TypeAlias = tuple[str, NDArray[np.uint8], NDArray[np.bool_]]
"""Name of the plane, grey image, boundary mask; front is left and dorsal is up."""


def overlay_slices(
    volume_coarse: NDArray[Any], grid: VoxelGrid, transform: Transform, atlas: Atlas
) -> list[OverlaySlice]:
    """Carry the sample to the atlas and cut one picture in each of the three planes.

    Parameters
    ----------
    volume_coarse, grid
        The sample at about `OVERLAY_RESOLUTION_UM`, in its own orientation.
    transform
        Sample <-> atlas.
    atlas
        The atlas the transform belongs to.

    Returns
    -------
    list of (str, ndarray of uint8, ndarray of bool)
        Coronal (rows dv, columns ml), horizontal (ml, ap) and sagittal (dv, ap), through the
        middle of the brain the sample covers: front is left and dorsal is up.  Places that it
        does not cover are black.
    """
    target = isotropic_grid(atlas.grid, max(OVERLAY_RESOLUTION_UM, max(atlas.grid.spacing_um)))
    image = transform.image_to_atlas(
        volume_coarse.astype(np.float32), grid, target, fill=float("nan")
    )
    regions = _labels_at(atlas, target)
    covered = (regions != 0) & np.isfinite(image)
    grey = _windowed(image, covered)
    slices: list[OverlaySlice] = []
    for axis, (name, at) in enumerate(zip(PLANES, _cuts(covered, target), strict=True)):
        plane, labels = (_shown(np.take(image, at, axis=axis), axis) for image in (grey, regions))
        slices.append((name, plane, boundaries(labels)))
    return slices


def _shown(plane: NDArray[Any], across: int) -> NDArray[Any]:
    """Turn a plane so that ap, where it is in it, runs from left to right."""
    return plane if across == 0 else plane.T


def boundaries(labels: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Mark pixels whose next row or column has another label, ``(n, m)``."""
    edge = np.zeros(labels.shape, dtype=np.bool_)
    edge[:-1] |= labels[:-1] != labels[1:]
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return edge


def _labels_at(atlas: Atlas, target: VoxelGrid) -> NDArray[np.int64]:
    if target == atlas.grid:
        return atlas.annotation
    axes = [
        target.origin_um[k] + np.arange(target.shape[k]) * target.spacing_um[k] for k in range(3)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return atlas.regions_at(points).reshape(target.shape)


def _windowed(image: NDArray[np.float32], covered: NDArray[np.bool_]) -> NDArray[np.uint8]:
    if not covered.any():
        return np.zeros(image.shape, dtype=np.uint8)
    low, high = np.percentile(image[covered], WINDOW_PERCENTILES)
    scaled = (np.nan_to_num(image, nan=low) - low) / max(float(high - low), 1e-12)
    return np.asarray(np.rint(np.clip(scaled, 0.0, 1.0) * 255.0), dtype=np.uint8)


def _cuts(covered: NDArray[np.bool_], grid: VoxelGrid) -> tuple[int, int, int]:
    """Index of each plane: the middle of the covered brain, beside the midline."""
    if not covered.any():
        return (grid.shape[0] // 2, grid.shape[1] // 2, grid.shape[2] // 2)
    middle = [int(np.median(np.flatnonzero(covered.any(axis=other)))) for other in _OTHERS]
    aside = round(SAGITTAL_OFFSET_UM / grid.spacing_um[2])
    columns = np.flatnonzero(covered.any(axis=_OTHERS[2]))
    return (middle[0], middle[1], min(middle[2] + aside, int(columns[-1])))


_OTHERS = ((1, 2), (0, 2), (0, 1))
"""The two axes beside each axis."""
