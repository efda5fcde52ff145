"""Calibration of shrunken effects: how often intervals leave zero where nothing was done, and RMSE.

Run ``python benchmarks/shrinkage.py [draws]``; needs the extra ``bayes``; about a CPU-minute
a draw.  Null splits are of the real MDMA mice of `group_tables.py`; S0 and S2 are those of
`group_statistics.py`.  Shrunken effects may serve as tests only if few null reports have a
region whose 95 % interval leaves zero; with 300 regions, 10 % of reports is the bar.
"""

import sys
import time
from itertools import combinations

import numpy as np
import pandas as pd

from group_statistics import S0, S2, one
from group_tables import Brains, load
from ketamap.core.atlas import Structures
from ketamap.stats.bayes import Sampling, shrink
from ketamap.stats.factors import animal_factors, log_density

LN2 = np.log(2.0)
SAMPLING = Sampling(warmup=400, draws=400, chains=4)


def effects_of(fit, ids):
    """An effects table of one fit."""
    blocks = [
        pd.DataFrame({"region_id": [997], "acronym": "root", "estimand": "shift",
                      "estimate_log2": fit.shift.estimate / LN2, "se_log2": fit.shift.se / LN2,
                      "df": fit.shift.df, "testable": True}),
        pd.DataFrame({"region_id": ids, "acronym": [f"R{k}" for k in ids], "estimand": "relative",
                      "estimate_log2": fit.relative.estimate[:, 0] / LN2,
                      "se_log2": fit.relative.se[:, 0] / LN2, "df": fit.relative.df[:, 0],
                      "testable": np.isfinite(fit.relative.se[:, 0])}),
    ]  # fmt: skip
    return pd.concat(blocks, ignore_index=True).assign(measure="cells", contrast="b vs a")


def tree_of(ids):
    """Twelve divisions of neighbouring regions."""
    tops = np.arange(1, 13)
    parts = np.array_split(np.asarray(ids), len(tops))
    parents = np.concatenate([np.full(len(p), t) for p, t in zip(parts, tops, strict=True)])
    return Structures(
        ids=np.r_[997, tops, ids],
        acronyms=("root", *(f"D{t}" for t in tops), *(f"R{k}" for k in ids)),
        names=("root", *(f"D{t}" for t in tops), *(f"R{k}" for k in ids)),
        parent_ids=np.r_[0, np.full(len(tops), 997), parents],
        colors=np.zeros((1 + len(tops) + len(ids), 3), dtype=np.uint8),
    )


def values_of(density_ln, factor_ln, ids):
    """Values of an analysis."""
    names = [f"m{k}" for k in range(len(density_ln))]
    return pd.DataFrame(
        {
            "animal": np.repeat(np.array(names, dtype=object), len(ids)),
            "region_id": np.tile(ids, len(names)),
            "log2_relative": ((density_ln - factor_ln[:, None]) / LN2).ravel(),
        }
    )


def scored(fit, truth, density_ln, group):
    """Flags and errors of one fit; truth in natural logs, relative."""
    ids = 1000 + np.arange(len(truth))
    factor = animal_factors(density_ln, np.isfinite(fit.relative.se[:, 0]))
    found = shrink(
        effects_of(fit, ids),
        tree_of(ids),
        contrast="b vs a",
        values=values_of(density_ln, factor, ids),
        groups={f"m{k}": str(g) for k, g in enumerate(group)},
        sampling=SAMPLING,
    )
    frame = found.frame[found.frame["estimand"] == "relative"]
    true = truth[frame["region_id"].to_numpy() - 1000] / LN2
    off = (frame["low_log2"] > 0) | (frame["high_log2"] < 0)
    inside = (frame["low_log2"] <= true) & (true <= frame["high_log2"])
    return {
        "any region off zero": float(off[true == 0].any()),
        "regions off zero": off[true == 0].mean(),
        "interval covers": inside.mean(),
        "RMSE moderated, log2": np.sqrt(np.mean((frame["estimate_log2"] - true) ** 2)),
        "RMSE shrunken, log2": np.sqrt(np.mean((frame["shrunken_log2"] - true) ** 2)),
        "worst R-hat": found.worst_rhat,
        "least ESS": found.least_ess,
    }


def real_null(draws):
    """Fits of random splits of eight MDMA mice."""
    table, animals = load("aboharb2025_B3", ["MDMA"])
    brains, n = Brains(table, animals), len(animals)
    splits = list(combinations(range(1, n), n // 2))
    for k in np.random.default_rng(1).permutation(len(splits))[:draws]:
        group = ["b" if i in splits[k] else "a" for i in range(n)]
        fit = brains.fit(group)[0]
        x = log_density(brains.regions.counts, brains.regions.extents)
        yield fit, np.zeros(x.shape[1]), x, group


def made(setting, draws):
    """Fits of made-up cohorts."""
    for k in range(draws):
        fit, truth, density, group = one(setting, np.random.default_rng([12, k]))
        yield fit, truth - np.median(truth), np.log(density), group


def main():
    """Print the means."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    for name, fits in (
        ("B3 MDMA, null splits", real_null(draws)),
        (S0.name, made(S0, draws)),
        (S2.name, made(S2, draws)),
    ):
        start = time.process_time()
        mean = pd.DataFrame([scored(*cohort) for cohort in fits]).mean()
        each = (time.process_time() - start) / draws
        print(
            f"\n{name}: {draws} draws, {each:.0f} CPU s each\n{mean.round(3).to_string()}",
            flush=True,
        )


if __name__ == "__main__":
    main()
