"""Any-dose tests over dose x duration: error rates, power by shape, onset, interaction, speed.

Run ``python benchmarks/dose_duration.py [draws]``; about two minutes for 60 draws.

Three doses (vehicle included) by three durations; 30 % of 312 regions change, each along one
shape, by at most 2-fold.  Noise as in `group_statistics.py`, with a median regional SD of
0.28 or 0.35 (ln).  Shapes outside the set of contrasts are drawn apart.
"""

import sys
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ketamap.core.settings import Design
from ketamap.stats import analyse, bh
from ketamap.stats.design import build_design
from ketamap.stats.dose import DoseStudy, any_dose_frame, called_regions, interaction_frame
from ketamap.stats.factors import animal_factors
from ketamap.stats.model import fit_two_components
from ketamap.stats.multiple import MaximumT
from ketamap.stats.onset import onset_frame
from ketamap.stats.shapes import cells_of, shape_contrasts
from ketamap.stats.tables import RegionCounts

ALPHA = 0.05
DOSES, DAYS = (0.0, 30.0, 100.0), (1.0, 5.0, 10.0)
PLAN = Design(control=0, dose="dose_mg_per_kg", duration="days")

INSIDE = {
    "linear, all days": np.outer([1, 1, 1], [0, 0.3, 1]),
    "plateau, growing": np.outer([1 / 3, 2 / 3, 1], [0, 1, 1]),
    "high dose, last day": np.outer([0, 0, 1], [0, 0, 1]),
    "linear, growing": np.outer([1 / 3, 2 / 3, 1], [0, 0.3, 1]),
    "umbrella, all days": np.outer([1, 1, 1], [0, 1, 0]),
    "umbrella, growing": np.outer([1 / 3, 2 / 3, 1], [0, 1, 0]),
    "umbrella, from day 5": np.outer([0, 1, 1], [0, 1, 0]),
}
OUTSIDE = {
    "umbrella 1 : 0.4, all days": np.outer([1, 1, 1], [0, 1, 0.4]),
    "Emax, saturating in time": np.outer([0.5, 0.8, 1], [0, 0.7, 1]),
    "plateau, middle day alone": np.outer([0, 1, 0], [0, 1, 1]),
    "low up, high down": np.outer([1, 1, 1], [0, 1, -1]),
    "up first, down last": np.outer([1, 0, -1], [0, 0.5, 1]),
}
"""Effects by (day, dose), as a share of the largest."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One kind of cohort."""

    name: str
    n: int = 4
    changed: float = 0.3
    region_sd: float = 0.28
    factor_sd: float = 0.35
    shapes: tuple[str, ...] = tuple(INSIDE)
    n_regions: int = 312


SETTINGS = (
    Setting(name="null, n = 4", changed=0.0),
    Setting(name="null, n = 4, SD .35", changed=0.0, region_sd=0.35),
    Setting(name="null, n = 3", n=3, changed=0.0),
    Setting(name="n = 4"),
    Setting(name="n = 4, SD .35", region_sd=0.35),
    Setting(name="n = 6, SD .35", n=6, region_sd=0.35),
    Setting(name="outside, n = 4", shapes=tuple(OUTSIDE)),
    Setting(name="outside, n = 4, SD .35", shapes=tuple(OUTSIDE), region_sd=0.35),
)


def animals_of(n):
    """One row per animal of the full design."""
    cells = [(d, t) for t in DAYS for d in DOSES for _ in range(n)]
    return pd.DataFrame(cells, columns=["dose_mg_per_kg", "days"]).assign(
        animal=[f"m{k}" for k in range(len(cells))]
    )


def draw(setting, animals, rng):
    """Return log densities, the shape of each region (or None) and its effects (day, dose)."""
    n = setting.n_regions
    sd = setting.region_sd * np.exp(rng.normal(0.0, 0.35, n))
    names = [None] * n
    effect = np.zeros((n, 3, 3))
    for k in rng.permutation(n)[: round(setting.changed * n)]:
        names[k] = setting.shapes[rng.integers(len(setting.shapes))]
        effect[k] = (INSIDE | OUTSIDE)[names[k]] * np.log(2.0) * rng.choice([-1.0, 1.0])
    day = np.searchsorted(DAYS, animals["days"])
    dose = np.searchsorted(DOSES, animals["dose_mg_per_kg"])
    x = rng.normal(5.0, 1.0, n) + effect[:, day, dose].T
    x = x + rng.normal(0.0, setting.factor_sd, (len(animals), 1))
    return x + sd * rng.normal(size=x.shape), names, effect


def regions_of(x):
    """Wrap log densities as counts."""
    n = x.shape[1]
    return RegionCounts(
        counts=np.exp(x),
        extents=np.ones_like(x),
        extent_unit="mm3",
        side_counts=np.full((2, *x.shape), np.nan),
        animals=tuple(f"m{k}" for k in range(len(x))),
        region_ids=np.arange(1, n + 1),
        acronyms=tuple(f"R{k}" for k in range(1, n + 1)),
        rows=np.arange(n),
        measure="cells",
        partition="",
        warnings=(),
    )


def one(setting, rng):
    """Analyse one cohort: rates, and power by shape."""
    animals = animals_of(setting.n)
    x, names, effect = draw(setting, animals, rng)
    matrix = build_design(animals, PLAN)
    factor = animal_factors(x, np.ones(x.shape[1], dtype=bool))

    def refit(contrasts):
        return fit_two_components(x, factor, matrix.matrix, contrasts, groups=matrix.groups)

    study = DoseStudy(
        regions=regions_of(x), design=matrix, reasons=("",) * x.shape[1], root_id=997, alpha=ALPHA
    )
    cells, fit = cells_of(matrix), refit(matrix.contrast_matrix)
    any_dose = any_dose_frame(study, cells, refit)
    called = called_regions(any_dose, study)
    truth = np.array([name is not None for name in names])
    row = {"any": (any_dose["q"] < ALPHA).any()}
    for estimand in ("relative", "absolute"):
        hit = called[estimand]
        row[f"any_{estimand[:3]}"] = hit.any()
        row[f"fdr_{estimand[:3]}"] = (hit & ~truth).sum() / max(hit.sum(), 1)
        row[f"power_{estimand[:3]}"] = hit[truth].mean() if truth.any() else np.nan
    pairs = bh(fit.relative.p) < ALPHA
    row["power_pairwise_rel"] = pairs.any(axis=1)[truth].mean() if truth.any() else np.nan
    growth = interaction_frame(study, cells, refit)[0]
    grown = (growth.loc[growth["estimand"] == "relative", "q"] < ALPHA).to_numpy()
    slope = np.einsum("rtd,t->r", effect[:, :, 1:], [-13 / 3, -1 / 3, 14 / 3])
    row["power_growth_rel"] = grown[slope != 0].mean() if truth.any() else np.nan
    row["any_growth"] = (growth["q"] < ALPHA).any()
    row |= onset_scores(study, cells, fit, called, effect)
    shape = np.array(names, dtype=object)
    row |= {f"  {s}": called["relative"][shape == s].mean() for s in setting.shapes if truth.any()}
    return row


def onset_scores(study, cells, fit, called, effect):
    """How often the onset found is right, too early, and its range holds the truth."""
    contrasts = study.design.contrast_matrix @ np.linalg.pinv(study.design.matrix)
    frame = onset_frame(study.regions, cells, fit, MaximumT(contrasts @ contrasts.T), called, ALPHA)
    frame = frame[frame["estimand"] == "relative"]
    seen, early, held = [], [], []
    for k, dose in enumerate(cells.doses, start=1):
        part = frame[frame["dose"] == dose]
        real = np.abs(effect[:, :, k]) > 0
        true = np.where(real.any(axis=1), np.array(DAYS)[np.argmax(real, axis=1)], np.inf)
        found = part["established"].to_numpy()
        seen.append(part["onset_days"].to_numpy()[found] == true[found])
        early.append(part["onset_days"].to_numpy()[found] < true[found])
        low, high = part["onset_low_days"].to_numpy(), part["onset_high_days"].to_numpy()
        both = found & np.isfinite(true)
        held.append((low[both] <= true[both]) & (true[both] <= high[both]))
    mean = [np.concatenate(v).mean() if sum(map(len, v)) else np.nan for v in (seen, early, held)]
    return dict(zip(("onset_right", "onset_early", "onset_covered"), mean, strict=True))


def speed():
    """CPU seconds of the whole analysis: 300 regions x 36 animals."""
    animals = animals_of(4)
    x, _, _ = draw(Setting(name="", n_regions=300), animals, np.random.default_rng(0))
    table = pd.DataFrame(
        {
            "animal": np.repeat(animals["animal"].to_numpy(), 300),
            "acronym": [f"R{k}" for k in range(300)] * 36,
            "count": np.round(np.exp(x)).ravel(),
            "volume_mm3": 1.0,
        }
    )
    start = time.process_time()
    analyse(table, animals, PLAN)
    return time.process_time() - start


def acceptance(draws):
    """Rows of acceptance: case, asked, measured, passed."""

    def mean(k):
        rows = [one(SETTINGS[k], np.random.default_rng([50 + k, d])) for d in range(draws)]
        return pd.DataFrame(rows).astype(float).mean()

    null, found, outside = mean(0), mean(3), mean(6)
    umbrella = np.mean([found[f"  {s}"] for s in INSIDE if s.startswith("umbrella")])
    monotone = np.mean([found[f"  {s}"] for s in INSIDE if not s.startswith("umbrella")])
    other = np.mean([outside[f"  {s}"] for s in OUTSIDE])
    worst = min(OUTSIDE, key=lambda s: outside[f"  {s}"])
    return [
        ("12 dose x duration, n = 4 a cell: any-dose power, umbrella shapes", ">= .80",
         f"{umbrella:.2f}", umbrella >= 0.80),
        ("12 the same, monotone shapes", ">= .80", f"{monotone:.2f}", monotone >= 0.80),
        ("12 null: reports with any finding", "<= .10", f"{null['any']:.3f}", null["any"] <= 0.10),
        ("12 FDR", "<= .06", f"{found.fdr_rel:.3f}", found.fdr_rel <= 0.06),
        ("12 shapes outside the set of contrasts, power", "reported apart",
         f"{other:.2f} (least {outside[f'  {worst}']:.2f}: {worst})", None),
    ]  # fmt: skip


def main():
    """Print the tables."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    speed()
    print(f"the whole analysis, 300 regions x 36 animals: {speed():.2f} CPU s")
    design = build_design(animals_of(4), PLAN)
    print(f"{len(shape_contrasts(design, cells_of(design)))} shapes; {draws} draws")
    for k, setting in enumerate(SETTINGS):
        rows = [one(setting, np.random.default_rng([k, d])) for d in range(draws)]
        mean = pd.DataFrame(rows).astype(float).mean()
        print(f"\n{setting.name}\n{mean.round(3).to_string()}", flush=True)


if __name__ == "__main__":
    main()
