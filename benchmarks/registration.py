"""How good and how fast registration is, and where the verdict's thresholds come from.

Run from the repository root, with the shared test data beside it or named by
KETAMAP_TEST_DATA::

    python benchmarks/registration.py real       # the real brain against the peer's own result
    python benchmarks/registration.py schedules  # error and CPU time by resolution and iterations
    python benchmarks/registration.py gate       # figures of good and of impossible cases

Each prints one line per case.  CPU time is of the whole process, one thread.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

from ketamap.core.settings import RegistrationSettings
from ketamap.core.space import ATLAS_ORIENTATION, Orientation, VoxelGrid
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.core.volume import Volume
from ketamap.io import open_brainglobe_atlas
from ketamap.register import align, lncc

DATA = Path(
    os.environ.get("KETAMAP_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
PSL = Orientation("psl")
DEFAULT = RegistrationSettings()
LIGHT = RegistrationSettings(iterations=(30, 30, 8))


def ccf():
    return open_brainglobe_atlas("allen_mouse_100um", atlas_dir=DATA / "brainglobe")


def real_brain():
    data = tifffile.imread(DATA / "brain" / "mouse_brain_50x40x40um_psl.tif")
    return Volume(
        data=data, grid=VoxelGrid(shape=data.shape, spacing_um=(50.0, 40.0, 40.0)), name="brain"
    )


def warped_template(atlas, seed, *, rms_um=150.0, smooth_um=500.0, turn_deg=5.0):
    """A template with a random pose, shape, contrast, bias and noise, and its true map.

    The displacement has ``rms_um`` on top of turns up to ``turn_deg`` about each axis,
    stretches of 6 % and shifts of 200 um; each region's brightness varies by 15 %.
    """
    rng = np.random.default_rng(seed)
    shape, um = atlas.grid.shape, atlas.grid.spacing_um[0]
    vectors = np.stack(
        [ndimage.gaussian_filter(rng.standard_normal(shape), smooth_um / um) for _ in range(3)]
    )
    vectors *= rms_um / np.sqrt((vectors**2).sum(axis=0).mean())
    angles = np.deg2rad(rng.uniform(-turn_deg, turn_deg, 3))
    linear = np.diag(rng.uniform(0.94, 1.06, 3))
    for (i, j), angle in zip(((1, 2), (0, 2), (0, 1)), angles, strict=True):
        turn = np.eye(3)
        turn[[i, i, j, j], [i, j, i, j]] = (
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
            np.cos(angle),
        )
        linear = turn @ linear
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    centre = atlas.grid.centre_um
    matrix[:3, 3] = centre - linear @ centre + rng.uniform(-200.0, 200.0, 3)
    field = DisplacementField(atlas.grid, vectors.astype(np.float32))
    truth = Transform(affine=AffineMap(matrix).inverse(), outward=field, inward=field)
    ids, rows = np.unique(atlas.annotation, return_inverse=True)
    gain = np.exp(rng.normal(0.0, 0.15, ids.size))[rows.reshape(shape)]
    stained = (atlas.template / np.percentile(atlas.template, 99.5)) ** 1.3 * gain
    grid = VoxelGrid(shape=shape, spacing_um=(um,) * 3, origin_um=atlas.grid.origin_um)
    image = truth.image_to_sample(stained.astype(np.float32), atlas.grid, grid)
    bias = ndimage.gaussian_filter(rng.standard_normal(shape), 20.0)
    image = 1000.0 * image * np.exp(0.25 * bias / bias.std()) + rng.normal(100.0, 20.0, shape)
    return Volume(data=image.astype(np.float32), grid=grid, name=f"seed {seed}"), truth


def errors_um(registration, truth, atlas):
    """Distance from the true place at every third brain voxel, ``(n,)``."""
    points = atlas.grid.to_um(np.argwhere(atlas.brain_mask)[::3])
    sample = registration.transform.to_sample(points)
    error = np.linalg.norm(registration.transform.to_atlas(sample) - truth.to_atlas(sample), axis=1)
    return error[np.isfinite(error)]


def show(label, volume, atlas, *, orientation=ATLAS_ORIENTATION, settings=LIGHT, truth=None):
    start = time.process_time()
    registration = align(volume, atlas, orientation=orientation, settings=settings)
    seconds = time.process_time() - start
    q = registration.quality
    error = "        -    "
    if truth is not None:
        middle, high = np.percentile(errors_um(registration, truth, atlas), (50, 95))
        error = f"{middle:5.0f} /{high:5.0f}"
    print(
        f"{label:34s} {seconds:5.1f} s  TRE {error} um  NCC {q.ncc:5.2f}  LNCC {q.lncc:6.3f}  "
        f"J {q.least_jacobian:5.2f}  inverse {q.inverse_error_p95_um:5.1f} um  {q.verdict}  "
        f"{len(q.reasons)}",
        flush=True,
    )
    return registration


def real():
    atlas = ccf()
    peer = tifffile.imread(DATA / "brain" / "peer_registered_100um_asr.tif")
    print(f"peer's registered brain: LNCC {lncc(peer, atlas.template, atlas.brain_mask):.3f}")
    show("real, default", real_brain(), atlas, orientation=PSL, settings=DEFAULT)


def schedules():
    atlas = ccf()
    cases = [warped_template(atlas, seed) for seed in (0, 1)]
    for um, iterations in (
        (100.0, (100, 100, 40)),
        (100.0, (30, 30, 8)),
        (100.0, (30, 20, 3)),
        (100.0, (100, 60, 0)),
        (150.0, (60, 40, 20)),
        (150.0, (30, 30, 10)),
        (200.0, (60, 40, 20)),
    ):
        for volume, truth in cases:
            settings = RegistrationSettings(resolution_um=um, iterations=iterations)
            label = f"{um:g} um {iterations} {volume.name}"
            show(label, volume, atlas, settings=settings, truth=truth)


def gate():
    """Print what good, strained and impossible cases look like to the verdict.

    The thresholds of ``ketamap.register.quality`` lie between the worst case that is
    right (median error under 80 um, or the real brain) and the best that is wrong.
    """
    atlas, brain = ccf(), real_brain()
    show("real", brain, atlas, orientation=PSL)
    for seed, rms_um, turn_deg in ((2, 150.0, 5.0), (3, 300.0, 5.0), (4, 150.0, 15.0)):
        volume, truth = warped_template(atlas, seed, rms_um=rms_um, turn_deg=turn_deg)
        show(f"warp {rms_um:g} um, turn {turn_deg:g} deg", volume, atlas, truth=truth)
    flipped = Volume(data=np.ascontiguousarray(brain.load()[::-1]), grid=brain.grid)
    show("real, front to back", flipped, atlas, orientation=PSL)
    for code in ("asr", "pil", "rsp"):
        show(f"real, declared {code}", brain, atlas, orientation=Orientation(code))
    grid = VoxelGrid(shape=(132, 80, 114), spacing_um=(100.0,) * 3)
    noise = np.random.default_rng(0).normal(100.0, 10.0, grid.shape).astype(np.float32)
    show("noise", Volume(data=noise, grid=grid), atlas)
    points = grid.to_um(np.indices(grid.shape).reshape(3, -1).T)
    for name, radii_um in (("sphere", (3900.0,) * 3), ("ellipsoid", (6500.0, 3800.0, 5500.0))):
        far = np.linalg.norm((points - grid.centre_um) / radii_um, axis=1).reshape(grid.shape)
        solid = (noise + 500.0 * (far < 1.0)).astype(np.float32)
        show(name, Volume(data=solid, grid=grid), atlas)


if __name__ == "__main__":
    parts = {"real": real, "schedules": schedules, "gate": gate}
    for name in sys.argv[1:] or list(parts):
        parts[name]()
