"""ketamap.stats.bayes: shrunken effects; the sampler's own tests run where numpyro is"""

import importlib.util
import sys

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import DesignError, MissingExtraError
from ketamap.stats import bayes
from tests.stats.cohorts import tree

HAS_NUMPYRO = importlib.util.find_spec("numpyro") is not None
needs_numpyro = pytest.mark.skipif(
    not HAS_NUMPYRO, reason="numpyro is not installed (pip install 'ketamap[bayes]')"
)
CONTRAST = "drug vs saline"
N = 60
BRAIN = tree(
    [
        (997, "root", "root", 0),
        *((k, f"D{k}", f"Division {k}", 997) for k in range(1, 7)),
        *((100 + k, f"R{k}", f"Region {k}", 1 + k // 10) for k in range(N)),
    ]
)


def effects(truth, se, rng, shift=0.3):
    """An effects table of estimates around the truth."""
    rows = pd.DataFrame(
        {
            "region_id": 100 + np.arange(N),
            "acronym": [f"R{k}" for k in range(N)],
            "estimand": "relative",
            "estimate_log2": truth + se * rng.normal(size=N),
            "se_log2": se,
            "df": 20.0,
            "testable": True,
        }
    )
    root = {"region_id": 997, "acronym": "root", "estimand": "shift", "estimate_log2": shift,
            "se_log2": 0.2, "df": 10.0, "testable": True}  # fmt: skip
    return pd.concat([pd.DataFrame([root]), rows]).assign(measure="cells", contrast=CONTRAST)


def made_values(rng, shared):
    """Residuals of twelve animals whose divisions share a part of their noise."""
    division = np.arange(N) // 10
    rest = rng.normal(size=(12, 6))[:, division] * np.sqrt(shared)
    rest = rest + rng.normal(size=(12, N)) * np.sqrt(1 - shared)
    names = [f"m{k}" for k in range(12)]
    table = pd.DataFrame({"animal": np.repeat(names, N), "region_id": np.tile(100 + np.arange(N), 12),
                          "log2_relative": rest.ravel()})  # fmt: skip
    return table, {name: "ab"[k // 6] for k, name in enumerate(names)}


@pytest.mark.parametrize("shared", [0.0, 0.4])
def test_noise_that_a_division_shares_is_found(shared):
    rng = np.random.default_rng(3)
    table = effects(np.zeros(N), 0.5, rng)
    rows = table[table["estimand"] == "relative"]
    found = [
        bayes.shared_noise(rows, np.arange(N) // 10, *made_values(rng, shared)) for _ in range(20)
    ]
    share = (np.mean(found, axis=0) / (0.5 * np.log(2.0))) ** 2
    np.testing.assert_allclose(share, shared, atol=0.1)


def test_without_numpyro_the_pip_line_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpyro", None)
    table = effects(np.zeros(N), 0.3, np.random.default_rng(0))
    with pytest.raises(MissingExtraError, match=r"pip install 'ketamap\[bayes\]'"):
        bayes.shrink(table, BRAIN, contrast=CONTRAST)


def test_chains_that_do_not_agree_are_refused_and_poor_ones_named():
    with pytest.raises(bayes.SamplingError, match=r"R-hat 1\.200"):
        bayes._require_agreement(1.2, 900.0)
    with pytest.raises(bayes.SamplingError, match="sample size 50"):
        bayes._require_agreement(1.0, 50.0)
    assert len(bayes._notes(1.001, 900.0, 0)) == 1
    assert any("more draws" in note for note in bayes._notes(1.03, 900.0, 0))
    assert any("3 divergent" in note for note in bayes._notes(1.0, 900.0, 3))


@needs_numpyro
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_shrunken_effects_are_closer_to_the_truth_and_drawn_to_their_division():
    rng = np.random.default_rng(1)
    truth = np.where(np.arange(N) // 10 == 2, 1.0, 0.0) + 0.1 * rng.normal(size=N)
    table = effects(truth, 0.4, rng)
    sampling = bayes.Sampling(warmup=400, draws=400, chains=4)
    found = bayes.shrink(table, BRAIN, contrast=CONTRAST, sampling=sampling)
    relative = found.frame[found.frame["estimand"] == "relative"]

    def rmse(column):
        return np.sqrt(np.mean((relative[column].to_numpy() - truth) ** 2))

    assert rmse("shrunken_log2") < 0.7 * rmse("estimate_log2")
    assert set(relative.nsmallest(8, "rank")["division"]) == {"D3"}
    inside = (relative["low_log2"] <= truth) & (truth <= relative["high_log2"])
    assert inside.mean() > 0.85
    absolute = found.frame[found.frame["estimand"] == "absolute"]
    gap = absolute["shrunken_log2"].to_numpy() - relative["shrunken_log2"].to_numpy()
    np.testing.assert_allclose(gap, gap[0])
    assert gap[0] == pytest.approx(0.3, abs=0.1)
    assert found.worst_rhat < 1.05
    assert found.least_ess > 100


@needs_numpyro
def test_an_unknown_contrast_is_refused():
    table = effects(np.zeros(N), 0.3, np.random.default_rng(0))
    with pytest.raises(DesignError, match=f"there are {CONTRAST}"):
        bayes.shrink(table, BRAIN, contrast="x")
