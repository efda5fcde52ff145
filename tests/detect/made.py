"""Images with planted cells, for the tests of this room."""

import numpy as np

from ketamap.core.space import VoxelGrid
from ketamap.core.volume import Volume


def volume_of(image, spacing_um=(1.0, 1.0, 1.0), **more):
    grid = VoxelGrid(shape=image.shape, spacing_um=spacing_um)
    return Volume(data=image, grid=grid, name="test image", **more)


def cell_image(shape, centres, *, sigma, height=400.0, base=100.0, noise=5.0, seed=0):
    """Return Gaussian cells on a noisy ground, float32; centres and sigma in voxels."""
    rng = np.random.default_rng(seed)
    image = rng.normal(base, noise, shape)
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    widths = np.broadcast_to(sigma, 3)
    for a, b, c in centres:
        r2 = ((z - a) / widths[0]) ** 2 + ((y - b) / widths[1]) ** 2 + ((x - c) / widths[2]) ** 2
        image += height * np.exp(-0.5 * r2)
    return image.astype(np.float32)


def spread_centres(shape, n, least, seed=0, margin=0):
    """Return up to n voxel positions at least ``least`` voxels apart."""
    rng = np.random.default_rng(seed)
    centres = []
    for _ in range(20 * n):
        spot = rng.integers(margin, np.asarray(shape) - margin)
        if all(np.linalg.norm(spot - other) >= least for other in centres):
            centres.append(spot)
        if len(centres) == n:
            break
    return np.array(centres, dtype=float)


def found_um(table):
    return table[["z_um", "y_um", "x_um"]].to_numpy(copy=True)
