"""ketamap.stats.partition"""

import numpy as np
import pytest

from ketamap.core.errors import BalanceError
from ketamap.stats.partition import divide, prove_sum, unit_rows
from tests.stats.cohorts import SMALL, own_counts

UNIT = unit_rows(SMALL)


def divided(own, size=None, spoilt=None):
    extent = np.ones_like(own) if size is None else size
    bad = np.zeros((own.shape[0], own.shape[2]), dtype=bool) if spoilt is None else spoilt
    return divide(own, extent, UNIT, bad)


def two_sided(seed=0):
    own = np.full((3, 3, len(SMALL)), np.nan)
    own[:, 0], own[:, 1] = own_counts(SMALL, 3, seed), own_counts(SMALL, 3, seed + 1)
    return own


def test_layers_belong_to_their_structure_and_others_to_themselves():
    at = {SMALL.acronyms[k]: SMALL.acronyms[u] for k, u in enumerate(UNIT)}
    assert at == {a: {"A1": "A", "A6a": "A"}.get(a, a) for a in SMALL.acronyms}


def test_every_cell_is_in_one_unit():
    own = two_sided()
    units = divided(own)
    np.testing.assert_array_equal(units.counts.sum(axis=1), np.nansum(own, axis=(1, 2)))
    np.testing.assert_array_equal(units.side_counts.sum(axis=(0, 2)), units.counts.sum(axis=1))


def test_a_missing_structure_is_missing_and_not_zero():
    own = two_sided()
    own[1, :, SMALL.position(5)] = np.nan
    units = divided(own)
    column = units.rows.tolist().index(SMALL.position(5))
    assert np.isnan(units.counts[1, column])
    assert np.isnan(units.counts).sum() == 1


def test_a_sliver_may_be_missing_but_not_a_tenth():
    own = two_sided()
    size = np.ones_like(own)
    size[..., SMALL.position(3)] = 0.01
    own[0, 0, SMALL.position(3)] = np.nan
    column = SMALL.position(2) - 0
    units = divided(own, size)
    where = units.rows.tolist().index(column)
    assert not np.isnan(units.counts[0, where])
    own[0, 0, SMALL.position(4)] = np.nan
    assert np.isnan(divided(own, size).counts[0, where])


def test_sums_that_differ_are_an_error():
    assert "add up to the root" in prove_sum(np.array([5.0, 7.0]), np.array([5.0, 7.0]))
    with pytest.raises(BalanceError, match="7"):
        prove_sum(np.array([5.0, 9.0]), np.array([5.0, 7.0]))
