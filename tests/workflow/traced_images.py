"""A small image of two straight fibres, and labels painted on it."""

import numpy as np
from scipy import ndimage

from ketamap.core.space import VoxelGrid
from ketamap.io.ome_zarr import write_image

SHAPE = (40, 64, 72)
SPACING_UM = (2.0, 2.0, 2.0)
GRID = VoxelGrid(shape=SHAPE, spacing_um=SPACING_UM)
FIBRES = ((12, 20), (28, 44))
"""Voxels (z, y) of fibres that run along x through the whole image."""


def fibre_mask():
    mask = np.zeros(SHAPE, dtype=bool)
    for z, y in FIBRES:
        mask[z, y, :] = True
    return mask


def fibre_image(seed=0, height=600.0):
    """Fibres of 1.5 voxels (one sd) on a noisy background, uint16."""
    rng = np.random.default_rng(seed)
    light = ndimage.gaussian_filter(fibre_mask().astype(np.float64), 1.2)
    image = 300.0 + height * light / light.max() + rng.normal(0.0, 20.0, SHAPE)
    return np.rint(image).astype(np.uint16)


def write_fibres(folder, **options):
    """Write the image; returns its path."""
    write_image(folder / "image.ome.zarr", fibre_image(**options), GRID)
    return folder / "image.ome.zarr"


def write_labels(folder):
    """Paint both fibres' planes: 2 on a fibre, 4 on its rim, 1 elsewhere."""
    planes = np.array([z for z, _ in FIBRES])
    near = ndimage.binary_dilation(fibre_mask(), iterations=1)
    rim = ndimage.binary_dilation(fibre_mask(), iterations=3)
    labels = np.where(near, 2, np.where(rim, 4, 1)).astype(np.uint8)[planes]
    np.savez(folder / "labels.npz", labels=labels, planes=planes)
    return folder / "labels.npz"
