"""Other registration engines on the same brains, prepared and measured in the same way.

Run from the repository root, with the shared test data beside it::

    python benchmarks/registration_peers.py --peers-python ENV/bin/python
    python benchmarks/registration_peers.py --peers-python ENV/bin/python --engines ants --real

The environment holds itk-elastix and antspyx.  Every engine gets the enhanced images that ours
gets; its displacements become one of our transforms, inverted numerically, and the same figures
are taken of it.  One thread.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from ketamap.core.space import ATLAS_ORIENTATION
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.core.units import UM_PER_MM
from ketamap.register.engine import Picture, Schedule, fit
from ketamap.register.prepare import as_array, coarse_image, enhance
from ketamap.register.quality import assess
from ketamap.register.reference import reference_at
from registration import PSL, ccf, error_percentiles_um, overlaps, real_brain
from registration_cases import whole

RESOLUTION_UM = 100.0
INVERSION_ROUNDS = 50


def pictures(volume, atlas, orientation):
    """Template and upright image as our engine gets them, and the image as it was."""
    sample, grid = coarse_image(volume, RESOLUTION_UM)
    turn = orientation.map_to(ATLAS_ORIENTATION)
    upright, turned = turn.grid(grid), as_array(turn.array(sample))
    reference = reference_at(atlas, RESOLUTION_UM)
    fixed = Picture(image=enhance(reference.template), grid=reference.grid)
    moving = Picture(image=enhance(turned), grid=upright)
    return fixed, moving, turned, reference, AffineMap(turn.matrix(grid)).inverse()


def ours(fixed, moving):
    start = time.process_time()
    found = fit(fixed, moving, Schedule())
    return found, time.process_time() - start


def theirs(engine, python, fixed, moving):
    """Run a peer and make its dense map one of our transforms."""
    origin = np.subtract(moving.grid.origin_um, fixed.grid.origin_um) / UM_PER_MM
    run = Path(__file__).with_name("registration_peers_run.py")
    one = dict.fromkeys(
        ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "OPENBLAS_NUM_THREADS"), "1"
    )
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(
            source, fixed=fixed.image, moving=moving.image, origin_mm=origin,
            spacing_mm=np.asarray(fixed.grid.spacing_um) / UM_PER_MM,
        )  # fmt: skip
        subprocess.run([python, run, engine, source, target], check=True, env=os.environ | one)
        answer = np.load(target)
        return dense_transform(answer["vectors_mm"] * UM_PER_MM, fixed), float(answer["cpu_s"])


def dense_transform(vectors_um, fixed):
    """A transform from displacements of the voxels of ``fixed``, its affine part fitted."""
    points = fixed.grid.voxel_centres_um()
    places = points + vectors_um.reshape(3, -1).T
    brain = fixed.image.ravel() > 0.0
    known = np.column_stack([points[brain], np.ones(brain.sum())])
    matrix = np.eye(4)
    matrix[:3] = np.linalg.lstsq(known, places[brain], rcond=None)[0].T
    affine = AffineMap(matrix)
    left = (affine.inverse()(places) - points).T.reshape(3, *fixed.grid.shape)
    outward = DisplacementField(fixed.grid, left.astype(np.float32))
    guess = points.copy()
    for _ in range(INVERSION_ROUNDS):
        inside = np.clip(guess, points.min(axis=0), points.max(axis=0))
        guess = points - (outward.move(inside) - inside)
    back = (guess - points).T.reshape(3, *fixed.grid.shape)
    return Transform(
        affine=affine,
        outward=outward,
        inward=DisplacementField(fixed.grid, back.astype(np.float32)),
    )


def show(label, engine, volume, atlas, orientation, python, case=None):
    fixed, moving, turned, reference, back = pictures(volume, atlas, orientation)
    found, seconds = ours(fixed, moving) if engine == "ketamap" else theirs(
        engine, python, fixed, moving
    )  # fmt: skip
    quality = assess(turned, moving.grid, found, reference)
    truth = ""
    if case is not None:
        known = Transform(
            affine=back.after(found.affine), outward=found.outward, inward=found.inward
        )
        result = SimpleNamespace(transform=known, missing=())
        middle, high = error_percentiles_um(case, result)
        leaf, named = overlaps(case, result)
        truth = f"TRE {middle:.0f} / {high:.0f} um, Dice {leaf:.3f} {named:.3f}, "
    print(
        f"{label}, {engine}: {truth}LNCC {quality.lncc:.3f}, least Jacobian "
        f"{quality.least_jacobian:.2f}, inverse p95 {quality.inverse_error_p95_um:.1f} um, "
        f"{seconds:.0f} CPU-s",
        flush=True,
    )


def main():
    asked = argparse.ArgumentParser(description="Other registration engines, same brains.")
    asked.add_argument("--peers-python", default=sys.executable)
    asked.add_argument("--engines", nargs="*", default=["ketamap", "elastix", "ants"])
    asked.add_argument("--seeds", nargs="*", type=int, default=[31])
    asked.add_argument("--real", action="store_true", help="also the real brain")
    args = asked.parse_args()
    atlas = ccf()
    for engine in args.engines:
        for seed in args.seeds:
            case = whole(atlas, seed)
            show(
                case.name, engine, case.volume, atlas, ATLAS_ORIENTATION, args.peers_python,
                case=case,
            )  # fmt: skip
        if args.real:
            show("real brain", engine, real_brain(), atlas, PSL, args.peers_python)


if __name__ == "__main__":
    main()
