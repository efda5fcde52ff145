"""How far a registration can be off: what repeated fits of a disturbed image say.

The image is bent by a known smooth deformation, fitted again coarsely, and the known part is
taken off.  Where the image has structure to hold on to, the refits come back to one place;
where it has none they stay where they were pushed: their spread tells how well each place is
determined.  Where their mean lies away from the first fit, one of the two is wrong, and which
one shows in how they fit the image: a first fit that the refits cannot better is off by a part
of their spread, one that they better by all their distance from it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from ketamap.core.progress import Progress, silent
from ketamap.core.registration import ErrorMap
from ketamap.core.space import FloatArray, VoxelGrid
from ketamap.core.transform import DisplacementField, Transform
from ketamap.register.engine import Picture, Schedule, fit
from ketamap.register.prepare import as_array, enhance, isotropic_grid, resample_to
from ketamap.register.quality import lncc
from ketamap.register.reference import Reference

REFIT_RESOLUTION_UM = 200.0
"""Voxel size of the refits: three seconds each."""

REFIT_ITERATIONS = (60, 40, 15)
"""Deformable iterations of the refits; fewer or a coarser grid told errors apart worse."""

DISTURBANCES = ((1, 1.0), (1, -1.0), (2, 1.0), (2, -1.0))
"""Seed and sign of each disturbance: pairs of opposites cancel in the mean."""

DISTURBANCE_UM = 250.0
"""Root mean square of a disturbance, about as far as brains differ after an affine fit."""

DISTURBANCE_SMOOTHNESS_UM = 800.0
"""Standard deviation of the Gaussian that smooths a disturbance: it never folds."""

GAIN_MIDDLE = -0.025
"""What refits gain over a first fit that is half as doubtful as can be: the difference of their
local correlations, as a share of the first fit's.  Refits are coarser, so a good first fit is
better than they are.  This and the constants below come from 13 whole, halved, turned and
damaged brains (seeds 61 to 75 of ``benchmarks/registration_cases.py``), fitted well and in a
hurry: refits gain -.07 to -.02 over fits that are off by 40 to 140 um, .08 and more over fits
that are off by 200 um.  The middle that estimates all of them best is -0.04; it stands higher,
because brains of another stain gain less by fitting better."""

GAIN_WIDTH = 0.0075
"""How sharply the doubt rises with that gain: from .27 to .73 over twice this."""

LEAST_LIKENESS = 0.05
"""A first fit's local correlation is not taken to be less, for that share."""

ERROR_SHARES = (0.45, 1.15)
"""Error as a share of the distances, of a first fit beyond doubt and of one full of doubt."""

STRUCTURE_POWER = 0.2
"""In a first fit beyond doubt the error rises with this power as the template's structure falls;
of a first fit full of doubt structure says nothing."""

GRADIENT_UM, WINDOW_UM = 150.0, 400.0
"""Gaussian sigmas of the gradient and of the window in which the structure is taken."""

LEAST_STRUCTURE = 1e-3
"""Structure is not taken to be weaker than this share of the brain's median."""


def estimate_error(
    fitted: Transform,
    reference: Reference,
    upright: Picture,
    *,
    refits: int = len(DISTURBANCES),
    threads: int = 1,
    progress: Progress = silent,
) -> ErrorMap:
    """Estimate how far off a fit is at each place of the atlas.

    Parameters
    ----------
    fitted
        Atlas <-> ``upright``.
    reference
        The atlas at `REFIT_RESOLUTION_UM`, of the parts that the image shows.
    upright
        The image in the atlas's orientation, intensities as they were.
    refits
        How many of `DISTURBANCES` to try, at least two.
    threads
        Threads of the engine.
    """
    fixed = Picture(image=enhance(reference.template), grid=reference.grid)
    grid = isotropic_grid(upright.grid, REFIT_RESOLUTION_UM)
    coarse = resample_to(upright.image, upright.grid, grid)
    points = reference.grid.voxel_centres_um()
    schedule = Schedule(deformable=REFIT_ITERATIONS, threads=threads)
    first = fitted.to_sample(points)
    steps, gains = [], []
    before = _likeness(first, coarse, grid, reference)
    for done, (seed, sign) in enumerate(DISTURBANCES[:refits], start=1):
        bend = disturbance(grid, seed, sign)
        again = bend.move(fit(fixed, _bent(coarse, bend), schedule).to_sample(points))
        steps.append(again - first)
        gains.append(_likeness(again, coarse, grid, reference) - before)
        progress(done, refits)
    gain = float(np.mean(gains)) / max(before, LEAST_LIKENESS)
    error = expected_error(np.array(steps), gain, structure(fixed.image, reference))
    return ErrorMap(grid=reference.grid, error_um=error.reshape(reference.grid.shape))


def expected_error(
    steps_um: FloatArray, gain: float, structure: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Estimate the distance of a first fit from the truth.

    Parameters
    ----------
    steps_um
        From the first fit to each refit, shape ``(refits, places, 3)``.
    gain
        What the refits gain over the first fit; see `GAIN_MIDDLE`.
    structure
        Of the template at each place, 1 where it is as strong as in the median.
    """
    doubt = special.expit((gain - GAIN_MIDDLE) / GAIN_WIDTH)
    mean = steps_um.mean(axis=0)
    spread2 = np.sum((steps_um - mean) ** 2, axis=2).mean(axis=0)
    low, high = ERROR_SHARES
    share = low + (high - low) * doubt
    error = share * np.sqrt(spread2 + doubt * np.sum(mean**2, axis=1))
    weak = np.maximum(structure.ravel(), LEAST_STRUCTURE) ** (-STRUCTURE_POWER * (1.0 - doubt))
    return np.asarray(error * weak, dtype=np.float32)


def structure(template: NDArray[np.float32], reference: Reference) -> NDArray[np.float64]:
    """How much there is to hold on to in every direction, 1 in the median of the brain.

    The least eigenvalue of the structure tensor: along its direction the template changes least.

    Parameters
    ----------
    template
        Evened out, on ``reference.grid``.
    """
    um = reference.grid.spacing_um[0]
    gradient = [
        ndimage.gaussian_filter(template.astype(np.float64), GRADIENT_UM / um, order=order)
        for order in ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    ]
    tensor = np.empty((*template.shape, 3, 3))
    for i in range(3):
        for j in range(3):
            tensor[..., i, j] = ndimage.gaussian_filter(gradient[i] * gradient[j], WINDOW_UM / um)
    least = np.asarray(np.linalg.eigvalsh(tensor)[..., 0])
    return least / max(float(np.median(least[reference.mask])), np.finfo(np.float64).tiny)


def _likeness(
    places_um: FloatArray, image: NDArray[np.float32], grid: VoxelGrid, reference: Reference
) -> float:
    """Correlate the template locally with what lies at ``places_um`` of the image."""
    index = np.nan_to_num(grid.to_index(places_um), nan=-1.0).T
    carried = ndimage.map_coordinates(image, index, order=1, mode="nearest")
    return lncc(carried.reshape(reference.grid.shape), reference.template, reference.mask)


def disturbance(grid: VoxelGrid, seed: int, sign: float) -> DisplacementField:
    """Make a smooth random displacement of `DISTURBANCE_UM` root mean square."""
    rng = np.random.default_rng(seed)
    sigma = DISTURBANCE_SMOOTHNESS_UM / np.asarray(grid.spacing_um)
    vectors = np.stack(
        [ndimage.gaussian_filter(rng.standard_normal(grid.shape), sigma) for _ in range(3)]
    )
    vectors *= sign * DISTURBANCE_UM / np.sqrt(np.sum(vectors**2, axis=0).mean())
    return DisplacementField(grid, vectors.astype(np.float32))


def _bent(image: NDArray[np.float32], bend: DisplacementField) -> Picture:
    """Read an image at the moved places of its own voxels; edges repeat."""
    grid = bend.grid
    moved = bend.move(grid.voxel_centres_um())
    values = ndimage.map_coordinates(image, grid.to_index(moved).T, order=1, mode="nearest")
    return Picture(image=enhance(as_array(values.reshape(grid.shape))), grid=grid)
