"""Tracing axons: accuracy in labelled planes, length of made-up fibres, speed, memory.

Run ``python -m benchmarks.tracing`` in the repository's root (``--help`` lists the parts);
the labelled planes are looked for in ``KETAMAP_TEST_DATA`` or ``../shared/data``. Peers are
measured where scikit-image is installed. Everything follows from fixed seeds.
"""

import argparse
import os
import resource
import time
from pathlib import Path

import numpy as np
from scipy import ndimage
from tests.trace.made import draw, random_walks, straight, thin_mask, volume_of

from ketamap.core.settings import TracingSettings
from ketamap.core.space import VoxelGrid
from ketamap.core.volume import Volume
from ketamap.trace import calibrate, trace_axons
from ketamap.trace.calibration import DEFAULT, decide
from ketamap.trace.scale import plan_ridges
from ketamap.trace.scores import score_block
from ketamap.trace.survey import survey

PLANES = (17, 48, 77)
SPACING_UM = (2.0, 2.0, 2.0)
"""Voxels of the labelled volume: not stated with the data, assumed."""

SETTINGS = TracingSettings()


def read_labelled():
    folder = Path(os.environ.get("KETAMAP_TEST_DATA", "../shared/data")) / "axons"
    labelled = np.load(folder / "trailmap_training.npz")
    return labelled["volume"], labelled["label"]


def thin_plane(mask):
    """Skeleton of a plane: ours, on a volume of one plane."""
    return thin_mask(mask[None])[0]


def plane_length(skeleton):
    s = skeleton
    length = float((s[:, 1:] & s[:, :-1]).sum() + (s[1:] & s[:-1]).sum())
    for a, b, c, d in (
        (s[1:, 1:], s[:-1, :-1], s[1:, :-1], s[:-1, 1:]),
        (s[1:, :-1], s[:-1, 1:], s[1:, 1:], s[:-1, :-1]),
    ):
        length += 2**0.5 * float((a & b & ~c & ~d).sum())
    return length


def agreement(masks, labels):
    """Precision, recall, F1, F1 within 1 px, clDice and length ratio; edges left out."""
    n = dict.fromkeys(
        [
            "tp",
            "fp",
            "fn",
            "near_p",
            "near_t",
            "skel_p",
            "skel_t",
            "hit_p",
            "hit_t",
            "len_p",
            "len_t",
        ],
        0.0,
    )
    for mask, label in zip(masks, labels, strict=True):
        truth, known = label == 2, (label == 1) | (label == 2)
        p = mask & known
        wide = np.ones((3, 3), bool)
        n["tp"] += (p & truth).sum()
        n["fp"] += (p & ~truth).sum()
        n["fn"] += (~p & truth).sum()
        n["near_p"] += (p & ndimage.binary_dilation(truth, wide)).sum()
        n["near_t"] += (truth & ndimage.binary_dilation(p, wide)).sum()
        own, true = thin_plane(p), thin_plane(truth)
        n["skel_p"] += own.sum()
        n["skel_t"] += true.sum()
        n["hit_p"] += (own & truth).sum()
        n["hit_t"] += (true & p).sum()
        n["len_p"] += plane_length(own)
        n["len_t"] += plane_length(true)
    found, there = max(n["tp"] + n["fp"], 1), max(n["tp"] + n["fn"], 1)

    def mean(a, b):
        return 2 * a * b / max(a + b, 1e-9)

    return {
        "P": n["tp"] / found,
        "R": n["tp"] / there,
        "F1": mean(n["tp"] / found, n["tp"] / there),
        "F1+-1": mean(n["near_p"] / found, n["near_t"] / there),
        "clDice": mean(n["hit_p"] / max(n["skel_p"], 1), n["hit_t"] / max(n["skel_t"], 1)),
        "length": n["len_p"] / max(n["len_t"], 1e-9),
    }


def show(name, result):
    print(f"{name:46s} " + " ".join(f"{k} {v:.3f}" for k, v in result.items()), flush=True)


def average(results):
    return {k: float(np.mean([r[k] for r in results])) for k in results[0]}


def only(label, planes):
    out = np.zeros_like(label)
    out[list(planes)] = label[list(planes)]
    return out


def darker(volume, rng):
    """Half the light above the camera's offset, with the photon noise that goes with it."""
    photons = rng.poisson(np.clip((volume - 900.0) * 0.5 / 8.0, 0, None))
    return np.clip(photons * 8.0 + 500.0 + rng.normal(0, 15, volume.shape), 0, 65535).astype(
        np.uint16
    )


def sparser(volume, label, mask, share, rng, edge=20):
    """Fill fibres in a share of the bricks with background and its texture."""
    hidden = ndimage.binary_dilation(mask) | (label == 2)
    image, weight = volume.astype(np.float32), (~hidden).astype(np.float32)
    level = ndimage.gaussian_filter(image * weight, 4) / np.maximum(
        ndimage.gaussian_filter(weight, 4), 1e-3
    )
    pool = (image - level)[~hidden] / np.sqrt(level[~hidden])
    texture = ndimage.gaussian_filter(rng.choice(pool, volume.shape), 0.6)
    texture *= pool.std() / texture.std()
    bricks = rng.random([-(-n // edge) for n in volume.shape]) < share
    chosen = np.kron(bricks, np.ones((edge,) * 3))[tuple(map(slice, volume.shape))] > 0
    where = hidden & chosen
    image[where] = (level + texture * np.sqrt(level))[where]
    left = label.copy()
    left[where & (label == 2)] = 4
    return np.clip(image, 0, 65535).astype(np.uint16), left


def scores_of(volume):
    image = volume_of(volume, SPACING_UM)
    plan = plan_ridges(image.grid, SETTINGS)
    seen = survey(image, plan)
    return score_block(image, plan, seen.levels, (0, 0, 0), volume.shape), seen


def best_cut(score, label, planes):
    """Threshold of the best F1 in planes, for peers: the most that labels can give them."""
    known = np.concatenate([score[z][(label[z] == 1) | (label[z] == 2)] for z in planes])
    truth = np.concatenate([(label[z] == 2)[(label[z] == 1) | (label[z] == 2)] for z in planes])
    order = np.argsort(-known)
    f1 = 2 * np.cumsum(truth[order]) / (np.arange(1, len(order) + 1) + truth.sum())
    return known[order][np.argmax(f1)]


def fit_plane(volume, label, z):
    return calibrate(volume_of(volume, SPACING_UM), only(label, [z]), SETTINGS)


def report_planes():
    volume, label = read_labelled()
    rng = np.random.default_rng(0)
    score, _ = scores_of(volume)
    thinned, left = sparser(volume, label, score > 2.2, 0.85, rng)
    variants = {
        "as it is": (volume, label),
        "darker": (darker(volume, rng), label),
        "85 % of bricks emptied, darker": (darker(thinned, rng), left),
    }
    print("Labelled planes 17, 48, 77; edges left out; in plane")
    first_fits = {z: fit_plane(volume, label, z) for z in PLANES}
    for name, (image, truth) in variants.items():
        score, seen = scores_of(image)
        share = [(truth[z] == 2).sum() / np.isin(truth[z], (1, 2)).sum() for z in PLANES]
        cut = decide(DEFAULT, seen, SETTINGS).threshold
        print(f"-- {name}: axon in {100 * np.mean(share):.1f} % of the labelled pixels")
        show(
            f"no labels of it (threshold {cut:.2f})",
            agreement([score[z] >= cut for z in PLANES], [truth[z] for z in PLANES]),
        )
        own_fits = first_fits if name == "as it is" else {}
        for how in ("map of a plane of the first volume", "one plane of it"):
            rows = []
            for z in PLANES:
                own = own_fits.get(z) or fit_plane(image, truth, z)
                fit = first_fits[z] if how.startswith("map") else own
                cut = decide(fit, seen, SETTINGS).threshold
                rest = [p for p in PLANES if p != z]
                rows.append(agreement([score[p] >= cut for p in rest], [truth[p] for p in rest]))
                own_fits[z] = own
            show(f"{how}, other two, mean of three", average(rows))
            print(" " * 47 + "lengths " + " ".join(f"{r['length']:.2f}" for r in rows))
        dog = difference(np.log(image.astype(np.float32)))
        first = difference(np.log(volume.astype(np.float32)))
        show_rotated("DoG .7/4 on log, threshold of the first volume", dog, truth, first, label)


def difference(log):
    return ndimage.gaussian_filter(log, 0.7) - ndimage.gaussian_filter(log, 4)


def show_rotated(name, response, label, source, source_label):
    """Threshold from one plane of a source, scored in the other two; mean of three."""
    rows = []
    for z in PLANES:
        cut = best_cut(source, source_label, [z])
        rest = [p for p in PLANES if p != z]
        rows.append(agreement([response[p] > cut for p in rest], [label[p] for p in rest]))
    show(name, average(rows))


def report_peers():
    volume, label = read_labelled()
    print("-- peers, best threshold of one plane, other two, mean of three rotations")
    log = np.log(volume.astype(np.float32))
    methods = {
        "white top-hat (scipy, 9 px)": lambda: ndimage.white_tophat(volume.astype(np.float32), 9)
    }
    try:
        from skimage.filters import frangi, sato
    except ImportError:
        print("scikit-image is not installed: sato and frangi left out")
    else:
        methods["sato (skimage, sigma 1, 2)"] = lambda: sato(log, sigmas=(1, 2), black_ridges=False)
        methods["frangi (skimage, sigma 1, 2)"] = lambda: frangi(
            log, sigmas=(1, 2), black_ridges=False
        )
    methods["DoG .7/4 (scipy)"] = lambda: difference(log)
    methods["ketamap.trace scores"] = lambda: scores_of(volume)[0]
    for name, method in methods.items():
        start = time.process_time()
        response = method()
        speed = volume.size / 1e6 / (time.process_time() - start)
        show_rotated(f"{name}, {speed:.2f} Mvoxel/CPU-s", response, label, response, label)


def crossing(size, way, rng, apart_um=30.0):
    """Return parallel fibres right through a box, none near another, and their length."""
    way = np.asarray(way, float) / np.linalg.norm(way)
    across = np.linalg.svd(way[None])[2][1:]
    reach = int(np.linalg.norm(size) / apart_um) + 1
    curves, total = [], 0.0
    moving = np.abs(way) > 0
    for spot in np.ndindex(reach, reach):
        place = (np.asarray(spot) - reach / 2 + rng.uniform(-0.2, 0.2, 2)) * apart_um
        at = size / 2 + place @ across
        if np.any((at < 4) | (at > size - 4), where=~moving):
            continue
        ends = np.stack([-at[moving], (size - at)[moving]]) / way[moving]
        first, last = ends.min(axis=0).max(), ends.max(axis=0).min()
        if last - first > apart_um:
            curves.append(straight(at + first * way, at + last * way))
            total += last - first
    return curves, total


def snr_image(curves, shape, spacing, snr, seed, beads=0.3, height=300.0, background=300.0):
    """Fibres whose brightest voxels stand ``snr`` standard deviations of the noise out."""
    clean = draw(
        curves, shape, spacing, height=height, background=background, noise=0.0, beads=beads
    )
    index = np.clip(np.rint(np.concatenate(curves) / spacing).astype(int), 0, np.array(shape) - 1)
    peak = float(np.median(clean[tuple(index.T)])) - background
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, peak / snr, shape) * np.sqrt(clean / background)
    return np.clip(np.rint(clean + noise), 0, 65535).astype(np.uint16)


DIRECTIONS = (
    (1, 0, 0),
    (0, 1, 0),
    (0, 0, 1),
    (0, 1, 1),
    (1, 0, 1),
    (1, 1, 1),
    (0.3, 0.5, 0.9),
    (0.9, 0.2, 0.35),
)


def painted(curves, shape, spacing, every=4):
    """Labels of every fourth plane: axon within 2.5 um of a fibre, edge within 6 um."""
    index = np.clip(np.rint(np.concatenate(curves) / spacing).astype(int), 0, np.array(shape) - 1)
    free = np.ones(shape, bool)
    free[tuple(index.T)] = False
    away = ndimage.distance_transform_edt(free, sampling=spacing)
    label = np.where(away <= 2.5, 2, np.where(away <= 6.0, 4, 1)).astype(np.uint8)
    chosen = np.zeros_like(label)
    chosen[::every] = label[::every]
    return chosen


def length_ratio(image, spacing, true_um, settings=SETTINGS, calibration=None):
    tracing = trace_axons(volume_of(image, spacing), settings, calibration=calibration)
    table = tracing.axons
    return [
        float(table[c].sum()) / true_um for c in ("length_um", "length_low_um", "length_high_um")
    ] + [float(table.volume_um3.sum() / (image.size * np.prod(spacing)))]


SPACINGS_UM = ((2.0, 2.0, 2.0), (5.0, 2.0, 2.0), (4.0, 1.8, 1.8))


def report_lengths(edge_um, spacings=SPACINGS_UM):
    print(f"Made-up fibres in a cube of {edge_um} um: traced / true length (strict to lenient)")
    for spacing in spacings:
        shape = tuple(int(edge_um / s) for s in spacing)
        size = (np.asarray(shape) - 1) * np.asarray(spacing)
        for density in (50, 500, 2000, 5500):
            for snr in (3, 5, 10):
                rng = np.random.default_rng(density + snr)
                curves, true = random_walks(size, density * np.prod(size) / 1e6, rng)
                image = snr_image(curves, shape, spacing, snr, 1)
                mid, low, high, part = length_ratio(image, spacing, true)
                own = ""
                if snr == 3:
                    fitted = calibrate(volume_of(image, spacing), painted(curves, shape, spacing))
                    ratio = length_ratio(image, spacing, true, calibration=fitted)[0]
                    own = f"calibrated {ratio:.2f}, "
                made = true / np.prod(size) * 1e6
                print(
                    f"{spacing} {made:6.0f} mm/mm3 SNR {snr:2d}: {mid:.2f} ({low:.2f} to {high:.2f}), "
                    f"{own}labelled {100 * part:.1f} %",
                    flush=True,
                )
        for snr in (5, 10):
            row = []
            for way in DIRECTIONS:
                curves, true = crossing(size, way, np.random.default_rng(5))
                image = snr_image(curves, shape, spacing, snr, 2, beads=0.0)
                row.append(length_ratio(image, spacing, true)[0])
            print(
                f"{spacing} straight, SNR {snr}, 8 directions: "
                + " ".join(f"{r:.2f}" for r in row)
                + f"; largest departure from the mean {100 * np.max(np.abs(row / np.mean(row) - 1)):.1f} %",
                flush=True,
            )


def report_thick():
    """Length that vessels, an edge and a sheet add to 500 mm/mm3 of fibres."""
    shape = (80, 80, 120)
    size = (np.asarray(shape) - 1) * 2.0
    curves, true = random_walks(size, 500 * np.prod(size) / 1e6, np.random.default_rng(0))
    clean = draw(curves, shape, SPACING_UM, noise=0.0)
    z, y, x = np.meshgrid(*(np.arange(n) * 2.0 for n in shape), indexing="ij")
    away = np.hypot(z - 80 + 0.2 * (x - 120), y - 80)
    height = z - 80 + 0.3 * (y - 80)
    things = {
        "nothing": 0 * (z > 0),
        "vessel of 16 um, half as bright": 150 * (away < 8),
        "vessel of 24 um, half as bright": 150 * (away < 12),
        "vessel of 24 um": 300 * (away < 12),
        "vessel of 40 um": 300 * (away < 20),
        "bright edge": 300 * (height > 0),
        "sheet of 6 um": 300 * (np.abs(height) < 3),
    }
    print(f"{true:.0f} um of fibre, as bright as it is: traced um beside, voxels left out as thick")
    for name, thing in things.items():
        image = clean + ndimage.gaussian_filter(thing.astype(float), 0.9)
        noise = np.random.default_rng(1).normal(0, 30, shape) * np.sqrt(image / 300)
        tracing = trace_axons(volume_of(np.rint(image + noise).astype(np.uint16), SPACING_UM))
        length, left = tracing.axons.length_um.sum(), tracing.quality["thick_voxels"]
        print(f"{name:34s} {length:7.0f} {left:7.0f}", flush=True)


def report_saturation():
    """True over traced length where fibres are so dense that their masks merge."""
    print("Dense made-up fibres in a cube of 110 um: labelled part, true / traced length")
    for spacing in ((2.0, 2.0, 2.0), (4.0, 1.8, 1.8)):
        shape = tuple(int(110 / s) for s in spacing)
        size = (np.asarray(shape) - 1) * np.asarray(spacing)
        for density in (2000, 5500, 9000, 14000, 20000):
            row = []
            for snr in (4, 6, 10):
                curves, true = random_walks(
                    size, density * np.prod(size) / 1e6, np.random.default_rng(density + 7)
                )
                image = snr_image(curves, shape, spacing, snr, 1)
                mid, _, _, part = length_ratio(image, spacing, true)
                row.append(f"SNR {snr}: {part:.2f} {1 / mid:.2f}")
            print(f"{spacing} {density:6d} mm/mm3  " + "; ".join(row), flush=True)


def report_speed():
    size = np.asarray((192, 320, 320)) * 2.0
    curves, _ = random_walks(size, 250 * np.prod(size) / 1e6, np.random.default_rng(0))
    image = volume_of(snr_image(curves, (192, 320, 320), SPACING_UM, 6, 0), SPACING_UM)
    plan = plan_ridges(image.grid, SETTINGS)
    trace_axons(image)
    seen = survey(image, plan)
    ridge, whole = [], []
    for _ in range(3):
        start = time.process_time()
        score_block(image, plan, seen.levels, (0, 0, 0), image.grid.shape) >= 4.0  # noqa: B015
        ridge.append(time.process_time() - start)
        start = time.process_time()
        trace_axons(image)
        whole.append(time.process_time() - start)
    mvox = image.grid.n_voxels / 1e6
    print(
        f"{mvox:.0f} Mvoxel, 250 mm/mm3: ridge + threshold {mvox / min(ridge):.1f}, all with three "
        f"skeletons and lengths {mvox / min(whole):.1f} Mvoxel per CPU-s"
    )


class Repeated:
    """A volume of any size that repeats a block: nothing of it is stored."""

    def __init__(self, block, shape):
        self.block, self.shape, self.dtype = block, shape, block.dtype

    def __getitem__(self, key):
        index = [np.arange(k.start, k.stop) % n for k, n in zip(key, self.block.shape, strict=True)]
        return self.block[np.ix_(*index)]


def report_memory(gigabytes, gigavoxel):
    side = round((gigavoxel * 1e9 / 4) ** (1 / 3))
    shape = (side, 2 * side, 2 * side)
    rng = np.random.default_rng(0)
    curves, _ = random_walks((200.0,) * 3, 800.0, rng)
    block = snr_image(curves, (100, 100, 100), SPACING_UM, 6, 0)
    grid = VoxelGrid(shape=shape, spacing_um=SPACING_UM)
    start = time.process_time()
    tracing = trace_axons(
        Volume(data=Repeated(block, shape), grid=grid), memory_bytes=int(gigabytes * 2**30)
    )
    used = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{grid.n_voxels / 1e9:.2f} Gvoxel with {gigabytes} GiB allowed: peak {peak:.2f} GiB, "
        f"{grid.n_voxels / 1e6 / used:.1f} Mvoxel per CPU-s, {tracing.axons.length_um.sum() / 1e3:.0f} mm"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        default=[],
        help="planes peers lengths thick saturation speed memory; all",
    )
    parser.add_argument("--edge-um", type=float, default=200.0, help="cube of made-up fibres")
    parser.add_argument("--voxels", type=int, choices=(0, 1, 2), help="one of the voxel sizes")
    parser.add_argument(
        "--gigavoxel", type=float, default=0.5, help="size of the volume for memory"
    )
    options = parser.parse_args()
    parts = options.parts or [
        "memory",
        "speed",
        "planes",
        "peers",
        "lengths",
        "thick",
        "saturation",
    ]
    if "memory" in parts:
        report_memory(1.0, options.gigavoxel)
    if "speed" in parts:
        report_speed()
    if "planes" in parts:
        report_planes()
    if "peers" in parts:
        report_peers()
    if "lengths" in parts:
        chosen = SPACINGS_UM if options.voxels is None else [SPACINGS_UM[options.voxels]]
        report_lengths(options.edge_um, chosen)
    if "thick" in parts:
        report_thick()
    if "saturation" in parts:
        report_saturation()


if __name__ == "__main__":
    main()
