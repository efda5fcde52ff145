"""Error rates, power, coverage and speed of the group statistics, on made-up cohorts.

Run ``python benchmarks/group_statistics.py [draws]``; about a minute for 100 draws.

Counts are Poisson around density x volume x exp(animal factor + regional noise).  The
regional SD differs between regions (log-normal, spread 0.35 around its median).  Effects
are +-ln 2 (half up, half down) unless the setting says otherwise.
"""

import sys
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ketamap.core.atlas import Structures
from ketamap.core.settings import Design
from ketamap.stats import analyse, bh, fit_two_components, report_q
from ketamap.stats.factors import animal_factors, factor_regions, log_density
from ketamap.stats.testability import LEAST_MEAN_COUNT, LEAST_VOLUME_MM3

ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One kind of cohort."""

    name: str
    groups: tuple[int, ...] = (6, 6)
    factor_sd: float = 0.4
    region_sd: float = 0.2
    changed: float = 0.0
    up: float = 0.5
    noisy: float = 1.0
    """Variance of the first group over that of the others, regions and factor alike."""

    n_regions: int = 312


SETTINGS = (
    Setting(name="null, demo noise, 4 v 4 v 4", groups=(4, 4, 4), factor_sd=0.15, region_sd=0.10),
    Setting(name="S0 null, 5 v 5", groups=(5, 5), factor_sd=0.35),
    Setting(name="S0 null, 4 v 4 v 4", groups=(4, 4, 4), factor_sd=0.35, region_sd=0.35),
    Setting(name="S1 10 % changed, 5 v 5", groups=(5, 5), factor_sd=0.0, changed=0.1),
    Setting(name="S2 20 % changed, 6 v 6", changed=0.2),
    Setting(name="S2 with SD .35, 6 v 6", changed=0.2, region_sd=0.35),
    Setting(name="S3 60 % up, 6 v 6", changed=0.6, up=1.0),
    Setting(name="S5 as S2, 4 v 4", groups=(4, 4), factor_sd=0.35, changed=0.2),
    Setting(name="demo noise, 15 % changed, 4 v 4 v 4", groups=(4, 4, 4), factor_sd=0.15,
            region_sd=0.10, changed=0.15),
    Setting(name="null, 4 v 8, first 4x variance", groups=(4, 8), factor_sd=0.35, noisy=4.0),
    Setting(name="null, 4 v 8, first 2x variance", groups=(4, 8), factor_sd=0.35, noisy=2.0),
    Setting(name="null, 4 v 8", groups=(4, 8), factor_sd=0.35),
    Setting(name="null, 4 v 4 v 4, first 4x", groups=(4, 4, 4), factor_sd=0.35, noisy=4.0),
    Setting(name="20 % changed, 4 v 8", groups=(4, 8), factor_sd=0.35, changed=0.2),
    Setting(name="20 % changed, 4 v 8, first 4x", groups=(4, 8), changed=0.2, noisy=4.0),
)  # fmt: skip


def draw(setting, rng):
    """Return counts, volumes, group of each animal, and true ln changes of the last group."""
    n = setting.n_regions
    group = np.repeat(np.arange(len(setting.groups)), setting.groups)
    volume, density = np.exp(rng.normal(-1.0, 1.2, n)), np.exp(rng.normal(5.5, 0.9, n))
    sd = setting.region_sd * np.exp(rng.normal(0.0, 0.35, n))
    truth = np.zeros(n)
    hit = rng.permutation(n)[: round(setting.changed * n)]
    truth[hit] = np.log(2.0) * np.where(rng.uniform(size=hit.size) < setting.up, 1.0, -1.0)
    spread = np.sqrt(np.where(group == 0, setting.noisy, 1.0))[:, None]
    factor = rng.normal(0.0, setting.factor_sd, (group.size, 1)) * spread
    log = factor + spread * rng.normal(0.0, 1.0, (group.size, n)) * sd
    log = log + np.outer(group == group.max(), truth)
    return rng.poisson(density * volume * np.exp(log)).astype(float), volume, group, truth


def one(setting, rng):
    """Analyse one cohort; the last contrast carries the effects."""
    counts, volume, group, truth = draw(setting, rng)
    keep = (counts.mean(axis=0) >= LEAST_MEAN_COUNT) & (volume >= LEAST_VOLUME_MM3)
    x = log_density(counts, np.broadcast_to(volume, counts.shape))[:, keep]
    factor = animal_factors(x, factor_regions(counts[:, keep], np.ones(keep.sum(), dtype=bool)))
    labels = range(1, len(setting.groups))
    design = np.column_stack([np.ones(group.size), *[group == g for g in labels]]).astype(float)
    names = [str(g) for g in group]
    fit = fit_two_components(x, factor, design, np.eye(len(setting.groups))[1:], groups=names)
    return fit, truth[keep]


def score(setting, draws, seed):
    """Rates over many cohorts."""
    rows = []
    for k in range(draws):
        fit, truth = one(setting, np.random.default_rng([seed, k]))
        rel, ab = fit.relative.p, fit.absolute.p
        q = report_q(fit.shift.p, rel, ab)
        families = [rel[:, j] for j in range(rel.shape[1])]
        families += [ab[:, j] for j in range(rel.shape[1])]
        plain = [bh(p) for p in families]
        row = {
            "any": any((v < ALPHA).any() for v in q),
            "any_regional": (q.relative < ALPHA).any() or (q.absolute < ALPHA).any(),
            "any_plain_bh": any((v < ALPHA).any() for v in plain),
            "any_per_family": np.mean([(v < ALPHA).any() for v in plain]),
        }
        relative_truth = truth - np.median(truth)
        for name, estimates, p, true in (
            ("rel", fit.relative, q.relative[:, -1], relative_truth),
            ("abs", fit.absolute, q.absolute[:, -1], truth),
        ):
            called, real = p < ALPHA, true != 0
            low, high = estimates.interval()
            row[f"fdr_{name}"] = (called & ~real).sum() / max(called.sum(), 1)
            row[f"power_{name}"] = called[real].mean() if real.any() else np.nan
            row[f"cover_{name}"] = np.mean((low[:, -1] <= true) & (true <= high[:, -1]))
        plain_rel = plain[rel.shape[1] - 1] < ALPHA
        row["power_rel_plain_bh"] = plain_rel[truth != 0].mean() if truth.any() else np.nan
        rows.append(row)
    return pd.DataFrame(rows).astype(float).mean()


def speed():
    """CPU seconds of the whole analysis: 300 regions x 40 animals, 9 coefficients."""
    n, a = 300, 45
    rng = np.random.default_rng(0)
    ids = np.r_[997, np.arange(1, n + 1)]
    tree = Structures(
        ids=ids,
        acronyms=("root", *(f"R{k}" for k in range(1, n + 1))),
        names=("root", *(f"Region {k}" for k in range(1, n + 1))),
        parent_ids=np.r_[0, np.full(n, 997)],
        colors=np.zeros((n + 1, 3), dtype=np.uint8),
    )
    names = [f"m{k}" for k in range(a)]
    table = pd.DataFrame(
        {
            "animal": np.repeat(np.array(names, dtype=object), n),
            "region_id": np.tile(ids[1:], a),
            "count": rng.poisson(200, n * a),
            "volume_mm3": 1.0,
        }
    )
    cells = [(d, t) for d in (0, 30, 100) for t in (1, 5, 10)]
    animals = pd.DataFrame(
        [cells[k % 9] for k in range(a)], columns=["dose_mg_per_kg", "days"]
    ).assign(animal=names)
    design = Design(control=0, dose="dose_mg_per_kg", duration="days")
    start = time.process_time()
    analyse(table, animals, design, structures=tree)
    return time.process_time() - start


def main():
    """Print the tables."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    speed()
    print(f"300 regions x 45 animals x 9 coefficients: {speed():.3f} CPU s")
    found = {s.name: score(s, draws, k) for k, s in enumerate(SETTINGS)}
    with pd.option_context("display.width", 250, "display.max_columns", None):
        print(f"{draws} draws, alpha {ALPHA}")
        print(pd.DataFrame(found).T.round(3).to_string())


if __name__ == "__main__":
    main()
