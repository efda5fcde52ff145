"""Response and remission of patients, and the off-target index, as the page shows them."""

from __future__ import annotations

from typing import Any

import pandas as pd
from numpy.typing import NDArray

from ketamap.core.dosing import DosingPlan
from ketamap.core.progress import Progress, silent
from ketamap.report.simulation_contents import COURSE_COLUMNS, Layer, Panel
from ketamap.simulate.clinical import clinical_course
from ketamap.simulate.offtarget import off_target_index
from ketamap.workflow.simulation_runs import REFERENCE
from ketamap.workflow.simulation_summary import cited

CLINIC_DRAWS = 40
"""Draws behind response and remission, at most: each member needs its own."""

LABEL_REASONS = {
    "response_percent": (
        "Calibrated in every draw to the response a day after one infusion; the course after "
        "it is not fitted, and its members disagree.",
        "F001 F002 F003",
    ),
    "remission_percent": (
        "Rises in trials while response falls, which one latent mood cannot do.",
        "F001 F002 F003",
    ),
}
"""Quantity: why it has its label, and the rows that say so."""

_COLUMNS = {"low_95": "q025", "low_50": "q25", "high_50": "q75", "high_95": "q975"}


def clinic_layer() -> Layer:
    """Return the row of pictures of patients."""
    return Layer(
        title="Response and remission",
        text=(
            "Part of patients, placebo response included.  Bands are draws of parameters, not "
            "differences between trials."
        ),
        panels=(
            Panel(quantity="response_percent", title="Response", unit="% of patients"),
            Panel(quantity="remission_percent", title="Remission", unit="% of patients"),
        ),
        clinical=True,
    )


def clinic_courses(
    plan: DosingPlan,
    times_h: NDArray[Any],
    *,
    draws: int,
    seed: int,
    workers: int,
    progress: Progress = silent,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Follow response and remission of a human plan, apart for each route to mood.

    Returns
    -------
    courses
        Columns of the page's courses; the default member is the reference.
    labels
        Label, reason and sources of each quantity.
    """
    found = clinical_course(plan, min(draws, CLINIC_DRAWS), seed=seed, times_h=times_h,
                            workers=workers, progress=progress)  # fmt: skip
    found = found[found["quantity"].isin(LABEL_REASONS)].rename(columns=_COLUMNS)
    found["member"] = found["members"].replace({"default": REFERENCE})
    found["unit"] = "%"
    kinds = found.drop_duplicates("quantity").set_index("quantity")["label"]
    labels = [
        (quantity, str(kinds[quantity]), reason, cited(rows))
        for quantity, (reason, rows) in LABEL_REASONS.items()
    ]
    return (
        found[list(COURSE_COLUMNS)],
        pd.DataFrame(labels, columns=["quantity", "label", "reason", "sources"]),
    )


def off_target(plan: DosingPlan, *, draws: int = 0, seed: int = 0) -> tuple[pd.DataFrame, str]:
    """Compare a targeted plan with the same doses to the whole body; empty without targets."""
    if not plan.targets or not plan.treated:
        return pd.DataFrame(), ""
    draws = min(draws, CLINIC_DRAWS)
    table = off_target_index(plan, draws=draws, seed=seed)
    shown = table.drop(columns=["readout"]).assign(
        inside=table["inside"].map({True: "target", False: "outside"})
    )
    low, high = table.attrs["range_95"]
    width = f", {low:.2g} to {high:.2g} in 95 % of {draws} draws" if draws else ""
    if not draws:
        shown = shown.drop(columns=["share_low_95", "share_high_95"])
    text = (
        f"Off-target index {table.attrs['off_target_index']:.2g}{width} (effect outside the target over "
        f"effect inside, as shares of what the same doses do to the whole body, where it is 1). "
        f"Changes are the largest from the level before the drug."
    )
    return shown, text
