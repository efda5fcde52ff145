"""Rows of the scorecard that are one number inside an interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ketamap.core.dosing import KETAMINE_G_PER_MOL
from ketamap.simulate.scorecard_results import Results

Measure = Callable[[Results], float]
"""What is read from the experiments of one draw."""

_VENOUS = "venous_ketamine_ng_per_ml"
"""Concentrations of people are read from a vein unless the source says artery (A003): only
the parent study did (A035, PK4)."""

RESTING_MEAN_PRESSURE_MMHG = 90.0
"""Resting mean arterial pressure, assumed, mmHg."""


def _infusion(column: str, experiment: str = "infusion") -> Measure:
    return lambda r: r.end_of_infusion(column, experiment)


def _mean_of_pk_members(r: Results) -> float:
    ends = [r.end_of_infusion(_VENOUS, e) for e in ("infusion", "infusion_perez_ruixo")]
    return float(np.mean(ends))


def _peak(experiment: str, column: str) -> Measure:
    return lambda r: r.peak(experiment, column)


def _auc_ng_h_per_ml(experiment: str) -> Measure:
    return lambda r: float(r.series(experiment, "auc_ketamine_uM_h")[-1]) * KETAMINE_G_PER_MOL


def _peak_minutes(experiment: str, column: str) -> Measure:
    return lambda r: 60.0 * r.peak_time_h(experiment, column)


def _at(experiment: str, column: str, time_h: float) -> Measure:
    return lambda r: r.at(experiment, column, time_h)


def dose_of_half_depression(r: Results) -> float:
    """Dose at which the depressant target is half engaged at its peak, mg/kg i.p., mouse.

    Kinetics are linear, so one simulation of 30 mg/kg gives the peak of every dose.
    """
    return 30.0 * r.mouse["IC50_depressant"] / r.peak("ip_30", "brain_ketamine_uM")


def depression_at(r: Results, dose_mg_per_kg: float) -> float:
    """Return the peak engagement of the depressant target of a mouse dose i.p."""
    ratio = dose_mg_per_kg / dose_of_half_depression(r)
    return float(1.0 / (1.0 + ratio ** -r.mouse["hill_depressant"]))


def pressure_percent(r: Results, plasma_ng_per_ml: float) -> float:
    """Rise of pressure at a steady concentration, percent of the assumed resting pressure."""
    um = plasma_ng_per_ml / KETAMINE_G_PER_MOL
    rise = r.human["systolic_max_mmhg"] * um / (um + r.human["pressor_half_uM"])
    return 100.0 * rise / RESTING_MEAN_PRESSURE_MMHG


def line_of_occupancy(r: Results, class_name: str) -> float:
    """Correlation of class occupancy with concentration, 50 to 200 ng/mL, steady state."""
    ng_per_ml = np.linspace(50.0, 200.0, 6)
    drive = r.human["fu"] * ng_per_ml / KETAMINE_G_PER_MOL / r.human["IC50_ketamine"]
    x = drive / r.human[f"q_{class_name}"]
    return float(np.corrcoef(ng_per_ml, x / (1.0 + x))[0, 1])


def _rise(experiment: str, column: str) -> Measure:
    return lambda r: r.peak(experiment, column) - 1.0


def _ratio(above: float, below: float) -> float:
    """Divide; NaN, which is in no interval, where there is no effect to compare with."""
    return above / below if below > _NO_EFFECT else float("nan")


_NO_EFFECT = 1e-9


def _striatum_over_accumbens(r: Results) -> float:
    return _ratio(_rise("rat_10", "cp_relative")(r), _rise("rat_10", "acb_relative")(r))


def _spines_left(r: Results) -> float:
    gain = r.series("spines", "spines_relative") - 1.0
    return _ratio(float(gain[-1]), float(gain.max()))


def _rescued(r: Results) -> float:
    lost = r.at("r_ketamine", "elimination_factor", 3.0) - 1.0
    return _ratio(r.at("r_ketamine", "spines_relative", 3.0) - 1.0, lost)


def _largest_restored(r: Results) -> float:
    lost = r.at("rat_cms", "elimination_factor", 0.0) - 1.0
    return _ratio(r.peak("rat_cms", "spines_relative") - 1.0, lost)


def _pressure_left(r: Results) -> float:
    late = r.at("infusion", "systolic_change_mmhg", 130.0 / 60.0)
    return _ratio(late, r.peak("infusion", "systolic_change_mmhg"))


def _odds_ratio(r: Results) -> float:
    link = r.link()
    treated = r.response_percent(24.0) / 100.0
    placebo = link.patients.placebo_response
    return treated / (1.0 - treated) * (1.0 - placebo) / placebo


def _response(time_h: float, experiment: str = "infusion") -> Measure:
    return lambda r: r.response_percent(time_h, experiment)


def _remission(time_h: float) -> Measure:
    return lambda r: 100.0 * float(r.link().remission(r.at("infusion", "mood_effect", time_h)))


def _early_over_late_nasal(r: Results) -> float:
    mood = np.mean([r.at("spray_56", "mood_effect", h) for h in (2.0, 3.0, 4.0)])
    return _ratio(float(mood), r.at("spray_56", "mood_effect", 24.0))


def nasal_day_28_difference(r: Results) -> float:
    """Return the gain in responders after 28 days of 84 mg twice a week, percent points.

    Placebo response of that trial (52 %, F013) is encoded; the drug adds to it.
    """
    link = r.link()
    shift = link.gain * r.at("sprays_28_days", "mood_effect", 28.0 * 24.0)
    patients = type(link.patients)(placebo_response=0.52)
    lift = type(link)(patients=patients, gain=1.0, remission_threshold=link.remission_threshold)
    return 100.0 * (float(lift.response(shift)) - patients.placebo_response)


def _trace_window_log2(r: Results) -> float:
    ten_at_30 = r.at("daily_30", "th_response", 240.0)
    return float(np.log2(ten_at_30 / r.at("daily_100", "th_response", 120.0)))


def _chronic_pfc_percent(r: Results) -> float:
    return 100.0 * (r.at("rat_daily", "pfc_relative", 217.0) - 1.0)


def terminal_half_life_h(values: Mapping[str, float]) -> float:
    """Terminal half-life of S-ketamine, hours: slowest eigenvalue of the three compartments."""
    v, q = [values[k] for k in ("V1", "V2", "V3")], [values[k] for k in ("CL", "Q2", "Q3")]
    rates = np.array(
        [
            [-sum(q) / v[0], q[1] / v[1], q[2] / v[2]],
            [q[1] / v[0], -q[1] / v[1], 0.0],
            [q[2] / v[0], 0.0, -q[2] / v[2]],
        ]
    )
    return float(np.log(2.0) / np.min(-np.linalg.eigvals(rates).real))


def _hnk_half_life_h(r: Results) -> float:
    volume = r.rat["V_hnk1"] + r.rat["V_hnk2"]
    return float(np.log(2.0)) * volume / r.rat["CL_hnk"]


def _habenula_under_stress(r: Results) -> float:
    """Habitual bursting of a stressed habenula over that of an unstressed one."""
    return 1.0 + r.rat["burst_stress"] / r.rat["burst_base"]


def _population_under_stress(r: Results) -> float:
    """Habitual VTA population of a stressed rat over that of an unstressed one."""
    gain = r.rat["gain_rmtg"]
    return (1.0 + gain) / (1.0 + gain * _habenula_under_stress(r))


INTERVALS: dict[str, Measure] = {
    "K1": lambda r: 60.0 * terminal_half_life_h(r.mouse),
    "K2": _hnk_half_life_h,
    "L0": _habenula_under_stress,
    "D0": _population_under_stress,
    "PK1": _infusion(_VENOUS),
    "PK1b": _infusion(_VENOUS),
    "PK1c": _infusion(_VENOUS, "infusion_perez_ruixo"),
    "PK1d": _mean_of_pk_members,
    "PK1e": _infusion(_VENOUS, "infusion_clements"),
    "PK2": _auc_ng_h_per_ml("bolus_10"),
    "PK2b": _peak("bolus_10", _VENOUS),
    "PK2c": _peak("bolus_10", "plasma_norketamine_ng_per_ml"),
    "PK3-10": _peak("nose_10", _VENOUS),
    "PK3-30": _peak("nose_30", _VENOUS),
    "PK3-50": _peak("nose_50", _VENOUS),
    "PK3n-10": _peak("nose_10", "plasma_norketamine_ng_per_ml"),
    "PK3n-30": _peak("nose_30", "plasma_norketamine_ng_per_ml"),
    "PK3n-50": _peak("nose_50", "plasma_norketamine_ng_per_ml"),
    "PK4": _peak("s_20", "plasma_S_ng_per_ml"),
    "N1": _peak_minutes("sc_30", "occupancy_receptor"),
    "N2": _at("sc_30", "occupancy_receptor", 1.0),
    "N2b": _at("sc_30_parent_only", "occupancy_receptor", 1.0),
    "N3": _infusion("occupancy_receptor"),
    "N4": dose_of_half_depression,
    "N5": lambda r: depression_at(r, 200.0),
    "N6": lambda r: depression_at(r, 50.0),
    "L1": lambda r: 1.0 - r.at("mouse_lhb", "lhb_relative", 24.0),
    "D1": lambda r: 100.0 * (r.at("rat_10", "vta_active", 1.0 / 3.0) - 1.0),
    "D2": _at("helpless", "vta_active", 1.0 / 3.0),
    "D4": _at("rat_10", "da_burst", 1.0 / 3.0),
    "D4b": _at("rat_10", "da_burst", 2.0),
    "D5b": _striatum_over_accumbens,
    "D6": _chronic_pfc_percent,
    "S0": _largest_restored,
    "S2": _spines_left,
    "S2b": lambda r: 100.0 * (r.at("spines", "spines_relative", 192.0) - 1.0),
    "S3": lambda r: r.mean("s1", "spine_formation", 6.0, 24.0) - 1.0,
    "S3b": lambda r: r.mean("s1", "spine_formation", 72.0, 132.0) - 1.0,
    "S3c": lambda r: r.mean("s1_late", "spine_formation", 6.0, 24.0) - 1.0,
    "S3d": lambda r: r.mean("s1_late", "spine_formation", 72.0, 132.0) - 1.0,
    "S4": _rescued,
    "M24": _response(24.0),
    "M72": _response(72.0),
    "M168": _response(168.0),
    "M72-habenula": _response(72.0, "infusion_habenula"),
    "M168-habenula": _response(168.0, "infusion_habenula"),
    "M72-spines": _response(72.0, "infusion_spines"),
    "M168-spines": _response(168.0, "infusion_spines"),
    "M-OR": _odds_ratio,
    "M-R24": _remission(24.0),
    "M-R72": _remission(72.0),
    "M-R168": _remission(168.0),
    "M-nasal": _early_over_late_nasal,
    "M-28d": nasal_day_28_difference,
    "E1": _peak_minutes("infusion", "systolic_change_mmhg"),
    "E2": _pressure_left,
    "E3": lambda r: pressure_percent(r, 1959.0),
    "E4": lambda r: line_of_occupancy(r, "pyr"),
    "E4b": lambda r: line_of_occupancy(r, "pv"),
    "R1": lambda r: (
        r.peak("rat_iv", "plasma_ketamine_uM") / r.peak("rat_sc_long", "plasma_ketamine_uM")
    ),
    "R2": lambda r: float(
        r.series("rat_sc_long", "auc_norketamine_uM_h")[-1]
        / r.series("rat_iv", "auc_norketamine_uM_h")[-1]
    ),
    "T2": _trace_window_log2,
}
"""Number of each row; the interval is in ``scorecard_rows.csv``."""
