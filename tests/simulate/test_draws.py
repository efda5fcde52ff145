"""ketamap.simulate.draws"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.simulate.draws import (
    CLASS_SPREAD,
    draw_parameters,
    prior_value,
    truncated_log_normal,
    uniform_of,
)
from ketamap.simulate.members import world
from ketamap.simulate.parameters import parameters_for

NO_BOUNDS = {"lower": -np.inf, "upper": np.inf}


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


@pytest.mark.parametrize(
    ("form", "centre", "lower", "upper"),
    [("logit", 0.93, 0.0, 1.0), ("logit", 0.02, 0.0, 1.0), ("log above 1", 1.1, 1.0, np.inf)],
)
def test_bounded_priors_keep_their_median_and_never_reach_their_bounds(form, centre, lower, upper):
    levels = (np.arange(999) + 0.5) / 999
    drawn = np.array(
        [prior_value(form, centre, 0.8, u, lower=-np.inf, upper=np.inf) for u in levels]
    )
    assert np.median(drawn) == pytest.approx(centre)
    assert lower < drawn.min() < drawn.max() < upper
    assert (np.diff(drawn) > 0.0).all()


def test_a_small_part_is_spread_like_a_logarithm_and_its_complement_alike():
    small, log = (prior_value(form, 1e-4, 0.5, 0.9, **NO_BOUNDS) for form in ("logit", "log"))
    assert small == pytest.approx(log, rel=1e-3)
    part, rest = (prior_value("logit", c, 0.5, u, **NO_BOUNDS) for c, u in ((0.8, 0.9), (0.2, 0.1)))
    assert part + rest == pytest.approx(1.0)


def test_a_standard_error_belongs_to_the_table_and_not_to_a_member():
    human = parameters_for("human")
    centre = world("perez_ruixo").parameters("human")
    pairs = [
        (
            np.log(draw_parameters("human", seed=5, draw=k)["V1"] / human["V1"]),
            np.log(draw_parameters("human", seed=5, draw=k, centre=centre)["V1"] / centre["V1"]),
        )
        for k in range(5)
    ]
    for usual, member in pairs:
        assert member / usual == pytest.approx(CLASS_SPREAD["secondary"] / 0.078)


def test_a_draw_depends_on_seed_number_and_name_alone():
    assert uniform_of(1, 2, "CL") == uniform_of(1, 2, "CL")
    numbers = {uniform_of(s, d, name) for s in (1, 2) for d in (1, 2) for name in ("CL", "V1")}
    assert len(numbers) == 8


def test_exact_parameters_are_never_drawn_and_members_move_the_centre():
    drawn = draw_parameters("human", seed=1, draw=3)
    moved = draw_parameters("human", seed=1, draw=3, centre={"ka_ip": 9.0, "uptake_on": 1.0})
    assert "weight" not in drawn
    assert "uptake_on" not in drawn
    assert moved["uptake_on"] == 1.0
    values = parameters_for("human")
    assert moved["ka_ip"] / 9.0 == pytest.approx(drawn["ka_ip"] / values["ka_ip"])


@pytest.mark.parametrize("species", ["mouse", "rat", "human"])
def test_draws_are_accepted_as_overrides(species):
    for draw in range(5):
        drawn = draw_parameters(species, seed=7, draw=draw)
        assert parameters_for(species, drawn).items() >= drawn.items()
