"""From a pilot table, or published noise, to power: tables and a page of curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from ketamap.core.errors import InputError
from ketamap.core.tables import TableSchema
from ketamap.io.files import replacing
from ketamap.io.studies import read_design
from ketamap.io.tables import read_animals, read_any_table, write_table
from ketamap.workflow.atlases import DEFAULT_ATLAS, open_atlas
from ketamap.workflow.power_page import draw, page, regions_asked

if TYPE_CHECKING:
    from ketamap.stats.noise import Noise

POWER = TableSchema(name="power", columns=())
"""Tables of power: for reading, not for the next step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a noise."""

    folds: tuple[float, ...] = (1.25, 1.5, 2.0, 3.0)
    """Changes: 2 is twice as much, or half."""

    regions: tuple[str, ...] = ()
    """Acronyms whose animals per group are wanted by name."""

    changed: float = 0.2
    """Share of the regions expected to change."""

    budget: int | None = None
    """Animals to split over doses and days at the middle change; None: not asked."""

    def __post_init__(self) -> None:
        if not self.folds or any(fold <= 0 or fold == 1 for fold in self.folds):
            msg = f"A fold is a change: above 0 and not 1, got {self.folds}."
            raise InputError(msg)


@dataclass(frozen=True, eq=False, kw_only=True)
class PowerResult:
    """Power at the noise of a pilot table."""

    average: pd.DataFrame
    """`ketamap.stats.power.power_frames`: mean over regions."""

    by_region: pd.DataFrame
    """The same per region."""

    needed: pd.DataFrame
    """`ketamap.stats.power.animals_needed` of both estimands."""

    asked: pd.DataFrame | None
    """Rows of `needed` for the regions asked for."""

    budget: pd.DataFrame | None
    """`ketamap.stats.budget.budget_frame`, where a number of animals was given."""


def power(
    table: Path | None = None,
    *,
    out: Path,
    animals: Path | None = None,
    design: Path | None = None,
    noise: str | None = None,
    counts: Literal["own", "total"] | None = None,
    atlas: str | None = None,
    question: Question | None = None,
) -> PowerResult:
    """Estimate the power of studies with the noise of a pilot table, or a published one.

    Parameters
    ----------
    table
        Region table of the pilot.
    out
        Folder to write: power.html, power.png, and as .parquet and .csv power,
        power_regions, animals_needed and, with a budget, power_budget.
    animals, design
        Animals table and design (YAML) of the pilot.
    noise
        Instead of a pilot: a name, or part of one, of the library of published noise.
    counts
        Whether a row of a table from elsewhere includes its descendants; None: found.
    atlas
        Atlas whose tree and volumes to use; None: the table's own tree if it has one.
    question
        Changes, regions, share changed, budget.

    Raises
    ------
    InputError
        If neither or both of table and noise are given, or a region is not in the noise.
    """
    from ketamap.stats import PowerPlan, animals_needed, budget_frame, power_frames

    ask = question or Question()
    if (table is None) == (noise is None):
        msg = "Give either a pilot table (with --animals and --design) or --noise."
        raise InputError(msg)
    found, alpha = (
        _pilot(table, animals, design, counts, atlas) if table else (_library(str(noise)), 0.05)
    )
    plan = PowerPlan(alpha=alpha, changed=ask.changed)
    _require_regions(ask.regions, found, published=table is None)
    average, by_region = power_frames(found, plan, folds=ask.folds)
    needed = pd.concat(
        [
            animals_needed(found, plan, folds=ask.folds, estimand="relative"),
            animals_needed(found, plan, folds=ask.folds, estimand="absolute"),
        ],
        ignore_index=True,
    )
    result = PowerResult(
        average=average,
        by_region=by_region,
        needed=needed,
        asked=regions_asked(needed, ask.regions, ask.folds) if ask.regions else None,
        budget=None
        if ask.budget is None
        else budget_frame(found, ask.budget, _middle(ask.folds), plan),
    )
    _write(out, result)
    return result


def _middle(folds: Sequence[float]) -> float:
    """Change (ln) that budgets are compared at: twofold where it is asked, else the middle one."""
    at = 2.0 if 2.0 in folds else sorted(folds)[len(folds) // 2]
    return float(abs(np.log(at)))


def _pilot(
    table: Path,
    animals: Path | None,
    design: Path | None,
    counts: Literal["own", "total"] | None,
    atlas: str | None,
) -> tuple[Noise, float]:
    """Noise of a pilot table, and the level of its design."""
    from ketamap.stats import analyse, pilot_noise
    from ketamap.workflow.analysis import _tree_for, own_volumes_mm3

    if animals is None or design is None:
        msg = "A pilot table needs --animals and --design: noise is what animals alike differ by."
        raise InputError(msg)
    declared, frame = read_design(design), read_any_table(table)
    reference = open_atlas(atlas or DEFAULT_ATLAS)
    analysis = analyse(
        frame,
        read_animals(animals),
        declared,
        counts=counts,
        structures=reference.structures if atlas else _tree_for(frame, reference, counts),
        atlas_volumes=own_volumes_mm3(reference) if atlas else None,
    )
    return pilot_noise(analysis, table.name.split(".")[0]), declared.alpha


def _library(name: str) -> Noise:
    """Noise of the library by its name or a part that only one has."""
    from ketamap.stats import library_noise
    from ketamap.stats.noise import LIBRARY

    fitting = [known for known in LIBRARY if name.lower() in known.lower()]
    return library_noise(fitting[0] if len(fitting) == 1 else name)


def _require_regions(regions: Sequence[str], found: Noise, *, published: bool) -> None:
    if regions and published:
        msg = (
            f"Published noise does not tell regions apart, so none can be asked for "
            f"({', '.join(regions)}). Leave --region out, or give a pilot table."
        )
        raise InputError(msg)
    unknown = [r for r in regions if r not in found.acronyms]
    if unknown:
        few = ", ".join(found.acronyms[:8])
        msg = f"{', '.join(unknown)} cannot be tested in this noise; it has {few}, ..."
        raise InputError(msg)


def _write(out: Path, result: PowerResult) -> None:
    out.mkdir(parents=True, exist_ok=True)
    tables = {
        "power": result.average,
        "power_regions": result.by_region,
        "animals_needed": result.needed,
        "power_budget": result.budget,
    }
    for name, frame in tables.items():
        if frame is not None:
            write_table(out / f"{name}.parquet", frame, POWER)
            write_table(out / f"{name}.csv", frame, POWER)
    picture = draw(result.average)
    text = page(result.average, result.needed, result.budget, result.asked, picture)
    for name, content in (("power.png", picture), ("power.html", text.encode())):
        with replacing(out / name) as temporary:
            temporary.write_bytes(content)
