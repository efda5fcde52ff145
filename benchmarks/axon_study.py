"""Axons through a whole study: planted changes of -30 % and +30 % between groups of four brains.

    python benchmarks/axon_study.py [--out DIR] [--animals 4] [--seed 1] [--draws 20]

Draws the vehicle and the highest-dose group of the demo's cohort, runs the study on them
(registration, cells, axons, region table, statistics) and prints, for each structure in
which axons were planted to change: what was planted, what the animals really have (noise
between animals included), what was traced, and the effect with its q.

Two sets of regions are tested: the regions of the study itself, most of which hold a few
fibres only, and areas as wholes (`areas`), as a reader of "auditory areas" would ask.
Before that the same groups are drawn as tables, without images: what the statistics find when
tracing adds no noise.  CPU time is that of all processes.
"""

import argparse
import resource
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from ketamap.core.settings import Design
from ketamap.core.tables import EFFECTS, REGIONS
from ketamap.io.tables import read_any_table, read_table
from ketamap.phantom import (
    AXONS,
    DEFAULT_GROUPS,
    BrainSettings,
    animals_frame,
    cohort_table,
    default_cohort,
    own_volumes_mm3,
)
from ketamap.stats import analyse
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.cohort import (
    PHANTOM_ATLAS,
    cohort_tasks,
    planted_by_contrast,
    write_cohort_files,
)
from ketamap.workflow.engine import run_tasks
from ketamap.workflow.ledger import Ledger
from ketamap.workflow.study_run import run
from ketamap.workflow.truth import score_effects
from ketamap.workflow.truth_axons import score_axons
from ketamap.workflow.workers import open_workers

ALPHA = 0.05
CONTROL, TREATED = DEFAULT_GROUPS[0], DEFAULT_GROUPS[-1]


def make_and_run(out, plan, workers):
    settings = BrainSettings()
    tasks = cohort_tasks(plan, out, settings)
    out.mkdir(parents=True, exist_ok=True)
    with Ledger(out) as ledger, open_workers(workers=workers) as executor:
        run_tasks(tasks, ledger=ledger, executor=executor)
    study_file = write_cohort_files(plan, out, settings)
    truth = out / "truth" / "effects.parquet"
    run(study_file, out=out / "run", resume=True, workers=workers, truth=truth)


def areas(tree):
    """Structures as deep in the tree as the auditory areas, and shallower ones without parts."""
    depth = tree.depths[tree.position(tree.id_of("AUD"))]
    return [
        int(i)
        for i, d in zip(tree.ids, tree.depths, strict=True)
        if d == depth or (d < depth and not tree.children(int(i)))
    ]


def area_effects(out, tree):
    """Test the areas as wholes."""
    regions = read_table(out / "run" / "regions.parquet", REGIONS)
    mine = regions[(regions.measure == AXONS) & regions.region_id.isin(areas(tree))]
    table = pd.DataFrame(
        {
            "animal": mine.animal,
            "region_id": mine.region_id,
            "acronym": mine.acronym,
            "hemisphere": mine.hemisphere,
            "measure": AXONS,
            "own": mine.total,
            "total": mine.total,
            "volume_own_mm3": mine.volume_total_mm3,
            "volume_total_mm3": mine.volume_total_mm3,
            "parent_region_id": int(tree.ids[0]),
        }
    )
    animals = pd.read_csv(out / "run" / "animals.csv")
    design = Design(factor="group", control=CONTROL.regimen.group, measures=(AXONS,))
    return analyse(table, animals, design, counts="own").effects


def tested(effects):
    contrast = f"{TREATED.regimen.group} vs {CONTROL.regimen.group}"
    relative = effects[(effects.measure == AXONS) & (effects.estimand == "relative")]
    return relative[relative.testable & (relative.contrast == contrast)]


def without_images(plan, draws):
    """Find the planted regions in tables with the noise between animals alone."""
    atlas = open_atlas(PHANTOM_ATLAS)
    truth = planted_by_contrast(plan, atlas)
    volumes = own_volumes_mm3(atlas)
    design = Design(factor="group", control=CONTROL.regimen.group, measures=(AXONS,))
    scores = []
    for draw in range(draws):
        frame = cohort_table(plan, atlas, draw, volumes_mm3=volumes, measure=AXONS)
        effects = analyse(frame, animals_frame(plan), design, structures=atlas.structures).effects
        scores += score_effects(tested(effects), truth, alpha=ALPHA)
    share = [s.found / s.planted for s in scores]
    false = [s.false / max(s.false + s.found, 1) for s in scores]
    rows = [
        ("planted regions found, mean", "-", f"{np.mean(share):.0%} of {scores[0].planted}"),
        ("false discovery rate", "<= 5 %", f"{np.mean(false):.1%}"),
    ]
    table((f"{draws} tables without images", "asked", "measured"), rows)


def named(plan, group):
    return [one.animal for one in plan.animals if one.group == group]


def report(out, plan):
    tree = open_atlas(PHANTOM_ATLAS).structures
    planted = {e.acronym: e.fold for e in TREATED.effects if e.measure == AXONS}
    groups = (named(plan, TREATED), named(plan, CONTROL))
    score = score_axons(out / "run", out / "truth", groups, planted, tree)
    whole = tested(area_effects(out, tree)).set_index("acronym")
    rows = [
        (
            one.acronym,
            f"{one.planted:+.0%}",
            f"{one.real:+.1%}",
            f"{one.traced:+.1%}",
            f"{100 * (one.traced - one.real):+.1f}",
            f"{whole.q.get(one.acronym, np.nan):.2g}",
        )
        for one in score.group_changes
    ]
    table(("structure", "planted", "real", "traced", "error, points (<= 5)", "q (< .05)"), rows)
    others = whole[~whole.index.isin(planted)]
    regions = read_table(out / "run" / "effects.parquet", EFFECTS)
    truth = read_any_table(out / "truth" / "effects.parquet")
    (fine,) = score_effects(tested(regions), truth, alpha=ALPHA)
    worst = max(abs(one.traced - one.real) for one in score.group_changes)
    found = sum(whole.q.get(name, 1.0) < ALPHA for name in planted)
    table(
        ("", "asked", "measured"),
        [
            ("largest error of a planted change", "<= 5 points", f"{100 * worst:.1f}"),
            ("planted areas found (q < .05)", "all", f"{found} of {len(planted)}"),
            ("other areas called", "-", f"{int((others.q < ALPHA).sum())} of {len(others)}"),
            ("planted regions found, right sign", "-", f"{fine.found} of {fine.planted}"),
            ("planted regions, right sign", "all", f"{fine.right_sign} of {fine.planted}"),
            ("other regions called", "-", f"{fine.false} of {fine.unplanted}"),
            ("region lengths against planted, r", "-", f"{score.length_correlation:.3f}"),
            (
                "traced over planted length, median (p10 to p90)",
                "-",
                f"{score.recovery_median:.2f} ({score.recovery_p10:.2f} to "
                f"{score.recovery_p90:.2f})",
            ),
        ],
    )


def table(head, rows):
    print("\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="keep the study here; there already: go on")
    parser.add_argument("--animals", type=int, default=4, help="per group")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    plan = default_cohort(
        seed=options.seed, animals_per_group=options.animals, groups=(CONTROL, TREATED)
    )
    if options.draws:
        without_images(plan, options.draws)
    with tempfile.TemporaryDirectory() as folder:
        out = options.out or Path(folder) / "study"
        make_and_run(out, plan, options.workers)
        print(f"\n{len(plan.animals)} brains, seed {options.seed}")
        report(out, plan)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(f"\n{sum(u.ru_utime + u.ru_stime for u in used):.0f} CPU-s")


if __name__ == "__main__":
    main()
