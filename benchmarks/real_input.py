"""Real input measured: a real brain, a real crop, a real table, a volume of 4 Gvoxel.

    KETAMAP_TEST_DATA=DIR python benchmarks/real_input.py

Needs the shared test data (its README lists the sources).
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
import zarr

from ketamap.io.manifests import read_json
from ketamap.register import lncc
from ketamap.workflow.atlases import open_atlas

DATA = Path(os.environ.get("KETAMAP_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
KETAMAP = [sys.executable, "-c", "from ketamap.cli.main import main; main()"]
CHUNK = 128
SIDE = 13
MEMORY_GB = 1.0


def ketamap(*arguments):
    """Run the command line; wall and CPU seconds, and peak memory of any child so far, GiB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run([*KETAMAP, *map(str, arguments)], check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu, after.ru_maxrss / 2**20


def brain(out):
    image = DATA / "brain" / "mouse_brain_50x40x40um_psl.tif"
    where = ["--atlas", "allen_mouse_100um", "--atlas-dir", DATA / "brainglobe"]
    wall, cpu, peak = ketamap(
        "register", image, "--voxel-um", "50,40,40", "--orientation", "psl", *where, "--out", out
    )
    quality = read_json(out / "qc.json")
    atlas = open_atlas("allen_mouse_100um", atlas_dir=DATA / "brainglobe")
    peer = tifffile.imread(DATA / "brain" / "peer_registered_100um_asr.tif").astype(np.float32)
    theirs = lncc(peer, atlas.template, atlas.brain_mask)
    print(
        f"register, real brain: LNCC {quality['lncc']:.3f} (peer's result, same measure: "
        f"{theirs:.3f}), least Jacobian {quality['least_jacobian']:.2f}, inverse error p95 "
        f"{quality['inverse_error_p95_um']:.1f} um, verdict {quality['verdict']}; "
        f"{wall:.0f} s wall, {cpu:.0f} CPU-s with everything written, "
        f"no command above {peak:.2f} GiB so far"
    )


def crop(folder):
    image = DATA / "cells" / "signal_5x2x2um.tif"
    out = folder / "cells.parquet"
    wall, cpu, _ = ketamap(
        "detect", image, "--voxel-um", "5,2,2", "--soma-diameter-um", "15", "--out", out
    )
    print(
        f"detect, real crop: {len(pd.read_parquet(out))} cells in {wall:.1f} s wall, start-up "
        f"included ({cpu:.1f} CPU-s; asked: 5 s)"
    )


def davoudian(folder):
    table = pd.read_csv(DATA / "tables" / "davoudian2023_B1.csv.gz")
    animals = table[["animal", "group", "sex"]].drop_duplicates()
    animals[animals.group.isin(["ketamine", "saline"])].to_csv(folder / "animals.csv", index=False)
    (folder / "design.yaml").write_text("factor: group\ncontrol: saline\n")
    ketamap(
        "analyse", DATA / "tables" / "davoudian2023_B1.csv.gz",
        "--animals", folder / "animals.csv", "--design", folder / "design.yaml",
        "--out", folder / "analysis",
    )  # fmt: skip
    effects = pd.read_parquet(folder / "analysis" / "effects.parquet")
    shift = effects[effects.estimand == "shift"].iloc[0]
    called = effects[effects.testable & (effects.q < 0.05)].groupby("estimand").size().to_dict()
    print(
        f"analyse, ketamine against saline (Davoudian 2023, 4 v 4): shift "
        f"{shift.estimate_log2:.2f} log2 [{shift.ci_low_log2:.2f}, {shift.ci_high_log2:.2f}] "
        f"(asked: -0.07 [-1.25, 1.11] to 0.1); regions called: {called}"
    )


def four_gigavoxels(folder):
    """One real chunk, linked into a volume of 13^3 chunks of 128^3 voxels: 4.6 Gvoxel."""
    crop_ = tifffile.imread(DATA / "cells" / "signal_5x2x2um.tif")
    chunk = np.tile(crop_, (5, 1, 1))[:CHUNK, :CHUNK, :CHUNK]
    path = folder / "big.ome.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=3)
    level = group.create_array(
        "0", shape=(SIDE * CHUNK,) * 3, chunks=(CHUNK,) * 3, dtype=np.uint16,
        dimension_names=("z", "y", "x"),
    )  # fmt: skip
    level[:CHUNK, :CHUNK, :CHUNK] = chunk
    first = path / "0" / "c" / "0" / "0" / "0"
    for z, y, x in np.ndindex(SIDE, SIDE, SIDE):
        link = path / "0" / "c" / str(z) / str(y) / str(x)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            os.link(first, link)
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    scale = [{"type": "scale", "scale": [5.0, 2.0, 2.0]}]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [
            {
                "name": "big", "axes": axes,
                "datasets": [{"path": "0", "coordinateTransformations": scale}],
            }
        ],
    }  # fmt: skip
    out = folder / "big.parquet"
    wall, cpu, peak = ketamap("detect", path, "--out", out, "--memory", f"{MEMORY_GB}GB")
    voxels = (SIDE * CHUNK) ** 3
    print(
        f"detect, {voxels / 1e9:.1f} Gvoxel in {MEMORY_GB * 1e9 / 2**30:.2f} GiB allowed: peak "
        f"{peak:.2f} GiB, {len(pd.read_parquet(out))} cells, {wall:.0f} s wall, "
        f"{voxels / cpu / 1e6:.0f} Mvoxel per CPU-s with decoding"
    )


def main():
    if not (DATA / "README.md").is_file():
        sys.exit(f"The shared test data is not in {DATA}; set KETAMAP_TEST_DATA.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        four_gigavoxels(folder)  # first: the peak is over all children so far
        crop(folder)
        davoudian(folder)
        brain(folder / "registration")


if __name__ == "__main__":
    main()
