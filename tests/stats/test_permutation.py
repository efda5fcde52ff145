"""ketamap.stats.permutation"""

import numpy as np
import pytest

from ketamap.core.errors import DesignError
from ketamap.core.settings import Design
from ketamap.stats import analyse
from ketamap.stats.permutation import (
    Permutations,
    arrangements,
    holm,
    permuted_maximum,
    require_reachable,
)
from tests.stats.cohorts import cohort

HOW = Permutations(count=400, alpha=0.05)


def two_groups(n):
    return np.c_[np.ones(2 * n), np.repeat([0.0, 1.0], n)]


def test_arrangements_are_counted_within_blocks():
    design = two_groups(4)
    assert arrangements(design, ["a"] * 8) == pytest.approx(70)
    assert arrangements(design, ["a", "b"] * 4) == pytest.approx(36)


def test_what_cannot_reach_significance_is_refused_with_the_arithmetic():
    require_reachable(two_groups(4), ["a"] * 8, 0.05)
    with pytest.raises(DesignError, match=r"20 ways, so the least two-sided p is 2/20 = 0\.100"):
        require_reachable(two_groups(3), ["a"] * 6, 0.05)


def test_a_planted_effect_is_found_and_the_rest_is_not():
    rng = np.random.default_rng(1)
    x = rng.normal(6, 1, 60) + rng.normal(0, 0.2, (16, 60))
    x[8:, :3] += 1.0
    t, p = permuted_maximum(x, two_groups(8), np.array([0.0, 1.0]), ["a"] * 16, HOW)
    assert p[:3].max() < 0.01
    assert p[3:].min() > 0.05
    assert (t[:3] > 5).all()
    assert p.min() >= 1 / 401


def test_null_p_values_of_the_maximum_are_uniform():
    rng = np.random.default_rng(2)
    how = Permutations(count=99, alpha=0.05)
    least = []
    for _ in range(300):
        x = rng.standard_t(3, (12, 20))
        least.append(
            permuted_maximum(x, two_groups(6), np.array([0.0, 1.0]), ["a"] * 12, how)[1].min()
        )
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(least) <= level) == pytest.approx(level, abs=0.09)


def test_a_block_effect_stays_out():
    blocks = ["a", "b"] * 8
    late = np.array(blocks) == "b"
    design = np.c_[two_groups(8), late].astype(float)
    false = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = rng.normal(6, 1, 40) + rng.normal(0, 0.2, (16, 40)) + 5.0 * late[:, None]
        x[8:, 0] += 1.5
        _, p = permuted_maximum(x, design, np.array([0.0, 1.0, 0.0]), blocks, HOW)
        assert p[0] < 0.05
        false += p[1:].min() < 0.05
    assert false <= 6


def test_holm_is_the_textbook_procedure():
    p = np.array([0.01, np.nan, 0.04, 0.03])
    np.testing.assert_allclose(holm(p), [0.03, np.nan, 0.06, 0.06])


def test_the_analysis_shows_where_permutation_disagrees():
    rng = np.random.default_rng(4)
    groups = ["saline"] * 5 + ["drug"] * 5
    effect = np.zeros((2, 250))
    effect[1, :10] = 1.0
    table, animals, tree = cohort(rng, groups, effect=effect)
    plan = Design(control="saline", factor="group")
    analysis = analyse(table, animals, plan, structures=tree, permutations=300)
    frame = analysis.permutation.set_index("acronym")
    strong = frame.loc[[f"R{k}" for k in range(1, 11) if f"R{k}" in frame.index]]
    assert (strong["p_permutation"] < 0.05).mean() > 0.7
    differ = (frame["p_permutation"] < 0.05) != (frame["p_model"] < 0.05)
    assert (frame["disagrees"] == differ).all()
    said = any("permutation and model disagree" in w for w in analysis.warnings)
    assert said == bool(differ.any())
    assert analyse(table, animals, plan, structures=tree).permutation is None
