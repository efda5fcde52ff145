"""Predicted power at published noise, and CPU seconds of power and of the permutation check.

Run ``python benchmarks/power.py``; half a minute.  That predictions are the power of the
analysis is tested in ``tests/stats/test_power.py``.
"""

import time

import numpy as np
import pandas as pd

from ketamap.stats import PowerPlan, library_noise, power_frames
from ketamap.stats.noise import LIBRARY
from ketamap.stats.permutation import Permutations, permuted_maximum


def permutation_seconds():
    """CPU seconds of 10,000 permutations, 300 regions x 40 animals, 9 groups, one contrast."""
    group = np.arange(40) % 9
    design = (group[:, None] == np.arange(9)).astype(float)
    values = np.random.default_rng(0).normal(size=(40, 300))
    contrast = np.r_[-1.0, 1.0, np.zeros(7)]
    start = time.process_time()
    how = Permutations(count=10_000, alpha=0.05)
    permuted_maximum(values, design, contrast, ["all"] * 40, how)
    return time.process_time() - start


def main():
    """Print the tables."""
    print(f"10,000 permutations, 300 regions x 40 animals: {permutation_seconds():.2f} CPU s")
    start = time.process_time()
    tables = [
        power_frames(library_noise(name), PowerPlan(), sizes=(4, 6, 8, 12), folds=(2.0,))[0]
        for name in LIBRARY
    ]
    print(f"power of {len(LIBRARY)} noises: {time.process_time() - start:.1f} CPU s; 2-fold:")
    table = pd.concat(tables).pivot(
        index=["noise", "estimand"], columns="n_per_group", values="power"
    )
    print(table.round(2).to_string())


if __name__ == "__main__":
    main()
