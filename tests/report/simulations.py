"""A made-up simulation for the tests of its page."""

import numpy as np
import pandas as pd

from ketamap.report.simulation_contents import COURSE_COLUMNS, Layer, Panel, SimulationReport

QUANTITIES = {
    "blood": "predicted",
    "glutamate": "compatible",
    "th_DR": "encoded",
    "spines": "known failure",
}
TIMES_H = np.linspace(0.0, 240.0, 61)


def course(quantity, member, values, spread=0.0):
    bands = {
        name: values + step * spread if spread else np.nan
        for name, step in (("q025", -2.0), ("q25", -0.7), ("q75", 0.7), ("q975", 2.0))
    }
    frame = pd.DataFrame({"time_h": TIMES_H, "median": values, **bands})
    frame = frame.assign(quantity=quantity, member=member, label=QUANTITIES[quantity], unit="")
    return frame[list(COURSE_COLUMNS)]


def made_up(**changes):
    level = 1.0 + np.exp(-TIMES_H / 24.0)
    courses = [course(q, "reference", level, spread=0.1) for q in QUANTITIES]
    courses += [course(q, "nominal", level) for q in QUANTITIES]
    courses += [course(q, "same", level * 1.0001) for q in QUANTITIES]
    courses += [course(q, "other", level * (1.5 if q == "blood" else 1.0)) for q in QUANTITIES]
    labels = pd.DataFrame(
        [(q, label, f"why {q}", f"A001: source of {q}") for q, label in QUANTITIES.items()],
        columns=["quantity", "label", "reason", "sources"],
    )
    values = {
        "title": "Ten <doses>",
        "regimen": ("One mouse.", "30 mg/kg a day."),
        "courses": pd.concat(courses, ignore_index=True),
        "layers": (
            Layer(
                title="Body",
                text="What it does.",
                panels=tuple(
                    Panel(quantity=q, title=q.capitalize(), unit="", baseline=1.0)
                    for q in QUANTITIES
                ),
                clinical=True,
            ),
        ),
        "labels": labels,
        "members": {"same": "nothing else", "other": "half as much blood"},
        "n_draws": 200,
        "doses": pd.DataFrame(
            {"time_h": [0.0, 24.0], "stop_h": [0.0, 25.0], "text": ["bolus", "infusion"]}
        ),
        "heat": heat(),
        "heat_text": "Made up.",
        "pathways": pathways(),
        "nca": pd.DataFrame({"analyte": ["ketamine"], "Cmax": [185.2]}),
        "scorecard": pd.DataFrame({"row": ["PK1", "M"], "verdict": ["IN", "OUT"]}),
        "parameters": parameters(),
        "versions": {"ketamap": "0.0"},
        "settings": {"draws": 200},
    }
    return SimulationReport(**(values | changes))


def heat():
    return pd.DataFrame(
        [
            ("PFC", "dopamine", dose, day, value, value - 0.1, value + 0.1, label, "why", "E019")
            for label, value in (("compatible", 0.7), ("encoded", -0.4))
            for dose in ("30 mg/kg", "100 mg/kg")
            for day in (1.0, 10.0)
        ],
        columns=[
            "region", "name", "dose", "day", "value_log2", "low_log2", "high_log2",
            "label", "reason", "sources",
        ],
    ).assign(region=["PFC"] * 4 + ["DR"] * 4)  # fmt: skip


def pathways():
    nothing = float("nan")
    return pd.DataFrame(
        [
            ("mesolimbic", "VTA", "ACB", 57.0, -12.0, 217.0, 0.4, 4.0, "compatible", "why", "E019"),
            ("tuberoinfundibular", "ARH", "ME", *[nothing] * 5, "encoded", "no figure", "E022"),
        ],
        columns=[
            "pathway", "origin", "target", "peak_percent", "low_percent", "high_percent",
            "peak_time_h", "day_percent", "label", "reason", "sources",
        ],
    )  # fmt: skip


def parameters():
    return pd.DataFrame(
        {
            "name": ["CL", "gain_bdnf", "switch"],
            "value": [95.0, -1.0, 0.0],
            "unit": ["litre_per_h", "dimensionless", "per_h"],
            "certainty": ["abstract", "guess", "exact"],
            "role": ["calibrated", "prior", "fixed"],
            "prior_sd_ln": [0.2, 0.8, 0.0],
            "source_rows": ["A004", "", ""],
            "meaning": ["clearance", "BDNF from drive", "a switch"],
        }
    )
