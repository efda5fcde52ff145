"""ketamap.stats.hierarchy"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.core.errors import TableError
from ketamap.stats.hierarchy import (
    children_sums,
    decide_kind,
    find_double_counts,
    peel,
    present_parents,
    weigh_evidence,
)
from tests.stats.cohorts import SMALL, own_counts, totals, tree


def big_tree(n_parents=12, n_children=3):
    rows = [(997, "root", "root", 0)]
    for p in range(1, n_parents + 1):
        rows.append((100 * p, f"P{p}", f"Parent {p}", 997))
        rows += [(100 * p + c, f"P{p}c{c}", "Child", 100 * p) for c in range(1, n_children + 1)]
    return tree(rows)


BIG = big_tree()
PARENTS = present_parents(np.ones(len(BIG), dtype=bool), BIG)


def big_own(seed=0):
    own = own_counts(BIG, 3, seed=seed)
    own[:, BIG.depths < 2] = 0.0
    own[:, BIG.position(100)] = 5000.0  # a parent with cells of its own
    return own[:, None, :]


def big_totals(seed=0):
    return totals(big_own(seed)[:, 0], BIG)[:, None, :]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_peeling_undoes_rolling_up(seed):
    own = big_own(seed)
    np.testing.assert_array_equal(peel(totals(own[:, 0], BIG)[:, None, :], PARENTS), own)


def test_children_are_credited_to_the_nearest_parent_that_has_rows():
    present = np.ones(len(SMALL), dtype=bool)
    present[SMALL.position(2)] = False
    parents = present_parents(present, SMALL)
    assert parents[SMALL.position(3)] == SMALL.position(1)
    sums = children_sums(np.ones((1, 1, len(SMALL))) * present, parents)
    assert sums[0, 0, SMALL.position(1)] == 3.0


def test_totals_are_told_from_own_counts():
    assert decide_kind(weigh_evidence(big_totals(), PARENTS, BIG), None) == "total"
    assert decide_kind(weigh_evidence(big_own(), PARENTS, BIG), None) == "own"


def test_a_table_without_nesting_is_own():
    nobody = np.full(len(BIG), -1)
    assert decide_kind(weigh_evidence(big_own(), nobody, BIG), None) == "own"


def test_totals_declared_as_own_are_refused_with_the_arithmetic():
    with pytest.raises(TableError, match=r"include their descendants.*13 parents"):
        decide_kind(weigh_evidence(big_totals(), PARENTS, BIG), "own")


def test_own_counts_declared_as_totals_are_refused():
    with pytest.raises(TableError, match="do not include"):
        decide_kind(weigh_evidence(big_own(), PARENTS, BIG), "total")


def test_what_cannot_be_told_is_refused_unless_declared():
    values = np.array([[[0.0, 130.0, 7.0]]])
    pair = tree([(997, "root", "root", 0), (6, "PAG", "PAG", 997), (7, "PRC", "PRC", 6)])
    evidence = weigh_evidence(np.where(values == 0, np.nan, values), np.array([-1, 0, 1]), pair)
    with pytest.raises(TableError, match="PAG 130, its children 7"):
        decide_kind(evidence, None)
    assert decide_kind(evidence, "own") == "own"
    assert decide_kind(evidence, "total") == "total"


def test_a_row_that_counts_again_is_found_by_name():
    values = big_totals()
    again = BIG.position(203)  # made a copy of its parent's other cells
    values[..., again] = values[..., BIG.position(201)] + values[..., BIG.position(202)]
    values[..., BIG.position(200)] = values[..., again]
    nobody = np.zeros(len(BIG), dtype=bool)
    suspects = nobody.copy()
    suspects[again] = True
    extra, warnings = find_double_counts(values, PARENTS, BIG, suspects)
    assert np.flatnonzero(extra).tolist() == [again]
    assert "P2 is counted twice" in warnings[0]
    assert "P2c3" in warnings[0]


def test_without_a_suspect_the_fewest_rows_that_explain_it_are_left_out():
    values = big_totals()
    copy = BIG.position(303)
    values[..., BIG.position(300)] -= values[..., copy]
    extra, _ = find_double_counts(values, PARENTS, BIG, np.zeros(len(BIG), dtype=bool))
    assert extra.sum() == 1
    assert PARENTS[np.flatnonzero(extra)[0]] == BIG.position(300)


def test_a_parent_below_every_child_is_refused():
    values = big_totals()
    values[..., BIG.position(300)] = 1.0
    with pytest.raises(TableError, match=r"children of P3 hold more"):
        find_double_counts(values, PARENTS, BIG, np.zeros(len(BIG), dtype=bool))
