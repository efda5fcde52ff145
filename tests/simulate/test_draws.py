"""ketamap.simulate.draws"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.simulate.draws import draw_parameters, truncated_log_normal, uniform_of
from ketamap.simulate.parameters import parameter_table, parameters_for

PRIOR_SD_LN = {
    "exact": 0.0,
    "abstract": 0.20,
    "secondary": 0.25,
    "memory": 0.5,
    "guess": 0.8,
}


def test_every_certainty_class_has_the_spread_that_was_declared():
    table = parameter_table()
    table = table[table["certainty"].isin(PRIOR_SD_LN) & (table["role"] != "fixed")]
    np.testing.assert_allclose(table["prior_sd_ln"], table["certainty"].map(PRIOR_SD_LN))


@settings(deadline=None, max_examples=100)
@given(
    centre=st.floats(-10, 10).filter(lambda c: c == 0.0 or abs(c) > 1e-6),
    sd=st.just(0.0) | st.floats(0.01, 2),
    uniform=st.floats(1e-9, 1 - 1e-9),
    width=st.floats(1.01, 100),
)
def test_a_draw_keeps_its_sign_and_its_bounds(centre, sd, uniform, width):
    lower, upper = sorted((centre / width, centre * width))
    drawn = truncated_log_normal(centre, sd, uniform, lower=lower, upper=upper)
    assert lower <= drawn <= upper
    assert np.sign(drawn) == np.sign(centre)


def test_free_draws_have_the_median_and_spread_of_the_prior():
    levels = (np.arange(2000) + 0.5) / 2000
    drawn = [truncated_log_normal(-3.0, 0.8, u, lower=-np.inf, upper=np.inf) for u in levels]
    logs = np.log(-np.array(drawn))
    assert np.median(logs) == pytest.approx(np.log(3.0), abs=1e-3)
    assert logs.std() == pytest.approx(0.8, rel=0.01)


def test_a_cut_prior_keeps_its_shape_below_the_cut():
    levels = (np.arange(4000) + 0.5) / 4000
    cut = np.array([truncated_log_normal(0.5, 0.8, u, lower=0, upper=1) for u in levels])
    free = np.array([truncated_log_normal(0.5, 0.8, u, lower=0, upper=np.inf) for u in levels])
    kept = free[free < 1.0]
    assert np.median(cut) == pytest.approx(np.median(kept), rel=0.01)


def test_a_draw_depends_on_seed_number_and_name_alone():
    assert uniform_of(1, 2, "CL") == uniform_of(1, 2, "CL")
    numbers = {uniform_of(s, d, name) for s in (1, 2) for d in (1, 2) for name in ("CL", "V1")}
    assert len(numbers) == 8


def test_exact_parameters_are_never_drawn_and_members_move_the_centre():
    drawn = draw_parameters("human", seed=1, draw=3)
    moved = draw_parameters("human", seed=1, draw=3, centre={"CL": 120.0, "uptake_on": 1.0})
    assert "weight" not in drawn
    assert "uptake_on" not in drawn
    assert moved["uptake_on"] == 1.0
    values = parameters_for("human")
    assert moved["CL"] / 120.0 == pytest.approx(drawn["CL"] / values["CL"])


@pytest.mark.parametrize("species", ["mouse", "rat", "human"])
def test_draws_are_accepted_as_overrides(species):
    for draw in range(5):
        drawn = draw_parameters(species, seed=7, draw=draw)
        assert parameters_for(species, drawn).items() >= drawn.items()
