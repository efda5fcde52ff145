"""ketamap.simulate.response"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.core.errors import InputError
from ketamap.simulate.response import Patients, calibrate_response, part_improved


@settings(deadline=None, max_examples=50)
@given(
    mood=st.floats(1e-4, 10),
    placebo=st.floats(0.02, 0.45),
    sd=st.floats(0.05, 1),
    spread=st.floats(0, 1.2),
)
def test_the_calibrated_point_is_met_whatever_the_patients(mood, placebo, sd, spread):
    patients = Patients(placebo_response=placebo, placebo_sd=sd, sensitivity_sd_ln=spread)
    link = calibrate_response(mood, patients)
    assert float(link.response(mood)) == pytest.approx(0.522, abs=1e-6)
    assert float(link.remission(mood)) == pytest.approx(0.206, abs=1e-6)
    assert float(link.response(0.0)) == pytest.approx(placebo, abs=1e-9)


def test_response_rises_with_mood_and_remission_stays_below():
    link = calibrate_response(0.2)
    moods = np.linspace(0, 1, 20)
    response, remission = link.response(moods), link.remission(moods)
    assert (np.diff(response) > 0).all()
    assert (remission < response).all()


def test_alike_patients_follow_the_closed_form():
    patients = Patients(placebo_response=0.2, placebo_sd=0.3, sensitivity_sd_ln=0.0)
    from scipy.stats import norm

    expected = norm.sf(0.5, loc=patients.placebo_mean + 0.4, scale=0.3)
    assert float(part_improved(0.4, patients)) == pytest.approx(expected)


def test_a_mood_that_does_not_rise_cannot_be_calibrated():
    assert np.isnan(calibrate_response(-0.1).gain)


def test_impossible_patients_are_refused():
    with pytest.raises(InputError, match="placebo_response"):
        Patients(placebo_response=1.0)
    with pytest.raises(InputError, match="sensitivity"):
        Patients(sensitivity_sd_ln=-1.0)
