"""Simulation: time and memory of a cohort, of one subject and of the scorecard.

Run ``python benchmarks/simulation.py``; ``--animals`` and ``--workers`` set the cohort.
Goal: 1,000 animals x 14 days, hourly, in 60 s on two cores and 2 GB.  CPU seconds include the
start of the workers.  ``--write-scorecard docs/scorecard.md`` makes the committed scorecard.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np

from ketamap.core.dosing import Dose, DosingPlan, Subject, repeat
from ketamap.simulate.engine import shared_engine
from ketamap.simulate.population import simulate_cohort
from ketamap.simulate.scorecard import DEFAULT_DRAWS, DEFAULT_SEED, run_scorecard
from ketamap.simulate.scorecard_draws import calibrated_draws, score_draws
from ketamap.simulate.scorecard_text import scorecard_markdown, scorecard_summary

COLUMNS = (
    "plasma_ketamine_ng_per_ml", "occupancy_receptor", "glutamate", "gaba", "da_pfc", "da_acb",
    "da_cp", "bdnf", "mtor", "spine_density", "mood_effect", "th_response",
)  # fmt: skip


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


def peak_gb():
    """Peak of this process plus the largest child's, GB."""
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return [part.ru_maxrss / 1e6 for part in parts]


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--animals", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument(
        "--write-scorecard", type=Path, help="run the whole scorecard, write it here and stop"
    )
    args = parser.parse_args()
    if args.write_scorecard:
        frame = run_scorecard(
            DEFAULT_DRAWS, seed=DEFAULT_SEED, workers=args.workers, progress=Eta()
        )
        text = scorecard_markdown(frame, n_draws=DEFAULT_DRAWS, seed=DEFAULT_SEED)
        args.write_scorecard.write_text(text, encoding="utf-8")
        print(scorecard_summary(frame))
        return
    hours = np.arange(337.0)
    engine = shared_engine(COLUMNS, 1e-6)
    start = time.process_time()
    for _ in range(10):
        engine.simulate(mouse_plan(), times_h=hours)
    print(f"one mouse, 14 days hourly: {100 * (time.process_time() - start):.1f} ms CPU")
    wall, cpu = time.perf_counter(), cpu_s()
    simulate_cohort(
        mouse_plan(), args.animals, columns=COLUMNS, times_h=hours, workers=args.workers
    )
    own, child = peak_gb()
    print(
        f"{args.animals} mice x 14 days hourly, {args.workers} workers: "
        f"{time.perf_counter() - wall:.1f} s wall, {cpu_s() - cpu:.1f} s CPU, peak memory "
        f"{own:.2f} GB + {args.workers} x {child:.2f} GB"
    )
    start = time.process_time()
    score_draws(range(args.draws), DEFAULT_SEED)
    each = (time.process_time() - start) / args.draws
    start = time.process_time()
    found, tried = calibrated_draws(args.draws, seed=DEFAULT_SEED)
    search = (time.process_time() - start) / len(found)
    whole = DEFAULT_DRAWS * (2 * each + search)
    print(
        f"scorecard: {each:.2f} s CPU per draw, {search:.2f} s to find a calibrated one (one of "
        f"{tried / len(found):.0f} draws), {whole / 60:.1f} CPU-minutes for {DEFAULT_DRAWS} of each"
    )


if __name__ == "__main__":
    main()
