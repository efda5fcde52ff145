"""Predicted power at published noise, against simulated analyses; speed of the permutation check.

Run ``python benchmarks/power.py [draws]``; two CPU-minutes for 60 draws.  For each noise and
number of animals the change is sought at which the predicted mean power is 0.80; the power
that the analysis then has is simulated, animal factors estimated.
"""

import sys
import time

import numpy as np
import pandas as pd

from ketamap.stats import PowerPlan, fit_two_components, library_noise, power_frames, report_q
from ketamap.stats.factors import animal_factors
from ketamap.stats.noise import LIBRARY
from ketamap.stats.permutation import Permutations, permuted_maximum
from ketamap.stats.power import absolute_power, relative_power

PLAN = PowerPlan()
CASES = (
    ("Aboharb 2025, MDMA (c-Fos, light sheet)", 4),
    ("Davoudian 2023 (c-Fos, light sheet)", 6),
    ("Dimmock 2025 (c-Fos, sections)", 8),
    ("Aboharb 2025, ketamine (c-Fos, light sheet)", 12),
)


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


def effect_of(noise, n, predict):
    """Change (ln) at which the predicted mean power is 0.80."""
    low, high = 0.05, 6.0
    for _ in range(20):
        middle = np.sqrt(low * high)
        enough = predict(noise, n, middle, PLAN).mean() >= 0.8
        low, high = (low, middle) if enough else (middle, high)
    return high


def observed(noise, n, effect, seed):
    """Share of changed regions found in one simulated study: relative, absolute."""
    rng, size = np.random.default_rng([3, seed]), len(noise.variance)
    truth = np.zeros(size)
    hit = rng.permutation(size)[: round(PLAN.changed * size)]
    truth[hit] = effect * np.where(np.arange(hit.size) % 2, 1.0, -1.0)
    group = np.repeat([0.0, 1.0], n)
    x = rng.normal(5, 1, size) + rng.normal(size=(2 * n, size)) * np.sqrt(noise.variance)
    x = x + np.outer(group, truth) + rng.normal(0, np.sqrt(noise.factor_variance), (2 * n, 1))
    f = animal_factors(x, np.ones(size, dtype=bool))
    fit = fit_two_components(x, f, np.c_[np.ones(2 * n), group], np.array([[0.0, 1.0]]))
    q = report_q(fit.shift.p, fit.relative.p, fit.absolute.p)
    return (q.relative[hit] < PLAN.alpha).mean(), (q.absolute[hit] < PLAN.alpha).mean()


def prediction(draws):
    """Predicted 0.80 against observed, one row per noise and estimand."""
    for name, n in CASES:
        noise = library_noise(name)
        for k, predict in enumerate((relative_power, absolute_power)):
            effect = effect_of(noise, n, predict)
            found = [observed(noise, n, effect, d)[k] for d in range(draws)]
            mean, error = np.mean(found), np.std(found) / np.sqrt(draws)
            print(
                f"{'absolute' if k else 'relative'}, {name}, n = {n}, {np.exp(effect):.2f}-fold: "
                f"predicted .80, observed {mean:.3f} +- {error:.3f} "
                f"{'yes' if abs(mean - 0.8) <= 0.05 else 'NO'}",
                flush=True,
            )


def main():
    """Print the tables."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    print(f"10,000 permutations, 300 regions x 40 animals: {permutation_seconds():.2f} CPU s")
    prediction(draws)
    start = time.process_time()
    tables = [
        power_frames(library_noise(name), PLAN, sizes=(4, 6, 8, 12), folds=(2.0,))[0]
        for name in LIBRARY
    ]
    print(f"power of {len(LIBRARY)} noises: {time.process_time() - start:.1f} CPU s; 2-fold:")
    table = pd.concat(tables).pivot(
        index=["noise", "estimand"], columns="n_per_group", values="power"
    )
    print(table.round(2).to_string())


if __name__ == "__main__":
    main()
