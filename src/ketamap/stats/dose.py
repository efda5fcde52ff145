"""Dose x duration: is there any dose effect, does it grow, since when, and along which curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.stats.design import Contrast, DesignMatrix
from ketamap.stats.effects import effects_frame
from ketamap.stats.families import report_q
from ketamap.stats.model import Estimates, TwoComponentFit
from ketamap.stats.multiple import MaximumT
from ketamap.stats.onset import onset_frame
from ketamap.stats.response import response_frame
from ketamap.stats.shapes import Cells, cells_of, profile, shape_contrasts, trend_vector
from ketamap.stats.tables import RegionCounts

NOT_ESTIMABLE = "not estimable from the animals that have it"

Fitter = Callable[[NDArray[np.float64]], TwoComponentFit]
"""Fits the two components for contrasts of shape ``(contrast, coefficient)``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DoseAnalysis:
    """Answers to the questions of a dose design; None where one cannot be asked."""

    any_dose: pd.DataFrame | None = None
    interaction: pd.DataFrame | None = None
    onset: pd.DataFrame | None = None
    dose_response: pd.DataFrame | None = None
    warnings: tuple[str, ...] = ()
    shapes: int = 0
    """Contrasts of which `any_dose` takes the largest."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DoseStudy:
    """What the questions are asked of."""

    regions: RegionCounts
    """The counts."""

    design: DesignMatrix
    """With one contrast per dose and day against the control of that day."""

    reasons: tuple[str, ...]
    """One per region: why it cannot be tested, or empty."""

    root_id: int
    """Id of the root, for the rows of the shift."""

    alpha: float
    """False discovery rate."""


def analyse_doses(study: DoseStudy, fit: TwoComponentFit, refit: Fitter) -> DoseAnalysis:
    """Answer the questions of a dose design.

    Parameters
    ----------
    study
        Counts and design.
    fit
        Of the design's own contrasts.
    refit
        The same model for other contrasts.

    Returns
    -------
    DoseAnalysis
        All None for a design with a factor.
    """
    cells = cells_of(study.design)
    if cells is None:
        return DoseAnalysis()
    any_dose = any_dose_frame(study, cells, refit)
    interaction, notes = interaction_frame(study, cells, refit)
    called = called_regions(any_dose, study)
    lasts = len(cells.days) > 1
    return DoseAnalysis(
        any_dose=any_dose,
        interaction=interaction,
        onset=onset_frame(
            study.regions, cells, fit, _maximum(study.design, fit), called, study.alpha
        )
        if lasts
        else None,
        dose_response=response_frame(study.regions, study.design, cells, fit, called)
        if len(cells.doses) > 1
        else None,
        warnings=tuple(notes),
        shapes=len(shape_contrasts(study.design, cells)),
    )


def _maximum(design: DesignMatrix, fit: TwoComponentFit) -> MaximumT:
    """Distribution of the largest t of a design's contrasts."""
    weights = design.contrast_matrix @ np.linalg.pinv(design.matrix)
    variance = np.ones(len(design.groups))
    if fit.groups is not None and fit.groups.matters:
        each = dict(zip(fit.groups.labels, fit.groups.medians, strict=True))
        variance = np.array([each[g] for g in design.groups])
    return MaximumT((weights * variance) @ weights.T)


def any_dose_frame(study: DoseStudy, cells: Cells, refit: Fitter) -> pd.DataFrame:
    """Test every region for any effect of dose by the largest of many shapes.

    Returns
    -------
    pandas.DataFrame
        One row per estimand and region (the shift first, as root): region_id, acronym,
        measure, estimand, shape (the closest, no finding of its own), t (its statistic, with
        sign), df, p (of the largest of all shapes), q (`report_q` of this frame alone),
        testable, reason.
    """
    shapes = shape_contrasts(study.design, cells)
    design = replace(study.design, contrasts=shapes)
    fit = refit(design.contrast_matrix)
    largest = _maximum(design, fit)
    names = np.array([c.name for c in shapes], dtype=object)
    shift = Estimates(
        estimate=fit.shift.estimate[None], se=fit.shift.se[None], df=fit.shift.df[None]
    )
    root = {"region_id": [study.root_id], "acronym": ["root"]}
    head = {"region_id": study.regions.region_ids, "acronym": list(study.regions.acronyms)}
    blocks = [
        _largest(root, "shift", shift, names, largest, [""]),
        _largest(head, "relative", fit.relative, names, largest, study.reasons),
        _largest(head, "absolute", fit.absolute, names, largest, study.reasons),
    ]
    p = [block["p"].to_numpy(dtype=np.float64) for block in blocks]
    for block, q in zip(blocks, report_q(p[0], p[1][:, None], p[2][:, None]), strict=True):
        block["q"] = q.ravel()
    frame = pd.concat(blocks, ignore_index=True).assign(measure=study.regions.measure)
    order = ["region_id", "acronym", "measure", "estimand", "shape", "t", "df", "p", "q"]
    return frame[[*order, "testable", "reason"]]


def _largest(
    head: dict[str, object],
    estimand: str,
    estimates: Estimates,
    names: NDArray[np.object_],
    largest: MaximumT,
    reasons: Sequence[str],
) -> pd.DataFrame:
    """Rows of one estimand: the contrast with the largest |t| and the p of the largest."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = estimates.estimate / estimates.se
    lost: NDArray[np.bool_] = np.asarray(~np.isfinite(t).any(axis=1))
    best = np.argmax(np.abs(np.where(np.isfinite(t), t, 0.0)), axis=1)
    rows = np.arange(len(t))
    found, df = t[rows, best], np.broadcast_to(estimates.df, t.shape)[rows, best]
    why = [
        reason or (NOT_ESTIMABLE if gone else "")
        for reason, gone in zip(reasons, lost, strict=True)
    ]
    testable = np.array([not w for w in why])
    return pd.DataFrame(
        {
            **head,
            "estimand": estimand,
            "shape": np.where(testable, names[best], ""),
            "t": np.where(testable, found, np.nan),
            "df": np.where(testable, df, np.nan),
            "p": largest.p(np.where(testable, np.abs(found), np.nan), df),
            "testable": testable,
            "reason": why,
        }
    )


def called_regions(any_dose: pd.DataFrame, study: DoseStudy) -> dict[str, NDArray[np.bool_]]:
    """Regions with a dose effect, by estimand; shape ``(region,)`` each."""
    return {
        estimand: any_dose.loc[any_dose["estimand"] == estimand, "q"].to_numpy(dtype=np.float64)
        < study.alpha
        for estimand in ("relative", "absolute")
    }


def interaction_frame(
    study: DoseStudy, cells: Cells, refit: Fitter
) -> tuple[pd.DataFrame | None, list[str]]:
    """Estimate whether the effect of dose grows with duration (linear x linear).

    Returns
    -------
    frame
        Columns of `EFFECTS`: how much the effect of the highest dose grows from the first
        to the last day, along a trend in dose x days over all cells.  None where the
        design cannot tell.
    notes
        The reason.
    """
    if len(cells.days) < 2:
        note = "Whether effects grow with duration cannot be told: there are controls on "
        return None, [note + "one day only."] if study.design.contrasts[0].day is not None else []
    first, last, top = cells.days[0], cells.days[-1], cells.doses[-1]
    null = _same_on_all_days(study.design, cells)
    growth = cells.dose / top * (cells.day - first) / (last - first)
    values = profile(study.design, growth)
    vector = None if null is None else trend_vector(study.design.matrix, null, values)
    if vector is None:
        note = "Whether effects grow with duration cannot be told: no dose was given for two of "
        return None, [note + "the days that have controls."]
    name = f"growth of the effect of dose {top:g} from day {first:g} to day {last:g}"
    contrast = Contrast(name=name, treated="", control="", vector=vector)
    design = replace(study.design, contrasts=(contrast,))
    fit = refit(design.contrast_matrix)
    lost = np.isnan(fit.relative.se[:, 0])
    reasons = [
        reason or (NOT_ESTIMABLE if gone else "")
        for reason, gone in zip(study.reasons, lost, strict=True)
    ]
    return effects_frame(study.regions, design, fit, [reasons], study.root_id), []


def _same_on_all_days(design: DesignMatrix, cells: Cells) -> NDArray[np.float64] | None:
    """Contrasts that vanish where each dose does the same on all days it was given."""
    vectors = design.contrast_matrix
    rows = []
    for dose in cells.doses:
        same = np.flatnonzero(cells.dose == dose)
        rows += [vectors[k] - vectors[same[0]] for k in same[1:]]
    moving = [row for row in rows if np.any(np.abs(row) > 1e-12)]
    return np.stack(moving) if moving else None
