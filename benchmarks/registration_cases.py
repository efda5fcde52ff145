"""Brains whose true map to the atlas is known, whole and damaged, for `registration.py`."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ketamap.core.atlas import Atlas
from ketamap.core.space import VoxelGrid
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.core.volume import Volume

RMS_UM = 320.0
"""Displacement of the hard cases; of smoothness 800 um, so that the truth does not fold."""

NOISE = (100.0, 20.0)
"""Mean and standard deviation where there is no tissue; tissue lies at about 1000."""

BULBS, CEREBELLUM = ("MOB", "AOB"), ("CB",)


@dataclass(frozen=True)
class Case:
    """A made brain."""

    name: str
    atlas: Atlas
    volume: Volume
    truth: Transform
    present: np.ndarray
    """Atlas voxels whose tissue is in the image."""

    extent: str = "whole"


def turned_stretched(rng, centre, turn_deg, pitch_deg=0.0):
    """Affine part: turns up to ``turn_deg`` per axis, 6 % stretch, 200 um shifts."""
    angles = np.deg2rad(rng.uniform(-turn_deg, turn_deg, 3) + np.array([pitch_deg, 0.0, 0.0]))
    linear = np.diag(rng.uniform(0.94, 1.06, 3))
    for (i, j), angle in zip(((0, 1), (0, 2), (1, 2)), angles, strict=True):
        turn = np.eye(3)
        turn[[i, i, j, j], [i, j, i, j]] = (
            np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle),
        )  # fmt: skip
        linear = turn @ linear
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = centre - linear @ centre + rng.uniform(-200.0, 200.0, 3)
    return AffineMap(matrix)


def made_brain(atlas, seed, *, rms_um=RMS_UM, smooth_um=800.0, turn_deg=5.0, pitch_deg=0.0):
    """A template with a random pose, shape, contrast, bias and noise, and its true map.

    Each region's brightness varies by 15 %, a bias field by 25 %; contrast is raised to 1.3.
    """
    rng = np.random.default_rng(seed)
    shape, um = atlas.grid.shape, atlas.grid.spacing_um[0]
    pad = round(1000.0 / um)
    sigma = smooth_um / um
    vectors = np.stack(
        [ndimage.gaussian_filter(rng.standard_normal(shape), sigma) for _ in range(3)]
    )
    vectors *= rms_um / np.sqrt((vectors**2).sum(axis=0).mean())
    affine = turned_stretched(rng, atlas.grid.centre_um, turn_deg, pitch_deg)
    field = DisplacementField(atlas.grid, vectors.astype(np.float32))
    truth = Transform(affine=affine.inverse(), outward=field, inward=field)
    ids, rows = np.unique(atlas.annotation, return_inverse=True)
    gain = np.exp(rng.normal(0.0, 0.15, ids.size))[rows.reshape(shape)]
    stained = (atlas.template / np.percentile(atlas.template, 99.5)) ** 1.3 * gain
    a, b, c = (n + 2 * pad for n in shape)
    start = tuple(o - pad * um for o in atlas.grid.origin_um)
    grid = VoxelGrid(shape=(a, b, c), spacing_um=(um,) * 3, origin_um=start)
    clean = truth.image_to_sample(stained.astype(np.float32), atlas.grid, grid)
    bias = ndimage.gaussian_filter(rng.standard_normal(grid.shape), 2000.0 / um)
    tissue = 1000.0 * clean * np.exp(0.25 * bias / bias.std())
    return tissue.astype(np.float32), grid, truth, rng


def shown(name, atlas, tissue, grid, truth, present, rng, extent="whole"):
    """Add the camera's offset and noise to tissue."""
    image = tissue + rng.normal(*NOISE, tissue.shape)
    volume = Volume(data=image.astype(np.float32), grid=grid, name=name)
    return Case(name=name, atlas=atlas, volume=volume, truth=truth, present=present, extent=extent)


def within(atlas, acronyms):
    """Atlas voxels of structures and all that they hold."""
    tree = atlas.structures
    wanted = {tree.id_of(acronym) for acronym in acronyms}
    ids = [i for i in tree.ids if wanted & {int(i), *map(int, tree.ancestors(i))}]
    return np.isin(atlas.annotation, ids)


def without(atlas, tissue, grid, truth, lost):
    """Tissue with part of it gone, cut a little beyond its edge."""
    gone = truth.image_to_sample(
        ndimage.binary_dilation(lost, iterations=2).astype(np.uint8), atlas.grid, grid, order=0
    )
    return np.where(gone > 0, np.float32(0.0), tissue)


def half(atlas, seed):
    """The left half, cut at the true midline and cropped."""
    tissue, grid, truth, rng = made_brain(atlas, seed)
    ml_um = atlas.grid.origin_um[2] + np.arange(atlas.grid.shape[2]) * atlas.grid.spacing_um[2]
    kept = np.broadcast_to(ml_um >= atlas.midline_um, atlas.grid.shape)
    tissue = without_sharp(atlas, tissue, grid, truth, ~kept)
    columns = np.flatnonzero(tissue.max(axis=(0, 1)) > 0)
    first = max(int(columns[0]) - 5, 0)
    return shown(
        f"half, seed {seed}", atlas, tissue[:, :, first:],
        grid.cropped((0, 0, first), grid.shape), truth, atlas.brain_mask & kept, rng, "left",
    )  # fmt: skip


def without_sharp(atlas, tissue, grid, truth, lost):
    gone = truth.image_to_sample(lost.astype(np.uint8), atlas.grid, grid, order=0, fill=1)
    return np.where(gone > 0, np.float32(0.0), tissue)


def torn(atlas, seed):
    """A wedge 1 mm wide at the surface and 3 mm deep is missing from one hemisphere."""
    tissue, grid, truth, rng = made_brain(atlas, seed)
    ap, dv, ml = atlas.grid.voxel_centres_um().T
    middle_ap = atlas.grid.centre_um[0] + rng.uniform(-1500.0, 1500.0)
    brain = atlas.grid.to_um(np.argwhere(atlas.brain_mask))
    top = brain[:, 1].min()
    width = 500.0 * (1.0 - (dv - top) / 3500.0)
    lost = (np.abs(ap - middle_ap) < width) & (ml > atlas.midline_um + 500.0)
    lost = lost.reshape(atlas.grid.shape)
    return shown(
        f"tear, seed {seed}", atlas, without_sharp(atlas, tissue, grid, truth, lost), grid, truth,
        atlas.brain_mask & ~lost, rng,
    )  # fmt: skip


def missing(atlas, seed, *, lost_parts, label):
    """A part of the brain left behind at dissection."""
    tissue, grid, truth, rng = made_brain(atlas, seed)
    lost = within(atlas, lost_parts)
    return shown(
        f"{label}, seed {seed}", atlas, without(atlas, tissue, grid, truth, lost), grid, truth,
        atlas.brain_mask & ~ndimage.binary_dilation(lost, iterations=2), rng,
    )  # fmt: skip


def whole(atlas, seed, *, rms_um=RMS_UM, pitch_deg=0.0, turn_deg=5.0):
    """Nothing missing; turned about the left-right axis by ``pitch_deg``."""
    tissue, grid, truth, rng = made_brain(
        atlas, seed, rms_um=rms_um, pitch_deg=pitch_deg, turn_deg=turn_deg
    )
    label = f"{rms_um:g} um rms" if not pitch_deg else f"pitch {pitch_deg:g} deg"
    return shown(f"{label}, seed {seed}", atlas, tissue, grid, truth, atlas.brain_mask, rng)
