"""ketamap.stats.guards"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import DesignError
from ketamap.stats.guards import (
    batch_warnings,
    factor_warnings,
    left_out_warnings,
    require_rows_for_all,
    require_whole_animals,
    shift_warnings,
    side_warnings,
    variance_warnings,
)
from ketamap.stats.model import Estimates
from ketamap.stats.variances import GroupVariances


def people(names, groups):
    return pd.DataFrame({"animal": names, "group": groups})


@pytest.mark.parametrize("ends", ["LR", ("_left", "_right"), ("-lh", "-rh")])
def test_hemispheres_given_as_animals_are_refused(ends):
    names = [f"mouse{k}{end}" for k in range(3) for end in ends]
    with pytest.raises(DesignError, match="6 of 6 identifiers are the hemispheres of 3 animals"):
        require_whole_animals(names, people(names, list("aabbaa")))


def test_ear_marks_are_not_taken_for_hemispheres():
    names = ["1L", "1R", "2L", "2N"]
    require_whole_animals(names, people(names, list("aabb")))
    require_whole_animals(["1L", "1R"], people(["1L", "1R"], list("ab")))


def test_sections_given_as_animals_are_refused():
    names = ["rat1_section1", "rat1_section2", "rat2_section1"]
    with pytest.raises(DesignError, match="rat1_section1, rat1_section2"):
        require_whole_animals(names, people(names, list("aab")))


def test_one_brain_without_its_other_side_does_not_hide_the_rest():
    names = ["M1_left", "M1_right", "M2_left", "M2_right", "M3_left"]
    with pytest.raises(DesignError, match="4 of 5 identifiers are the hemispheres of 2 animals"):
        require_whole_animals(names, people(names, list("aabbb")))


@pytest.mark.parametrize("word", ["_s0", "-slice", " img", "_fov", "_sec_"])
def test_numbered_pieces_of_any_name_are_refused(word):
    names = [f"M{k}{word}{j}" for k in range(4) for j in (1, 2, 3)]
    with pytest.raises(DesignError, match="4 animals come as several sections or images"):
        require_whole_animals(names, people(names, [*"a" * 6, *"b" * 6]))


def test_groups_with_numbered_subjects_are_not_taken_for_pieces():
    names = [f"{group}_s{j}" for group in ("ket", "sal") for j in range(4)]
    require_whole_animals(names, people(names, ["ketamine"] * 4 + ["saline"] * 4))


def test_plain_identifiers_pass():
    names = ["ket_f1", "ket_m2", "sal_f1", "3", "MDMA_M_1", "control", "rat1"]
    require_whole_animals(names, people(names, list("abcdefg")))


def test_animals_to_compare_need_rows():
    require_rows_for_all(["a", "b", "c"], ["b", "a"])
    with pytest.raises(DesignError, match=r"animals table names d.*that has a, c"):
        require_rows_for_all(["a", "c"], ["a", "d"])


def test_animals_that_are_not_compared_are_named():
    assert left_out_warnings(["a", "b"], ["b", "a"]) == []
    (warning,) = left_out_warnings(["a", "b", "c"], ["b"])
    assert "a, c" in warning


def test_a_lopsided_brain_is_named_with_its_ratio():
    sides = np.full((2, 3, 10), 50.0)
    sides[0, 1] = 220.0
    warnings = side_warnings(sides, ["a", "b", "c"])
    assert len(warnings) == 1
    assert "b: 4.4 times as many counts on the left" in warnings[0]
    assert side_warnings(np.full((2, 3, 10), np.nan), ["a", "b", "c"]) == []


def test_an_outlying_animal_is_named():
    factor = np.array([0.0, 0.1, -0.1, 0.05, 0.02, -0.05, 0.03, 2.0])
    one = ["x"] * 8
    warnings = factor_warnings(factor, one, list("abcdefgh"))
    assert [w[0] for w in warnings] == ["h"]
    assert "7.2 times above" in warnings[0]
    assert factor_warnings(factor[:7], one[:7], list("abcdefg")) == []
    shifted = np.r_[factor[:4], factor[3:7] + 2.0]
    assert factor_warnings(shifted, list("xxxxyyyy"), list("abcdefgh")) == []


def test_a_shift_that_is_there_labels_relative_results():
    shift = Estimates(estimate=np.array([2.0, 0.1]), se=np.array([0.3, 0.3]), df=np.full(2, 9.0))
    warnings = shift_warnings(shift, ["x vs y", "z vs y"])
    assert len(warnings) == 1
    assert "x vs y" in warnings[0]
    assert "Relative effects" in warnings[0]


def test_unequal_variances_are_named_where_they_matter():
    compared = GroupVariances(
        labels=("a", "b"),
        sizes=(4, 8),
        scale=np.ones((2, 9)),
        doubt=np.zeros((2, 9)),
        medians=np.array([2.0, 0.5]),
    )
    (warning,) = variance_warnings(compared)
    assert "a (n = 4) 4.0 times b (n = 8)" in warning
    assert variance_warnings(replace(compared, sizes=(6, 6))) == []
    assert variance_warnings(replace(compared, medians=np.array([1.1, 0.9]))) == []
    assert variance_warnings(None) == []


def test_a_batch_that_counts_five_times_as_many_is_named():
    factor = np.log(np.array([1.0, 1.0, 6.0, 6.0]))
    assert "6.0 times" in batch_warnings(factor, list("ppqq"))[0]
    assert batch_warnings(factor / 3, list("ppqq")) == []
    assert batch_warnings(factor, None) == []
