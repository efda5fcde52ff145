"""A made-up dose x duration study with two measures, as frames of the statistics."""

import numpy as np
import pandas as pd

DOSES, DAYS = (30.0, 100.0), (1.0, 10.0)
MEASURES = ("cells", "axon_length_mm")
REGIONS = {101: "R101", 102: "R102", 103: "R103", 111: "R111"}
UNTESTABLE = 111
CALLED = 101
"""Region with an effect of the high dose on the last day."""

NONE = dict.fromkeys(
    ("estimate_log2", "ci_low_log2", "ci_high_log2", "se_log2", "df", "p", "q"), np.nan
)


def contrast(dose, day):
    return f"{dose:g} mg/kg vs vehicle, {day:g} d"


def numbers(value, q):
    return {
        "estimate_log2": value, "ci_low_log2": value - 0.3, "ci_high_log2": value + 0.4,
        "se_log2": 0.15, "df": 20.0, "p": q / 4, "q": q,
    }  # fmt: skip


def rows(region, estimands, name, value, q):
    reason = "mean count 2.0 is below 10" if region == UNTESTABLE else ""
    return [
        {
            "region_id": region, "acronym": REGIONS.get(region, "root"), "contrast": name,
            "estimand": estimand, **(NONE if reason else numbers(value, q)),
            "testable": not reason, "reason": reason,
        }
        for estimand in estimands
    ]  # fmt: skip


def effects_of(name, value, q):
    found = rows(1, ("shift",), name, 0.1, 0.6)
    for region in REGIONS:
        hit = region == CALLED
        found += rows(
            region, ("relative", "absolute"), name, value if hit else 0.05, q if hit else 0.8
        )
    return found


def effects(cells):
    frame = pd.DataFrame(
        [
            row
            for dose, day in cells
            for row in effects_of(
                contrast(dose, day),
                *((1.2, 0.001) if (dose, day) == (100.0, 10.0) else (0.1, 0.7)),
            )
        ]
    )
    return by_measure(frame)


def by_measure(frame):
    return pd.concat([frame.assign(measure=m) for m in MEASURES], ignore_index=True)


def any_dose():
    found = rows(1, ("shift",), "", 0.1, 0.6)
    for region in REGIONS:
        hit = region == CALLED
        found += rows(
            region, ("relative", "absolute"), "", 1.2 if hit else 0.1, 0.001 if hit else 0.9
        )
    frame = pd.DataFrame(found).assign(shape="100 alone from day 10")
    frame["t"] = frame["estimate_log2"] / frame["se_log2"]
    return by_measure(frame[["region_id", "acronym", "estimand", "shape", "t", "df", "p", "q",
                             "testable", "reason"]])  # fmt: skip


def onset():
    found = [
        {"region_id": region, "acronym": name, "estimand": estimand, "dose": dose,
         "established": (hit := region == CALLED and dose == 100.0),
         "onset_days": 10.0 if hit else np.nan, "onset_low_days": 1.0 if hit else np.nan,
         "onset_high_days": 10.0 if hit else np.nan, "p": 0.002 if hit else np.nan,
         "reason": "" if hit else "no effect of dose established in this region"}
        for region, name in REGIONS.items()
        for estimand in ("relative", "absolute")
        for dose in DOSES
    ]  # fmt: skip
    return by_measure(pd.DataFrame(found))


def dose_response():
    found = [
        {"region_id": CALLED, "acronym": "R101", "estimand": estimand, "days": day,
         "model": "emax", "ed50": 20.0, "ed50_low": 0.0, "ed50_high": np.inf,
         "curve_doses": [0.0, 50.0, 100.0], "curve_log2": [0.0, 0.6, 1.2],
         "curve_low_log2": [0.0, 0.4, 0.9], "curve_high_log2": [0.0, 0.9, 1.6]}
        for estimand in ("relative", "absolute")
        for day in DAYS
    ]  # fmt: skip
    return by_measure(pd.DataFrame(found))


def selection():
    names = [contrast(dose, day) for dose in DOSES for day in DAYS]
    frame = pd.DataFrame(
        [
            {"region_id": region, "acronym": name, "contrast": c, "estimand": estimand,
             "division": "Front", "p": 0.001, "division_p": 0.002,
             "selected": region == CALLED and c == names[-1],
             "division_selected": c == names[-1]}
            for region, name in REGIONS.items() if region != UNTESTABLE
            for c in names
            for estimand in ("relative", "absolute")
        ]
    )  # fmt: skip
    return by_measure(frame)


def permutation():
    names = [contrast(dose, day) for dose in DOSES for day in DAYS]
    frame = pd.DataFrame(
        [
            {"region_id": region, "acronym": name, "contrast": c, "t": 3.1,
             "p_permutation": 0.04 if (odd := region == 102 and c == names[0]) else 0.5,
             "p_model": 0.2 if odd else 0.6, "disagrees": odd}
            for region, name in REGIONS.items() if region != UNTESTABLE
            for c in names
        ]
    )  # fmt: skip
    return by_measure(frame)


def dose_parts(*, gone=()):
    """What a report of this study holds, without the cells in `gone`."""
    cells = [(dose, day) for day in DAYS for dose in DOSES if (dose, day) not in gone]
    groups = [(dose, day) for day in DAYS for dose in (0.0, *DOSES)]
    animals = pd.DataFrame(
        [
            {"animal": f"m{k}_{dose:g}_{day:g}", "dose_mg_per_kg": dose, "days": day,
             "group": f"{f'{dose:g} mg/kg' if dose else 'vehicle'} {day:g} d"}
            for dose, day in groups for k in range(3)
        ]
    )  # fmt: skip
    growth = pd.DataFrame(
        effects_of("growth of the effect of dose 100 from day 1 to day 10", 1.1, 0.002)
    )
    values = pd.DataFrame(
        [
            {"animal": a, "region_id": r, "acronym": n, "count": 100.0, "volume_mm3": 1.0,
             "log2_density": 6.0 + 0.01 * k, "log2_relative": 6.0, "count_low": 50.0,
             "count_high": 200.0}
            for k, a in enumerate(animals.animal) for r, n in REGIONS.items()
        ]
    )  # fmt: skip
    factors = animals[["animal", "group"]].assign(factor_log2=np.linspace(-1, 1, len(animals)))
    model = {
        "prior_df": 7.25, "variance_ratio": 1.3, "variances_pooled": True, "offset": "0.5",
        "least_mean": "10", "least_volume_mm3": 0.01, "least_animals": 3, "shapes": 18, "permutations": 2000, "shift_share": 0.2,
    }  # fmt: skip
    return {
        "animals": animals,
        "effects": effects(cells),
        "values": by_measure(values),
        "animal_factors": by_measure(factors),
        "partition": dict.fromkeys(MEASURES, "4 regions"),
        "cells": pd.DataFrame([{"contrast": contrast(*c), "dose": c[0], "day": c[1]} for c in cells]),
        "further": {
            "any_dose": any_dose(), "interaction": by_measure(growth), "onset": onset(),
            "dose_response": dose_response(), "selection": selection(),
            "permutation": permutation(),
        },
        "models": tuple({"measure": m, **model} for m in MEASURES),
        "truth": None,
    }  # fmt: skip
