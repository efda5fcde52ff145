"""ketamap.simulate.engine"""

import numpy as np

from ketamap.core.dosing import Dose, DosingPlan, Subject
from ketamap.simulate.engine import simulate


def test_an_infusion_long_after_the_start_is_not_missed():
    dose = Dose(time_h=72.0, amount=0.5, unit="mg/kg", route="iv", duration_h=40 / 60)
    plan = DosingPlan(name="late", subject=Subject(species="human"), doses=(dose,), end_h=2000.0)
    got = simulate(plan, times_h=[0.0, 2000.0])
    expected = dose.amount_umol(70.0) / 88.8
    np.testing.assert_allclose(got["auc_ketamine_uM_h"].iloc[-1], expected, rtol=1e-9)
