"""Summaries of a simulated regimen: doses in words, exposure, pathways, dose x day x region."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.dosing import Dose, DosingPlan, repeat
from ketamap.core.progress import Progress
from ketamap.simulate.facts import citations, split_ids
from ketamap.simulate.labels import label_of
from ketamap.simulate.nca import exposure
from ketamap.workflow.simulation_runs import Drawn, draw_courses, nominal

CURVES = {
    "plasma_ketamine_ng_per_ml": "ketamine",
    "plasma_norketamine_ng_per_ml": "norketamine",
    "plasma_hnk_ng_per_ml": "hydroxynorketamine",
}
"""Curves of the exposure table."""

PATHWAYS = (
    ("mesolimbic", "VTA", "ACB", "da_acb"),
    ("mesocortical", "VTA", "PFC", "da_pfc"),
    ("nigrostriatal", "SNc", "CP", "da_cp"),
)
"""Name, origin, target and quantity of the pathways that the model holds."""

TUBEROINFUNDIBULAR = "th_hypothalamus_class"
"""Stands for the fourth pathway where the regions of the seed study apply: its cells lie in
the hypothalamus, whose direction was put in."""

HEAT_ROWS = {
    "da_pfc": ("PFC", "dopamine, prefrontal cortex", "peak"),
    "da_acb": ("ACB", "dopamine, nucleus accumbens", "peak"),
    "da_cp": ("CP", "dopamine, caudoputamen", "peak"),
    "th_DR": ("DR", "TH per cell, dorsal raphe", "day"),
    "th_DMH": ("DMH", "TH per cell, dorsomedial hypothalamus", "day"),
    "th_MPN": ("MPN", "TH per cell, medial preoptic nucleus", "day"),
    "th_ZI": ("ZI", "TH per cell, zona incerta", "day"),
    "th_SNr": ("SNr", "TH per cell, substantia nigra reticulata", "day"),
    "axon_PL": ("PL", "dopamine axons, prelimbic area", "day"),
    "axon_ACA": ("ACA", "dopamine axons, anterior cingulate", "day"),
    "axon_AUD": ("AUD", "dopamine axons, auditory areas", "day"),
    "axon_VIS": ("VIS", "dopamine axons, visual areas", "day"),
}
"""Rows of the heat map: acronym, name, and whether the peak or the next day is read."""

HUMAN_HEAT_ROWS = {
    **{k: v for k, v in HEAT_ROWS.items() if k.startswith("da_")},
    "lhb_relative": ("LHb", "habenula bursts", "day"),
    "spine_density": ("PFC", "spine density, prefrontal cortex", "day"),
}
"""Rows for people: the study's regions were read in mice only."""

RODENT_SWEEP: tuple[tuple[float, ...], float, tuple[int, ...]] = ((30.0, 100.0), 24.0, (1, 5, 10))
HUMAN_SWEEP: tuple[tuple[float, ...], float, tuple[int, ...]] = ((0.25, 0.5, 1.0), 84.0, (1, 4, 8))
"""Doses, mg/kg; hours between them; after which dose the map is read."""

PEAK_WINDOW_H = 3.0
"""Stretch after a dose in which the peak is looked for."""

LEAST_LEVEL = 2.0**-4
"""Levels below are shown as this: the region readouts are straight lines without a floor."""


SAME_CURVE = 0.005
"""Members whose curve stays this near the first one's, as a share of its peak, get no row."""


def label_frame(plan: DosingPlan, quantities: Iterable[str]) -> pd.DataFrame:
    """Return label, reason and cited sources of quantities, for this plan."""
    rows = []
    for quantity in quantities:
        label = label_of(quantity, plan)
        rows.append((quantity, label.kind, label.reason, cited(label.sources)))
    return pd.DataFrame(rows, columns=["quantity", "label", "reason", "sources"])


def cited(ids: str) -> str:
    """Write rows of the facts with their citations."""
    by_source: dict[str, list[str]] = {}
    for one in split_ids(ids):
        by_source.setdefault(citations([one])[0], []).append(one)
    return "; ".join(f"{' '.join(rows)}: {source}" for source, rows in by_source.items())


def regimen_in_words(plan: DosingPlan) -> tuple[str, ...]:
    """Write who gets what and when, one sentence per line."""
    who = plan.subject
    sex = {"F": "female ", "M": "male ", "": ""}[who.sex]
    weight = f"{1000 * who.kg:g} g" if who.kg < 1 else f"{who.kg:g} kg"
    stress = {
        "none": "not stressed", "cms": "after chronic mild stress",
        "defeat": "after social defeat", "helpless": "after learned helplessness",
    }[who.stress]  # fmt: skip
    if who.species == "human" and who.stress != "none":
        stress = "in the stressed (depressed) state"
    lines = [f"One {sex}{who.species} of {weight}, {stress}, followed for {_length(plan.end_h)}."]
    lines += [f"{text[0].upper()}{text[1:]}." for text in _dose_groups(plan.doses)]
    if not plan.doses:
        lines.append("No drug is given.")
    for block in plan.blocks:
        lines.append(
            f"Co-treatment: {block.kind.replace('_', ' ')} ({100 * block.fraction:g} %), from "
            f"{_length(block.start_h)} to {_length(min(block.end_h, plan.end_h))}."
        )
    if plan.targets:
        lines.append(f"The drug reaches only {', '.join(plan.targets)}.")
    return tuple(lines)


def dose_text(dose: Dose) -> str:
    """Write one dose: amount, form, route, duration."""
    form = {"racemate": "racemic ketamine", "S": "S-ketamine", "R": "R-ketamine"}[dose.form]
    route = {
        "iv": "intravenous", "ip": "intraperitoneal", "sc": "subcutaneous",
        "im": "intramuscular", "in": "intranasal", "po": "oral",
    }[dose.route]  # fmt: skip
    over = f" over {_length(dose.duration_h)}" if dose.duration_h else ""
    return f"{dose.amount:g} {dose.unit} {form}, {route}{over}"


def dose_frame(plan: DosingPlan) -> pd.DataFrame:
    """Return doses for the marks of the pictures."""
    rows = [(d.time_h, d.stop_h, dose_text(d)) for d in plan.doses if d.amount > 0.0]
    return pd.DataFrame(rows, columns=["time_h", "stop_h", "text"])


def exposure_frame(
    plan: DosingPlan,
    columns: tuple[str, ...],
    times_h: NDArray[np.float64],
    members: dict[str, NDArray[np.float64]],
    drawn: Drawn | None = None,
) -> pd.DataFrame:
    """Summarise the nominal plasma curves of each member that changes them.

    Parameters
    ----------
    plan
        Untreated plans give an empty table.
    columns
        Quantities.
    times_h
        Shape ``(t,)``.
    members
        Member to its course, shape ``(t, quantity)``; the first one always has a row, others
        where they differ from it.
    drawn
        Draws of the first member; its peak and AUC get their 95 % of draws.
    """
    rows: list[dict[str, object]] = []
    for curve, analyte in CURVES.items():
        at = columns.index(curve)
        first = next(iter(members.values()))[:, at]
        for place, (member, values) in enumerate(members.items()):
            course = np.maximum(values[:, at], 0.0)
            same = np.max(np.abs(course - first)) <= SAME_CURVE * np.max(first)
            if not plan.treated or (place and same):
                continue
            found = exposure(times_h, course)
            widths = ("", "") if place or drawn is None else _widths(drawn, curve)
            rows.append(
                {
                    "analyte": analyte,
                    "member": member,
                    "Cmax, ng/ml": found.cmax,
                    _WIDTHS[0]: widths[0],
                    "tmax, h": found.tmax_h,
                    "AUC, ng h/ml": found.auc,
                    _WIDTHS[1]: widths[1],
                    "to infinity": found.auc_to_infinity,
                    "half-life, h": found.half_life_h,
                    "label": label_of(curve, plan).kind,
                }
            )
    frame = pd.DataFrame(rows)
    return frame if drawn is not None else frame.drop(columns=list(_WIDTHS), errors="ignore")


_WIDTHS = ("Cmax, 95 %", "AUC, 95 %")
"""Columns that need draws."""


def _widths(drawn: Drawn, curve: str) -> tuple[str, str]:
    """Return the range of peaks and of areas that holds 95 % of draws, as text."""
    courses = np.maximum(drawn.of(curve).astype(np.float64), 0.0)
    found = [exposure(drawn.times_h, course) for course in courses]
    ends = [np.quantile([getattr(one, name) for one in found], (0.025, 0.975))
            for name in ("cmax", "auc")]  # fmt: skip
    cmax, auc = (f"{_digits(low)} to {_digits(high)}".replace(" ", "\N{NO-BREAK SPACE}")
                 for low, high in ends)  # fmt: skip
    return cmax, auc


def _digits(value: float) -> str:
    """Write a number in three digits, never with an exponent."""
    return f"{float(f'{value:.3g}'):,g}" if value < 100.0 else f"{float(f'{value:.3g}'):,.0f}"


def pathway_frame(plan: DosingPlan, drawn: Drawn) -> pd.DataFrame:
    """Summarise dopamine at the end of each pathway over draws (one draw: no interval)."""
    last = max((d.stop_h for d in plan.doses if d.amount > 0.0), default=0.0)
    at_day = int(np.argmin(np.abs(drawn.times_h - min(last + 24.0, plan.end_h))))
    rows = [_pathway(plan, drawn, at_day, *pathway) for pathway in PATHWAYS]
    if TUBEROINFUNDIBULAR in drawn.columns:
        fourth = _pathway(
            plan, drawn, at_day, "tuberoinfundibular", "ARH", "ME", TUBEROINFUNDIBULAR
        )
        fourth["reason"] = (
            "Not dopamine but TH per cell of the hypothalamus as a class, whose direction was "
            "put in; the model holds no tuberoinfundibular release."
        )
    else:
        fourth = dict.fromkeys(rows[0], float("nan")) | {
            "pathway": "tuberoinfundibular", "origin": "ARH", "target": "ME", "label": "encoded",
            "reason": "The model holds nothing for this pathway: no figure was found for it.",
            "sources": "",
        }  # fmt: skip
    return pd.DataFrame([*rows, fourth])


def heat_frame(
    plan: DosingPlan,
    columns: tuple[str, ...],
    *,
    seed: int,
    draws: int,
    executor: Executor | None,
    progress: Progress,
) -> tuple[pd.DataFrame, str]:
    """Sweep dose and number of doses for this subject, and read each region.

    Parameters
    ----------
    plan
        Whose subject and targets are kept.
    columns
        Quantities to solve for, those of the map among them: with the page's own columns no
        second model has to be loaded.
    seed, draws, executor, progress
        As for `draw_courses`; 0 draws give nominal values.

    Returns
    -------
    frame
        Columns of the report's heat map.
    text
        What was simulated, one sentence.
    """
    human = plan.subject.species == "human"
    rows_shown = HUMAN_HEAT_ROWS if human else HEAT_ROWS
    doses, every_h, reads = HUMAN_SWEEP if human else RODENT_SWEEP
    frames = []
    for place, mg_per_kg in enumerate(doses):
        swept = _swept(plan, mg_per_kg, every_h, max(reads), human=human)
        times = _reading_times(swept, every_h, reads)

        def moved(done: float, total: float, /, place: int = place) -> None:
            progress(place * total + done, total * len(doses))

        drawn = courses(
            swept, columns, times, seed=seed, draws=draws, executor=executor,
            progress=moved,
        )  # fmt: skip
        frames.append(_heat_rows(swept, drawn, rows_shown, f"{mg_per_kg:g} mg/kg", every_h, reads))
    how = "40 min infusions twice a week" if human else "intraperitoneal doses once a day"
    text = (
        f"The same subject under {how}. Dopamine is read at its peak within "
        f"{PEAK_WINDOW_H:g} h of the last dose, all else a day after it; day 1 is the day of the "
        f"first dose."
    )
    return pd.concat(frames, ignore_index=True), text


def courses(
    plan: DosingPlan,
    columns: tuple[str, ...],
    times_h: NDArray[np.float64],
    *,
    seed: int,
    draws: int,
    executor: Executor | None,
    progress: Progress,
) -> Drawn:
    """Solve draws, or the nominal course as if it were the only draw where ``draws`` is 0."""
    if draws:
        return draw_courses(
            plan, columns, times_h, seed=seed, draws=draws, executor=executor, progress=progress
        )
    values = nominal(plan, columns, times_h)[None].astype(np.float32)
    return Drawn(times_h=times_h, columns=columns, values=values, failures=())


def _pathway(
    plan: DosingPlan, drawn: Drawn, at_day: int, name: str, origin: str, target: str, quantity: str
) -> dict[str, object]:
    course = drawn.of(quantity).astype(np.float64)
    change = 100.0 * (course / course[:, :1] - 1.0)
    middle = np.median(change, axis=0)
    at_peak = int(np.argmax(np.abs(middle)))
    low, high = np.quantile(change[:, at_peak], (0.025, 0.975))
    label = label_of(quantity, plan)
    one = len(course) == 1
    return {
        "pathway": name, "origin": origin, "target": target,
        "peak_percent": float(middle[at_peak]),
        "low_percent": float("nan") if one else float(low),
        "high_percent": float("nan") if one else float(high),
        "peak_time_h": float(drawn.times_h[at_peak]),
        "day_percent": float(middle[at_day]),
        "label": label.kind, "reason": label.reason, "sources": cited(label.sources),
    }  # fmt: skip


def _swept(
    plan: DosingPlan, mg_per_kg: float, every_h: float, n: int, *, human: bool
) -> DosingPlan:
    dose = Dose(
        time_h=0.0, amount=mg_per_kg, unit="mg/kg", route="iv" if human else "ip",
        duration_h=40.0 / 60.0 if human else 0.0,
    )  # fmt: skip
    return replace(
        plan,
        name=f"{mg_per_kg:g} mg/kg",
        doses=repeat(dose, every_h, n - 1),
        end_h=(n - 1) * every_h + 24.5,
        blocks=(),
    )


def _reading_times(plan: DosingPlan, every_h: float, reads: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the moments the map needs: the start, each peak's window, and a day later."""
    window = np.linspace(0.05, PEAK_WINDOW_H, 24)
    parts = [np.zeros(1), *((n - 1) * every_h + np.append(window, 23.999) for n in reads)]
    times = np.unique(np.concatenate(parts).round(6))
    return times[times <= plan.end_h]


def _heat_rows(
    plan: DosingPlan,
    drawn: Drawn,
    rows_shown: dict[str, tuple[str, str, str]],
    dose: str,
    every_h: float,
    reads: tuple[int, ...],
) -> pd.DataFrame:
    rows = []
    for quantity, (region, name, reading) in rows_shown.items():
        level = np.maximum(drawn.of(quantity).astype(np.float64), LEAST_LEVEL)
        change = np.log2(level / level[:, :1])
        label = label_of(quantity, plan)
        for n in reads:
            since = drawn.times_h - (n - 1) * every_h
            window = (since > 0) & (since <= (PEAK_WINDOW_H if reading == "peak" else 24.0))
            inside = change[:, window]
            value = _farthest(inside) if reading == "peak" else inside[:, -1]
            low, high = np.quantile(value, (0.025, 0.975)) if len(value) > 1 else (np.nan, np.nan)
            rows.append(
                (region, name, dose, 1.0 + (n - 1) * every_h / 24.0, float(np.median(value)),
                 float(low), float(high), label.kind, label.reason, cited(label.sources))
            )  # fmt: skip
    return pd.DataFrame(
        rows,
        columns=[
            "region", "name", "dose", "day", "value_log2", "low_log2", "high_log2",
            "label", "reason", "sources",
        ],
    )  # fmt: skip


def _farthest(change: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the value farthest from zero of each row."""
    return np.asarray(change[np.arange(len(change)), np.argmax(np.abs(change), axis=1)])


def _dose_groups(doses: tuple[Dose, ...]) -> list[str]:
    """Join doses that differ only in time."""
    groups: dict[str, list[float]] = {}
    for dose in doses:
        groups.setdefault(dose_text(dose), []).append(dose.time_h)
    return [f"{text}{_when(sorted(times))}" for text, times in groups.items()]


def _when(times: list[float]) -> str:
    if len(times) == 1:
        return f", at {_length(times[0])}" if times[0] else ", once, at the start"
    gaps = np.diff(times)
    if np.allclose(gaps, gaps[0]):
        first = f", first at {_length(times[0])}" if times[0] else ""
        return f", {len(times)} times, every {_length(float(gaps[0]))}{first}"
    shown = ", ".join(_length(t) for t in times[:10]) + (" ..." if len(times) > 10 else "")
    return f", {len(times)} times, at {shown}"


def _length(hours: float) -> str:
    if hours < 1.5:
        return f"{60 * hours:.3g} min" if hours else "0 h"
    return f"{hours:g} h" if hours < 48.0 else f"{hours / 24:.3g} days"
