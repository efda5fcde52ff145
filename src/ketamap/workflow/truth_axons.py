"""Traced length beside planted length: how much of the axons was recovered, region by region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ketamap.core.atlas import Structures
from ketamap.core.tables import EFFECTS, PLANTED_EFFECTS, REGIONS
from ketamap.io.tables import read_any_table, read_table

MEASURE = "axon_length_mm"

LEAST_MM = 2.0
"""Recovery is told of regions with at least this much planted axon in an animal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxonScore:
    """Truth beside the answer for axons, over a whole cohort."""

    planted_mm: float
    traced_mm: float
    """In regions."""

    length_correlation: float
    """Of planted and traced length over regions, sides and animals (Pearson)."""

    recovery_median: float
    """Traced over planted length, median over regions (both sides) and animals."""

    recovery_p10: float
    recovery_p90: float

    planted_changes: int
    """Regions with a planted change that were tested, absolute estimand."""

    error_points_median: float
    """Estimated minus planted change of these, percent of an untreated animal's length;
    absolute values, median.  Noise between animals included."""

    error_points_of_truth: float
    """The same against the change that the animals really had: what tracing, registration and
    placing alone do; largest of the groups of `group_changes`."""

    group_changes: tuple[GroupChange, ...]
    """Change of the length density of each planted structure as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChange:
    """One planted structure with all its parts, between two groups of animals."""

    acronym: str
    planted: float
    """Fold minus 1."""

    real: float
    """Of the mean planted length density of the animals: noise between them included."""

    traced: float
    """Of the mean traced length density of the animals."""


def score_axons(
    run_folder: Path,
    truth_folder: Path,
    groups: tuple[Sequence[str], Sequence[str]],
    planted: Mapping[str, float],
    structures: Structures,
) -> AxonScore:
    """Compare traced with planted axons.

    Parameters
    ----------
    run_folder
        Study folder of the run.
    truth_folder
        Holds ``<animal>_axons.parquet`` per animal and ``effects.parquet``.
    groups
        Animals treated and untreated, of which `group_changes` tells.
    planted
        Fold change of the structures in which axons were planted to change.
    structures
        Tree of the atlas.
    """
    both = pd.concat(
        [
            _lengths(run_folder, path, path.name.removesuffix("_axons.parquet"))
            for path in sorted(truth_folder.glob("*_axons.parquet"))
        ]
    )
    regions = both.groupby(["animal", "region_id"])[["planted", "traced"]].sum()
    enough = regions[regions.planted >= LEAST_MM]
    recovery = (enough.traced / enough.planted).to_numpy(dtype=np.float64)
    low, middle, high = np.quantile(recovery, (0.1, 0.5, 0.9)) if len(recovery) else (np.nan,) * 3
    changes = _group_changes(both, groups, planted, structures)
    errors = _effect_errors(run_folder, truth_folder)
    return AxonScore(
        planted_mm=float(both.planted.sum()),
        traced_mm=float(both.traced.sum()),
        length_correlation=float(np.corrcoef(both.planted, both.traced)[0, 1]),
        recovery_median=float(middle),
        recovery_p10=float(low),
        recovery_p90=float(high),
        planted_changes=len(errors),
        error_points_median=float(np.median(np.abs(errors))) if len(errors) else float("nan"),
        error_points_of_truth=100.0
        * max((abs(one.traced - one.real) for one in changes), default=float("nan")),
        group_changes=changes,
    )


def _lengths(run_folder: Path, truth: Path, animal: str) -> pd.DataFrame:
    """Planted and traced length of each structure itself and side, with the volumes of both."""
    key = ["region_id", "hemisphere"]
    regions = read_table(run_folder / "animals" / animal / "regions.parquet", REGIONS)
    mine = regions[regions.measure == MEASURE].set_index(key)
    planted = read_any_table(truth).set_index(key)
    both = pd.DataFrame(
        {
            "planted": planted.length_mm,
            "planted_mm3": planted.volume_mm3,
            "traced": mine.own,
            "traced_mm3": mine.volume_own_mm3,
        }
    ).fillna(0.0)
    return both[(both.planted > 0) | (both.traced > 0)].reset_index().assign(animal=animal)


def _effect_errors(run_folder: Path, truth_folder: Path) -> np.ndarray:
    """Estimated minus planted change of the tested planted regions, percentage points."""
    effects = read_table(run_folder / "effects.parquet", EFFECTS)
    truth = read_table(truth_folder / "effects.parquet", PLANTED_EFFECTS)
    mine = effects[(effects.measure == MEASURE) & (effects.estimand == "absolute")]
    planted = truth[(truth.measure == MEASURE) & (truth.planted_log2 != 0)]
    both = mine[mine.testable].merge(
        planted[["region_id", "contrast", "planted_log2"]], on=["region_id", "contrast"]
    )
    return np.asarray(
        100.0 * (np.exp2(both.estimate_log2) - np.exp2(both.planted_log2)), dtype=np.float64
    )


def _group_changes(
    both: pd.DataFrame,
    groups: tuple[Sequence[str], Sequence[str]],
    planted: Mapping[str, float],
    structures: Structures,
) -> tuple[GroupChange, ...]:
    changes = []
    for acronym, fold in planted.items():
        top = structures.id_of(acronym)
        mine = both[both.region_id.isin([top, *structures.descendants(top)])]
        sums = mine.groupby("animal")[["planted", "planted_mm3", "traced", "traced_mm3"]].sum()
        real, traced = (
            _change(sums[of] / sums[f"{of}_mm3"], *groups) for of in ("planted", "traced")
        )
        changes.append(GroupChange(acronym=acronym, planted=fold - 1.0, real=real, traced=traced))
    return tuple(changes)


def _change(density: pd.Series[float], treated: Sequence[str], control: Sequence[str]) -> float:
    """Mean of the treated over that of the controls, minus 1."""
    return float(density.loc[list(treated)].mean() / density.loc[list(control)].mean() - 1.0)
