"""Rows of the scorecard that are a pattern: signs, an order, a course."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ketamap.simulate.scorecard_results import Results

Values = tuple[float, ...]
"""Numbers of one draw, or their medians over draws."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A row that is judged on several numbers at once."""

    measure: Callable[[Results], Values]
    """Reads the numbers from the experiments of one draw."""

    verdict: Callable[[Values], bool]
    """Whether numbers show the pattern; NaN shows none."""


GLUTAMATE_WINDOW_H = (0.0, 100.0 / 60.0)
"""Five microdialysis samples of 20 minutes."""

UNCHANGED = 0.1
"""Mean change up to which glutamate counts as unchanged at 50 mg/kg.  Directions at the other
doses are judged by their sign: only directions were read (C001 to C003)."""

FORMATION_EARLY_SHARE = 0.25
"""Formation counts as unchanged where it is below this share of the later rise."""

CLASS_RULE_SIGNS = {"DR": -1, "DMH": 1, "MPN": 1, "ZI": 1, "SNr": -1}
"""Midbrain down, hypothalamus up (100 mg/kg), applied to the five regions of 30 mg/kg."""

READ_SIGNS = {"DR": -1, "DMH": -1, "MPN": -1, "ZI": 1, "SNr": 1}
"""What the caption says for 30 mg/kg (D001 to D005)."""


def glutamate_change(r: Results, dose_mg_per_kg: float) -> float:
    """Mean change of cortical glutamate over the microdialysis window, rat i.p."""
    return r.mean(f"rat_{dose_mg_per_kg:g}", "glutamate", *GLUTAMATE_WINDOW_H) - 1.0


def _changes(*doses: float) -> Callable[[Results], Values]:
    return lambda r: tuple(glutamate_change(r, dose) for dose in doses)


def _up_then_down(change: Values) -> bool:
    return min(change[:-1]) > 0.0 > change[-1]


def _whole_glutamate(change: Values) -> bool:
    *low, middle, high = change
    return _up_then_down((*low, high)) and abs(middle) <= UNCHANGED


def _falling(values: Values) -> bool:
    return all(later < earlier for earlier, later in pairwise(values))


def _first_crossing_minutes(r: Results, experiment: str, column: str, level: float) -> float:
    """Return when a series has gone ``level`` of the way from 1 to its first extreme."""
    series = r.series(experiment, column) - 1.0
    far = np.abs(series) >= level * np.abs(series).max()
    return 60.0 * float(r.times_h(experiment)[int(np.argmax(far))])


def _half_way_times(r: Results) -> Values:
    falls, rises = (
        _first_crossing_minutes(r, "rat_10", column, 0.5) for column in ("rate_pv", "rate_pyr")
    )
    return falls, rises, r.peak("rat_10", "rate_pyr")


def _interneurons_first(values: Values) -> bool:
    falls, rises, peak = values
    return falls < rises and peak > 1.0


def _gamma_and_thalamus(r: Results) -> Values:
    return tuple(r.at("rat_sc_10", column, 0.5) - 1.0 for column in ("gamma_power", "rate_md"))


def _population_at_2h(r: Results) -> Values:
    return r.at("rat_10", "vta_active", 2.0), r.at("helpless", "vta_active", 2.0)


def dopamine_rises(r: Results) -> Values:
    """Largest rise of dopamine in PFC, accumbens and striatum, rat, 10 mg/kg i.p."""
    return tuple(r.peak("rat_10", f"{at}_relative") - 1.0 for at in ("pfc", "acb", "cp"))


def _dopamine_order(rises: Values) -> bool:
    pfc, accumbens, striatum = rises
    alike = min(pfc, accumbens) > 0.0 and max(pfc, accumbens) <= 1.5 * min(pfc, accumbens)
    return alike and 0.0 < striatum < min(pfc, accumbens)


def _formation(r: Results) -> Values:
    windows = ((3.0, 6.0), (12.0, 24.0))
    return tuple(r.mean("spines", "spine_formation", *window) - 1.0 for window in windows)


def _formation_late(values: Values) -> bool:
    early, late = values
    return late > 0.01 and abs(early) <= FORMATION_EARLY_SHARE * late


def _dose_arms(r: Results) -> Values:
    link = r.link()
    return tuple(
        100.0 * float(link.response(r.at(name, "mood_effect", 24.0)))
        for name in ("infusion_0.1", "infusion_0.2", "infusion", "infusion_1")
    )


def _traces(r: Results) -> Values:
    """Response of TH at 1, 5, 10 d of 30 and then of 100 mg/kg, over 10 d at 30."""
    found = [
        r.at(f"daily_{dose}", "th_response", 24.0 * days)
        for dose in (30, 100)
        for days in (1, 5, 10)
    ]
    return tuple(one / found[2] for one in found)


def _window_exists(traces: Values) -> bool:
    low, high = traces[:3], traces[3:]
    rising = all(one[0] < one[1] < one[2] for one in (low, high))
    return rising and max(low[1], high[1]) < low[2]


def _only_after_ten_days(values: Values) -> bool:
    threshold, *traces = values
    over = [one > threshold for one in traces]
    return over[2] and over[5] and not any(over[k] for k in (0, 1, 3, 4))


def _class_rule_right(_: Results) -> Values:
    return (float(sum(CLASS_RULE_SIGNS[region] == sign for region, sign in READ_SIGNS.items())),)


def _midbrain_at_three_months(r: Results) -> Values:
    return (float(np.sign(r.mouse["gain_th_midbrain_class"])),)


PATTERNS: dict[str, Pattern] = {
    "C1": Pattern(_changes(10, 20, 30), lambda v: min(v) > 0.0),
    "C2": Pattern(_changes(50), lambda v: abs(v[0]) <= UNCHANGED),
    "C3": Pattern(_changes(200), lambda v: v[0] < 0.0),
    "C13": Pattern(_changes(10, 20, 30, 200), _up_then_down),
    "C123": Pattern(_changes(10, 20, 30, 50, 200), _whole_glutamate),
    "C123w": Pattern(_changes(30, 50, 200), _falling),
    "C4": Pattern(_half_way_times, _interneurons_first),
    "C5": Pattern(_gamma_and_thalamus, lambda v: v[0] > 0.0 > v[1]),
    "D3": Pattern(_population_at_2h, lambda v: min(v) > 1.1),
    "D5": Pattern(dopamine_rises, _dopamine_order),
    "S1": Pattern(_formation, _formation_late),
    "M-dose": Pattern(_dose_arms, lambda v: v[0] < v[2] <= v[3]),
    "T0": Pattern(_traces, _window_exists),
    "T1": Pattern(lambda r: (r.blind_threshold, *_traces(r)), _only_after_ten_days),
    "T3": Pattern(_class_rule_right, lambda v: v[0] == len(READ_SIGNS)),
    "Tan": Pattern(_midbrain_at_three_months, lambda v: v[0] > 0.0),
}
"""Pattern of each row."""
