"""Which parts of the brain an image shows: some are often left behind at dissection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from ketamap.core.atlas import Atlas
from ketamap.register.engine import Picture
from ketamap.register.orientation import carried_ncc, coarse_affine, coarse_picture
from ketamap.register.prepare import resample_to
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


def _tried(atlas: Atlas) -> list[tuple[str, ...]]:
    known = set(atlas.structures.acronyms)
    fronts, backs = ([p for p in parts if set(p) <= known] for parts in (FRONT, BACK))
    return [(*front, *back) for front in fronts for back in backs]
