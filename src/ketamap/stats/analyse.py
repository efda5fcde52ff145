"""The analysis of a study: region table and design in, effects and what to say about them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import Structures
from ketamap.core.errors import TableError
from ketamap.core.measures import CELLS
from ketamap.core.settings import Design
from ketamap.stats.design import DesignMatrix, build_design
from ketamap.stats.dose import DoseStudy, analyse_doses
from ketamap.stats.effects import animal_frame, effects_frame, values_frame
from ketamap.stats.factors import animal_factors, factor_regions, log_density
from ketamap.stats.guards import (
    batch_warnings,
    factor_warnings,
    left_out_warnings,
    require_rows_for_all,
    require_whole_animals,
    shift_warnings,
    side_warnings,
    variance_warnings,
)
from ketamap.stats.hierarchy import CountKind
from ketamap.stats.independence import require_independent
from ketamap.stats.model import TwoComponentFit, fit_two_components
from ketamap.stats.permutation import Permutations, permutation_frame
from ketamap.stats.rows import listed, with_plain_identifiers, with_plain_names
from ketamap.stats.selection import selection_frame
from ketamap.stats.structures import structures_from_table
from ketamap.stats.tables import RegionCounts, region_counts
from ketamap.stats.testability import group_reasons, region_reasons


@dataclass(frozen=True, eq=False, kw_only=True)
class Analysis:
    """Effects of every contrast, and what a reader must know."""

    effects: pd.DataFrame
    """Columns of `ketamap.core.tables.EFFECTS`."""

    values: pd.DataFrame
    """One row per animal and region: animal, region_id, acronym, measure, count, volume_mm3,
    density_per_mm3, log2_density, log2_relative."""

    animal_factors: pd.DataFrame
    """One row per animal: animal, factor_log2, group."""

    warnings: tuple[str, ...]
    """What a reader must know, in sentences."""

    partition: str
    """How the brain was divided, with the proof that nothing is counted twice."""

    contrasts: tuple[str, ...]
    """Names, in order."""

    n_per_group: dict[str, int]
    """Animals in each group."""

    formula: str
    """The model in Wilkinson notation."""

    prior_df: float
    """Degrees of freedom that the common trend of variances is worth."""

    variance_ratio: float | None = None
    """Largest over smallest variance of the groups, median over regions; None: not told."""

    variances_pooled: bool = True
    """Whether all groups share the variance of a region."""

    offset: str = "0.5"
    """Added to every value before the logarithm, with its unit."""

    least_mean: str = "10"
    """Least mean over animals of a region that is tested, with its unit."""

    shapes: int = 0
    """Contrasts of dose and duration shapes behind `any_dose`."""

    any_dose: pd.DataFrame | None = None
    """Designs with doses: whether a region answers to any dose on any day, one p per region
    and estimand (`ketamap.stats.dose.any_dose_frame`)."""

    interaction: pd.DataFrame | None = None
    """Designs with durations: how the effect of dose grows with duration; columns of
    `ketamap.core.tables.EFFECTS`."""

    onset: pd.DataFrame | None = None
    """Designs with durations: the first day on which each dose has an effect
    (`ketamap.stats.onset.onset_frame`)."""

    dose_response: pd.DataFrame | None = None
    """Designs with several doses: curves of regions with a dose effect
    (`ketamap.stats.response.response_frame`)."""

    selection: pd.DataFrame | None = None
    """Regions selected as they are read by division, false discoveries bounded among regions
    and divisions (`ketamap.stats.selection.selection_frame`); None without divisions."""

    permutation: pd.DataFrame | None = None
    """Second opinion on relative effects, where it was asked for
    (`ketamap.stats.permutation.permutation_frame`)."""


def analyse(
    table: pd.DataFrame,
    animals: pd.DataFrame,
    design: Design,
    *,
    structures: Structures | None = None,
    counts: CountKind | None = None,
    atlas_volumes: Mapping[int, float] | None = None,
    permutations: int = 0,
) -> Analysis:
    """Estimate the brain-wide shift, and relative and absolute effects of every region.

    Parameters
    ----------
    table
        A region table of any kind, see `ketamap.stats.tables.region_counts`.
    animals
        One row per animal to compare; others in `table` are left out, and named.
    design
        What is compared with what.  One measure is analysed: the first that it names, else
        cells.
    structures
        The tree of the atlas; None: the tree that the table itself describes.
    counts
        Whether a row of a table from elsewhere includes its descendants; None: found.
    atlas_volumes
        Own volumes of the structures, both sides, mm3, for tables without volumes.
    permutations
        Permutations of the second opinion on relative effects; 0: none.

    Returns
    -------
    Analysis

    Raises
    ------
    TableError
        If the table cannot be read or counts cells twice, or no region can be tested.
    DesignError
        If the design cannot be estimated, or must not be.
    """
    table, animals = with_plain_names(table), _plain_animals(animals)
    _require_long_form(table)
    matrix = build_design(animals, design)
    require_whole_animals(matrix.animals, animals)
    tree = structures_from_table(table) if structures is None else structures
    root = int(tree.ids[np.argmin(tree.depths)])
    require_rows_for_all(_animals_of(table), matrix.animals)
    regions = region_counts(
        _rows_of(table, matrix.animals),
        tree,
        counts=counts,
        measure=next(iter(design.measures), CELLS),
        atlas_volumes=atlas_volumes,
    )
    regions = regions.in_order_of(matrix.animals)
    reasons = region_reasons(regions, tree)
    usable = np.array([not r for r in reasons])
    if not usable.any():
        msg = f"No region can be tested; {regions.acronyms[0]}, for instance: {reasons[0]}."
        raise TableError(msg)
    size = regions.magnitude
    _require_something_counted(regions, usable)
    _require_no_shares(regions)
    density = log_density(regions.counts, regions.extents, size.offset)
    factor = animal_factors(density, factor_regions(regions.counts, usable, size.least_value))
    fitted = np.where(usable, density, np.nan)

    dependent = require_independent(
        fitted[:, usable] - factor[:, None], matrix.matrix, matrix.groups, matrix.animals
    )

    def fit_contrasts(contrasts: NDArray[np.float64]) -> TwoComponentFit:
        return fit_two_components(fitted, factor, matrix.matrix, contrasts, groups=matrix.groups)

    fit = fit_contrasts(matrix.contrast_matrix)
    doses = analyse_doses(
        DoseStudy(
            regions=regions, design=matrix, reasons=reasons, root_id=root, alpha=design.alpha
        ),
        fit,
        fit_contrasts,
    )
    effects = effects_frame(regions, matrix, fit, _reasons(regions, matrix, fit, reasons), root)
    batches = _batches(animals, design)
    permuted, disagreements = None, list[str]()
    if permutations > 0:
        how = Permutations(count=permutations, alpha=design.alpha)
        permuted, disagreements = permutation_frame(
            regions, matrix, fitted - factor[:, None], fit.relative.p, batches, how
        )
    return Analysis(
        effects=effects,
        values=values_frame(regions, density, factor),
        animal_factors=animal_frame(matrix, factor),
        warnings=(
            *left_out_warnings(_animals_of(table), matrix.animals),
            *regions.warnings,
            *matrix.warnings,
            *dependent,
            *_guards(regions, matrix, fit, factor, batches),
            *doses.warnings,
            *disagreements,
        ),
        partition=regions.partition,
        contrasts=tuple(c.name for c in matrix.contrasts),
        n_per_group=matrix.n_per_group,
        formula=matrix.formula,
        prior_df=fit.moderated.prior_df,
        variance_ratio=None if fit.groups is None else fit.groups.ratio,
        variances_pooled=fit.groups is None or not fit.groups.matters,
        offset=size.written(size.offset),
        least_mean=size.written(size.least_mean),
        shapes=doses.shapes,
        any_dose=doses.any_dose,
        interaction=doses.interaction,
        onset=doses.onset,
        dose_response=doses.dose_response,
        selection=selection_frame(effects, tree, design.alpha),
        permutation=permuted,
    )


def _plain_animals(animals: pd.DataFrame) -> pd.DataFrame:
    return with_plain_identifiers(animals) if "animal" in animals else animals


LONG_FORM = (("animal",), ("region_id", "acronym"), ("count", "value", "own"))
"""One of each is needed in a region table."""

SHARES_WITHIN = 5e-3
"""Relative range of the sums of animals within which they are one (per cent with a few decimals);
brains of one group differ by 13 % and more (`ketamap.stats.noise`)."""


def _require_long_form(table: pd.DataFrame) -> None:
    absent = [
        " or ".join(f"'{name}'" for name in one)
        for one in LONG_FORM
        if not set(one) & set(table.columns)
    ]
    if absent:
        have = listed([str(c) for c in table.columns])
        msg = (
            f"The region table lacks {', '.join(absent)}; it has {have}. It needs one row per "
            f"animal and region; a table with one column per region or per animal is turned into "
            f"that form by pandas.DataFrame.melt, or by 'unpivot' in a spreadsheet."
        )
        raise TableError(msg)


def _require_no_shares(regions: RegionCounts) -> None:
    """Refuse shares of a total: the shift is gone from them, and absolute effects with it."""
    sums = np.nansum(regions.counts, axis=1)
    if regions.magnitude.is_count or np.ptp(sums) > SHARES_WITHIN * sums.mean():
        return
    msg = (
        f"The values of every animal add up to the same ({sums.mean():g}): they are shares of a "
        f"total. Nothing brain-wide is left in shares, and a region rises where others fall. "
        f"Give the counts (or amounts) themselves."
    )
    raise TableError(msg)


def _require_something_counted(regions: RegionCounts, usable: NDArray[np.bool_]) -> None:
    """Refuse animals without any region, or with nothing in any."""
    counts = regions.counts[:, usable]
    for gone, what in (
        (np.isnan(counts).all(axis=1), "no region that can be tested"),
        (np.nansum(counts, axis=1) == 0, "zero in every region"),
    ):
        rows = np.flatnonzero(gone)
        if rows.size:
            names = listed([regions.animals[r] for r in rows])
            msg = f"These animals have {what}: {names}. Detection failed, or rows are missing; "
            raise TableError(msg + "take them out of the animals table, or repair them.")


def _animals_of(table: pd.DataFrame) -> list[str]:
    """Animals of a table in order of appearance; none if it has no such column."""
    return [str(a) for a in table["animal"].unique()] if "animal" in table else []


def _rows_of(table: pd.DataFrame, animals: Sequence[str]) -> pd.DataFrame:
    """Rows of the animals to be compared."""
    if "animal" not in table:
        return table
    return table[table["animal"].astype(str).isin(animals)]


def _reasons(
    regions: RegionCounts, matrix: DesignMatrix, fit: TwoComponentFit, shared: tuple[str, ...]
) -> list[list[str]]:
    """For each contrast and region why it is not tested: first what holds for all contrasts."""
    found = []
    for k, contrast in enumerate(matrix.contrasts):
        compared = (contrast.treated, contrast.control)
        thin = group_reasons(regions.counts, matrix.groups, compared)
        unclear = np.isnan(fit.relative.se[:, k])
        found.append(
            [
                why or few or ("not estimable from the animals that have it" if lost else "")
                for why, few, lost in zip(shared, thin, unclear, strict=True)
            ]
        )
    return found


def _batches(animals: pd.DataFrame, design: Design) -> list[str] | None:
    return None if design.batch is None else [str(b) for b in animals[design.batch]]


def _guards(
    regions: RegionCounts,
    matrix: DesignMatrix,
    fit: TwoComponentFit,
    factor: NDArray[np.float64],
    batches: list[str] | None,
) -> list[str]:
    names = [c.name for c in matrix.contrasts]
    return [
        *side_warnings(regions.side_counts, regions.animals, regions.magnitude),
        *factor_warnings(factor, matrix.groups, regions.animals),
        *batch_warnings(factor, batches, regions.magnitude),
        *variance_warnings(fit.groups),
        *shift_warnings(fit.shift, names),
    ]
