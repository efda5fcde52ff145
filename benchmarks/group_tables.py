"""Acceptance cases of the group statistics on published tables, and those that need no draws.

Run ``python benchmarks/group_tables.py [draws]``.  Looks for the tables in
``KETAMAP_TEST_DATA`` or ``../shared/data``; what is not there is said and not passed.
"""

import os
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from ketamap.core.errors import KetamapError
from ketamap.core.settings import Design
from ketamap.stats import (
    analyse,
    build_design,
    fit_two_components,
    region_counts,
    report_q,
    structures_from_table,
    t_tests,
)
from ketamap.stats.factors import animal_factors, factor_regions, log_density
from ketamap.stats.independence import likeness
from ketamap.stats.testability import region_reasons

DATA = Path(os.environ.get("KETAMAP_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
ALPHA = 0.05


def load(name, groups=None):
    """Return table and animals."""
    table = pd.read_csv(DATA / "tables" / f"{name}.csv.gz")
    if groups is not None:
        table = table[table["group"].isin(groups)]
    columns = [c for c in ("animal", "group", "sex") if c in table]
    return table, table[columns].drop_duplicates().reset_index(drop=True)


def refusal(call):
    """The first sentence of the refusal, or None."""
    try:
        call()
    except KetamapError as err:
        return str(err).split(". ")[0]
    return None


class Brains:
    """A table read once, to be fitted under many designs."""

    def __init__(self, table, animals):
        tree = structures_from_table(table)
        names = [str(a) for a in animals["animal"]]
        self.regions = region_counts(table[table["animal"].isin(names)], tree).in_order_of(names)
        self.usable = np.array([not r for r in region_reasons(self.regions, tree)])
        self.animals = animals

    def fit(self, group, formula=None, counts=None):
        """Fit "b" against "a"; returns the fit and the q values of the report."""
        counts = self.regions.counts if counts is None else counts
        who = self.animals.assign(split=group)
        matrix = build_design(who, Design(control="a", factor="split", formula=formula))
        x = log_density(counts, self.regions.extents)
        f = animal_factors(x, factor_regions(counts, self.usable))
        fitted = np.where(self.usable, x, np.nan)
        fit = fit_two_components(
            fitted, f, matrix.matrix, matrix.contrast_matrix, groups=matrix.groups
        )
        return fit, report_q(fit.shift.p, fit.relative.p, fit.absolute.p)


def any_found(q):
    """Whether a report finds anything."""
    return any((v < ALPHA).any() for v in q)


def partition_cases():
    """1 to 3: sums, double counts, sides."""
    table, animals = load("davoudian2023_B1")
    tree = structures_from_table(table)
    found = region_counts(table, tree)
    root = table[table["acronym"] == "root"].groupby("animal")["count"].sum()
    gap = np.abs(np.nansum(found.counts, axis=1) - root.loc[list(found.animals)]).max()
    ratio = table["count"].sum() / root.sum()
    said = refusal(lambda: region_counts(table, tree, counts="own"))
    b3, mice3 = load("aboharb2025_B3")
    third = analyse(b3, mice3, Design(control="MDMA", factor="group"))
    doubled = any("HPF is counted twice" in w for w in third.warnings)
    pag = third.values.loc[third.values["acronym"] == "PAG", "count"].median()
    first = analyse(table, animals, Design(control="saline", factor="group"))
    sides = [w for w in first.warnings if w.startswith("psi_m2")]
    return [
        ("1 B1: partition against root, largest gap of an animal, cells", "0", f"{gap:g}",
         gap == 0),
        (f"1 B1: sum of all rows ({ratio:.1f} x root)", "refused", said or "accepted",
         said is not None),
        ("2 B3: HPF counted twice is named; direct counts of PAG", "named; kept",
         f"{'named' if doubled else 'no'}; median {pag:.0f}", doubled and pag > 0),
        ("3 B1 psi_m2, left / right", "warned, 4.4 x", sides[0].split(" as many")[0] if sides
         else "silent", bool(sides)),
    ]  # fmt: skip


def replicate_cases():
    """4, 5: hemispheres and sections as animals, named and not."""
    rng = np.random.default_rng(4)
    rows = []
    mice = {"het": 3, "ko": 2}
    own = {g: rng.normal(5, 1, 50) + rng.normal(0, 0.5, (n, 50)) for g, n in mice.items()}
    blocks = []
    for g, n in mice.items():
        for m, side in ((m, s) for m in range(n) for s in "LR"):
            count = rng.poisson(np.exp(own[g][m] + rng.normal(0, 0.3, 50)))
            who = f"{g}{m}{side}"
            blocks.append(pd.DataFrame({"animal": who, "group": g, "count": count,
                                        "acronym": [f"R{k}" for k in range(50)]}))  # fmt: skip
    table = pd.concat(blocks).assign(volume_mm3=1.0)
    plan = Design(control="het", factor="group")
    for word, change in (("named L and R", lambda t: t), ("unnamed", anonymous)):
        t = change(table)
        said = refusal(lambda t=t: analyse(t, t[["animal", "group"]].drop_duplicates(), plan))
        rows.append((f"4 hemispheres of 3 v 2 mice as 10 animals, {word}", "refused",
                     said or "accepted", said is not None))  # fmt: skip
    table, _ = load("aboharb2025_B3")
    table = table.assign(animal=table["animal"] + "_" + table["hemisphere"], hemisphere="")
    plan = Design(control="MDMA", factor="group")
    for word, change in (("named", lambda t: t), ("unnamed", anonymous)):
        t = change(table)
        said = refusal(lambda t=t: analyse(t, t[["animal", "group"]].drop_duplicates(), plan))
        rows.append((f"5 B3 hemispheres as 24 animals, {word}", "refused", said or "accepted",
                     said is not None))  # fmt: skip
    table, _ = load("dimmock2025_cs1_sections")
    plan = Design(control="Sham_Familiar", factor="group")
    same = refusal(lambda: analyse(table, table[["animal", "group"]].drop_duplicates(), plan))
    table["animal"] += "_s" + table.groupby(["animal", "acronym"]).cumcount().astype(str)
    other = refusal(lambda: analyse(table, table[["animal", "group"]].drop_duplicates(), plan))
    for word, said in (("rows of one rat", same), ("sections with names", other)):
        rows.append((f"5 CS1 sections as n, {word}", "refused", said or "accepted",
                     said is not None))  # fmt: skip
    return [*rows, suspicion_case()]


def anonymous(table):
    """Give the animals names that tell nothing."""
    names = sorted(set(table["animal"]), key=lambda a: a[::-1])
    return table.assign(animal=table["animal"].map({a: f"n{k}" for k, a in enumerate(names)}))


def suspicion_case():
    """Whole animals of the real tables are not suspected."""
    suspected = []
    for name in ("davoudian2023_B1", "aboharb2025_B3", "dimmock2025_cs1"):
        table, animals = load(name)
        brains = Brains(table, animals)
        x = log_density(brains.regions.counts, brains.regions.extents)
        f = animal_factors(x, factor_regions(brains.regions.counts, brains.usable))
        control = str(animals["group"].iloc[0])
        matrix = build_design(animals, Design(control=control, factor="group"))
        found = likeness((x - f[:, None])[:, brains.usable], matrix.matrix, matrix.groups)
        suspected.append(found.paired or found.clustered)
    n = sum(suspected)
    return ("5 whole animals of B1, B3, CS1 taken for parts", "0", str(n), n == 0)


def parity_cases():
    """6: t tests of case study 1 (limma: tests/stats/test_limma.py)."""
    table, animals = load("dimmock2025_cs1", ["Sham_Familiar", "Sham_Novel"])
    analysis = analyse(table, animals, Design(control="Sham_Novel", factor="group"))
    found = t_tests(analysis, "Sham_Familiar", "Sham_Novel").set_index("acronym")
    log = np.log2(table["count"] / table["area_mm2"]).where(table["count"] > 0)
    mean = log.groupby([table["acronym"], table["group"]]).mean().unstack()
    bars = (mean["Sham_Familiar"] - mean["Sham_Novel"]).loc[found.index]
    gap = (found["estimate_log2"] - bars).abs().max()
    named = ", ".join(sorted(found.index[found["p"] < 0.05]))
    return [
        ("6 CS1 by animal: t test bars, largest difference, log2", "<= .01", f"{gap:.4f}",
         gap <= 0.01),
        ("6 CS1 regions with t test p < .05", "TE2, VSUB", named, named == "TE2, VSUB"),
    ]  # fmt: skip


def null_cases():
    """7: splits of real animals that were treated alike."""
    table, animals = load("aboharb2025_B3", ["MDMA"])
    brains, n = Brains(table, animals), len(animals)
    hits = []
    for treated in combinations(range(1, n), n // 2):
        group = ["b" if k in treated else "a" for k in range(n)]
        hits.append(any_found(brains.fit(group)[1]))
    rows = [null_row("7 B3 MDMA, 4 v 4, all splits", hits)]
    table, animals = load("davoudian2023_B1")
    brains, hits = Brains(table, animals), []
    of = [np.flatnonzero(animals["group"] == g) for g in ("ketamine", "psilocybin", "saline")]
    for a in combinations(of[0][1:], 1):
        for b in combinations(of[1], 2):
            for c in combinations(of[2], 2):
                treated = {of[0][0], *a, *b, *c}
                group = ["b" if k in treated else "a" for k in range(12)]
                hits.append(any_found(brains.fit(group, "~ split + group")[1]))
    rows.append(null_row("7 B1, two of each drug v two, all splits", hits))
    for name in ("Sham_Familiar", "Sham_Novel", "Lesion_Familiar", "Lesion_Novel"):
        table, animals = load("dimmock2025_cs1", [name])
        brains, n = Brains(table, animals), len(animals)
        hits = [
            any_found(brains.fit(["b" if k in treated else "a" for k in range(n)])[1])
            for treated in combinations(range(1, n), n // 2)
        ]
        rows.append(null_row(f"7 CS1 {name}, {n // 2} v {n - n // 2}, all splits", hits))
    rows.append(("7 YWW saline splits; 11 YWW ketamine v saline", "-", "table not here", None))
    return rows


def null_row(name, hits):
    """One row of a null case."""
    rate = np.mean(hits)
    return (f"{name}: reports with any finding", "<= .10", f"{rate:.3f} of {len(hits)}",
            rate <= 0.10)  # fmt: skip


def plasmode_case(draws):
    """8: 10 % of regions thinned e-fold in MDMA mice, 4 v 4."""
    table, animals = load("aboharb2025_B3", ["MDMA"])
    brains, n = Brains(table, animals), len(animals)
    fdp, power = [], []
    for seed in range(draws):
        rng = np.random.default_rng([8, seed])
        treated = np.isin(np.arange(n), rng.permutation(n)[: n // 2])
        tested = np.flatnonzero(brains.usable)
        hit = rng.permutation(tested)[: len(tested) // 10]
        up = np.isin(np.arange(len(brains.usable)), hit[: len(hit) // 2])
        down = np.isin(np.arange(len(brains.usable)), hit[len(hit) // 2 :])
        thin = (down & treated[:, None]) | (up & ~treated[:, None])
        counts = brains.regions.counts
        whole = np.round(np.nan_to_num(counts)).astype(np.int64)
        counts = np.where(thin & ~np.isnan(counts), rng.binomial(whole, np.exp(-1.0)), counts)
        _, q = brains.fit(np.where(treated, "b", "a"), counts=counts)
        called = (q.relative[:, 0] < ALPHA)[tested]
        real = np.isin(tested, hit)
        fdp.append((called & ~real).sum() / max(called.sum(), 1))
        power.append(called[real].mean())
    f, p = np.mean(fdp), np.mean(power)
    return [
        (f"8 B3 plasmode, 4 v 4, e-fold, {draws} draws: FDR", "<= .06", f"{f:.3f}", f <= 0.06),
        ("8 power", ">= .75", f"{p:.2f}", p >= 0.75),
    ]  # fmt: skip


def published_cases():
    """Ketamine v saline of B1; MDMA v ketamine of B3; what is refused by arithmetic."""
    table, animals = load("davoudian2023_B1", ["ketamine", "saline"])
    e = analyse(table, animals, Design(control="saline", factor="group")).effects
    s = e[e["estimand"] == "shift"].iloc[0]
    close = np.allclose([s.estimate_log2, s.ci_low_log2, s.ci_high_log2], [-0.07, -1.25, 1.11],
                        atol=0.1)  # fmt: skip
    n = int((e.loc[e["estimand"] == "absolute", "q"] < ALPHA).sum())
    table, animals = load("aboharb2025_B3")
    third = analyse(table, animals, Design(control="ketamine", factor="group"))
    t = third.effects[third.effects["estimand"] == "shift"].iloc[0]
    unequal = any("unequal variances" in w for w in third.warnings)
    return [
        ("B1 ketamine v saline: shift, log2", "-.07 [-1.25, 1.11] to .1",
         f"{s.estimate_log2:.2f} [{s.ci_low_log2:.2f}, {s.ci_high_log2:.2f}]", close),
        ("B1 ketamine v saline: absolute regions at q < .05", "<= 1", str(n), n <= 1),
        ("B3 MDMA (8) v ketamine (4)", "refused or handled",
         f"variances unequal, not pooled; shift {t.estimate_log2:.2f} "
         f"[{t.ci_low_log2:.2f}, {t.ci_high_log2:.2f}]", unequal),
    ]  # fmt: skip


def exact_cases():
    """15 to 17: invariances, missing animals, aliased batch, too few animals, permutations."""
    rng, n = np.random.default_rng(15), 120
    group = np.repeat([0.0, 1.0], 6)
    x = rng.normal(6, 1, n) + rng.normal(0, 0.3, (12, 1)) + 0.3 * rng.normal(size=(12, n))
    design, contrast = np.c_[np.ones(12), group], np.array([[0.0, 1.0]])

    def p_of(values):
        f = animal_factors(values, np.ones(values.shape[1], dtype=bool))
        return fit_two_components(values, f, design, contrast).relative.p[:, 0]

    base, order = p_of(x), rng.permutation(n)
    scaled = x.copy()
    scaled[3] += np.log(3.0)
    worst = max(np.abs(p_of(x[:, order]) - base[order]).max(),
                np.abs(p_of(x - np.log(2.0)) - base).max(), np.abs(p_of(scaled) - base).max())  # fmt: skip
    holes = x.copy()
    holes[[2, 9], 5] = np.nan
    zero = np.zeros(12)
    kept = np.delete(np.arange(12), [2, 9])
    one = fit_two_components(holes, zero, design, contrast).regional
    two = fit_two_components(x[kept], zero[kept], design[kept], contrast).regional
    gap = max(abs(one.effect[5, 0] - two.effect[5, 0]), abs(one.variance[5] - two.variance[5]))
    who = pd.DataFrame({"animal": [f"m{k}" for k in range(12)], "group": list("aaaaaabbbbbb")})
    plan = Design(control="a", factor="group", batch="batch")
    aliased = refusal(lambda: build_design(who.assign(batch=who["group"]), plan))
    small = refusal(lambda: build_design(who.iloc[:8], Design(control="a", factor="group")))
    return [
        ("15 region order, doubled volumes, one animal x 3: change of relative p", "<= 1e-6",
         f"{worst:.1e}", worst <= 1e-6),
        ("16 region missing in 2 animals = fit without them", "equal", f"{gap:.1e}", gap < 1e-12),
        ("17 batch aliased with group", "error", aliased or "accepted", aliased is not None),
        ("n = 2 in a group", "refused", small or "accepted", small is not None),
    ]  # fmt: skip


def acceptance(draws):
    """Rows of acceptance: case, asked, measured, passed."""
    if not (DATA / "tables").is_dir():
        return [("cases on published tables", "-", f"no tables in {DATA.name}", None),
                *exact_cases()]  # fmt: skip
    return [
        *partition_cases(), *replicate_cases(), *parity_cases(), *null_cases(),
        *plasmode_case(draws), *published_cases(), *exact_cases(),
    ]  # fmt: skip


def show(rows):
    """Print acceptance rows; long refusals are cut."""
    word = {True: "yes", False: "NO", None: "-"}
    print(f"{'pass':<5}{'asked':<24}{'measured':<58}case")
    for case, asked, measured, passed in rows:
        key = None if passed is None else bool(passed)
        text = measured if len(measured) <= 56 else measured[:53] + "..."
        print(f"{word[key]:<5}{asked:<24}{text:<58}{case}", flush=True)


def main():
    """Print the cases."""
    show(acceptance(int(sys.argv[1]) if len(sys.argv) > 1 else 100))


if __name__ == "__main__":
    main()
