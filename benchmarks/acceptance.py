"""All acceptance cases of the statistics: what was asked, what is measured, whether it passes.

Run ``python benchmarks/acceptance.py [draws] [--voxels]``; three CPU-minutes for 100 draws, and
eight more with ``--voxels`` (maps of 24 animals, 1,000 permutations).  Numbers in front are those
of the list of cases that the study of methods ends with.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import dose_duration
import group_statistics
import group_tables
import power
import voxelwise
from ketamap.stats import moderate
from ketamap.stats.model import fit_linear

LIMMA = Path(__file__).parents[1] / "tests" / "stats" / "data"


def limma_case():
    """6: the stored case of R limma, with its trend and without."""
    table, theirs = (pd.read_csv(LIMMA / f"limma_{name}.csv") for name in ("input", "output"))
    who = table.drop_duplicates("animal").sort_values("animal")
    groups = [(who["group"] == g).to_numpy(dtype=float) for g in ("low", "high")]
    design = np.column_stack([np.ones(len(who)), *groups, who["sex"]])
    worst = 0.0
    for column, suffix in (("value", ""), ("holes", "missing")):
        values = table.pivot(index="animal", columns="region", values=column).to_numpy()
        fit = fit_linear(values, design, np.array([[0.0, 0.0, 1.0, 0.0]]))
        for trend, word in (("none", "plain"), ("spline", "trend")):
            found = moderate(fit.variance, fit.df, np.nanmean(values, axis=0), trend=trend)
            t = fit.effect[:, 0] / np.sqrt(found.variance * fit.scale[:, 0])
            case = f"{suffix} {word}".strip().removesuffix(" plain")
            limma = theirs.loc[theirs["case"] == case, "t"].to_numpy()
            worst = max(worst, float(np.max(np.abs(t / limma - 1.0))))
    return ("6 R limma: moderated t, largest relative difference", "<= 1e-10", f"{worst:.1e}",
            worst <= 1e-10)  # fmt: skip


def permutation_case():
    """10,000 permutations of 300 regions x 40 animals."""
    seconds = power.permutation_seconds()
    return ("10,000 permutations, 300 regions x 40 animals, one contrast: CPU s", "<= 60",
            f"{seconds:.2f}", seconds <= 60.0)  # fmt: skip


def main():
    """Print the cases."""
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    draws = numbers[0] if numbers else 100
    group_statistics.speed()
    print(f"{draws} draws or more for each rate, alpha {group_statistics.ALPHA}")
    rows = [
        *group_tables.acceptance(draws),
        limma_case(),
        *group_statistics.acceptance(draws),
        permutation_case(),
        *dose_duration.acceptance(draws),
        *(voxelwise.acceptance(1000) if "--voxels" in sys.argv else []),
    ]
    group_tables.show(rows)
    failed = sum(passed is not None and not passed for *_, passed in rows)
    print(f"{len(rows)} rows, {failed} not passed")


if __name__ == "__main__":
    main()
