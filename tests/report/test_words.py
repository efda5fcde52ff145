"""ketamap.report.words"""

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketamap.report.words import (
    NO_VALUE,
    equation,
    estimate,
    fold,
    interval,
    listing,
    number,
    plural,
    probability,
    shortened,
    signed,
)


@given(value=st.floats(-1000, 1000))
def test_a_signed_number_reads_back_to_its_digits(value):
    text = signed(value).replace("\N{MINUS SIGN}", "-")
    assert abs(float(text) - value) <= 0.005 + 1e-9
    assert text[0] in "+-" or float(text) == 0


@pytest.mark.parametrize("write", [signed, fold, probability, number])
@pytest.mark.parametrize("value", [nan, inf, None])
def test_what_is_not_a_number_is_a_dash(write, value):
    assert write(value) == NO_VALUE


def test_an_estimate_never_stands_without_its_interval():
    assert estimate(0.5, 0.1, 0.9) == "+0.50 [+0.10, +0.90]"
    assert interval(nan, 0.9) == NO_VALUE


@pytest.mark.parametrize(
    ("log2", "text"), [(1, "2.00x"), (0, "1.00x"), (-1, "0.50x"), (4, "16x"), (10, "1e+03x")]
)
def test_a_change_is_written_as_a_factor(log2, text):
    assert fold(log2) == text.replace("x", "\N{MULTIPLICATION SIGN}")


def test_small_probabilities_are_bounded_not_rounded_to_zero():
    assert probability(1e-9) == "<0.001"
    assert equation("q", 1e-9) == "q < 0.001"
    assert equation("q", 0.0123) == "q = 0.012"


def test_counts_agree_with_their_nouns():
    assert plural(1, "region") == "1 region"
    assert plural(1200, "region") == "1,200 regions"
    assert listing(["a", "b", "c"]) == "a, b and c"


@given(text=st.text("abc -,", min_size=1, max_size=40), most=st.integers(2, 30))
def test_a_shortened_text_is_no_longer_than_asked(text, most):
    assert len(shortened(text, most)) <= max(most, 1)
