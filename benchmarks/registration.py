"""How good and how fast registration is, and where the verdict's thresholds come from.

Run from the repository root, with the shared test data beside it or named by
KETAMAP_TEST_DATA::

    python benchmarks/registration.py real       # the real brain against the peer's own result
    python benchmarks/registration.py cases      # whole, turned, halved and damaged brains
    python benchmarks/registration.py cases --only whole half --seeds 31 32
    python benchmarks/registration.py errors     # estimated against true error, and the verdict
    python benchmarks/registration.py schedules  # error and CPU time by resolution and iterations
    python benchmarks/registration.py gate       # figures of good and of impossible cases
    python benchmarks/registration.py turns      # the 24 rotations of every case, coarsely
    python benchmarks/registration.py points     # how fast points are carried

Each prints one line per case; `registration_cases.py` makes the brains.  CPU time is of the
whole process, one thread.
"""

import argparse
import os
import time
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
from scipy import stats

from ketamap.core.settings import RegistrationSettings
from ketamap.core.space import ATLAS_ORIENTATION, Orientation, VoxelGrid
from ketamap.core.volume import Volume
from ketamap.io import open_brainglobe_atlas
from ketamap.register import align, lncc
from ketamap.register.orientation import CHECK_RESOLUTION_UM, check_orientations, rotations
from ketamap.register.prepare import coarse_image
from ketamap.register.quality import LOOK_ERROR_UM
from ketamap.register.reference import reference_at
from ketamap.register.tissue import single_losses
from registration_cases import BULBS, CEREBELLUM, half, missing, torn, whole

DATA = Path(
    os.environ.get("KETAMAP_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
PSL = Orientation("psl")
DEFAULT = RegistrationSettings()
LIGHT = RegistrationSettings(iterations=(30, 30, 8))
SEEDS = (31, 32, 33, 34, 35)


def ccf():
    return open_brainglobe_atlas("allen_mouse_100um", atlas_dir=DATA / "brainglobe")


def real_brain():
    data = tifffile.imread(DATA / "brain" / "mouse_brain_50x40x40um_psl.tif")
    return Volume(
        data=data, grid=VoxelGrid(shape=data.shape, spacing_um=(50.0, 40.0, 40.0)), name="brain"
    )


TARGETS = ["VTA", "SNc", "SNr", "CP", "ACB", "PL", "ILA", "ACA", "ARH", "PVH", "ZI", "DR", "PAG"]
LEAST_LEAF_VOXELS = 50


def true_places(case):
    """Voxels of the image with tissue, and their true places, ``(n, 3)`` um each."""
    grid = case.volume.grid
    sample = grid.voxel_centres_um()
    places = case.truth.to_atlas(sample)
    index, inside = case.atlas.grid.nearest_index(places)
    shown = inside.copy()
    shown[inside] = case.present[tuple(index[inside].T)]
    return sample[shown], places[shown]


def error_percentiles_um(case, registration):
    """Median and 95th percentile of the target registration error where there is tissue."""
    sample, places = true_places(case)
    error = np.linalg.norm(registration.transform.to_atlas(sample[::3]) - places[::3], axis=1)
    return np.nanpercentile(error, (50, 95))


def overlaps(case, registration):
    """Mean Dice of the leaf regions, and of the dopamine regions, in the image."""
    tree, grid = case.atlas.structures, case.volume.grid
    shown = np.where(case.present, case.atlas.annotation, 0)
    true = case.truth.image_to_sample(shown, case.atlas.grid, grid, order=0)
    own = shown if case.extent != "whole" else case.atlas.without(registration.missing).annotation
    found = registration.transform.image_to_sample(own, case.atlas.grid, grid, order=0)

    def dice(ids):
        a, b = np.isin(true, ids), np.isin(found, ids)
        return 2.0 * np.sum(a & b) / (a.sum() + b.sum())

    counts = dict(zip(*np.unique(true, return_counts=True), strict=True))
    leaves = [i for i in counts if i and not tree.children(int(i))]
    leaf = [dice([i]) for i in leaves if counts[i] > LEAST_LEAF_VOXELS]
    roots = [tree.id_of(a) for a in TARGETS]
    return np.mean(leaf), np.mean([dice([r, *tree.descendants(r)]) for r in roots])


def show(label, volume, atlas, *, orientation=ATLAS_ORIENTATION, settings=LIGHT, case=None):
    start = time.process_time()
    extent = "whole" if case is None else case.extent
    registration = align(volume, atlas, orientation=orientation, extent=extent, settings=settings)
    seconds = time.process_time() - start
    q = registration.quality
    truth = "      -         -   -   "
    if case is not None:
        middle, high = error_percentiles_um(case, registration)
        truth = f"{middle:4.0f} /{high:4.0f} um  {'{:.3f} {:.3f}'.format(*overlaps(case, registration))}"
    print(
        f"{label:34s} {seconds:5.1f} s  TRE, Dice {truth}  NCC {q.ncc:5.2f}  LNCC {q.lncc:6.3f}  "
        f"J {q.least_jacobian:5.2f}  inverse {q.inverse_error_p95_um:5.1f} um  "
        f"estimate {q.error_median_um:4.0f} um  {q.verdict}  {len(q.reasons)}",
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
    cases = [whole(atlas, seed, rms_um=150.0) for seed in (0, 1)]
    for um, iterations in (
        (100.0, (100, 60, 60)),
        (100.0, (100, 100, 40)),
        (100.0, (30, 30, 8)),
        (100.0, (30, 20, 3)),
        (100.0, (100, 60, 0)),
        (150.0, (60, 40, 20)),
        (150.0, (30, 30, 10)),
        (200.0, (60, 40, 20)),
    ):
        for case in cases:
            settings = RegistrationSettings(resolution_um=um, iterations=iterations, refits=0)
            label = f"{um:g} um {iterations} {case.name}"
            show(label, case.volume, atlas, settings=settings, case=case)


def gate():
    """Print what good, strained and impossible cases look like to the verdict.

    The thresholds of ``ketamap.register.quality`` lie between the worst case that is
    right (median error under 80 um, or the real brain) and the best that is wrong.
    """
    atlas, brain = ccf(), real_brain()
    show("real", brain, atlas, orientation=PSL)
    for seed, rms_um, turn_deg in ((2, 150.0, 5.0), (3, 300.0, 5.0), (4, 150.0, 15.0)):
        case = whole(atlas, seed, rms_um=rms_um, turn_deg=turn_deg)
        show(f"warp {rms_um:g} um, turn {turn_deg:g} deg", case.volume, atlas, case=case)
    flipped = Volume(data=np.ascontiguousarray(brain.load()[::-1]), grid=brain.grid)
    show("real, front to back", flipped, atlas, orientation=PSL)
    for code in ("asr", "pil", "rsp"):
        show(f"real, declared {code}", brain, atlas, orientation=Orientation(code))
    grid = VoxelGrid(shape=(132, 80, 114), spacing_um=(100.0,) * 3)
    noise = np.random.default_rng(0).normal(100.0, 10.0, grid.shape).astype(np.float32)
    show("noise", Volume(data=noise, grid=grid), atlas)
    points = grid.voxel_centres_um()
    for name, radii_um in (("sphere", (3900.0,) * 3), ("ellipsoid", (6500.0, 3800.0, 5500.0))):
        far = np.linalg.norm((points - grid.centre_um) / radii_um, axis=1).reshape(grid.shape)
        solid = (noise + 500.0 * (far < 1.0)).astype(np.float32)
        show(name, Volume(data=solid, grid=grid), atlas)


MAKERS = {
    "whole": whole,
    "pitch12": partial(whole, pitch_deg=12.0),
    "pitch20": partial(whole, pitch_deg=20.0),
    "half": half,
    "bulbs": partial(missing, lost_parts=BULBS, label="no bulbs"),
    "cerebellum": partial(missing, lost_parts=CEREBELLUM, label="no cerebellum"),
    "torn": torn,
}


def chosen(only, seeds):
    """Kinds of brain and seeds: five of whole brains, two of each other kind, unless said."""
    for kind in only or MAKERS:
        for seed in seeds or SEEDS[: None if kind == "whole" else 2]:
            yield kind, seed


def cases(only, seeds):
    atlas = ccf()
    for kind, seed in chosen(only, seeds):
        case = MAKERS[kind](atlas, seed)
        show(case.name, case.volume, atlas, settings=DEFAULT, case=case)


def turns(only, seeds):
    """Declare every rotation of every case, and count what the check says."""
    atlas = ccf()
    made = [
        (f"{kind}, seed {seed}", MAKERS[kind](atlas, seed)) for kind, seed in chosen(only, seeds)
    ]
    brains = [(name, case.volume, ATLAS_ORIENTATION, case.extent) for name, case in made]
    counts = np.zeros(4, dtype=int)
    for name, volume, true, extent in [*brains, ("real", real_brain(), PSL, "whole")]:
        references = [
            reference_at(atlas, CHECK_RESOLUTION_UM, extent, missing=parts)
            for parts in single_losses(atlas)
        ]
        declared = [Orientation(code) for code in rotations(true)]
        image, grid = coarse_image(volume, DEFAULT.resolution_um)
        checks = check_orientations(image, grid, declared, references)
        (right,) = (check for check in checks if check.declared == true)
        wrong = [check for check in checks if check.declared != true]
        refused = sum(check.refuted for check in wrong)
        print(
            f"{name:34s} right {right.declared_ncc:.2f}, best of the others {right.rival_ncc:.2f}; "
            f"right one {'refused' if right.refuted else 'accepted'}, "
            f"wrong ones refused {refused} of {len(wrong)}",
            flush=True,
        )
        counts += not right.refuted, 1, refused, len(wrong)
    print("all: right ones accepted {} of {}, wrong ones refused {} of {}".format(*counts))


def errors(seeds):
    """Print the estimated error beside the true one, brain by brain and over regions.

    Fits of all grades are wanted, so brains of all kinds are fitted well and in a hurry: on seeds
    that no constant was fitted to, kind by kind.
    """
    atlas = ccf()
    verdicts, ranks = [], []
    for seed in seeds or range(131, 141):
        kind = list(MAKERS)[seed % len(MAKERS)]
        case = MAKERS[kind](atlas, seed)
        for iterations in ((1, 0, 0), (12, 0, 0), (100, 60, 5), (100, 40, 12)):
            settings = RegistrationSettings(iterations=iterations)
            label = f"{case.name} {iterations}"
            registration = show(label, case.volume, atlas, settings=settings, case=case)
            ranks.append(agreement(case, registration))
            print(f"{'':34s} per region: rank correlation {ranks[-1]:.2f}", flush=True)
            error = error_percentiles_um(case, registration)[0]
            verdicts.append((error, registration.quality))
    rate(
        "flagged of the brains with a median error over 150 um",
        [q.verdict != "pass" for error, q in verdicts if error > 150.0],
    )
    rate(
        "not flagged for their error of the brains with a median error under 80 um",
        [q.error_median_um <= LOOK_ERROR_UM for error, q in verdicts if error < 80.0],
    )
    rate("passed of them", [q.verdict == "pass" for error, q in verdicts if error < 80.0])
    print(f"rank correlation: median {np.median(ranks):.2f}, least {min(ranks):.2f}")


def rate(label, found):
    """Print a share with its Wilson interval."""
    if not found:
        print(f"{label}: none were made")
        return
    interval = stats.binomtest(sum(found), len(found)).proportion_ci(method="wilson")
    print(f"{label}: {sum(found)} of {len(found)} [{interval.low:.2f}, {interval.high:.2f}]")


def agreement(case, registration):
    """Rank correlation of estimated and true median error over the leaf regions."""
    atlas, tree = case.atlas, case.atlas.structures
    places = atlas.grid.to_um(np.argwhere(case.present))
    sample = registration.transform.to_sample(places)
    true = np.linalg.norm(case.truth.to_atlas(sample) - places, axis=1)
    found = registration.error.at(places)
    region = atlas.annotation[case.present]
    ids, counts = np.unique(region, return_counts=True)
    leaves = [
        i for i, n in zip(ids, counts, strict=True)
        if n > LEAST_LEAF_VOXELS and not tree.children(int(i))
    ]  # fmt: skip
    medians = [[np.nanmedian(e[region == i]) for i in leaves] for e in (true, found)]
    return stats.spearmanr(*medians).statistic


def points():
    atlas = ccf()
    case = whole(atlas, 0)
    registration = align(
        case.volume, atlas, orientation=ATLAS_ORIENTATION,
        settings=RegistrationSettings(iterations=(1, 0, 0), refits=0),
    )  # fmt: skip
    size = np.asarray(case.volume.grid.shape) * case.volume.grid.spacing_um
    where = np.random.default_rng(0).uniform(0.0, size, (4_000_000, 3))
    for name in ("to_atlas", "to_sample"):
        start = time.process_time()
        getattr(registration.transform, name)(where)
        print(f"{name}: {4.0 / (time.process_time() - start):.1f} million points per CPU-s")


def main():
    asked = argparse.ArgumentParser(description="How good and how fast registration is.")
    asked.add_argument("parts", nargs="*", help="left out: all of them")
    asked.add_argument("--only", nargs="*", choices=MAKERS, help="kinds of brain of cases")
    asked.add_argument("--seeds", nargs="*", type=int)
    args = asked.parse_args()
    parts = {
        "real": real, "cases": partial(cases, args.only, args.seeds), "errors": partial(errors, args.seeds),
        "schedules": schedules, "gate": gate, "points": points, "turns": partial(turns, args.only, args.seeds),
    }  # fmt: skip
    for name in args.parts or list(parts):
        parts[name]()


if __name__ == "__main__":
    main()
