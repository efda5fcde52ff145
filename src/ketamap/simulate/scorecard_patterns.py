"""Rows of the scorecard that are a pattern: signs, an order, a course."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ketamap.simulate.scorecard_results import Results

Outcome = tuple[tuple[float, ...], bool]
"""Numbers to show, and whether the pattern is there."""

Pattern = Callable[[Results], Outcome]
"""Reads the experiments of one draw."""

GLUTAMATE_WINDOW_H = (0.0, 100.0 / 60.0)
"""Five microdialysis samples of 20 minutes."""

GLUTAMATE_CHANGE = 0.1
"""Mean change that counts as one; smaller ones count as none."""

FORMATION_EARLY_SHARE = 0.25
"""Formation counts as unchanged where it is below this share of the later rise."""

CLASS_RULE_SIGNS = {"DR": -1, "DMH": 1, "MPN": 1, "ZI": 1, "SNr": -1}
"""Midbrain down, hypothalamus up (100 mg/kg), applied to the five regions of 30 mg/kg."""

READ_SIGNS = {"DR": -1, "DMH": -1, "MPN": -1, "ZI": 1, "SNr": 1}
"""What the caption says for 30 mg/kg (D001 to D005)."""


def glutamate_change(r: Results, dose_mg_per_kg: float) -> float:
    """Mean change of cortical glutamate over the microdialysis window, rat i.p."""
    return r.mean(f"rat_{dose_mg_per_kg:g}", "glutamate", *GLUTAMATE_WINDOW_H) - 1.0


def _changes(r: Results, *doses: float) -> tuple[float, ...]:
    return tuple(glutamate_change(r, dose) for dose in doses)


def _up_at_low_doses(r: Results) -> Outcome:
    change = _changes(r, 10, 20, 30)
    return change, min(change) > GLUTAMATE_CHANGE


def _none_at_50(r: Results) -> Outcome:
    change = _changes(r, 50)
    return change, abs(change[0]) <= GLUTAMATE_CHANGE


def _down_at_200(r: Results) -> Outcome:
    change = _changes(r, 200)
    return change, change[0] < -GLUTAMATE_CHANGE


def _whole_glutamate(r: Results) -> Outcome:
    change = _changes(r, 10, 20, 30, 50, 200)
    return change, all(rule(r)[1] for rule in (_up_at_low_doses, _none_at_50, _down_at_200))


def _up_then_down(r: Results) -> Outcome:
    change = _changes(r, 10, 20, 30, 200)
    return change, _up_at_low_doses(r)[1] and _down_at_200(r)[1]


def _falls_with_dose(r: Results) -> Outcome:
    change = _changes(r, 30, 50, 200)
    return change, change[2] < change[1] < change[0]


def _first_crossing_minutes(r: Results, experiment: str, column: str, level: float) -> float:
    """Return when a series has gone ``level`` of the way from 1 to its first extreme."""
    series = r.series(experiment, column) - 1.0
    far = np.abs(series) >= level * np.abs(series).max()
    return 60.0 * float(r.times_h(experiment)[int(np.argmax(far))])


def _interneurons_first(r: Results) -> Outcome:
    falls, rises = (
        _first_crossing_minutes(r, "rat_10", column, 0.5) for column in ("rate_pv", "rate_pyr")
    )
    peak = r.peak("rat_10", "rate_pyr")
    return (falls, rises), falls < rises and peak > 1.0


def _gamma_up_thalamus_down(r: Results) -> Outcome:
    gamma = r.at("rat_sc_10", "gamma_power", 0.5) - 1.0
    thalamus = r.at("rat_sc_10", "rate_md", 0.5) - 1.0
    return (gamma, thalamus), gamma > 0.0 > thalamus


def _population_above_control_at_2h(r: Results) -> Outcome:
    pair = (r.at("rat_10", "vta_active", 2.0), r.at("helpless", "vta_active", 2.0))
    return pair, min(pair) > 1.1


def dopamine_rises(r: Results) -> tuple[float, float, float]:
    """Largest rise of dopamine in PFC, accumbens and striatum, rat, 10 mg/kg i.p."""
    return tuple(r.peak("rat_10", f"{at}_relative") - 1.0 for at in ("pfc", "acb", "cp"))  # type: ignore[return-value]


def _dopamine_order(r: Results) -> Outcome:
    pfc, accumbens, striatum = rises = dopamine_rises(r)
    alike = min(pfc, accumbens) > 0.0 and max(pfc, accumbens) <= 1.5 * min(pfc, accumbens)
    return rises, alike and 0.0 < striatum < min(pfc, accumbens)


def _formation_late(r: Results) -> Outcome:
    early, late = (
        r.mean("spines", "spine_formation", *window) - 1.0 for window in ((3.0, 6.0), (12.0, 24.0))
    )
    return (early, late), late > 0.01 and abs(early) <= FORMATION_EARLY_SHARE * late


def _dose_arms(r: Results) -> Outcome:
    link = r.link()
    arms = tuple(
        100.0 * float(link.response(r.at(name, "mood_effect", 24.0)))
        for name in ("infusion_0.1", "infusion_0.2", "infusion", "infusion_1")
    )
    return arms, arms[0] < arms[2] <= arms[3]


def _traces(r: Results) -> dict[tuple[int, int], float]:
    return {
        (dose, days): r.at(f"daily_{dose}", "th_response", 24.0 * days)
        for dose in (30, 100)
        for days in (1, 5, 10)
    }


def _window_exists(r: Results) -> Outcome:
    traces = _traces(r)
    scaled = tuple(value / traces[30, 10] for value in traces.values())
    rising = all(traces[d, 1] < traces[d, 5] < traces[d, 10] for d in (30, 100))
    return scaled, rising and max(traces[30, 5], traces[100, 5]) < traces[30, 10]


def _only_after_ten_days(r: Results) -> Outcome:
    traces = _traces(r)
    threshold = r.blind_threshold * traces[30, 10]
    over = {key: value > threshold for key, value in traces.items()}
    late = over[30, 10] and over[100, 10]
    early = any(over[dose, days] for dose in (30, 100) for days in (1, 5))
    return (r.blind_threshold,), late and not early


def _class_rule(_: Results) -> Outcome:
    right = sum(CLASS_RULE_SIGNS[region] == sign for region, sign in READ_SIGNS.items())
    return (float(right),), right == len(READ_SIGNS)


def _midbrain_at_three_months(r: Results) -> Outcome:
    sign = r.mouse["gain_th_midbrain_class"]
    return (float(np.sign(sign)),), sign > 0.0


PATTERNS: dict[str, Pattern] = {
    "C1": _up_at_low_doses,
    "C2": _none_at_50,
    "C3": _down_at_200,
    "C13": _up_then_down,
    "C123": _whole_glutamate,
    "C123w": _falls_with_dose,
    "C4": _interneurons_first,
    "C5": _gamma_up_thalamus_down,
    "D3": _population_above_control_at_2h,
    "D5": _dopamine_order,
    "S1": _formation_late,
    "M-dose": _dose_arms,
    "T0": _window_exists,
    "T1": _only_after_ten_days,
    "T3": _class_rule,
    "Tan": _midbrain_at_three_months,
}
"""Pattern of each row."""
