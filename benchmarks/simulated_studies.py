"""Simulated studies: what is called with nothing planted, and what comes back of what was.

Run ``python benchmarks/simulated_studies.py``; ``--cohorts`` and ``--n`` set their number and
the mice per group.  Goals: nothing found in nine of ten cohorts without effects, both measures
together; planted signs come back.
"""

import argparse
import time

import numpy as np

from ketamap.core.settings import Design
from ketamap.phantom.density import own_volumes_mm3
from ketamap.simulate.study import MEASURED_NOISE_LN, StudyGroup, StudySettings, simulated_study
from ketamap.stats import analyse
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.simulation_study import MEASURES, STUDY_ATLAS, StudyPlan, truth_of

SINGLE = tuple(StudyGroup(dose_mg_per_kg=dose, days=10) for dose in (0.0, 100.0))
NINE = tuple(StudyGroup(dose_mg_per_kg=d, days=n) for d in (0.0, 30.0, 100.0) for n in (1, 5, 10))


def answers(groups, n, seed, settings, *, effects, atlas, volumes):
    """Return the relative and all effects of both measures, and what was planted."""
    regions, animals = simulated_study(
        groups, n, seed, effects=effects, structures=atlas.structures, volumes_mm3=volumes,
        settings=settings,
    )  # fmt: skip
    duration = "days" if len({g.days for g in groups}) > 1 else None
    for measure in MEASURES:
        design = Design(
            dose="dose_mg_per_kg", duration=duration, control=0.0, measures=(measure,),
            permutations=0,
        )  # fmt: skip
        yield measure, analyse(regions, animals, design, structures=atlas.structures).effects


def quiet_share(groups, n, cohorts, settings, **where):
    """Share of cohorts without effects in which no estimand of no measure is called."""
    quiet = 0
    for seed in range(cohorts):
        found = answers(groups, n, seed, settings, effects=False, **where)
        quiet += not any((effects["q"] < 0.05).any() for _, effects in found)
    return quiet / cohorts


def recovered(n, cohorts, settings, **where):
    """Print shares of planted changes with the right sign and called, by measure."""
    plan = StudyPlan(name="benchmark", groups=SINGLE)
    tallies = {measure: np.zeros(4) for measure in MEASURES}
    for seed in range(cohorts):
        for measure, effects in answers(SINGLE, n, seed, settings, effects=True, **where):
            relative = effects[effects["estimand"] == "relative"]
            truth = truth_of(relative, plan, where["atlas"].structures, settings)
            both = relative.merge(
                truth[["region_id", "measure", "contrast", "planted_log2"]],
                on=["region_id", "measure", "contrast"],
            )
            planted = both["planted_log2"] != 0.0
            same = both["estimate_log2"] * both["planted_log2"] > 0.0
            called = both["q"] < 0.05
            counts = (planted, same, called & same, called & ~same)
            tallies[measure] += [int(one.sum()) for one in counts]
    for measure, (planted, same, right, wrong) in tallies.items():
        print(
            f"  {measure:<15} n={n:<3} right sign {same / planted:.2f}  called with it "
            f"{right / planted:.2f}  false calls per cohort {wrong / cohorts:.2f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=30)
    parser.add_argument("--n", type=int, nargs="+", default=[6, 12])
    args = parser.parse_args()
    atlas = open_atlas(STUDY_ATLAS)
    where = {"atlas": atlas, "volumes": own_volumes_mm3(atlas)}
    began = time.process_time()
    print(f"Cohorts without effects in which nothing is called, of {args.cohorts}:")
    for name, (animal, region) in MEASURED_NOISE_LN.items():
        settings = StudySettings(animal_sd_ln=animal, region_sd_ln=region)
        share = quiet_share(SINGLE, 6, args.cohorts, settings, **where)
        print(f"  {name:<18} two groups of 6: {share:.2f}")
    share = quiet_share(NINE, 6, args.cohorts, StudySettings(), **where)
    print(f"  {'the default':<18} nine groups of 6: {share:.2f}")
    print("Planted changes of 100 mg/kg for ten days, default noise:")
    for n in args.n:
        recovered(n, args.cohorts, StudySettings(), **where)
    print(f"{time.process_time() - began:.0f} CPU-s")


if __name__ == "__main__":
    main()
