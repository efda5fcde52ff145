"""Which tissue an image shows: parts are left behind at dissection, others are torn or cut out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ketamap.core.atlas import Atlas
from ketamap.core.registration import TissueMask
from ketamap.core.space import VoxelGrid
from ketamap.core.transform import AffineMap, Transform
from ketamap.register.engine import Picture
from ketamap.register.orientation import carried_ncc, coarse_affine, coarse_picture
from ketamap.register.prepare import enhance, resample_to
from ketamap.register.reference import Reference, voxels_within

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

BESIDE_UM = 500.0
"""So far from the brain is background."""

WIDE_UM = 1500.0
"""Holes as wide as this are left out of a fit.  Leaving out a hole 4 mm wide halves the error
around it; a tear of 1 mm is bridged well (``benchmarks/registration_holes.py``)."""

CUT_UM = 2000.0
"""An image that ends so far within the brain cuts it.  Below that the fit bears the edge better
than a hole: the real brain, of whose bulbs 1.4 mm lie beyond the image, has an LNCC of .667
without a hole there and .656 with one, and the right half of it ran away with one."""

COARSEST_UM = 200.0
"""Holes are left out of fits at such voxels or finer ones: at the first level of a fit of 400 um,
four times as coarse, a masked metric moved the whole brain by millimetres."""

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
    for parts in possible_losses(atlas):
        shown = replace(
            fixed, image=np.where(voxels_within(atlas, parts, fixed.grid), 0, fixed.image)
        )
        scores[parts] = carried_ncc(shown, moving, around, coarse_affine(shown, moving))
    best = max(scores, key=lambda parts: scores[parts])
    return best if scores[best] > scores[()] + LEAST_GAIN else ()


def find_holes(
    image: NDArray[np.float32], grid: VoxelGrid, transform: Transform, reference: Reference
) -> TissueMask | None:
    """Find places in the brain where the image shows nothing: tears, holes, what was cut out.

    Parameters
    ----------
    image, grid
        The sample at about 100 um, intensities as they were.
    transform
        Sample <-> atlas.
    reference
        The atlas at any such resolution, of the parts that are not known to be missing.

    Returns
    -------
    TissueMask or None
        None where there is no hole of `LEAST_HOLE_MM3`, or no background beside the brain to
        tell the level of nothing.
    """
    dark = np.percentile(reference.template[reference.mask], DARK_PERCENTILE)
    expected = _carried(reference.mask & (reference.template > dark), grid, transform, reference)
    empty = expected & empty_places(image, grid, transform, reference)
    hole = _large(ndimage.binary_opening(empty), LEAST_HOLE_MM3 / grid.voxel_volume_mm3)
    return TissueMask(grid=grid, present=~hole) if hole.any() else None


def empty_places(
    image: NDArray[np.float32], grid: VoxelGrid, transform: Transform, reference: Reference
) -> NDArray[np.bool_]:
    """Mark voxels as dark as the background beside the brain; none where there is none.

    Parameters
    ----------
    image, grid, transform, reference
        As for `find_holes`; the transform may be a coarse one.
    """
    brain = _carried(reference.mask, grid, transform, reference)
    far = ndimage.distance_transform_edt(~brain, sampling=grid.spacing_um) > BESIDE_UM
    if far.sum() * grid.voxel_volume_mm3 < LEAST_BACKGROUND_MM3 or not brain.any():
        return np.zeros(grid.shape, dtype=np.bool_)
    nothing, tissue = float(np.median(image[far])), float(np.median(image[brain]))
    return np.asarray(image < nothing + NOTHING_SHARE * (tissue - nothing))


def seen_picture(
    upright: Picture, reference: Reference, lost: NDArray[np.bool_] | None = None
) -> Picture:
    """Prepare an image for the fit, without holes into which tissue would be drawn.

    Parameters
    ----------
    upright
        The image in the atlas's orientation, intensities as they were.
    reference
        The atlas at any resolution, of the parts that are not known to be missing.
    lost
        Voxels of the image without tissue, inside and outside the brain; left out: those as
        dark as the background.

    Returns
    -------
    Picture
        Enhanced.  Its ``hole`` holds the places in the brain, as a coarse affine map lays it, in
        which a ball of `WIDE_UM` without tissue fits.  Where the edge of the image cuts off
        `CUT_UM` of brain or more, the picture is continued by empty space, and the brain there
        belongs to the hole.  Voxels coarser than `COARSEST_UM` have no hole.
    """
    fixed = coarse_picture(reference.template, reference.grid)
    affine = coarse_affine(fixed, coarse_picture(upright.image, upright.grid))
    flat = Transform.from_affine(affine, reference.grid)
    if lost is None:
        lost = empty_places(upright.image, upright.grid, flat, reference)
    bare = Picture(image=enhance(upright.image), grid=upright.grid)
    if max(upright.grid.spacing_um) > COARSEST_UM:
        return bare
    pads = _beyond(upright.grid, affine, reference)
    grid = _padded(upright.grid, pads)
    brain = _carried(reference.mask, grid, flat, reference)
    beyond = np.pad(np.zeros_like(lost), pads, constant_values=True)
    hole = _wide(brain & np.pad(lost, pads, constant_values=True), grid) | (brain & beyond)
    if not hole.any():
        return bare
    return Picture(image=np.pad(bare.image, pads), grid=grid, hole=hole)


def _wide(empty: NDArray[np.bool_], grid: VoxelGrid) -> NDArray[np.bool_]:
    """Keep the parts of a mask in which a ball of `WIDE_UM` fits."""
    edged = np.pad(empty, 1)
    core = ndimage.distance_transform_edt(edged, sampling=grid.spacing_um) >= 0.5 * WIDE_UM
    if not core.any():
        return np.zeros_like(empty)
    near = ndimage.distance_transform_edt(~core, sampling=grid.spacing_um) < 0.5 * WIDE_UM
    return np.asarray((edged & near)[1:-1, 1:-1, 1:-1])


def _beyond(
    grid: VoxelGrid, affine: AffineMap, reference: Reference
) -> tuple[tuple[int, int], ...]:
    """Voxels by which the atlas's brain reaches beyond a grid, before and after each axis.

    None where it is less than `CUT_UM`: the affine map is no better than that.
    """
    brain = grid.to_index(affine(reference.grid.to_um(np.argwhere(reference.mask))))
    before = np.maximum(np.ceil(-brain.min(axis=0)), 0).astype(int)
    after = np.maximum(np.ceil(brain.max(axis=0) - np.asarray(grid.shape) + 1), 0).astype(int)
    least = CUT_UM / np.asarray(grid.spacing_um)
    before, after = (np.where(n < least, 0, n) for n in (before, after))
    return tuple((int(a), int(b)) for a, b in zip(before, after, strict=True))


def _padded(grid: VoxelGrid, pads: tuple[tuple[int, int], ...]) -> VoxelGrid:
    a, b, c = (n + before + after for n, (before, after) in zip(grid.shape, pads, strict=True))
    z, y, x = (float(v) for v in grid.to_um([-before for before, _ in pads]))
    return VoxelGrid(shape=(a, b, c), spacing_um=grid.spacing_um, origin_um=(z, y, x))


def _carried(
    mask: NDArray[np.bool_], grid: VoxelGrid, transform: Transform, reference: Reference
) -> NDArray[np.bool_]:
    labels = mask.astype(np.uint8)
    return transform.image_to_sample(labels, reference.grid, grid, order=0) > 0


def _large(mask: NDArray[np.bool_], least_voxels: float) -> NDArray[np.bool_]:
    """Keep the connected parts of a mask that have so many voxels."""
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= least_voxels)[parts])


def possible_losses(atlas: Atlas) -> list[tuple[str, ...]]:
    """List what may be missing together, by acronym, nothing first; only what the atlas knows."""
    known = set(atlas.structures.acronyms)
    fronts, backs = ([p for p in parts if set(p) <= known] for parts in (FRONT, BACK))
    return [(*front, *back) for front in fronts for back in backs]


def single_losses(atlas: Atlas) -> list[tuple[str, ...]]:
    """List those of `possible_losses` that take the least of the front or the back, or nothing.

    With more left out, little is left to tell one turn from another.
    """
    return [parts for parts in possible_losses(atlas) if parts in {*FRONT[:2], *BACK[:2]}]
