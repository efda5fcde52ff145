"""Made-up cohorts of density maps: Poisson cells around an animal's level and smooth noise."""

import numpy as np
from scipy import ndimage

SHAPE = (18, 14, 16)
"""Voxels of the small brain."""

VOXEL_MM3 = 0.008
"""Volume of one voxel: 200 um cubes."""


def ellipsoid(shape=SHAPE):
    """Mask of a brain that fills its box."""
    place = np.indices(shape)
    middle = [(n - 1) / 2 for n in shape]
    return sum(((p - m) / (m + 0.4)) ** 2 for p, m in zip(place, middle, strict=True)) < 1


def smooth_field(rng, shape, width):
    """Gaussian noise of standard deviation 1 and a correlation of so many voxels."""
    field = ndimage.gaussian_filter(rng.normal(size=np.add(shape, 16)), width)[8:-8, 8:-8, 8:-8]
    return field / field.std()


def log_densities(rng, spread, *, factor_sd=0.3, noise_sd=0.25, effect=None, shape=SHAPE):
    """Log smoothed density of each animal at each voxel of the brain, shape (animal, voxel).

    spread: multiple of both standard deviations, one per animal; effect: (animal, voxel) ln.
    """
    mask = ellipsoid(shape)
    base = 5.5 + 0.6 * smooth_field(rng, shape, 3.0)[mask]
    tissue = ndimage.gaussian_filter(mask.astype(float), 0.75, mode="constant")[mask]
    out = []
    for k, s in enumerate(spread):
        log = base + s * (factor_sd * rng.normal() + noise_sd * smooth_field(rng, shape, 1.5)[mask])
        counts = np.zeros(shape)
        counts[mask] = rng.poisson(VOXEL_MM3 * np.exp(log if effect is None else log + effect[k]))
        smooth = ndimage.gaussian_filter(counts, 0.75, mode="constant")[mask]
        out.append(np.log(smooth / tissue / VOXEL_MM3 + 4.0))
    return np.array(out, dtype=np.float32), mask
