"""How far a registration can be off: what repeated fits of a disturbed image say.

The image is bent by a known smooth deformation, fitted again coarsely, and the known part is
taken off.  Where the image has structure to hold on to, the refits come back to one place;
where it has none they stay where they were pushed: their spread tells how well each place is
determined.  Where their mean lies away from the first fit, one of the two is wrong, and which
one shows in how they fit the image: a first fit that the refits cannot better is off by a part
of their spread, one that they better by all their distance from it.
"""

from __future__ import annotations

from typing import Any

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

REFIT_ITERATIONS = (30, 40, 25)
"""Deformable iterations of the refits; fewer at the finest level left them further from the truth,
and more cost too much."""

REFIT_SMOOTHING_VOXELS = 4.0
"""Gaussian sigma that smooths their updates; 6 voxels of this size were so stiff that the refits
stayed near a hurried first fit, 2 followed the noise."""

DISTURBANCES = ((1, 1.0), (1, -1.0), (2, 1.0), (2, -1.0))
"""Seed and sign of each disturbance: pairs of opposites cancel in the mean."""

DISTURBANCE_UM = 250.0
"""Root mean square of a disturbance, about as far as brains differ after an affine fit."""

DISTURBANCE_SMOOTHNESS_UM = 800.0
"""Standard deviation of the Gaussian that smooths a disturbance: it never folds."""

GAIN_MIDDLE = 0.02
"""What refits gain over a first fit that is half as doubtful as can be: the difference of their
local correlations, as a share of the first fit's.  This and the constants below come from 11
whole, halved, turned and damaged brains (seeds 61 to 73 of ``benchmarks/registration_cases.py``),
fitted well and in a hurry: refits gain -.02 to 0 over fits that are off by 40 to 90 um, 0 to .03
over those that are off by 90 to 140 um, .11 and more over fits that are off by 180 um.  The middle
that estimates all of them best is 0; it stands higher, because refits gain .011 over the best fit
of the real brain, whose stain is another."""

GAIN_WIDTH = 0.005
"""How sharply the doubt rises with that gain: from .27 to .73 over twice this."""

LEAST_LIKENESS = 0.05
"""A first fit's local correlation is not taken to be less, for that share."""

ERROR_SHARES = (0.65, 1.05)
"""Error as a share of the distances, of a first fit beyond doubt and of one full of doubt."""

SPREAD_SMOOTHNESS_UM = 400.0
"""Gaussian sigma over which the squared spread is averaged: four refits alone tell it poorly."""

STRUCTURE_POWER = 0.25
"""In a first fit beyond doubt the error rises with this power as the template's structure falls;
of a first fit full of doubt structure says nothing."""

GRADIENT_UM, WINDOW_UM = 150.0, 400.0
"""Gaussian sigmas of the gradient and of the window in which the structure is taken."""

LEAST_STRUCTURE = 1e-3
"""Structure is not taken to be weaker than this share of the brain's median."""


def estimate_error(
    fitted: Transform,
    reference: Reference,
    moving: Picture,
    *,
    refits: int = len(DISTURBANCES),
    threads: int = 1,
    progress: Progress = silent,
) -> ErrorMap:
    """Estimate how far off a fit is at each place of the atlas.

    Parameters
    ----------
    fitted
        Atlas <-> ``moving``.
    reference
        The atlas at `REFIT_RESOLUTION_UM`, of the parts that the image shows.
    moving
        The image as the first fit saw it; the refits leave out its hole too.
    refits
        How many of `DISTURBANCES` to try, at least two.
    threads
        Threads of the engine.
    """
    fixed = Picture(image=enhance(reference.template), grid=reference.grid)
    coarse = _coarse(moving)
    points = reference.grid.voxel_centres_um()
    schedule = Schedule(
        deformable=REFIT_ITERATIONS, smoothing_voxels=REFIT_SMOOTHING_VOXELS, threads=threads
    )
    first = fitted.to_sample(points)
    compared = reference.mask & ~_within_hole(first, coarse).reshape(reference.grid.shape)
    steps, gains = [], []
    before = _likeness(first, coarse, fixed, compared)
    for done, (seed, sign) in enumerate(DISTURBANCES[:refits], start=1):
        bend = disturbance(coarse.grid, seed, sign)
        again = bend.move(fit(fixed, bent(coarse, bend), schedule).to_sample(points))
        steps.append(again - first)
        gains.append(_likeness(again, coarse, fixed, compared) - before)
        progress(done, refits)
    error = expected_error(
        np.linalg.norm(np.mean(steps, axis=0), axis=1).reshape(reference.grid.shape),
        spread_of(np.array(steps), reference.grid),
        float(np.mean(gains)) / max(before, LEAST_LIKENESS),
        structure(fixed.image, reference),
    )
    return ErrorMap(grid=reference.grid, error_um=error)


def expected_error(
    distance_um: FloatArray, spread_um: FloatArray, gain: float, structure: FloatArray
) -> NDArray[np.float32]:
    """Estimate the distance of a first fit from the truth.

    Parameters
    ----------
    distance_um
        From the first fit to the mean of the refits, any shape.
    spread_um
        Of the refits around their mean; see `spread_of`.
    gain
        What the refits gain over the first fit; see `GAIN_MIDDLE`.
    structure
        Of the template at each place, 1 in the median of the brain.
    """
    doubt = special.expit((gain - GAIN_MIDDLE) / GAIN_WIDTH)
    low, high = ERROR_SHARES
    share = low + (high - low) * doubt
    error = share * np.sqrt(spread_um**2 + doubt * distance_um**2)
    weak = np.maximum(structure, LEAST_STRUCTURE) ** (-STRUCTURE_POWER * (1.0 - doubt))
    return np.asarray(error * weak, dtype=np.float32)


def spread_of(steps_um: FloatArray, grid: VoxelGrid) -> FloatArray:
    """Root mean square distance of refits from their mean, averaged over the neighbourhood.

    Parameters
    ----------
    steps_um
        Where each refit puts each voxel of ``grid``, shape ``(refits, voxels, 3)``; NaN where it
        leaves the image.

    Returns
    -------
    ndarray of float64
        Shape of ``grid``; NaN only where no place of the neighbourhood is known.
    """
    around = steps_um - steps_um.mean(axis=0)
    spread2 = np.sum(around**2, axis=2).mean(axis=0).reshape(grid.shape)
    known = np.isfinite(spread2)
    sigma = SPREAD_SMOOTHNESS_UM / np.asarray(grid.spacing_um)
    share = ndimage.gaussian_filter(known.astype(np.float64), sigma)
    summed = ndimage.gaussian_filter(np.where(known, spread2, 0.0), sigma)
    mean2 = np.divide(summed, share, out=np.full(grid.shape, np.nan), where=share > 0.0)
    return np.asarray(np.sqrt(mean2))


def structure(template: NDArray[np.float32], reference: Reference) -> NDArray[np.float64]:
    """How much there is to hold on to in the poorest direction, 1 in the median of the brain.

    The least eigenvalue of the structure tensor, along whose direction the template changes
    least, as a share of all three: a local correlation weighs change against all the change in
    its window, so that beside a strong edge it hardly feels a weak one across.

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
    tiny = np.finfo(np.float64).tiny
    whole = np.maximum(np.trace(tensor, axis1=-2, axis2=-1), tiny)
    least = np.linalg.eigvalsh(tensor)[..., 0] / whole
    return np.asarray(least / max(float(np.median(least[reference.mask])), tiny))


def _likeness(
    places_um: FloatArray, coarse: Picture, fixed: Picture, compared: NDArray[np.bool_]
) -> float:
    """Correlate the atlas locally with what lies at ``places_um`` of the image."""
    carried = _read(coarse.image, coarse.grid, places_um, order=1)
    return lncc(carried.reshape(fixed.grid.shape), fixed.image, compared)


def disturbance(grid: VoxelGrid, seed: int, sign: float) -> DisplacementField:
    """Make a smooth random displacement of `DISTURBANCE_UM` root mean square."""
    rng = np.random.default_rng(seed)
    sigma = DISTURBANCE_SMOOTHNESS_UM / np.asarray(grid.spacing_um)
    vectors = np.stack(
        [ndimage.gaussian_filter(rng.standard_normal(grid.shape), sigma) for _ in range(3)]
    )
    vectors *= sign * DISTURBANCE_UM / np.sqrt(np.sum(vectors**2, axis=0).mean())
    return DisplacementField(grid, vectors.astype(np.float32))


def _coarse(picture: Picture) -> Picture:
    """Bring a picture and its hole to the voxels of the refits."""
    grid = isotropic_grid(picture.grid, REFIT_RESOLUTION_UM)
    hole = None
    if picture.hole is not None:
        hole = resample_to(picture.hole.astype(np.float32), picture.grid, grid) > 0.5
    return Picture(image=resample_to(picture.image, picture.grid, grid), grid=grid, hole=hole)


def bent(picture: Picture, bend: DisplacementField) -> Picture:
    """Read a picture and its hole at the moved places of its own voxels; edges repeat."""
    grid = picture.grid
    moved = bend.move(grid.voxel_centres_um())
    hole = _within_hole(moved, picture).reshape(grid.shape)
    return Picture(
        image=as_array(_read(picture.image, grid, moved, order=1).reshape(grid.shape)),
        grid=grid,
        hole=hole if hole.any() else None,
    )


def _within_hole(places_um: FloatArray, picture: Picture) -> NDArray[np.bool_]:
    if picture.hole is None:
        return np.zeros(len(places_um), dtype=np.bool_)
    return _read(picture.hole.astype(np.uint8), picture.grid, places_um, order=0) > 0


def _read(
    image: NDArray[Any], grid: VoxelGrid, places_um: FloatArray, *, order: int
) -> NDArray[Any]:
    """Read an image at places; edges repeat, and unknown places read its first corner."""
    index = np.nan_to_num(grid.to_index(places_um), nan=-1.0).T
    return np.asarray(ndimage.map_coordinates(image, index, order=order, mode="nearest"))
