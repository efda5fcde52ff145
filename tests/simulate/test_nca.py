"""ketamap.simulate.nca"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketamap.core.dosing import Dose, DosingPlan, Subject
from ketamap.core.errors import InputError
from ketamap.simulate.engine import simulate
from ketamap.simulate.nca import exposure


@given(rate=st.floats(0.05, 3.0), height=st.floats(1e-3, 1e4))
def test_a_falling_exponential_is_summarised_exactly(rate, height):
    times = np.linspace(0.0, 5.0 / rate, 23)
    got = exposure(times, height * np.exp(-rate * times))
    assert got.auc_to_infinity == pytest.approx(height / rate, rel=1e-9)
    assert got.half_life_h == pytest.approx(np.log(2.0) / rate, rel=1e-9)
    assert (got.cmax, got.tmax_h) == (pytest.approx(height), 0.0)
    assert got.extrapolated == pytest.approx(np.exp(-5.0), rel=1e-6)


@given(scale=st.floats(1e-3, 1e3))
def test_everything_but_time_scales_with_the_curve(scale):
    times = np.linspace(0.0, 12.0, 60)
    curve = np.exp(-0.5 * times) - np.exp(-4.0 * times)
    one, other = exposure(times, curve), exposure(times, scale * curve)
    assert other.auc == pytest.approx(scale * one.auc)
    assert other.half_life_h == pytest.approx(one.half_life_h)
    assert other.tmax_h == one.tmax_h


def test_an_absorbed_dose_has_its_closed_form():
    times = np.concatenate([np.linspace(0.0, 3.0, 200), np.linspace(3.1, 20.0, 100)])
    got = exposure(times, np.exp(-0.5 * times) - np.exp(-4.0 * times))
    assert got.auc_to_infinity == pytest.approx(1 / 0.5 - 1 / 4.0, rel=1e-3)
    assert got.tmax_h == pytest.approx(np.log(8.0) / 3.5, abs=0.02)
    # points are added while the fit is as good, so a little of the rise is in it
    assert got.half_life_h == pytest.approx(np.log(2.0) / 0.5, rel=5e-3)


def test_a_simulated_mouse_has_the_half_life_of_its_parameters():
    dose = Dose(time_h=0.0, amount=5.0, unit="mg/kg", route="iv")
    plan = DosingPlan(name="p", subject=Subject(species="mouse"), doses=(dose,), end_h=2.5)
    table = simulate(plan, times_h=np.linspace(0.0, 2.5, 101))
    got = exposure(table["time_h"], table["plasma_ketamine_uM"])
    assert got.half_life_h * 60.0 == pytest.approx(13.0, rel=0.03)


def test_a_rising_curve_has_no_half_life():
    got = exposure([0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 2.0, 3.0, 4.0])
    assert np.isnan(got.half_life_h)
    assert np.isnan(got.auc_to_infinity)
    assert got.auc == 8.0
    assert got.tmax_h == 4.0


def test_an_empty_curve_is_all_zero():
    got = exposure([0.0, 1.0], [0.0, 0.0])
    assert (got.auc, got.cmax, got.tmax_h) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("times", "values", "words"),
    [
        ([0.0, 1.0], [1.0], "equal length"),
        ([0.0], [1.0], "at least 2"),
        ([0.0, 0.0], [1.0, 1.0], "must increase"),
        ([0.0, 1.0], [1.0, -1.0], "negative"),
        ([0.0, 1.0], [1.0, np.nan], "finite"),
    ],
)
def test_impossible_curves_are_refused(times, values, words):
    with pytest.raises(InputError, match=words):
        exposure(times, values)
