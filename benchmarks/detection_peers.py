"""Cell detection beside other tools, on the same made-up tissue in one run.

Run ``python benchmarks/detection_peers.py --peers-python PATH``: PATH is an interpreter that has
cellfinder and scikit-image (an environment of its own: ``pip install cellfinder``, which brings
both). ``--previous SRC`` adds another version of this package. Each tool runs in a process of its
own, one thread, each peer with its defaults and over the settings below; the best are those of
the highest F1 of both halves together, so peers are tuned on the truth and ours is not.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import ketamap
from detection import CASES, HALVES, SIZE_UM, WITHIN_UM, accuracy
from detection_tissue import Tissue, make_tissue

FIRST_SEED = 100
DEFAULT_CASES = ("5/2/2, sharp", "5/2/2, wide", "10/5/5, sharp")

PEERS = {
    "cellfinder": [{}, *({"n_sds_above_mean_thresh": n} for n in (6.0, 5.0, 4.0, 3.0))],
    "blob_dog": [{}, *({"threshold": t} for t in (0.04, 0.06, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3))],
}
"""Settings of each peer, its defaults first."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def detect(python, tool, source, settings, folder, src=None):
    """Run a tool over its settings; return what it wrote."""
    target = Path(folder) / f"{tool}.npz"
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    environment["PYTHONPATH"] = "" if src is None else str(src)
    worker = Path(__file__).with_name("detection_peers_run.py")
    command = [python, worker, tool, source, target, json.dumps(settings)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{tool} failed:\n{done.stderr[-2000:]}")
    with np.load(target) as held:
        return dict(held)


def judge(out, k, truth, middle_um):
    """F1 and count of each half, F1 of both, CPU seconds of the call, of any call, of the start."""
    found = out[f"um_{k}"]
    right = found[:, 2] > middle_um
    figures = []
    for side in (False, True):
        _, _, f1, count = accuracy(
            found[right == side], truth.at_um[truth.clustered == side], WITHIN_UM
        )
        figures += [f1, count]
    both = accuracy(found, truth.at_um, WITHIN_UM)[2]
    return [*figures, both, *(float(out[key]) for key in (f"cpu_{k}", "fixed", "start"))]


def measure(options, case):
    """Figures ``(seed, setting, figure)`` of every tool in one kind of tissue, and Mvoxel."""
    _, spacing_um, psf_um = case
    tissue = Tissue(size_um=SIZE_UM, spacing_um=spacing_um, psf_um=psf_um)
    runs = {"ketamap": (sys.executable, "ketamap", [{}], Path(ketamap.__file__).parents[1])}
    if options.previous:
        runs["ketamap, previous"] = (sys.executable, "ketamap", [{}], options.previous)
    runs |= {
        t: (options.peers_python, t, s, None) for t, s in PEERS.items() if options.peers_python
    }
    figures = {name: [] for name in runs}
    for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
        image, truth = make_tissue(tissue, seed)
        middle_um = (image.shape[2] - 1) * spacing_um[2] / 2
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "tissue.npz"
            np.savez(source, image=image, spacing_um=spacing_um)
            for name, (python, tool, settings, src) in runs.items():
                out = detect(python, tool, source, settings, folder, src)
                figures[name].append(
                    [judge(out, k, truth, middle_um) for k in range(len(settings))]
                )
    return {name: np.array(rows) for name, rows in figures.items()}, image.size / 1e6


def show(name, rows, mvoxel):
    """Print a tool at its defaults and, of several settings, at the best of each volume's mean."""
    mean = rows.mean(axis=0)
    kinds = [("default", 0)]
    if len(mean) > 1:
        best = int(np.argmax(mean[:, 4]))
        kinds.append((f"best: {json.dumps(PEERS[name][best])}", best))
    for kind, k in kinds:
        f1s, counts = mean[k, 0:4:2], mean[k, 1:4:2]
        cpu, fixed, start = mean[k, 5:]
        halves = " ".join(
            f"{h} F1 {f:.3f} count {c:.2f}" for h, f, c in zip(HALVES, f1s, counts, strict=True)
        )
        print(
            f"  {name:17s} {halves} CPU s {cpu:.2f} Mvoxel per CPU-s {mvoxel / cpu:.2f}, without "
            f"fixed cost {mvoxel / max(cpu - fixed, 1e-9):.1f}, start {start:.1f} s; {kind}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers-python", help="interpreter with cellfinder and scikit-image")
    parser.add_argument("--previous", type=Path, help="src folder of another version of ketamap")
    parser.add_argument("--seeds", type=int, default=2, help="made-up volumes per row")
    parser.add_argument("--cases", nargs="+", default=DEFAULT_CASES)
    options = parser.parse_args()
    if options.peers_python is None:
        print("cellfinder and blob_dog: not measured; give --peers-python PATH")
    for case in CASES:
        if case[0] in options.cases:
            figures, mvoxel = measure(options, case)
            print(f"{case[0]}: {mvoxel:.0f} Mvoxel, {options.seeds} seeds from {FIRST_SEED}")
            for name, rows in figures.items():
                show(name, rows, mvoxel)


if __name__ == "__main__":
    main()
