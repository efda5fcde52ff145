"""Fits: how often 95 % intervals hold what was planted, and what a fit costs.

Run ``python benchmarks/fitting.py``; ``--cohorts`` sets the number of planted cohorts.
A one-compartment model in closed form stands for the animals, so that hundreds can be fitted.
"""

import argparse
import time

import numpy as np

from ketamap.simulate.fitting_population import AnimalData, fit_animals

TIMES_H = np.array([0.1, 0.25, 0.5, 1.0, 2.0, 4.0])
TYPICAL = {"CL": 2.0, "V": 1.0}
SPREAD = {"CL": 0.3, "V": 0.2}
ERROR_LN = 0.15


def bolus_ln(logs):
    clearance, volume = np.exp(logs)
    return np.log(10.0 / volume) - clearance / volume * TIMES_H


def planted(n_animals, seed):
    rng = np.random.default_rng(seed)
    for k in range(n_animals):
        own = np.log(list(TYPICAL.values())) + rng.normal(0.0, list(SPREAD.values()))
        yield AnimalData(f"{k}", bolus_ln(own) + rng.normal(0.0, ERROR_LN, len(TIMES_H)), bolus_ln)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=200)
    args = parser.parse_args()
    for n_animals in (4, 6, 8, 12):
        began = time.process_time()
        inside = {name: np.zeros(2) for name in TYPICAL}
        ratio = []
        for seed in range(args.cohorts):
            table = fit_animals(list(planted(n_animals, seed)), list(TYPICAL), np.log([3.0, 0.7]))
            for row in table.estimates.to_dict("records"):
                name = row["parameter"]
                inside[name] += [
                    row["low_95"] <= TYPICAL[name] <= row["high_95"],
                    row["spread_low_95"] <= SPREAD[name] <= row["spread_high_95"],
                ]
            ratio.append(table.residual_sd_ln / ERROR_LN)
        cost = (time.process_time() - began) / args.cohorts
        told = "; ".join(
            f"{name} typical {value / args.cohorts:.3f}, spread {spread / args.cohorts:.3f}"
            for name, (value, spread) in inside.items()
        )
        print(
            f"{n_animals:>2} animals: coverage of 95 % intervals: {told}; error sd found over "
            f"planted {np.mean(ratio):.2f}; {cost:.2f} CPU-s per fit"
        )


if __name__ == "__main__":
    main()
