"""ketamap.stats.power, .noise and .budget"""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ketamap.core.errors import DesignError
from ketamap.core.settings import Design
from ketamap.stats import analyse, fit_two_components, report_q
from ketamap.stats.budget import budget_frame
from ketamap.stats.moderation import trigamma_inverse
from ketamap.stats.noise import LIBRARY, Noise, library_noise, pilot_noise
from ketamap.stats.power import (
    MOST_ANIMALS,
    PowerPlan,
    absolute_power,
    animals_needed,
    power_frames,
    relative_power,
    two_sided_power,
)
from tests.stats.cohorts import cohort

PLAN = PowerPlan()
LN2 = np.log(2.0)


def noise(median=0.3, spread=0.35, factor_sd=0.3, n=200):
    at = stats.norm.ppf((np.arange(n) + 0.5) / n)
    return Noise(
        name="made up",
        acronyms=tuple(f"R{k}" for k in range(n)),
        variance=(median * np.exp(spread * at)) ** 2,
        prior_df=2 * trigamma_inverse(4 * spread**2),
        factor_variance=factor_sd**2,
        region_ids=np.arange(n),
    )


def simulated(made, n, seeds):
    """Share of changed regions that the analysis finds: relative, absolute."""
    found = []
    size = len(made.variance)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        truth = np.zeros(size)
        hit = rng.permutation(size)[: round(PLAN.changed * size)]
        truth[hit] = LN2 * rng.choice([-1.0, 1.0], hit.size)
        group = np.repeat([0.0, 1.0], n)
        f = rng.normal(0, np.sqrt(made.factor_variance), 2 * n)
        x = rng.normal(5, 1, size) + rng.normal(size=(2 * n, size)) * np.sqrt(made.variance)
        x = x + np.outer(group, truth) + f[:, None]
        design = np.c_[np.ones(2 * n), group]
        fit = fit_two_components(x, f - f.mean(), design, np.array([[0.0, 1.0]]))
        q = report_q(fit.shift.p, fit.relative.p, fit.absolute.p)
        found.append([(q.relative[hit] < 0.05).mean(), (q.absolute[hit] < 0.05).mean()])
    return np.mean(found, axis=0)


def test_power_of_one_test_is_that_of_the_noncentral_t():
    for df in (4.0, 10.0, 40.0):  # no study has less than four
        for level in (0.05, 0.005):  # scipy's noncentral t is NaN further out
            distance = np.linspace(0, 4, 9)
            t = stats.t.isf(level / 2, df)
            exact = stats.nct.sf(t, df, distance) + stats.nct.cdf(-t, df, distance)
            got = two_sided_power(distance, np.full(9, df), level)
            np.testing.assert_allclose(got, exact, atol=0.02)


@pytest.mark.parametrize("n", [4, 8])
def test_predicted_power_is_the_power_of_the_analysis(n):
    made = noise()
    relative, absolute = simulated(made, n, range(40))
    assert relative_power(made, n, LN2, PLAN).mean() == pytest.approx(relative, abs=0.06)
    assert absolute_power(made, n, LN2, PLAN).mean() == pytest.approx(absolute, abs=0.1)


def test_power_grows_with_animals_and_effect_and_falls_with_noise():
    average, by_region = power_frames(noise(), PLAN, sizes=(4, 8, 16), folds=(1.5, 2.0))
    for _, part in average.groupby(["estimand", "fold"]):
        assert part.sort_values("n_per_group")["power"].is_monotonic_increasing
    for _, part in average.groupby(["estimand", "n_per_group"]):
        assert part.sort_values("fold")["power"].is_monotonic_increasing
    one = by_region[(by_region["fold"] == 2.0) & (by_region["n_per_group"] == 4)]
    relative = one[one["estimand"] == "relative"]["power"].to_numpy()
    assert np.all(np.diff(relative) <= 1e-9)
    assert len(by_region) == 200 * len(average)
    absolute = average[average["estimand"] == "absolute"]["power"].to_numpy()
    assert np.all(absolute <= average[average["estimand"] == "relative"]["power"] + 0.01)


def test_the_animals_needed_are_the_least_that_suffice():
    made = noise()
    needed = animals_needed(made, PLAN, folds=(2.0,)).set_index("region_id")
    for region in (5, 100, 180):
        n = int(needed.loc[region, "n_per_group"])
        assert relative_power(made, n, LN2, PLAN)[region] >= 0.8
        assert relative_power(made, n - 1, LN2, PLAN)[region] < 0.8
    assert needed["n_per_group"].is_monotonic_increasing
    tiny = animals_needed(noise(median=2.0), PLAN, folds=(1.25,))
    assert tiny["n_per_group"].isna().any()
    assert not (tiny["n_per_group"] > MOST_ANIMALS).any()


def test_absolute_effects_need_no_fewer_animals_than_relative_ones():
    made = noise(n=40)
    relative, absolute = (
        animals_needed(made, PLAN, folds=(2.0,), estimand=e) for e in ("relative", "absolute")
    )
    assert (absolute["estimand"] == "absolute").all()
    most = MOST_ANIMALS + 1
    gap = absolute["n_per_group"].fillna(most) - relative["n_per_group"].fillna(most)
    assert (gap >= -1).all()
    region = int(np.flatnonzero(absolute["n_per_group"].notna())[0])
    n = int(absolute["n_per_group"][region])
    assert absolute_power(made, n, LN2, PLAN)[region] == pytest.approx(0.8, abs=0.05)


def test_the_noise_of_a_pilot_is_the_noise_planted():
    rng = np.random.default_rng(3)
    groups = ["saline"] * 8 + ["drug"] * 8
    effect = np.zeros((2, 250))
    effect[1, :60] = 2.0
    table, animals, tree = cohort(rng, groups, region_sd=0.3, factor_sd=0.5, effect=effect)
    plan = Design(control="saline", factor="group")
    found = pilot_noise(analyse(table, animals, plan, structures=tree))
    assert np.sqrt(np.median(found.variance)) == pytest.approx(0.32, abs=0.05)
    assert np.sqrt(found.factor_variance) == pytest.approx(0.5, abs=0.2)
    assert set(found.acronyms) <= set(tree.acronyms)


@pytest.mark.parametrize("name", LIBRARY)
def test_the_library_has_the_quantiles_it_declares(name):
    _, median, low, high = LIBRARY[name]
    sd = np.sqrt(library_noise(name).variance)
    assert np.median(sd) == pytest.approx(median, rel=0.02)
    if np.isfinite(low):
        spread = np.quantile(sd, 0.9) / np.quantile(sd, 0.1)
        assert spread == pytest.approx(high / low, rel=0.03)


def test_an_unknown_noise_is_refused_with_those_there_are():
    with pytest.raises(DesignError, match="it has Davoudian"):
        library_noise("nothing")


@pytest.mark.slow
def test_a_budget_buys_power_or_questions():
    frame = budget_frame(noise(), 36, LN2, PLAN)
    assert (frame["n_per_group"] >= 3).all()
    assert (frame["animals_used"] <= 36).all()
    assert (
        frame[["power_any_constant", "power_any_growing", "power_pair"]].stack().between(0, 1).all()
    )
    cells = frame.set_index(["doses", "days"])
    assert cells.loc[(1, 1), "power_pair"] > cells.loc[(2, 3), "power_pair"]
    assert cells.loc[(2, 3), "power_any_growing"] > cells.loc[(2, 3), "power_pair"] - 0.05
    more = budget_frame(noise(), 45, LN2, PLAN).set_index(["doses", "days"])
    assert more.loc[(2, 3), "power_any_growing"] > cells.loc[(2, 3), "power_any_growing"]
    with pytest.raises(DesignError, match="5 animals do not suffice"):
        budget_frame(noise(), 5, LN2, PLAN)


def test_frames_name_their_noise_and_hold_no_gaps():
    average, _ = power_frames(noise(), PLAN, sizes=(4,), folds=(2.0,))
    assert (average["noise"] == "made up").all()
    assert pd.notna(average).all(axis=None)
