"""How far a registration can be off: what repeated fits of a disturbed image say.

The image is bent by a known smooth deformation, fitted again coarsely, and the known part is
taken off.  Where the image has structure to hold on to, the refits come back to one place;
where it has none they stay where they were pushed, and so would the first fit.  How far the
refits lie from the first fit is therefore a map of how well each place is determined.  How much
of that distance is the first fit's own error depends on which of the two fits the image better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

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

EQUAL_SHARE = 0.67
"""Error of a first fit that fits as well as the refits, as a share of its distance from them."""

SHARE_SLOPE = 8.0
"""How fast that share rises (e-fold per unit) with the local correlation that the refits gain
over the first fit.  Both constants were fitted to the brains 61 to 70 of
``benchmarks/registration_cases.py``, fitted well and in a hurry; ``registration.py errors``
tests them on others."""


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
    points = reference.grid.to_um(np.indices(reference.grid.shape).reshape(3, -1).T)
    schedule = Schedule(deformable=REFIT_ITERATIONS, threads=threads)
    first = fitted.to_sample(points)
    distances, gains = [], []
    before = _likeness(first, coarse, grid, reference)
    for done, (seed, sign) in enumerate(DISTURBANCES[:refits], start=1):
        bend = disturbance(grid, seed, sign)
        again = bend.move(fit(fixed, _bent(coarse, bend), schedule).to_sample(points))
        distances.append(np.linalg.norm(again - first, axis=1))
        gains.append(_likeness(again, coarse, grid, reference) - before)
        progress(done, refits)
    share = EQUAL_SHARE * np.exp(SHARE_SLOPE * np.mean(gains))
    error = share * np.mean(distances, axis=0).reshape(reference.grid.shape)
    return ErrorMap(grid=reference.grid, error_um=error.astype(np.float32))


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
    moved = bend.move(grid.to_um(np.indices(grid.shape).reshape(3, -1).T))
    values = ndimage.map_coordinates(image, grid.to_index(moved).T, order=1, mode="nearest")
    return Picture(image=enhance(as_array(values.reshape(grid.shape))), grid=grid)
