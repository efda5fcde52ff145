"""Moderated t of ketamap.stats against R limma: a stored case, made by data/limma.R"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ketamap.stats.model import fit_linear, fit_two_components
from ketamap.stats.moderation import moderate

DATA = Path(__file__).parent / "data"
HIGH = np.array([[0.0, 0.0, 1.0, 0.0]])


@pytest.fixture(scope="module")
def stored():
    return pd.read_csv(DATA / "limma_input.csv"), pd.read_csv(DATA / "limma_output.csv")


def values_and_design(table, column):
    wide = table.pivot(index="animal", columns="region", values=column).to_numpy()
    who = table.drop_duplicates("animal").sort_values("animal")
    low, high = (who["group"] == g for g in ("low", "high"))
    design = np.column_stack([np.ones(len(who)), low, high, who["sex"]]).astype(float)
    return wide, design, who["weight"].to_numpy()


def agree(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    ("case", "column", "trend"),
    [
        ("plain", "value", "none"),
        ("trend", "value", "spline"),
        ("missing", "holes", "none"),
        ("missing trend", "holes", "spline"),
        ("equal", "equal", "none"),
        ("equal trend", "equal", "spline"),
        ("array weights", "value", "none"),
    ],
)
def test_moderated_t_is_that_of_limma(stored, case, column, trend):
    values, design, weight = values_and_design(stored[0], column)
    mean = np.nanmean(values, axis=0)
    if case == "array weights":  # animals of unequal variance, by limma's own weights
        values, design = values * np.sqrt(weight)[:, None], design * np.sqrt(weight)[:, None]
    fit = fit_linear(values, design, HIGH)
    found = moderate(fit.variance, fit.df, mean, trend=trend)
    t = fit.effect[:, 0] / np.sqrt(found.variance * fit.scale[:, 0])
    limma = stored[1][stored[1]["case"] == case]
    assert len(limma) == values.shape[1]
    agree(fit.effect[:, 0], limma["estimate"])
    agree(np.full(len(limma), found.prior_df), limma["prior_df"])
    agree(found.prior_variance, limma["prior_variance"])
    agree(found.variance, limma["variance"])
    agree(found.df, limma["df_total"])
    agree(t, limma["t"])
    agree(2 * stats.t.sf(np.abs(t), found.df), limma["p"])


@pytest.mark.parametrize(("case", "trend"), [("plain", "none"), ("trend", "spline")])
def test_the_model_without_animal_factors_is_limma(stored, case, trend):
    values, design, _ = values_and_design(stored[0], "value")
    fit = fit_two_components(values, np.zeros(len(values)), design, HIGH, trend=trend)
    limma = stored[1][stored[1]["case"] == case]
    agree(fit.relative.estimate[:, 0] / fit.relative.se[:, 0], limma["t"])
    agree(fit.relative.p[:, 0], limma["p"])


def test_a_cubic_and_a_spline_hardly_differ(stored):
    """The model's own trend (a cubic) against limma's: no call may hang on it."""
    values, design, _ = values_and_design(stored[0], "value")
    none = np.zeros(len(values))
    p = [
        fit_two_components(values, none, design, HIGH, trend=trend).relative.p[:, 0]
        for trend in ("polynomial", "spline")
    ]
    assert np.abs(np.log(p[0] / p[1])).max() < 0.7
    assert np.corrcoef(np.log(p[0]), np.log(p[1]))[0, 1] > 0.99
