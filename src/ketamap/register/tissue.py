"""Which tissue an image shows: parts are left behind at dissection, others are torn or cut out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ketamap.core.atlas import Atlas
from ketamap.core.registration import Registration, TissueMask
from ketamap.core.space import FloatArray, VoxelGrid
from ketamap.register.engine import Picture
from ketamap.register.orientation import carried_ncc, coarse_affine, coarse_picture
from ketamap.register.prepare import resample_to
from ketamap.register.reference import Reference, reference_at, voxels_within

FRONT: tuple[tuple[str, ...], ...] = ((), ("MOB", "AOB"))
"""What may be missing in front: nothing, or the olfactory bulbs."""

BACK: tuple[tuple[str, ...], ...] = ((), ("CB",), ("CB", "MY"))
"""What may be missing behind: nothing, the cerebellum, or it and the medulla."""

LEAST_GAIN = 0.03
"""Parts are taken to be missing if the image then correlates better by so much.

In ``benchmarks/registration.py`` leaving out parts that are missing gains .06 (bulbs) and
.27 (cerebellum), leaving out parts that are there loses .08 or more; the real brain, whose
bulbs are frayed, gains .01 without them.
"""


LEAST_HOLE_MM3 = 0.2
"""Smaller holes are not told from dark spots: a brain without any had up to 0.012 mm3 at the
level of nothing, one with a tear of 1 mm 2.5 mm3."""

NOTHING_SHARE = 0.2
"""Places this little above the background, as a share of the way to tissue, show nothing."""

DARK_PERCENTILE = 5.0
"""The darkest places of the template, ventricles above all, may be dark in the image too."""

HOLE_RESOLUTION_UM = 100.0
"""Voxel size of the atlas in which holes are looked for."""

BESIDE_UM = 500.0
"""So far from the brain is background."""

LEAST_BACKGROUND_MM3 = 5.0
"""An image with less background does not tell what nothing looks like."""


def find_missing_parts(upright: Picture, reference: Reference, atlas: Atlas) -> tuple[str, ...]:
    """Try the image against the atlas without the parts that are often missing.

    Parameters
    ----------
    upright
        The image in the atlas's orientation, intensities as they were.
    reference
        The atlas at any resolution, for the declared extent.
    atlas
        Names the parts; those that it does not know are not tried.

    Returns
    -------
    tuple of str
        Acronyms of structures that, with all they hold, the image seems not to show.
    """
    moving = coarse_picture(upright.image, upright.grid)
    fixed = coarse_picture(reference.template, reference.grid)
    mask = resample_to(reference.mask.astype(np.float32), reference.grid, fixed.grid) > 0.5
    around = ndimage.binary_dilation(mask)
    scores = {}
    for parts in _tried(atlas):
        shown = replace(
            fixed, image=np.where(voxels_within(atlas, parts, fixed.grid), 0, fixed.image)
        )
        scores[parts] = carried_ncc(shown, moving, around, coarse_affine(shown, moving))
    best = max(scores, key=lambda parts: scores[parts])
    return best if scores[best] > scores[()] + LEAST_GAIN else ()


def find_holes(
    image: NDArray[np.float32], grid: VoxelGrid, registration: Registration, atlas: Atlas
) -> TissueMask | None:
    """Find places in the brain where the image shows nothing: tears, holes, what was cut out.

    Parameters
    ----------
    image, grid
        The sample at about 100 um, in its own orientation, intensities as they were.
    registration
        Of this image; parts that it knows to be missing are no holes.
    atlas
        The same atlas.

    Returns
    -------
    TissueMask or None
        None where there is no hole of `LEAST_HOLE_MM3`, or no background beside the brain to
        tell the level of nothing.
    """
    reference = reference_at(
        atlas, HOLE_RESOLUTION_UM, registration.extent, missing=registration.missing
    )
    places = registration.transform.to_atlas(_centres_um(grid))
    index, inside = reference.grid.nearest_index(places)
    where = tuple(index.T)
    near = ndimage.binary_dilation(reference.mask, iterations=_voxels(BESIDE_UM, reference.grid))
    beside = ~(near[where] & inside).reshape(grid.shape)
    dark = np.percentile(reference.template[reference.mask], DARK_PERCENTILE)
    expected = reference.mask & (reference.template > dark)
    brain = (expected[where] & inside).reshape(grid.shape)
    if beside.sum() * grid.voxel_volume_mm3 < LEAST_BACKGROUND_MM3 or not brain.any():
        return None
    nothing, tissue = float(np.median(image[beside])), float(np.median(image[brain]))
    empty = brain & (image < nothing + NOTHING_SHARE * (tissue - nothing))
    hole = _large(ndimage.binary_opening(empty), LEAST_HOLE_MM3 / grid.voxel_volume_mm3)
    return TissueMask(grid=grid, present=~hole) if hole.any() else None


def _centres_um(grid: VoxelGrid) -> FloatArray:
    return grid.to_um(np.indices(grid.shape).reshape(3, -1).T)


def _voxels(length_um: float, grid: VoxelGrid) -> int:
    return max(1, round(length_um / grid.spacing_um[0]))


def _large(mask: NDArray[np.bool_], least_voxels: float) -> NDArray[np.bool_]:
    """Keep the connected parts of a mask that have so many voxels."""
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= least_voxels)[parts])


def _tried(atlas: Atlas) -> list[tuple[str, ...]]:
    known = set(atlas.structures.acronyms)
    fronts, backs = ([p for p in parts if set(p) <= known] for parts in (FRONT, BACK))
    return [(*front, *back) for front in fronts for back in backs]
