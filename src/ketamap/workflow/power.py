"""From a pilot table to power: tables and a page of curves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ketamap.core.tables import TableSchema
from ketamap.io.files import replacing
from ketamap.io.studies import read_design
from ketamap.io.tables import read_animals, read_any_table, write_table

POWER = TableSchema(name="power", columns=())
"""Tables of power: for reading, not for the next step."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PowerResult:
    """Power at the noise of a pilot table."""

    average: pd.DataFrame
    """`ketamap.stats.power.power_frames`: mean over regions."""

    by_region: pd.DataFrame
    """The same per region."""

    needed: pd.DataFrame
    """`ketamap.stats.power.animals_needed`."""

    budget: pd.DataFrame | None
    """`ketamap.stats.budget.budget_frame`, where a number of animals was given."""


def power(
    table: Path,
    *,
    animals: Path,
    design: Path,
    out: Path,
    counts: Literal["own", "total"] | None = None,
    changed: float = 0.2,
    budget: int | None = None,
) -> PowerResult:
    """Estimate the power of studies with the noise of a pilot table.

    Parameters
    ----------
    table
        Region table of the pilot.
    animals
        Animals table.
    design
        Design of the pilot, as YAML.
    out
        Folder to write: power.parquet, power_regions.parquet, animals_needed.parquet,
        power.png and, with a budget, power_budget.parquet.
    counts
        Whether a row of a table from elsewhere includes its descendants; None: found.
    changed
        Share of the regions expected to change.
    budget
        Animals to split over doses and days, 2-fold effects; None: not asked.
    """
    from ketamap.stats import (
        PowerPlan,
        analyse,
        animals_needed,
        budget_frame,
        pilot_noise,
        power_frames,
    )

    declared = read_design(design)
    analysis = analyse(read_any_table(table), read_animals(animals), declared, counts=counts)
    noise = pilot_noise(analysis, table.name.split(".")[0])
    plan = PowerPlan(alpha=declared.alpha, changed=changed)
    average, by_region = power_frames(noise, plan)
    result = PowerResult(
        average=average,
        by_region=by_region,
        needed=animals_needed(noise, plan),
        budget=None if budget is None else budget_frame(noise, budget, float(np.log(2.0)), plan),
    )
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "power.parquet", result.average, POWER)
    write_table(out / "power_regions.parquet", result.by_region, POWER)
    write_table(out / "animals_needed.parquet", result.needed, POWER)
    if result.budget is not None:
        write_table(out / "power_budget.parquet", result.budget, POWER)
    _draw(out / "power.png", result.average)
    return result


def _draw(path: Path, average: pd.DataFrame) -> None:
    """Draw mean power against animals per group, one line per effect; the range of 80 % of regions."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharey=True)
    for panel, (estimand, part) in zip(
        panels, average.groupby("estimand", sort=False), strict=True
    ):
        for fold, line in part.groupby("fold"):
            n = line["n_per_group"].to_numpy()
            (drawn,) = panel.plot(n, line["power"], marker="o", label=f"{fold:g}-fold")
            panel.fill_between(
                n, line["power_q10"], line["power_q90"], alpha=0.12, color=drawn.get_color()
            )
        panel.axhline(0.8, color="0.6", linewidth=0.8, linestyle="--")
        panel.set_title(f"{estimand} effects")
        panel.set_xlabel("animals per group")
        panel.set_ylim(0.0, 1.0)
    panels[0].set_ylabel("power (mean over regions; band: 80 % of them)")
    panels[0].legend(title="change", frameon=False)
    figure.suptitle(f"Noise of {average['noise'].iloc[0]}")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
