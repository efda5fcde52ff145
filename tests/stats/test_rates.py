"""Error rates, power and coverage of the model on made-up cohorts (more: benchmarks/)"""

import numpy as np
import pytest

from ketamap.stats import fit_two_components, report_q
from ketamap.stats.factors import animal_factors

N = 312
LN2 = np.log(2.0)


def branches(rng, share, up):
    """Whole branches of 4 to 16 regions change 2-fold until `share` of regions do."""
    truth, start = np.zeros(N), 0
    ends = np.cumsum(rng.integers(4, 17, N))
    for k, end in enumerate(ends[ends <= N]):
        if rng.uniform() < share:
            truth[start:end] = LN2 if up or k % 2 else -LN2
        start = end
    return truth


def one(seed, n, share, *, up=False, factor_sd=0.4):
    """Scores of one cohort of n against n animals."""
    rng = np.random.default_rng([31, seed])
    truth = branches(rng, share, up)
    sd = 0.28 * np.exp(rng.normal(0, 0.45, N))
    group = np.repeat([0.0, 1.0], n)
    x = rng.normal(5, 1, N) + sd * rng.normal(size=(2 * n, N)) + np.outer(group, truth)
    x = x + rng.normal(0, factor_sd, (2 * n, 1))
    f = animal_factors(x, np.ones(N, dtype=bool))
    groups = [str(g) for g in group]
    fit = fit_two_components(
        x, f, np.c_[np.ones(2 * n), group], np.array([[0.0, 1.0]]), groups=groups
    )
    q = report_q(fit.shift.p, fit.relative.p, fit.absolute.p)
    found = {}
    for name, estimates, p, true in (
        ("relative", fit.relative, q.relative, truth - np.median(truth)),
        ("absolute", fit.absolute, q.absolute, truth),
    ):
        called, (low, high) = p[:, 0] < 0.05, estimates.interval()
        found[f"fdp {name}"] = (called & (true == 0)).sum() / max(called.sum(), 1)
        found[f"power {name}"] = called[true != 0].mean() if true.any() else np.nan
        found[f"cover {name}"] = np.mean((low[:, 0] <= true) & (true <= high[:, 0]))
    return found


def mean(draws, *args, **more):
    rows = [one(seed, *args, **more) for seed in range(draws)]
    return {key: np.mean([row[key] for row in rows]) for key in rows[0]}


@pytest.mark.slow
def test_a_fifth_changed_in_branches_is_found_at_the_rate_declared():
    found = mean(100, 6, 0.2)
    assert found["power relative"] >= 0.65
    assert found["fdp relative"] <= 0.06
    assert found["fdp absolute"] <= 0.06
    assert 0.93 <= found["cover relative"] <= 0.97


@pytest.mark.slow
def test_most_regions_up_is_an_absolute_matter_and_stays_within_its_rate():
    assert mean(100, 6, 0.6, up=True)["fdp absolute"] <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize(("n", "share"), [(5, 0.0), (4, 0.2)])
def test_intervals_cover_what_they_say(n, share):
    found = mean(150, n, share, factor_sd=0.35)
    assert 0.93 <= found["cover relative"] <= 0.97
    assert 0.91 <= found["cover absolute"] <= 0.99  # one shared error a draw: +-.02
