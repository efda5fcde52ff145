"""ketamap.simulate.offtarget"""

from dataclasses import replace

import numpy as np
import pytest

from ketamap.core.dosing import Dose, DosingPlan, Subject
from ketamap.core.errors import InputError
from ketamap.simulate.offtarget import off_target_index


@pytest.fixture
def plan():
    dose = Dose(time_h=0.0, amount=10.0, unit="mg/kg", route="ip")
    subject = Subject(species="rat", stress="helpless")
    return DosingPlan(name="r", subject=subject, doses=(dose,), end_h=6.0, targets=("LHb",))


def test_a_targeted_dose_acts_inside_as_a_systemic_one_and_less_outside(plan):
    table = off_target_index(plan)
    inside = table[table["inside"]]
    assert list(inside["readout"]) == ["lhb_relative"]
    assert inside["share"].iloc[0] == pytest.approx(1.0, rel=0.05)
    assert 0.0 < table.attrs["off_target_index"] < 1.0
    assert table.attrs["label"] == "encoded"


def test_what_the_target_does_not_reach_stays_untouched(plan):
    shares = off_target_index(plan).set_index("readout")["share"]
    assert shares["systolic_change_mmhg"] == pytest.approx(0.0, abs=1e-9)
    assert shares["rate_md"] == pytest.approx(0.0, abs=1e-6)


def test_draws_give_ranges_and_change_no_nominal_value(plan):
    nominal, drawn = off_target_index(plan), off_target_index(plan, draws=3, seed=1)
    assert drawn.attrs["off_target_index"] == nominal.attrs["off_target_index"]
    assert nominal["share_low_95"].isna().all()
    low, high = drawn.attrs["range_95"]
    assert 0.0 < low < high
    assert (drawn["share_low_95"] <= drawn["share_high_95"]).all()
    np.testing.assert_array_equal(drawn["share"], nominal["share"])


def test_plans_without_targets_or_dose_are_refused(plan):
    with pytest.raises(InputError, match="targets"):
        off_target_index(replace(plan, targets=()))
    with pytest.raises(InputError, match="dose"):
        off_target_index(replace(plan, doses=()))
