"""Whether a cohort template lowers the error of registration: through it, and each brain alone.

Run from the repository root, with the shared test data beside it or named by
KETAMAP_TEST_DATA::

    python benchmarks/registration_template.py [um] [rounds]   # 200 um and 3 rounds by default

A cohort is eight brains of `registration_cases.whole`: each has a warp, pose, bias, noise and
brightness of regions of its own; the cohort has, on top, a stain of its own that the atlas lacks
(brightness of each region by another 30 %).  Prints the median and 95th percentile of the error
of each brain alone and through the template, and CPU seconds.
"""

import sys
import time
from dataclasses import replace

import numpy as np

from ketamap.register.engine import Picture, Schedule, fit
from ketamap.register.prepare import enhance, isotropic_grid, resample_to
from ketamap.register.reference import reference_at
from ketamap.register.template import average_brains, compose, widened
from registration import ccf, true_places
from registration_cases import whole

COHORTS = {"own stain": 0.3, "stain of the atlas": 0.0}
SEEDS = range(201, 209)


def stained(atlas, spread, seed):
    """The atlas with every region brighter or darker: the stain of a cohort."""
    rng = np.random.default_rng(seed)
    ids, rows = np.unique(atlas.annotation, return_inverse=True)
    gain = np.exp(rng.normal(0.0, spread, ids.size))[rows.reshape(atlas.grid.shape)]
    return replace(atlas, template=(atlas.template * gain).astype(np.float32))


def percentiles_um(case, transform):
    sample, places = true_places(case)
    error = np.linalg.norm(transform.to_atlas(sample[::5]) - places[::5], axis=1)
    return np.nanpercentile(error, (50, 95))


def picture_of(case, um):
    grid = isotropic_grid(case.volume.grid, um)
    return Picture(
        image=enhance(resample_to(case.volume.load(), case.volume.grid, grid)), grid=grid
    )


def compare(atlas, spread, um, rounds):
    """Print the errors of one cohort, alone and through its template."""
    source = stained(atlas, spread, 77)
    cases = [replace(whole(source, seed), atlas=atlas) for seed in SEEDS]
    schedule = Schedule()
    reference = reference_at(atlas, um)
    fixed = Picture(image=enhance(reference.template), grid=reference.grid)
    brains = [picture_of(case, um) for case in cases]
    start = time.process_time()
    alone = [fit(fixed, brain, schedule) for brain in brains]
    between = time.process_time()
    template = average_brains(brains, fixed, schedule, rounds=rounds)
    onto = widened(fit(fixed, template, schedule))
    members = (widened(fit(template, brain, schedule)) for brain in brains)
    through = [compose(onto, member, fixed.grid) for member in members]
    end = time.process_time()
    rows = np.array(
        [
            (*percentiles_um(case, one), *percentiles_um(case, two))
            for case, one, two in zip(cases, alone, through, strict=True)
        ]
    )
    for case, row in zip(cases, rows, strict=True):
        print(
            f"{case.name:24s} alone {row[0]:4.0f} /{row[1]:5.0f}  template {row[2]:4.0f} /{row[3]:5.0f}"
        )
    mean = rows.mean(axis=0)
    better = int(np.sum(rows[:, 2] < rows[:, 0]))
    print(
        f"mean alone {mean[0]:.1f} / {mean[1]:.0f} um ({between - start:.0f} CPU-s), through the "
        f"template {mean[2]:.1f} / {mean[3]:.0f} um ({end - between:.0f} CPU-s); {better} of "
        f"{len(rows)} brains better",
        flush=True,
    )


def main():
    um = float(sys.argv[1]) if len(sys.argv) > 1 else 200.0
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    for name, spread in COHORTS.items():
        print(f"{name}, {um:g} um, {rounds} rounds")
        compare(ccf(), spread, um, rounds)


if __name__ == "__main__":
    main()
