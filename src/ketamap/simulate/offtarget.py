"""Targeted delivery: how much of the effect falls outside the target."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from ketamap.core.dosing import DosingPlan
from ketamap.core.errors import InputError
from ketamap.simulate.engine import simulate

SITES: dict[str, tuple[tuple[str, ...], str]] = {
    "glutamate": (("PFC", "PV", "PYR"), "cortical glutamate"),
    "rate_md": (("MD",), "mediodorsal thalamus"),
    "lhb_relative": (("LHb",), "habenula bursts"),
    "da_acb": (("VTA", "VTA_GABA", "ACB"), "accumbens dopamine"),
    "da_cp": (("CP",), "striatal dopamine"),
    "systolic_change_mmhg": ((), "blood pressure"),
    "dissociation_cadss": (("PFC", "PYR"), "dissociation"),
}
"""Readout, the targets it belongs to (none: the body), and its name."""

LABEL = "encoded"
"""The split follows from how the model is wired: a what-if, not evidence."""


def off_target_index(plan: DosingPlan) -> pd.DataFrame:
    """Compare a targeted plan with the same doses to the whole body.

    Parameters
    ----------
    plan
        With ``targets``.

    Returns
    -------
    DataFrame
        One row per readout: ``readout, name, inside`` (whether it belongs to a target),
        ``targeted`` and ``systemic`` (largest change from the level before the drug),
        ``share`` (targeted over systemic), ``label``; and in ``attrs``:
        ``off_target_index``, the mean share outside over the mean share inside, beside 1
        for systemic dosing, and ``label``.  The index is NaN where no readout of the table
        belongs to a target.

    Raises
    ------
    InputError
        If the plan has no targets or no dose.
    """
    if not plan.targets or not plan.treated:
        msg = f"Plan {plan.name!r} needs targets and a dose for an off-target index."
        raise InputError(msg)
    frames = {
        "targeted": simulate(plan),
        "systemic": simulate(replace(plan, targets=())),
    }
    wanted = {target.lower() for target in plan.targets}
    rows = []
    for readout, (targets, name) in SITES.items():
        inside = bool(wanted & {target.lower() for target in targets})
        change = {key: _largest_change(frame[readout]) for key, frame in frames.items()}
        share = change["targeted"] / change["systemic"] if change["systemic"] else 0.0
        rows.append({"readout": readout, "name": name, "inside": inside, **change, "share": share})
    table = pd.DataFrame(rows).assign(label=LABEL)
    shares = table.groupby("inside")["share"].mean()
    inside_share = float(shares.get(True, 0.0))
    table.attrs["off_target_index"] = (
        float(shares.get(False, 0.0)) / inside_share if inside_share else float("nan")
    )
    table.attrs["label"] = LABEL
    return table


def _largest_change(series: pd.Series) -> float:
    return float((series - series.iloc[0]).abs().max())
