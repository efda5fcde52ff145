"""The simulator: exactness, scorecard, patterns, simulated studies, time and memory in one run.

Run ``python benchmarks/simulation.py``; about a quarter of an hour on one core, most of it the
scorecard (``--draws``).  ``--animals`` and ``--workers`` set the cohort.
Goals: 1,000 animals x 14 days, hourly, in 60 s on two cores and 2 GB; the first picture within
10 s.  CPU seconds include the start of the workers.  ``--write-scorecard docs/scorecard.md``
also makes the committed scorecard; ``--only`` runs some parts.  Parts import what they need
themselves: the workers of the cohort load this file.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ketamap.core.dosing import Dose, DosingPlan, Subject, repeat
from ketamap.simulate.engine import shared_engine
from ketamap.simulate.population import simulate_cohort
from ketamap.simulate.scorecard import DEFAULT_DRAWS, DEFAULT_SEED, run_scorecard

COLUMNS = (
    "plasma_ketamine_ng_per_ml", "occupancy_receptor", "glutamate", "gaba", "da_pfc", "da_acb",
    "da_cp", "bdnf", "mtor", "spine_density", "mood_effect", "th_response",
)  # fmt: skip
HOURS = np.arange(337.0)
EXAMPLE = Path(__file__).parent.parent / "examples" / "regimen_mouse_daily.yaml"
GLUTAMATE_DRAWS = 200
COHORTS = 10


def mouse_plan():
    dose = Dose(time_h=0.0, amount=30.0, unit="mg/kg", route="ip")
    return DosingPlan(
        name="30 mg/kg x 10 d",
        subject=Subject(species="mouse"),
        doses=repeat(dose, 24.0, 9),
        end_h=336.0,
    )


def cpu_s():
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in parts)


class Eta:
    """Prints how far a long run is, and when it will be done, at most every ten seconds."""

    def __init__(self):
        self.start = self.last = time.perf_counter()

    def __call__(self, done, total):
        now = time.perf_counter()
        if done and now - self.last > 10.0:
            self.last = now
            left = (now - self.start) * (total - done) / done
            print(f"{100 * done / total:.0f} %, about {left / 60:.0f} min left", file=sys.stderr)


def cost(args):
    engine = shared_engine(COLUMNS, 1e-6)
    start = time.process_time()
    for _ in range(10):
        engine.simulate(mouse_plan(), times_h=HOURS)
    print(f"one mouse, 14 days hourly: {100 * (time.process_time() - start):.1f} ms CPU")
    wall, cpu = time.perf_counter(), cpu_s()
    simulate_cohort(
        mouse_plan(), args.animals, columns=COLUMNS, times_h=HOURS, workers=args.workers,
        progress=Eta(),
    )  # fmt: skip
    wall, cpu = time.perf_counter() - wall, cpu_s() - cpu
    own, child = (
        resource.getrusage(who).ru_maxrss / 1e6
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(
        f"{args.animals} mice x 14 days hourly, {args.workers} workers: {wall:.1f} s wall, "
        f"{cpu:.1f} s CPU ({cpu / 2:.1f} s a core on two; goal 60), peak memory of this process "
        f"{own:.2f} GB, of its largest child {child:.2f} GB (goal 2 GB in all)"
    )


def first_picture(args):
    with tempfile.TemporaryDirectory() as folder:
        command = ["simulate", str(EXAMPLE), "--out", folder, "--draws", "0"]
        wall, cpu = time.perf_counter(), cpu_s()
        subprocess.run(
            [sys.executable, "-c", "from ketamap.cli.main import main; main()", *command],
            check=True,
            capture_output=True,
        )
        print(
            f"start of the command to the first picture on disk, {EXAMPLE.stem}: "
            f"{time.perf_counter() - wall:.1f} s wall, {cpu_s() - cpu:.1f} s CPU (goal 10 s)"
        )


def exactness(args):
    from simulation_checks import exactness as checks

    checks()


def glutamate(args):
    from simulation_checks import glutamate as shares

    shares(GLUTAMATE_DRAWS, DEFAULT_SEED)


def scorecard(args):
    from ketamap.simulate.scorecard_text import scorecard_markdown, scorecard_summary
    from simulation_checks import patterns

    began = cpu_s()
    frame = run_scorecard(args.draws, seed=DEFAULT_SEED, workers=args.workers, progress=Eta())
    found = scorecard_summary(frame)
    print(
        f"held-out rows: {found['nominal_in']} of {found['rows']} in nominally; in at least 70 % "
        f"of {args.draws} draws {found['passing']}, {found['passing_informative']} not "
        f"near-forced (conditioned {found['conditioned_passing']} and "
        f"{found['conditioned_passing_informative']}; prototype {found['prototype_passing']} and "
        f"{found['prototype_passing_informative']}); {cpu_s() - began:.0f} CPU-s"
    )
    patterns(frame)
    if args.write_scorecard:
        text = scorecard_markdown(frame, n_draws=args.draws, seed=DEFAULT_SEED)
        args.write_scorecard.write_text(text, encoding="utf-8")


def studies(args):
    from ketamap.phantom.density import own_volumes_mm3
    from ketamap.simulate.study import StudySettings
    from ketamap.workflow.atlases import open_atlas
    from ketamap.workflow.simulation_study import STUDY_ATLAS
    from simulated_studies import NINE, SINGLE, quiet_share
    from simulation_checks import study_end_to_end

    study_end_to_end()
    atlas = open_atlas(STUDY_ATLAS)
    where = {"atlas": atlas, "volumes": own_volumes_mm3(atlas)}
    for name, groups in (("two", SINGLE), ("nine", NINE)):
        share = quiet_share(groups, 6, COHORTS, StudySettings(), **where)
        print(
            f"no effects planted, {name} groups of 6, seeds 0 to {COHORTS - 1}, both measures: "
            f"nothing called in {COHORTS * share:.0f} of {COHORTS} cohorts (goal 9)"
        )


PARTS = {
    "exactness": exactness,
    "scorecard": scorecard,
    "glutamate": glutamate,
    "studies": studies,
    "cost": cost,
    "first": first_picture,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--animals", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--draws", type=int, default=DEFAULT_DRAWS)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--write-scorecard", type=Path, help="write the scorecard here too")
    args = parser.parse_args()
    for name in args.only:
        PARTS[name](args)


if __name__ == "__main__":
    main()
