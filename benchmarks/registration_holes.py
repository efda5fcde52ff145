"""How well brains with holes are aligned, and how much of each hole is found.

Run from the repository root, with the shared test data beside it or named by
KETAMAP_TEST_DATA::

    python benchmarks/registration_holes.py [um] [seed]     # 100 um and seed 31 by default

A ball of 4 mm is cut out of one hemisphere, or a tear of 1 mm into it (`registration_cases.torn`);
the same brain whole stands beside them.  Each is aligned as an image without a mask, and with a
mask of its true tissue; the brain with the ball also with every hole left in the metric, and with
the hole left in the metric of the refits alone.  Prints the error (median / 95th percentile) in all
tissue and within 700 um of the hole, beside the median of the estimated error there, and the
volume of the hole, of what was found of it, and of what was found elsewhere, mm3.
"""

import sys
from dataclasses import replace
from unittest import mock

import numpy as np
from scipy import ndimage

from ketamap.core.registration import TissueMask
from ketamap.core.settings import RegistrationSettings
from ketamap.core.space import ATLAS_ORIENTATION
from ketamap.register import align
from ketamap.register.engine import Picture
from ketamap.register.prepare import enhance
from ketamap.register.refits import estimate_error
from registration import ccf, true_places
from registration_cases import made_brain, shown, torn, whole, without_sharp

NEAR_UM = 700.0
BALL_UM = (6500.0, 2000.0, 9000.0), 2000.0


def holed(atlas, seed):
    """A ball of tissue is gone, from the surface of the left cortex inwards."""
    tissue, grid, truth, rng = made_brain(atlas, seed)
    centre, radius = BALL_UM
    points = atlas.grid.voxel_centres_um()
    far = np.linalg.norm(points - np.array(centre), axis=1).reshape(atlas.grid.shape)
    lost = far < radius
    return shown(
        f"ball, seed {seed}", atlas, without_sharp(atlas, tissue, grid, truth, lost), grid, truth,
        atlas.brain_mask & ~lost, rng,
    )  # fmt: skip


def true_tissue(case):
    """Mask of the image: everything but the hole."""
    lost = (case.atlas.brain_mask & ~case.present).astype(np.uint8)
    grid = case.volume.grid
    hole = case.truth.image_to_sample(lost, case.atlas.grid, grid, order=0)
    return TissueMask(grid=grid, present=hole == 0)


def all_of_it(upright, *_):
    """The picture that a fit sees if no hole is left out."""
    return Picture(image=enhance(upright.image), grid=upright.grid)


def refits_see_all_of_it(fitted, reference, moving, **how):
    """Estimate the error with the hole left in the metric."""
    return estimate_error(fitted, reference, replace(moving, hole=None), **how)


def show(label, case, um, tissue=None):
    settings = RegistrationSettings(resolution_um=um)
    found = align(
        case.volume, case.atlas, orientation=ATLAS_ORIENTATION, tissue=tissue, settings=settings
    )
    sample, places = true_places(case)
    error = np.linalg.norm(found.transform.to_atlas(sample) - places, axis=1)
    estimate = found.error.at(found.transform.to_atlas(sample))
    lost = case.atlas.brain_mask & ~case.present
    text = ""
    if lost.any():
        away = ndimage.distance_transform_edt(~lost, sampling=case.atlas.grid.spacing_um)
        index, _ = case.atlas.grid.nearest_index(places)
        near = away[tuple(index.T)] <= NEAR_UM
        around, guess = error[near], estimate[near]
        hole = ~true_tissue(case).present
        seen = np.zeros_like(hole) if found.tissue is None else ~found.tissue.present
        if seen.shape == hole.shape:
            each = case.volume.grid.voxel_volume_mm3
            text = (
                f"  near {np.nanmedian(around):4.0f} /{np.nanpercentile(around, 95):5.0f} "
                f"(estimate {np.nanmedian(guess):3.0f})  hole "
                f"{hole.sum() * each:.1f}, found {(hole & seen).sum() * each:.1f}, elsewhere "
                f"{(seen & ~hole).sum() * each:.2f} mm3"
            )
    q = found.quality
    print(
        f"{case.name:24s} {label:14s} all {np.nanmedian(error):4.0f} /"
        f"{np.nanpercentile(error, 95):5.0f} (estimate {np.nanmedian(estimate):3.0f}){text}  "
        f"J {q.least_jacobian:.2f} LNCC {q.lncc:.2f} {q.verdict}",
        flush=True,
    )


def main():
    um = float(sys.argv[1]) if len(sys.argv) > 1 else 100.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 31
    atlas = ccf()
    show("", whole(atlas, seed), um)
    for case in (holed(atlas, seed), torn(atlas, seed)):
        show("no mask", case, um)
        show("true mask", case, um, true_tissue(case))
    with mock.patch("ketamap.register.align.seen_picture", all_of_it):
        show("all in metric", holed(atlas, seed), um)
    with mock.patch("ketamap.register.align.estimate_error", refits_see_all_of_it):
        show("refits see all", holed(atlas, seed), um)


if __name__ == "__main__":
    main()
