"""The atlas as the engine sees it: at one resolution, whole or one hemisphere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ketamap.core.atlas import Atlas
from ketamap.core.settings import Extent
from ketamap.core.space import VoxelGrid
from ketamap.core.volume import Volume
from ketamap.register.prepare import coarse_image

HEMISPHERE_MARGIN_UM = 500.0
"""Empty space kept beyond the midline when an atlas is cut to one hemisphere."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Reference:
    """Template and brain mask on one grid, axes (ap, dv, ml)."""

    grid: VoxelGrid
    """Isotropic; part of the atlas box for one hemisphere."""

    template: NDArray[np.float32]
    """Intensities; zero in the hemisphere that is left out."""

    mask: NDArray[np.bool_]
    """Voxels of the brain, of the chosen hemisphere."""


def reference_at(
    atlas: Atlas,
    resolution_um: float,
    extent: Extent = "whole",
    *,
    missing: tuple[str, ...] = (),
) -> Reference:
    """Bring an atlas to a resolution, an extent and what is there of the brain.

    Parameters
    ----------
    resolution_um
        Voxel size, um.
    extent
        ``left`` keeps ml at and beyond the midline, ``right`` what lies before it (an
        "asr" atlas starts on the right); the box is cut `HEMISPHERE_MARGIN_UM` beyond it.
    missing
        Structures, by acronym, that are to be left out with all that they hold.
    """
    template, grid = coarse_image(
        Volume(data=atlas.template, grid=atlas.grid, name=f"template of {atlas.name}"),
        resolution_um,
    )
    inside, _ = coarse_image(
        Volume(data=atlas.brain_mask.view(np.uint8), grid=atlas.grid, name=atlas.name),
        resolution_um,
    )
    lost = voxels_within(atlas, missing, grid)
    mask = (inside > 0.5) & ~lost
    template = np.where(lost, np.float32(0.0), template)
    if extent == "whole":
        return Reference(grid=grid, template=template, mask=mask)
    return _one_hemisphere(grid, template, mask, midline_um=atlas.midline_um, extent=extent)


def voxels_within(atlas: Atlas, acronyms: tuple[str, ...], grid: VoxelGrid) -> NDArray[np.bool_]:
    """Voxels of a grid whose centres lie in some structures or in what they hold."""
    tree = atlas.structures
    ids = [i for a in acronyms for i in (tree.id_of(a), *tree.descendants(tree.id_of(a)))]
    if not ids:
        return np.zeros(grid.shape, dtype=np.bool_)
    points = grid.voxel_centres_um()
    return np.isin(atlas.regions_at(points), ids).reshape(grid.shape)


def _one_hemisphere(
    grid: VoxelGrid,
    template: NDArray[np.float32],
    mask: NDArray[np.bool_],
    *,
    midline_um: float,
    extent: Extent,
) -> Reference:
    ml_um = grid.origin_um[2] + np.arange(grid.shape[2]) * grid.spacing_um[2]
    kept = ml_um >= midline_um if extent == "left" else ml_um < midline_um
    near = (
        ml_um >= midline_um - HEMISPHERE_MARGIN_UM
        if extent == "left"
        else ml_um < midline_um + HEMISPHERE_MARGIN_UM
    )
    first, last = np.flatnonzero(near)[[0, -1]]
    box = (slice(None), slice(None), slice(first, last + 1))
    return Reference(
        grid=grid.cropped((0, 0, int(first)), (*grid.shape[:2], int(last) + 1)),
        template=np.ascontiguousarray(np.where(kept, template, np.float32(0.0))[box]),
        mask=np.ascontiguousarray((mask & kept)[box]),
    )
