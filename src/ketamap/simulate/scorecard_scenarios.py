"""The experiments the scorecard needs, each simulated once per draw and shared by its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ketamap.core.dosing import Dose, DosingPlan, Route, Species, Stress, Subject, repeat
from ketamap.core.space import FloatArray

COLUMNS = (
    "plasma_ketamine_uM",
    "plasma_S_ng_per_ml",
    "plasma_norketamine_ng_per_ml",
    "venous_ketamine_ng_per_ml",
    "auc_ketamine_uM_h",
    "auc_norketamine_uM_h",
    "brain_ketamine_uM",
    "occupancy_receptor",
    "rate_pv",
    "rate_pyr",
    "glutamate",
    "gamma_power",
    "rate_md",
    "lhb_relative",
    "vta_active",
    "vta_relative",
    "da_burst",
    "pfc_relative",
    "acb_relative",
    "cp_relative",
    "spine_formation",
    "spines_relative",
    "elimination_factor",
    "th_response",
    "mood_effect",
    "systolic_change_mmhg",
)
"""Columns the rows read."""

INFUSION_H = 40.0 / 60.0
"""Length of the antidepressant infusion, hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One experiment."""

    plan: DosingPlan
    """What is given."""

    times_h: FloatArray
    """When it is looked at."""

    members: tuple[str, ...] = ()
    """Members other than the default."""

    parameters: Mapping[str, float] = field(default_factory=dict)
    """Values changed for this experiment alone."""


def _minutes(last: float, step: float = 1.0) -> FloatArray:
    return np.arange(0.0, last + step / 2.0, step) / 60.0


def _dose(amount: float, route: Route, *, form: str = "racemate", hours: float = 0.0) -> Dose:
    return Dose(time_h=0.0, amount=amount, unit="mg/kg", route=route, duration_h=hours, form=form)  # type: ignore[arg-type]


def _animal(
    species: Species,
    doses: tuple[Dose, ...],
    times_h: FloatArray,
    *,
    stress: Stress = "none",
    members: tuple[str, ...] = (),
    parameters: Mapping[str, float] | None = None,
) -> Scenario:
    plan = DosingPlan(
        name=species,
        subject=Subject(species=species, stress=stress),
        doses=doses,
        end_h=float(times_h[-1]),
    )
    return Scenario(plan=plan, times_h=times_h, members=members, parameters=parameters or {})


def _human(dose: Dose, times_h: FloatArray, *members: str, additional: int = 0) -> Scenario:
    return _animal(
        "human",
        repeat(dose, 84.0, additional),
        times_h,
        stress="cms",
        members=members,
    )


def _flat(milligram: float, route: Route, *, form: str = "racemate", hours: float = 0.0) -> Dose:
    return Dose(time_h=0.0, amount=milligram, unit="mg", route=route, duration_h=hours, form=form)  # type: ignore[arg-type]


def human_scenarios() -> dict[str, Scenario]:
    """Return the experiments in people: blood, blood pressure, mood."""
    course = np.unique(np.concatenate([_minutes(240.0), [24.0, 72.0, 168.0]]))
    single = _dose(0.5, "iv", hours=INFUSION_H)
    found = {f"infusion_{pk}": _human(single, course, pk) for pk in ("perez_ruixo", "clements")}
    found |= {"infusion": _human(single, course)}
    found |= {f"infusion_{mood}": _human(single, course, mood) for mood in ("habenula", "spines")}
    found |= {
        f"infusion_{dose:g}": _human(
            _dose(dose, "iv", hours=INFUSION_H), np.array([0.0, 24.0, 72.0])
        )
        for dose in (0.1, 0.2, 1.0)
    }
    found |= {f"nose_{mg:g}": _human(_flat(mg, "in"), _minutes(720.0, 2.0)) for mg in (10, 30, 50)}
    found["bolus_10"] = _human(_flat(10, "iv"), _minutes(720.0))
    found["s_20"] = _human(_flat(20, "iv", form="S", hours=1.0 / 3.0), _minutes(20.0))
    spray = _flat(56, "in", form="S")
    found["spray_56"] = _human(spray, np.array([0.0, 2.0, 3.0, 4.0, 24.0]))
    found["sprays_28_days"] = _human(
        _flat(84, "in", form="S"), np.array([0.0, 28.0 * 24.0]), additional=7
    )
    return found


def mouse_scenarios() -> dict[str, Scenario]:
    """Return the experiments in mice: occupancy, spines, repeated dosing."""
    late = np.unique(np.concatenate([np.arange(0.0, 337.0, 1.0)]))
    formation = np.arange(0.0, 133.0, 1.0)
    daily = {dose: repeat(_dose(dose, "ip"), 24.0, 9) for dose in (30.0, 100.0)}
    after = np.array([0.0, 24.0, 120.0, 240.0])
    sc_30, low = (_dose(30.0, "sc"),), _dose(10.0, "ip")
    found = {
        "sc_30": _animal("mouse", sc_30, _minutes(120.0)),
        "sc_30_parent_only": _animal(
            "mouse", sc_30, _minutes(120.0), parameters={"nk_active": 0.0}
        ),
        "ip_30": _animal("mouse", (_dose(30.0, "ip"),), _minutes(60.0)),
        "mouse_lhb": _animal("mouse", (low,), np.array([0.0, 24.0])),
        "spines": _animal("mouse", (low,), late),
        "s1": _animal("mouse", repeat(low, 24.0, 4), formation),
        "s1_late": _animal("mouse", repeat(low, 24.0, 4), formation, members=("s1_late",)),
        "r_ketamine": _animal(
            "mouse",
            (_dose(10.0, "ip", form="R"),),
            np.array([0.0, 3.0]),
            stress="defeat",
        ),
    }
    return found | {f"daily_{dose:g}": _animal("mouse", daily[dose], after) for dose in daily}


def rat_scenarios() -> dict[str, Scenario]:
    """Return the experiments in rats: glutamate, gamma, dopamine."""
    hours = _minutes(180.0)
    found = {
        f"rat_{dose:g}": _animal("rat", (_dose(dose, "ip"),), hours)
        for dose in (10, 20, 30, 50, 200)
    }
    found["rat_sc_10"] = _animal("rat", (_dose(10, "sc"),), _minutes(60.0))
    found["helpless"] = _animal("rat", (_dose(10, "ip"),), hours, stress="helpless")
    found["rat_cms"] = _animal("rat", (_dose(10, "ip"),), np.arange(0.0, 73.0), stress="cms")
    found["rat_iv"] = _animal("rat", (_dose(10, "iv"),), _minutes(720.0, 0.5))
    found["rat_sc_long"] = _animal("rat", (_dose(10, "sc"),), _minutes(720.0))
    chronic = np.array([0.0, 216.0, 217.0, 240.0])
    found["rat_daily"] = _animal("rat", repeat(_dose(30, "ip"), 24.0, 9), chronic)
    return found


def all_scenarios() -> dict[str, Scenario]:
    """Return every experiment by name."""
    return human_scenarios() | mouse_scenarios() | rat_scenarios()
