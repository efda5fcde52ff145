"""Acceptance cases of the group statistics on made-up cohorts, and rates of further settings.

Run ``python benchmarks/group_statistics.py [draws] [--settings]``; a CPU-minute for 100 draws.
``--settings`` adds a table of further settings.  `acceptance.py` runs these cases with those on
real tables, of dose x duration and of voxel-wise maps.

Made-up counts are Poisson around density x volume x exp(animal factor + regional noise).
The regional SD differs between regions: median 0.28, log-normal spread 0.45, at which S2 costs
what it did in the study of methods (t tests of density with BH find .08, moderated relative
tests with plain BH .70 of the changes).  Effects are +-ln 2 (half up, half down) unless a setting says
otherwise; in S2, S3 and S5 whole branches of the tree change together.
"""

import sys
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from group_tables import show
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
    region_sd: float = 0.28
    spread: float = 0.45
    """Of ln SD between regions."""

    changed: float = 0.0
    up: float = 0.5
    noisy: float = 1.0
    """Variance of the first group over that of the others, in the regions."""

    noisy_factor: float | None = None
    """The same of the animal factor; None: as in the regions."""

    branches: bool = False
    """Whether whole branches of 4 to 16 regions change, each in one direction."""

    n_regions: int = 312


S0 = Setting(name="S0 null, 5 v 5", groups=(5, 5), factor_sd=0.35)
S1 = Setting(name="S1 10 % changed, 5 v 5", groups=(5, 5), factor_sd=0.0, changed=0.1)
S2 = Setting(name="S2 20 % in branches, 6 v 6", changed=0.2, branches=True)
S3 = Setting(name="S3 60 % up, 6 v 6", changed=0.6, up=1.0, branches=True)
S5 = Setting(name="S5 as S2, 4 v 4", groups=(4, 4), factor_sd=0.35, changed=0.2, branches=True)
UNEQUAL = Setting(name="null, 4 v 8, first 4x variance", groups=(4, 8), factor_sd=0.35, noisy=4.0)

SETTINGS = (
    Setting(name="null, demo noise, 4 v 4 v 4", groups=(4, 4, 4), factor_sd=0.15, region_sd=0.10,
            spread=0.35),
    Setting(name="null, 4 v 4 v 4", groups=(4, 4, 4), factor_sd=0.35),
    Setting(name="demo noise, 15 % changed, 4 v 4 v 4", groups=(4, 4, 4), factor_sd=0.15,
            region_sd=0.10, spread=0.35, changed=0.15),
    Setting(name="null, 4 v 8, first 2x variance", groups=(4, 8), factor_sd=0.35, noisy=2.0),
    Setting(name="null, 4 v 8, factor alone 4x", groups=(4, 8), factor_sd=0.35, noisy_factor=4.0),
    Setting(name="null, 4 v 8, equal variances", groups=(4, 8), factor_sd=0.35),
    Setting(name="null, 3 v 6, first 4x variance", groups=(3, 6), factor_sd=0.35, noisy=4.0),
    Setting(name="null, 4 v 4 v 4, first 4x", groups=(4, 4, 4), factor_sd=0.35, noisy=4.0),
    Setting(name="20 % changed, 4 v 8", groups=(4, 8), factor_sd=0.35, changed=0.2),
    Setting(name="20 % changed, 4 v 8, first 4x", groups=(4, 8), changed=0.2, noisy=4.0),
)  # fmt: skip


def draw(setting, rng):
    """Return counts, volumes, group of each animal, and true ln changes of the last group."""
    n = setting.n_regions
    group = np.repeat(np.arange(len(setting.groups)), setting.groups)
    volume, density = np.exp(rng.normal(-1.0, 1.2, n)), np.exp(rng.normal(5.5, 0.9, n))
    sd = setting.region_sd * np.exp(rng.normal(0.0, setting.spread, n))
    truth = changes(setting, rng)
    noisy_factor = setting.noisy if setting.noisy_factor is None else setting.noisy_factor
    first = (group == 0)[:, None]
    factor = rng.normal(0.0, setting.factor_sd, (group.size, 1))
    log = factor * np.where(first, np.sqrt(noisy_factor), 1.0)
    log = log + np.where(first, np.sqrt(setting.noisy), 1.0) * rng.normal(size=(group.size, n)) * sd
    log = log + np.outer(group == group.max(), truth)
    return rng.poisson(density * volume * np.exp(log)).astype(float), volume, group, truth


def changes(setting, rng):
    """True ln changes: single regions, or whole branches until enough regions are in them."""
    n, wanted = setting.n_regions, round(setting.changed * setting.n_regions)
    truth = np.zeros(n)
    if not setting.branches:
        hit = rng.permutation(n)[:wanted]
        truth[hit] = np.log(2.0) * np.where(rng.uniform(size=hit.size) < setting.up, 1.0, -1.0)
        return truth
    ends = np.cumsum(rng.integers(4, 17, n))
    branch = np.searchsorted(ends, np.arange(n), side="right")
    for k, one_branch in enumerate(rng.permutation(branch.max() + 1)):
        if np.count_nonzero(truth) >= wanted:
            break
        up = setting.up == 1.0 or k % 2 == 0
        truth[branch == one_branch] = np.log(2.0) * (1.0 if up else -1.0)
    return truth


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
    return fit, truth[keep], np.exp(x), group


def score(setting, draws, seed):
    """Rates over many cohorts."""
    rows = []
    for k in range(draws):
        fit, truth, density, group = one(setting, np.random.default_rng([seed, k]))
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
        row["plain"] = (
            (plain[rel.shape[1] - 1] < ALPHA)[truth != 0].mean() if truth.any() else np.nan
        )
        row["field"] = t_test_power(density, group, truth)
        low, high = fit.shift.interval()
        row["warned"] = bool(low[-1] > 0 or high[-1] < 0)
        rows.append(row)
    return pd.DataFrame(rows).astype(float).mean()


def t_test_power(density, group, truth):
    """What the field does: t tests of densities of the last group against the first, BH."""
    if not truth.any():
        return np.nan
    p = stats.ttest_ind(density[group == group.max()], density[group == 0]).pvalue
    return (bh(p) < ALPHA)[truth != 0].mean()


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


def acceptance(draws):
    """Rows of acceptance on made-up cohorts: case, asked, measured, passed."""
    rows = []
    held = {}
    for k, setting in enumerate((S0, S1, S2, S5)):
        r = held[setting.name] = score(setting, 4 * draws, 100 + k)
        for name, word in (("rel", "relative"), ("abs", "absolute")):
            cover = r[f"cover_{name}"]
            rows.append((f"13 coverage, {setting.name}, {word}", ".93 to .97", f"{cover:.3f}",
                         0.93 <= cover <= 0.97))  # fmt: skip
    s0, s2 = held[S0.name], held[S2.name]
    rows.append(("S0 null: reports with any finding", "<= .10", f"{s0['any']:.3f}",
                 s0["any"] <= 0.10))  # fmt: skip
    rows.append(("S2 absolute FDR", "<= .05", f"{s2.fdr_abs:.3f}", s2.fdr_abs <= 0.05))
    rows.append(("10 S2 relative power", ">= .65", f"{s2.power_rel:.2f}", s2.power_rel >= 0.65))
    rows.append(("10 the cost: plain BH, t tests of density (study: .70, .08)", "-",
                 f"{s2.plain:.2f}, {s2.field:.2f}", None))  # fmt: skip
    rows.append(("10 S2 relative FDR", "<= .06", f"{s2.fdr_rel:.3f}", s2.fdr_rel <= 0.06))
    s3 = score(S3, 2 * draws, 104)
    rows.append(("9 S3 60 % up: absolute FDR", "<= .05", f"{s3.fdr_abs:.3f}", s3.fdr_abs <= 0.05))
    rows.append(
        ("9 S3: draws with a clear shift, labelled as in 9b", "-", f"{s3.warned:.2f}", None)
    )
    rows.append(composition_case())
    unequal = score(UNEQUAL, 2 * draws, 105)
    rows.append(("18 null 4 v 8, 4x variance in the small group: any finding", "<= .10",
                 f"{unequal['any']:.3f}", unequal["any"] <= 0.10))  # fmt: skip
    seconds = speed()
    rows.append(("14 300 regions x 45 animals x 9 coefficients, CPU s", "<= 1", f"{seconds:.2f}",
                 seconds <= 1.0))  # fmt: skip
    return rows


def composition_case():
    """A clear shift (a shared change of 4-fold) carries its label in the analysis itself."""
    rng, n = np.random.default_rng(9), 100
    names = [f"m{k}" for k in range(12)]
    counts = rng.poisson(300 * np.exp(rng.normal(0, 0.2, (12, n)) + rng.normal(0, 0.2, (12, 1))))
    counts[6:, : n * 6 // 10] *= 4
    table = pd.DataFrame({
        "animal": np.repeat(np.array(names, dtype=object), n),
        "acronym": [f"R{k}" for k in range(n)] * 12, "count": counts.ravel(), "volume_mm3": 1.0,
    })  # fmt: skip
    animals = pd.DataFrame({"animal": names, "group": ["a"] * 6 + ["b"] * 6})
    found = analyse(table, animals, Design(control="a", factor="group"))
    said = any("Relative effects are relative to that shift" in w for w in found.warnings)
    return ("9b a clear shift: relative results say what they are relative to", "yes",
            "yes" if said else "no", said)  # fmt: skip


def main():
    """Print the cases; with --settings the rates of further settings."""
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    draws = numbers[0] if numbers else 100
    speed()
    print(f"{draws} draws or more for each rate, alpha {ALPHA}")
    show(acceptance(draws))
    if "--settings" in sys.argv:
        found = {s.name: score(s, draws, k) for k, s in enumerate(SETTINGS)}
        with pd.option_context("display.width", 250, "display.max_columns", None):
            print(pd.DataFrame(found).T.round(3).to_string())


if __name__ == "__main__":
    main()
