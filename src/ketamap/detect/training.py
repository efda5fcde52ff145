"""Learning a score from cells that a person has kept or removed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ketamap.core.errors import InputError
from ketamap.core.progress import Progress, silent
from ketamap.core.settings import DetectionSettings
from ketamap.core.tables import SAMPLE_POSITION
from ketamap.core.volume import Volume
from ketamap.detect.lazy import survey
from ketamap.detect.model import ScoreModel, adapt_model, default_model
from ketamap.detect.resources import Resources
from ketamap.detect.scale import plan_filters

LEAST_OF_A_KIND = 10
"""Kept cells, and removed ones, without which nothing is learned."""

FOLDS = 5
"""Parts of the corrections, each scored by a model that has not seen it."""

MOST_UNSEEN = 20_000
"""Candidates that nobody has judged and that keep their score: evenly drawn from all."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Lesson:
    """What was learned from corrections, and whether it helps."""

    model: ScoreModel
    """To be given to `ketamap.detect.find_cells`."""

    at_candidate: NDArray[np.bool_]
    """Shape ``(n,)``: whether a correction lies at a candidate; the others teach nothing."""

    score_before: NDArray[np.float64]
    """Shape ``(n,)``: score of that candidate by the shipped model; NaN without one."""

    score_after: NDArray[np.float64]
    """The same by a model made without that correction and its `FOLDS`-th part of the others."""


def learn(
    volume: Volume,
    corrections: pd.DataFrame,
    settings: DetectionSettings,
    *,
    background: Volume | None = None,
    resources: Resources | None = None,
    progress: Progress = silent,
) -> Lesson:
    """Adapt the shipped score to cells that were kept and removed in an image.

    A correction stands for the nearest candidate within half a soma diameter that is no other's.
    Candidates that scored below ``settings.min_score`` and are not corrected were not shown to
    anybody: they hold the score they have.

    Parameters
    ----------
    volume
        The image that was corrected, axes (z, y, x).
    corrections
        Columns of `ketamap.core.tables.CORRECTIONS`, ``n`` rows.
    settings, background, resources, progress
        As in `ketamap.detect.find_cells`; the features of all candidates are held in memory,
        100 bytes each.

    Raises
    ------
    InputError
        If fewer than `LEAST_OF_A_KIND` are kept or removed, in all or at candidates.
    ImageError, ResourceError
        As in `ketamap.detect.find_cells`.
    """
    um = corrections[list(SAMPLE_POSITION)].to_numpy(dtype=np.float64)
    kept = corrections["kept"].to_numpy(dtype=bool)
    _require_both(kept, "given")
    found = survey(
        volume,
        settings,
        background=background,
        resources=resources,
        progress=progress,
    )
    reach = 0.5 * settings.soma_diameter_um
    which = pair(um, found.um, reach)
    at = which >= 0
    if not at.any():
        msg = (
            f"None of the {len(kept)} corrected cells lies within {reach:g} um of a candidate in "
            f"{volume.name} ({len(found.um)} candidates). Are the positions those of this image "
            "(um; in an XML file voxels of this size), and is the soma diameter the one that the "
            "cells were detected with?"
        )
        raise InputError(msg)
    _require_both(kept[at], f"within {reach:g} um of a candidate")
    coarse = plan_filters(volume.grid, settings.soma_diameter_um).coarse
    base = default_model(coarse=coarse)
    rows = np.concatenate([found.noise_rows, found.evidence], axis=1)
    unseen = _unseen(base, rows, which[at], settings.min_score)
    seen = rows[which[at]]
    model = adapt_model(base, seen, kept[at], unseen=unseen)
    before, after = np.full((2, len(kept)), np.nan)
    before[at] = _score(base, seen)
    after[at] = _scores_left_out(base, seen, kept[at], unseen)
    return Lesson(
        model=replace(model, diameter_um=settings.soma_diameter_um, coarse=coarse),
        at_candidate=at,
        score_before=before,
        score_after=after,
    )


def pair(
    um: NDArray[np.float64], candidates_um: NDArray[np.float64], within_um: float
) -> NDArray[np.int64]:
    """Give each position, the closest pairs first, a candidate of its own.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``: row of the candidate, -1 where none is free within ``within_um``.
    """
    which = np.full(len(um), -1, dtype=np.int64)
    if not len(um) or not len(candidates_um):
        return which
    near = cKDTree(um).sparse_distance_matrix(
        cKDTree(candidates_um), within_um, output_type="ndarray"
    )
    taken: set[int] = set()
    for one in near[np.lexsort((near["j"], near["i"], near["v"]))]:
        if which[one["i"]] < 0 and int(one["j"]) not in taken:
            which[one["i"]] = one["j"]
            taken.add(int(one["j"]))
    return which


def _require_both(kept: NDArray[np.bool_], where: str) -> None:
    yes, no = int(kept.sum()), int((~kept).sum())
    if min(yes, no) < LEAST_OF_A_KIND:
        msg = (
            f"{yes} kept and {no} removed cells {where}; at least {LEAST_OF_A_KIND} of each are "
            "needed to learn from. Correct more cells."
        )
        raise InputError(msg)


def _unseen(
    base: ScoreModel, rows: NDArray[np.float32], corrected: NDArray[np.int64], min_score: float
) -> NDArray[np.float32]:
    free = _score(base, rows) < min_score
    free[corrected] = False
    index = np.flatnonzero(free)
    steps = np.linspace(0, len(index) - 1, min(len(index), MOST_UNSEEN))
    return rows[index[np.rint(steps).astype(np.int64)]]


def _scores_left_out(
    base: ScoreModel,
    rows: NDArray[np.float32],
    kept: NDArray[np.bool_],
    unseen: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Score every correction by a model made from the other folds."""
    fold = np.empty(len(kept), dtype=np.int64)
    for kind in (False, True):
        fold[kept == kind] = np.arange(np.sum(kept == kind)) % FOLDS
    score = np.empty(len(kept))
    for k in range(FOLDS):
        rest = fold != k
        model = adapt_model(base, rows[rest], kept[rest], unseen=unseen)
        score[~rest] = _score(model, rows[~rest])
    return score


def _score(model: ScoreModel, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    return model.probability(model.local_part(rows[:, 2:]), rows[:, :2])
