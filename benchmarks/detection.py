"""Detection: every figure of its section in docs/benchmarks.md.

Run ``python benchmarks/detection.py``: speed, accuracy on made-up tissue with known somata
(``--seeds 10`` for ten volumes a row), the reliability of the score, and with ``--crops`` (the
folder with ``signal_5x2x2um.tif`` and ``background_5x2x2um.tif``) a real image. ``--only`` runs
some of the parts. Seeds here are none of those that the score was fitted on.
"""

import argparse
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from detection_tissue import BLUNT_PSF_UM, SHARP_PSF_UM, Tissue, make_tissue
from detection_train import (
    CROP_UM,
    chances,
    measure_phantom,
    measure_scene,
    print_reliability,
    volume_of,
)
from ketamap.core.settings import DetectionSettings
from ketamap.detect import Resources, find_cells
from ketamap.detect.lazy import survey
from ketamap.detect.model import default_model
from ketamap.detect.spike_check import find_and_check, recall_by_thirds
from ketamap.detect.spikes import draw_spikes, response_per_height, with_spikes
from ketamap.detect.training import learn

FIRST_SEED = 100
"""Of made-up tissue; those of the fitted score begin at 5000."""

FIRST_SCENE = 5900
"""Of scenes as the score was fitted on, beyond the last one that it was."""

CASES = (
    ("5/2/2, sharp", (5.0, 2.0, 2.0), SHARP_PSF_UM),
    ("5/2/2, wide", (5.0, 2.0, 2.0), BLUNT_PSF_UM),
    ("4/1.8/1.8, sharp", (4.0, 1.8, 1.8), SHARP_PSF_UM),
    ("10/5/5, sharp", (10.0, 5.0, 5.0), SHARP_PSF_UM),
    ("10/5/5, wide", (10.0, 5.0, 5.0), BLUNT_PSF_UM),
)
"""Voxel sizes and point spreads, um."""

SIZE_UM = (200.0, 1000.0, 1000.0)
WITHIN_UM = 10.0
SPIKES = 200
CROP_SOMA_UM = 15.0
PHANTOM_SEED = 0
PHANTOM_SCORE = 0.7
SPEED_MEMORY_BYTES = 2**30
"""Little enough that two workers have several blocks each."""

REPEATS = 3
WIDER = (1, 8)
"""How often the volume is repeated side by side for two workers."""

CORRECTED_UM = (200.0, 900.0, 900.0)
CHECKED = 3
"""Volumes on which a retrained score is checked."""

UNLIKE = {
    "many vessels and axons": {"vessels_per_mm3": 400.0, "axons_per_mm3": 500.0},
    "voxels of 10/5/5 um": {"spacing_um": (10.0, 5.0, 5.0)},
}
"""What is different in tissue that somebody corrects cells in."""

HALVES = ("sparse", "clustered")


def match(found, truth, within_um):
    """Pair found and true positions one to one: the most pairs, then the shortest.

    Returns
    -------
    found_index, truth_index
        Rows of the pairs. Pairs farther apart than ``within_um`` do not exist, so the
        assignment falls apart into small independent groups that are solved exactly.
    """
    if not len(found) or not len(truth):
        return np.empty(0, int), np.empty(0, int)
    near = cKDTree(found).sparse_distance_matrix(
        cKDTree(truth), within_um, output_type="coo_matrix"
    )
    if near.nnz == 0:
        return np.empty(0, int), np.empty(0, int)
    n, m = len(found), len(truth)
    links = coo_matrix((np.ones(near.nnz), (near.row, near.col + n)), shape=(n + m, n + m))
    _, group = connected_components(links, directed=False)
    pairs_f, pairs_t = [], []
    order = np.argsort(group[near.row], kind="stable")
    row, col, um = near.row[order], near.col[order], near.data[order]
    starts = np.flatnonzero(np.diff(group[row], prepend=-1))
    for a, b in zip(starts, [*starts[1:], len(row)], strict=True):
        fs, fi = np.unique(row[a:b], return_inverse=True)
        ts, ti = np.unique(col[a:b], return_inverse=True)
        cost = np.full((len(fs), len(ts)), 1e6)
        cost[fi, ti] = um[a:b]
        i, j = linear_sum_assignment(cost)
        real = cost[i, j] < 1e6
        pairs_f.append(fs[i[real]])
        pairs_t.append(ts[j[real]])
    return np.concatenate(pairs_f), np.concatenate(pairs_t)


def accuracy(found, truth, within_um):
    """Recall, precision, F1, and found over planted."""
    pairs = len(match(found, truth, within_um)[0])
    recall, precision = pairs / max(len(truth), 1), pairs / max(len(found), 1)
    f1 = 2 * pairs / max(len(truth) + len(found), 1)
    return recall, precision, f1, len(found) / max(len(truth), 1)


def report_tissue(options):
    """Accuracy by voxel size and point spread, mean and least over the seeds."""
    print(f"tissue of {SIZE_UM} um, seeds {FIRST_SEED} to {FIRST_SEED + options.seeds - 1}")
    for name, spacing_um, psf_um in CASES:
        tissue = Tissue(size_um=SIZE_UM, spacing_um=spacing_um, psf_um=psf_um)
        rows = np.array(
            [halves(tissue, FIRST_SEED + k) for k in range(options.seeds)]
        )  # (seed, half, figure)
        for half, mean, least, most in zip(
            HALVES, rows.mean(axis=0), rows.min(axis=0), rows.max(axis=0), strict=True
        ):
            recall, precision, f1, count = mean
            print(
                f"{name:17s} {half:9s} recall {recall:.3f} precision {precision:.3f} F1 {f1:.3f} "
                f"(least {least[2]:.3f}) count {count:.2f} ({least[3]:.2f} to {most[3]:.2f})",
                flush=True,
            )


def halves(tissue, seed):
    """Recall, precision, F1 and count in the sparse and in the clustered half."""
    image, truth = make_tissue(tissue, seed)
    table = find_cells(volume_of(image, tissue.spacing_um), DetectionSettings())
    found = table[["z_um", "y_um", "x_um"]].to_numpy()
    right = found[:, 2] > (image.shape[2] - 1) * tissue.spacing_um[2] / 2
    return [
        accuracy(found[right == side], truth.at_um[truth.clustered == side], WITHIN_UM)
        for side in (False, True)
    ]


def report_scores(options):
    """Reliability of the shipped score on scenes that it was not fitted on."""
    model = default_model()
    parts = [measure_scene(FIRST_SCENE + k) for k in range(options.scenes)]
    score = np.concatenate([chances(model, part["rows"]) for part in parts])
    yes = np.concatenate([part["yes"] for part in parts])
    print_reliability(f"{options.scenes} scenes", score, yes)


def report_training(options):
    """F1 before and after learning from one corrected volume, on volumes that were not corrected."""
    del options
    for name, unlike in UNLIKE.items():
        tissue = Tissue(size_um=CORRECTED_UM, **unlike)
        image, truth = make_tissue(tissue, FIRST_SEED)
        volume = volume_of(image, tissue.spacing_um)
        corrections = correct(find_cells(volume, DetectionSettings()), truth)
        model = learn(volume, corrections, DetectionSettings()).model
        rows = np.array(
            [
                [whole(*make_tissue(tissue, seed), tissue, one) for one in (None, model)]
                for seed in range(FIRST_SEED + 1, FIRST_SEED + 1 + CHECKED)
            ]
        )
        (_, _, before, _), (recall, precision, after, _) = rows.mean(axis=0)
        kept = int(corrections.kept.sum())
        print(
            f"{name}: {kept} kept and {len(corrections) - kept} removed; F1 on {CHECKED} other "
            f"volumes {before:.3f} before, {after:.3f} after (recall {recall:.3f} precision "
            f"{precision:.3f})",
            flush=True,
        )


def correct(table, truth):
    """What a person who knows the truth makes of a table: false cells out, missed ones added."""
    found = table[["z_um", "y_um", "x_um"]].to_numpy()
    right, seen = match(found, truth.at_um, WITHIN_UM)
    missed = np.delete(truth.at_um, seen, axis=0)
    rows = pd.DataFrame(np.concatenate([found, missed]), columns=["z_um", "y_um", "x_um"])
    rows["kept"] = (rows.index >= len(found)) | rows.index.isin(right)
    return rows


def whole(image, truth, tissue, model):
    """Recall, precision, F1 and count in a whole volume."""
    table = find_cells(volume_of(image, tissue.spacing_um), DetectionSettings(), model=model)
    return accuracy(table[["z_um", "y_um", "x_um"]].to_numpy(), truth.at_um, WITHIN_UM)


def report_crops(options):
    """Cells in both channels of a real crop, and recall of somata planted into it."""
    if options.crops is None:
        print("real crop: not measured; give --crops FOLDER")
        return
    channels = {
        name: volume_of(tifffile.imread(options.crops / f"{name}_5x2x2um.tif"), CROP_UM)
        for name in ("signal", "background")
    }
    for name, volume in channels.items():
        mm3 = np.prod(volume.grid.shape) * np.prod(CROP_UM) / 1e9
        cells = len(find_cells(volume, DetectionSettings()))
        print(f"real {name}: {cells} cells in {mm3:.3f} mm3", flush=True)
        if name == "signal":
            planted = find_and_check(volume, DetectionSettings(spike_ins=SPIKES)).like_cells
            print(f"planted into it: {len(planted)}, recall {planted.found.mean():.3f}")
            for column in ("contrast", "neighbours"):
                for row in recall_by_thirds(planted, column).itertuples():
                    print(f"  {column} {row.least:.4g} to {row.most:.4g}: {row.recall:.2f}")
    told = find_and_check(
        channels["signal"],
        DetectionSettings(spike_ins=SPIKES),
        background=channels["background"],
    )
    print(
        f"signal with the background: {len(told.cells)} cells, recall of planted "
        f"{told.like_cells.found.mean():.3f}"
    )
    report_planted_elsewhere(channels["signal"], channels["background"])


def report_planted_elsewhere(signal, background):
    """Recall of somata as bright as the signal's cells, planted anywhere in the other channel."""
    found = survey(signal, DetectionSettings(), model=default_model())
    cells = found.score >= DetectionSettings().min_score
    heights = found.response[cells] / response_per_height(signal.grid, CROP_SOMA_UM)
    rng = np.random.default_rng(FIRST_SEED)
    anywhere = rng.uniform(0, 1, (3000, 3)) * (np.asarray(signal.grid.shape) - 1) * CROP_UM
    spikes = draw_spikes(
        signal.grid, anywhere, heights, n=SPIKES, diameter_um=CROP_SOMA_UM, seed=FIRST_SEED
    )
    table = find_cells(with_spikes(background, spikes), DetectionSettings())
    pairs = match(table[["z_um", "y_um", "x_um"]].to_numpy(), spikes.um, WITHIN_UM)[0]
    print(f"{len(spikes.um)} planted into the background: recall {len(pairs) / len(spikes.um):.3f}")


def report_brain(options):
    """Recall and precision in a demo brain."""
    del options
    with tempfile.TemporaryDirectory() as folder:
        brain = measure_phantom(Path(folder), seed=PHANTOM_SEED)
    score = chances(default_model(coarse=True), brain["rows"])
    taken = score >= PHANTOM_SCORE
    hits = np.sum(taken & brain["yes"])
    print(
        f"demo brain, score {PHANTOM_SCORE:g} or more: recall {hits / brain['planted']:.3f} "
        f"precision {hits / taken.sum():.3f}"
    )


def report_speed(options):
    """CPU seconds of find_cells and of one scipy Gaussian, best of three; two workers' wall time."""
    del options
    tissue = Tissue()
    image, _ = make_tissue(tissue, FIRST_SEED)
    volume = volume_of(image, tissue.spacing_um)
    find_cells(volume, DetectionSettings())
    ours, scipys = [], []
    for _ in range(REPEATS):
        start = time.process_time()
        find_cells(volume, DetectionSettings())
        ours.append(time.process_time() - start)
        start = time.process_time()
        ndimage.gaussian_filter(image, sigma=2.5, output=np.float32)
        scipys.append(time.process_time() - start)
    mvox = image.size / 1e6
    print(
        f"find_cells {mvox / min(ours):.1f} Mvoxel per CPU-s, scipy Gaussian {mvox / min(scipys):.1f}, "
        f"ratio of times {min(ours) / min(scipys):.2f}"
    )
    del volume
    for copies in WIDER:
        report_workers(np.tile(image, (1, 1, copies)), tissue.spacing_um)


def report_workers(image, spacing_um):
    """Wall time of two workers, and of two processes that do a whole volume each.

    The latter is what the machine's two processors can do at most, whatever is split: two that
    share one core's arithmetic do not do twice as much.
    """
    volume = volume_of(image, spacing_um)
    one, two = (min(wall_seconds(volume, workers) for _ in range(REPEATS)) for workers in (1, 2))
    alone = both_seconds(image, spacing_um, 1)
    apart = both_seconds(image, spacing_um, 2)
    print(
        f"{image.size / 1e6:.0f} Mvoxel, wall time: one worker {one:.2f} s, two {two:.2f} s, "
        f"{one / two:.2f} times as fast; two processes, a volume each, {2 * alone / apart:.2f} times",
        flush=True,
    )


def wall_seconds(volume, workers):
    start = time.perf_counter()
    resources = Resources(memory_bytes=SPEED_MEMORY_BYTES, workers=workers)
    find_cells(volume, DetectionSettings(), resources=resources)
    return time.perf_counter() - start


def both_seconds(image, spacing_um, processes):
    """Wall time until processes that each do the whole volume at the same time are done."""
    fork = get_context("fork")
    gate = fork.Barrier(processes)
    took = fork.Queue()

    def work():
        volume = volume_of(image, spacing_um)
        for _ in range(REPEATS):
            gate.wait()
            took.put(wall_seconds(volume, 1))

    running = [fork.Process(target=work) for _ in range(processes)]
    for process in running:
        process.start()
    walls = [took.get() for _ in range(REPEATS * processes)]
    for process in running:
        process.join()
    return min(walls) if processes == 1 else float(np.median(walls))


PARTS = {
    "speed": report_speed,
    "tissue": report_tissue,
    "scores": report_scores,
    "training": report_training,
    "crops": report_crops,
    "brain": report_brain,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="made-up volumes per row")
    parser.add_argument("--scenes", type=int, default=20, help="scenes for the reliability")
    parser.add_argument("--crops", type=Path, help="folder with the two channels of a real crop")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    for part in options.only:
        PARTS[part](options)


if __name__ == "__main__":
    main()
