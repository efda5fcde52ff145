"""ketamap.stats.selection"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ketamap.stats.families import bh
from ketamap.stats.selection import divisions_of, p_filter, selection_frame, simes
from tests.stats.cohorts import SMALL, flat, tree
from tests.stats.test_analyse import run

ALLEN = tree(
    [(997, "root", "root", 0), (8, "grey", "", 997), (1, "CTX", "", 8), (2, "Isocortex", "", 1),
     (3, "VISp", "", 2), (4, "HPF", "", 1), (5, "CA1", "", 4), (6, "ret", "", 997)]
)  # fmt: skip


def test_divisions_are_the_allen_ones_or_the_children_of_the_root():
    assert divisions_of(np.array([3, 5, 2, 6]), ALLEN) == ("Isocortex", "HPF", "Isocortex", "ret")
    assert divisions_of(np.array([2, 5, 7, 9]), SMALL) == ("CTX", "CTX", "PAG", "fiber tracts")


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_one_group_each_is_bh(seed):
    p = np.random.default_rng(seed).uniform(size=20) ** 3
    found = p_filter(p, [str(k) for k in range(20)], 0.1)
    np.testing.assert_array_equal(found.selected, bh(p) <= 0.1)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_what_is_selected_passes_bh_among_regions_and_its_group_among_groups(seed):
    rng = np.random.default_rng(seed)
    p, groups = rng.uniform(size=30) ** 3, [f"g{k % 6}" for k in range(30)]
    found = p_filter(p, groups, 0.1)
    assert np.all(bh(p)[found.selected] <= 0.1)
    each = np.array([simes(p[np.array(groups) == g]) for g in dict.fromkeys(groups)])
    passed = {g for g, q in zip(dict.fromkeys(groups), bh(each), strict=True) if q <= 0.1}
    assert {g for g, s in zip(groups, found.selected, strict=True) if s} <= passed
    np.testing.assert_array_equal(
        p_filter(np.r_[p, np.nan], [*groups, "x"], 0.1).selected[:30], found.selected
    )


def test_simes_of_uniform_p_values_is_uniform():
    rng = np.random.default_rng(1)
    found = [simes(rng.uniform(size=8)) for _ in range(2000)]
    assert stats.kstest(found, "uniform").pvalue > 0.001


def test_false_divisions_are_bounded_where_bh_lets_them_in():
    rng = np.random.default_rng(2)
    groups = [f"g{k // 10}" for k in range(200)]
    false = {"filter": [], "bh": []}
    for _ in range(200):
        p = rng.uniform(size=200)
        p[:30] = stats.norm.sf(rng.normal(4.0, 1.0, 30))
        for name, hit in (("filter", p_filter(p, groups, 0.1).selected), ("bh", bh(p) <= 0.1)):
            seen = {g for g, h in zip(groups, hit, strict=True) if h}
            false[name].append(len(seen - {"g0", "g1", "g2"}) / max(len(seen), 1))
    assert np.mean(false["filter"]) <= 0.1
    assert np.mean(false["bh"]) > 0.2


def test_a_tree_without_divisions_has_no_selection():
    analysis = run(3)
    assert selection_frame(analysis.effects, flat(250), 0.05) is None
    assert analysis.selection is None


def test_regions_of_divisions_are_selected_per_contrast():
    effects = run(1).effects
    rows = [(997, "root", "root", 0), *((1000 + k, f"D{k}", "", 997) for k in range(5))]
    rows += [(k, f"R{k}", "", 1000 + k % 5) for k in range(1, 251)]
    frame = selection_frame(effects, tree(rows), 0.05)
    assert set(frame["division"]) == {f"D{k}" for k in range(5)}
    assert set(frame["estimand"]) == {"relative", "absolute"}
    assert (frame["division_selected"] | ~frame["selected"]).all()
    assert len(frame) == (effects["testable"] & (effects["estimand"] != "shift")).sum()
    assert frame["division_p"].between(0, 1).all()
    assert pytest.approx(frame["p"].sum()) == effects.loc[effects["estimand"] != "shift", "p"].sum()
