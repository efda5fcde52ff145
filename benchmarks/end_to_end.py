"""The whole path measured: `ketamap demo`, and cohorts in which nothing was planted.

    python benchmarks/end_to_end.py [--out DIR] [--draws 100]

Prints what is asked beside what was measured.  Memory is the sum over the process tree,
sampled ten times a second (shared pages are counted in each process: an upper bound).
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

import psutil

from ketamap.core.settings import Design
from ketamap.io.manifests import read_json
from ketamap.phantom import animals_frame, cohort_table, default_cohort, own_volumes_mm3
from ketamap.stats import analyse
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.cohort import planted_by_contrast
from ketamap.workflow.truth import score_effects

KETAMAP = [sys.executable, "-c", "from ketamap.cli.main import main; main()"]


def run_measured(arguments):
    """Run the command line; wall time (s), CPU time (s) and peak memory of the tree (GiB)."""
    began = time.perf_counter()
    process = psutil.Popen([*KETAMAP, *map(str, arguments)])
    peak = 0
    cpu = {}
    while process.poll() is None:
        total = 0
        for one in [process, *process.children(recursive=True)]:
            try:
                total += one.memory_info().rss
                times = one.cpu_times()
                cpu[one.pid] = times.user + times.system
            except psutil.NoSuchProcess:
                continue
        peak = max(peak, total)
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"ketamap {' '.join(map(str, arguments))} ended with {process.returncode}")
    return time.perf_counter() - began, sum(cpu.values()), peak / 2**30


def demo(out):
    wall, cpu, peak = run_measured(["demo", "--out", out])
    score = read_json(out / "run" / "truth.json")
    strong, weak = (_contrast(score, "cells", dose) for dose in ("100", "30"))
    fibres, axons = _contrast(score, "axon_length_mm", "100"), score["axons"]
    rows = [
        ("wall time, two cores", "<= 240 s", f"{wall:.0f} s"),
        ("CPU time of all processes, half of it", "<= 240 s", f"{cpu:.0f} s, {cpu / 2:.0f} s"),
        ("peak memory of all processes", "<= 4 GB", f"{peak:.2f} GiB"),
        ("recall, worst brain", ">= .95", f"{score['recall']:.4f}"),
        ("precision, worst brain", ">= .95", f"{score['precision']:.4f}"),
        ("region counts against planted, r", ">= .99", f"{score['count_correlation']:.4f}"),
        (
            "100 mg/kg, >= 1.5-fold, right sign",
            "all",
            f"{strong['right_sign']}/{strong['planted']}",
        ),
        (
            "100 mg/kg, found at q < .05, relative",
            ">= 80 %",
            f"{strong['found']}/{strong['planted']}",
        ),
        (
            "100 mg/kg, called without a planted change",
            "-",
            f"{strong['false']}/{strong['unplanted']}",
        ),
        ("30 mg/kg, found at q < .05, relative", "-", f"{weak['found']}/{weak['planted']}"),
        (
            "registration error at the cells",
            "-",
            f"median {score['error_median_um']:.0f}, p95 {score['error_p95_um']:.0f} um",
        ),
        ("axon length of regions against planted, r", "-", f"{axons['length_correlation']:.3f}"),
        (
            "traced over planted length, median (p10 to p90)",
            "-",
            f"{axons['recovery_median']:.2f} ({axons['recovery_p10']:.2f} to "
            f"{axons['recovery_p90']:.2f})",
        ),
        (
            "100 mg/kg, axons, >= 1.25-fold: right sign, found, others called",
            "-",
            f"{fibres['right_sign']}/{fibres['planted']}, {fibres['found']}/{fibres['planted']}, "
            f"{fibres['false']}/{fibres['unplanted']}",
        ),
        *(
            (
                f"axons in {one['acronym']}: planted, real, traced",
                "within 5 points",
                f"{one['planted']:+.0%}, {one['real']:+.1%}, {one['traced']:+.1%}",
            )
            for one in axons["group_changes"]
        ),
    ]
    table("ketamap demo", rows)


def _contrast(score, measure, dose):
    return next(
        c for c in score["contrasts"] if c["measure"] == measure and c["name"].startswith(dose)
    )


def null_cohorts(draws):
    atlas = open_atlas("phantom_mouse_100um")
    volumes = own_volumes_mm3(atlas)
    any_found, shift_found, families = 0, 0, {}
    for draw in range(draws):
        plan = default_cohort(seed=10_000 + draw)
        frame = cohort_table(plan, atlas, draw, effects=False, volumes_mm3=volumes)
        effects = analyse(
            frame,
            animals_frame(plan),
            Design(factor="group", control="vehicle 10 d"),
            structures=atlas.structures,
        ).effects
        tested = effects[effects.testable & (effects.q < 0.05)]
        any_found += bool(len(tested))
        shift_found += bool((tested.estimand == "shift").any())
        for name in tested.estimand.unique():
            families[name] = families.get(name, 0) + 1
    rows = [
        (f"null cohorts of {draws} that find anything", "<= 10 %", f"{any_found / draws:.0%}"),
        *((f"... {k}", "-", f"{v / draws:.0%}") for k, v in sorted(families.items())),
    ]
    table("nothing planted (tables, the demo's noise, 3 groups of 4)", rows)


def planted_cohorts(draws):
    atlas = open_atlas("phantom_mouse_100um")
    volumes = own_volumes_mm3(atlas)
    false, power = {}, {}
    for draw in range(draws):
        plan = default_cohort(seed=20_000 + draw)
        effects = analyse(
            cohort_table(plan, atlas, draw, volumes_mm3=volumes),
            animals_frame(plan),
            Design(factor="group", control="vehicle 10 d"),
            structures=atlas.structures,
        ).effects
        for one in score_effects(effects, planted_by_contrast(plan, atlas), alpha=0.05):
            called = one.false + one.found
            false.setdefault(one.name, []).append(one.false / max(called, 1))
            power.setdefault(one.name, []).append(one.found / one.planted)
    rows = [
        (
            f"{name}: false discovery rate / power",
            "<= 5 % / -",
            f"{mean(false[name]):.1%} / {mean(power[name]):.1%}",
        )
        for name in sorted(false)
    ]
    table(f"the demo's effects planted in {draws} tables, relative estimand", rows)


def table(title, rows):
    print(f"\n## {title}\n\n| | asked | measured |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--draws", type=int, default=100)
    options = parser.parse_args()
    if options.draws:
        null_cohorts(options.draws)
        planted_cohorts(options.draws)
    if options.out:
        demo(options.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        demo(Path(folder) / "demo")


if __name__ == "__main__":
    main()
