"""What was planted beside what was found: the end-to-end test of a phantom study."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree

from ketamap.core.space import FloatArray
from ketamap.core.tables import ATLAS_POSITION, EFFECTS, REGIONS, SAMPLE_POSITION
from ketamap.io.manifests import write_json
from ketamap.io.registrations import load_registration
from ketamap.io.tables import read_any_table, read_table
from ketamap.workflow.truth_axons import AxonScore

NOTABLE_FOLD = {"cells": 1.5, "axon_length_mm": 1.25}
"""Planted changes of at least this fold are expected to be found, by measure."""

ROUNDING = 1e-9
"""Logarithms differ by less only in their last digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastScore:
    """How the planted changes of one contrast were recovered, relative estimand."""

    name: str
    measure: str
    fold: float
    """Planted changes of at least this fold are looked at."""

    planted: int
    """How many of these there are in regions that could be tested."""

    right_sign: int
    """Of these, estimated in the right direction."""

    found: int
    """Of these, in the right direction with q below alpha."""

    false: int
    """Regions with no planted change and q below alpha."""

    unplanted: int
    """Regions with no planted change that were tested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthScore:
    """Truth beside the answer, for a whole cohort."""

    planted_cells: int
    detected_cells: int
    recall: float
    """Least of any brain."""

    precision: float
    """Least of any brain."""

    count_correlation: float
    """Of planted and counted cells over regions, sides and animals (Pearson)."""

    error_median_um: float
    """Registration error at the planted cells, um."""

    error_p95_um: float
    alpha: float
    contrasts: tuple[ContrastScore, ...]
    axons: AxonScore | None = None
    """Length of axons, where any were planted."""


def match_points(
    planted_um: FloatArray, detected_um: FloatArray, *, radius_um: float
) -> tuple[float, float]:
    """Match points one to one within a radius, as many as possible.

    Parameters
    ----------
    planted_um, detected_um
        Shapes ``(n, 3)`` and ``(m, 3)``.
    radius_um
        Greatest distance of a pair.

    Returns
    -------
    recall, precision
        Share of planted and of detected points in a pair; 1 where there are none.
    """
    if len(planted_um) == 0 or len(detected_um) == 0:
        return float(len(planted_um) == 0), float(len(detected_um) == 0)
    near = cKDTree(planted_um).query_ball_tree(cKDTree(detected_um), radius_um)
    counts = np.array([len(row) for row in near])
    columns = np.concatenate([np.asarray(row, dtype=np.int64) for row in near])
    rows = np.repeat(np.arange(len(near)), counts)
    graph = csr_array(
        (np.ones(len(rows), dtype=np.int8), (rows, columns)),
        shape=(len(planted_um), len(detected_um)),
    )
    pairs = int(np.sum(maximum_bipartite_matching(graph, perm_type="column") >= 0))
    return pairs / len(planted_um), pairs / len(detected_um)


def score_cohort(
    run_folder: Path,
    truth_folder: Path,
    *,
    soma_diameter_um: float,
    alpha: float,
    axons: AxonScore | None = None,
) -> TruthScore:
    """Compare a run with the truth of its phantom cohort, and store the comparison.

    Parameters
    ----------
    run_folder
        Study folder of the run.
    truth_folder
        Holds ``<animal>_cells.parquet`` per animal and ``effects.parquet``.
    soma_diameter_um
        Pairs of planted and detected cells lie within half of it.
    alpha
        False discovery rate.
    axons
        The comparison of axons (`score_axons`), to be stored with it.
    """
    cells = [
        _score_brain(
            run_folder / "animals" / path.name.removesuffix("_cells.parquet"),
            path,
            radius_um=soma_diameter_um / 2,
        )
        for path in sorted(truth_folder.glob("*_cells.parquet"))
    ]
    errors = np.concatenate([one.errors_um for one in cells])
    counts = pd.concat([one.counts for one in cells])
    score = TruthScore(
        planted_cells=sum(one.planted for one in cells),
        detected_cells=sum(one.detected for one in cells),
        recall=min(one.recall for one in cells),
        precision=min(one.precision for one in cells),
        count_correlation=float(np.corrcoef(counts.planted, counts.counted)[0, 1]),
        error_median_um=float(np.nanmedian(errors)),
        error_p95_um=float(np.nanpercentile(errors, 95)),
        alpha=alpha,
        contrasts=score_effects(
            read_table(run_folder / "effects.parquet", EFFECTS),
            read_any_table(truth_folder / "effects.parquet"),
            alpha=alpha,
        ),
        axons=axons,
    )
    write_json(run_folder / "truth.json", asdict(score))
    return score


def score_effects(
    effects: pd.DataFrame, truth: pd.DataFrame, *, alpha: float
) -> tuple[ContrastScore, ...]:
    """Count how many planted changes of each contrast were recovered.

    Parameters
    ----------
    effects
        Columns of `ketamap.core.tables.EFFECTS`.
    truth
        Columns ``region_id, contrast, planted_log2``, zeros included, and ``measure`` where
        it holds for one measure only.
    alpha
        False discovery rate.
    """
    tested = effects[(effects.estimand == "relative") & effects.testable]
    key = [c for c in ("region_id", "contrast", "measure") if c in truth.columns]
    both = tested.merge(truth[[*key, "planted_log2"]], on=key)
    scores = []
    for (measure, name), part in both.groupby(["measure", "contrast"], sort=True):
        fold = NOTABLE_FOLD[str(measure)]
        notable = part[part.planted_log2.abs() >= np.log2(fold) - ROUNDING]
        right = np.sign(notable.estimate_log2) == np.sign(notable.planted_log2)
        unplanted = part[part.planted_log2 == 0]
        scores.append(
            ContrastScore(
                name=str(name),
                measure=str(measure),
                fold=fold,
                planted=len(notable),
                right_sign=int(right.sum()),
                found=int((right & (notable.q < alpha)).sum()),
                false=int((unplanted.q < alpha).sum()),
                unplanted=len(unplanted),
            )
        )
    return tuple(scores)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class _BrainScore:
    planted: int
    detected: int
    recall: float
    precision: float
    errors_um: FloatArray
    counts: pd.DataFrame


def _score_brain(folder: Path, truth: Path, *, radius_um: float) -> _BrainScore:
    planted = read_any_table(truth)
    detected = read_any_table(folder / "detected.parquet")
    sample = list(SAMPLE_POSITION)
    recall, precision = match_points(
        planted[sample].to_numpy(float), detected[sample].to_numpy(float), radius_um=radius_um
    )
    carried = load_registration(folder / "registration").transform.to_atlas(planted[sample])
    errors = np.linalg.norm(carried - planted[list(ATLAS_POSITION)].to_numpy(float), axis=1)
    return _BrainScore(
        planted=len(planted),
        detected=len(detected),
        recall=recall,
        precision=precision,
        errors_um=errors,
        counts=_counts(folder, planted),
    )


def _counts(folder: Path, planted: pd.DataFrame) -> pd.DataFrame:
    key = ["region_id", "hemisphere"]
    regions = read_table(folder / "regions.parquet", REGIONS)
    counted = regions[regions.measure == "cells"].set_index(key).own
    truth: Any = planted.groupby(key).size()
    both = pd.DataFrame({"counted": counted, "planted": truth}).fillna(0.0)
    return both[(both.counted > 0) | (both.planted > 0)]
