"""What a report shows: everything it needs, as plain frames and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import Atlas
from ketamap.core.errors import TableError
from ketamap.core.pictures import TracePicture
from ketamap.core.registration import RegistrationQuality
from ketamap.core.tables import EFFECTS

Overlay: TypeAlias = tuple[str, NDArray[np.uint8], NDArray[np.bool_]]
"""Name of a plane, its grey image (2D) and where region boundaries lie (same shape)."""

VALUE_COLUMNS = ("animal", "region_id", "measure")
"""Columns a non-empty `StudyReport.values` must have."""

FACTOR_COLUMNS = ("animal", "factor_log2")
"""Columns a non-empty `StudyReport.animal_factors` must have."""

TRUTH_COLUMNS = ("region_id", "contrast", "planted_log2")
"""Columns `StudyReport.truth` must have."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class BrainQuality:
    """How well one brain went through the steps before the statistics."""

    animal: str
    """Identifier."""

    quality: RegistrationQuality | None = None
    """Figures of its registration, if it was registered here."""

    overlays: tuple[Overlay, ...] = ()
    """Planes of the brain in atlas space with the atlas boundaries, usually three."""

    balance: Mapping[str, int] = field(default_factory=dict)
    """Cells: ``detected``, ``in_regions``, ``outside_brain``, ``outside_atlas``."""

    n_cells: int | None = None
    """Detected cells."""

    volume_mm3: float | None = None
    """Volume of the brain in its own space, mm3."""

    covered: float | None = None
    """Part of the atlas's brain that the image shows, from 0 to 1."""

    seconds: float | None = None
    """Time this brain took, seconds."""

    axon_balance: Mapping[str, float] = field(default_factory=dict)
    """Axon length, mm: ``traced_mm``, ``in_regions_mm``, ``outside_brain_mm``,
    ``outside_atlas_mm``; empty where none was traced."""

    tracing: Mapping[str, float] = field(default_factory=dict)
    """How axons were told: ``threshold``, ``threshold_low``, ``threshold_high`` (standard
    deviations of the noise), ``length_low_mm``, ``length_high_mm``."""

    saturated: tuple[str, ...] = ()
    """Structures so densely labelled that their axon length is too low."""

    efficiency: pd.Series = field(default_factory=lambda: pd.Series(dtype=np.float64))
    """Estimated share of cells found, by acronym, the structure with most cells first; empty
    where no somata were planted."""

    traces: tuple[TracePicture, ...] = ()
    """Pictures of the trace in chosen regions."""


@dataclass(frozen=True, eq=False, kw_only=True)
class StudyReport:
    """All that a report of a study shows; whatever is left out, its section says so.

    Raises
    ------
    TableError
        If a frame that is there lacks a column it must have.
    """

    title: str
    """Name of the study."""

    effects: pd.DataFrame
    """Columns of `ketamap.core.tables.EFFECTS`."""

    animals: pd.DataFrame
    """One row per animal: ``animal``, ``group`` and any others (drug, dose, days, sex)."""

    values: pd.DataFrame = field(default_factory=pd.DataFrame)
    """One row per animal x region x measure: ``animal, region_id, acronym, measure, count,
    volume_mm3, density_per_mm3, log2_density, log2_relative``."""

    animal_factors: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Brain-wide level of each animal: ``animal, factor_log2, group``."""

    note: str = ""
    """Something readers must know first, for instance that the brains are made up."""

    design_text: tuple[str, ...] = ()
    """What was compared and how, one sentence per line."""

    partition: str | Mapping[str, str] = ""
    """Into which regions the brain was divided, in words; by measure where there are several."""

    warnings: tuple[str, ...] = ()
    """What the steps before found suspicious, one sentence each."""

    alpha: float = 0.05
    """False discovery rate at which a region is called different."""

    atlas: Atlas | None = None
    """For names and maps."""

    brains: tuple[BrainQuality, ...] = ()
    """Quality of each brain."""

    truth: pd.DataFrame | None = None
    """Planted effects: ``region_id, acronym, contrast, planted_log2``, zeros included.
    Regions that are not in it are left out of the comparison with the truth."""

    cells: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Dose and days of each comparison, where the design has doses: ``contrast, dose, day``
    (NaN without durations)."""

    further: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Answers beside the effects, by name, where their question could be asked: ``any_dose,
    interaction, onset, dose_response, selection, permutation`` (frames of `ketamap.stats`)
    and ``shrunken`` (estimates drawn towards their division: for ranking, never for calls)."""

    models: tuple[Mapping[str, object], ...] = ()
    """Numbers of each measure's model: ``measure, prior_df, variance_ratio,
    variances_pooled, permutations``."""

    methods: str = ""
    """Text to print as the methods paragraph; left empty, it is written from the inputs."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """Package to version."""

    settings: Mapping[str, object] = field(default_factory=dict)
    """Setting to value; mappings may be nested."""

    image_notes: tuple[str, ...] = ()
    """Remarks on the images, one sentence each."""

    def __post_init__(self) -> None:
        _need(self.effects, tuple(c.name for c in EFFECTS.columns), "effects", when_empty=True)
        _need(self.animals, ("animal",), "animals", when_empty=True)
        _need(self.values, VALUE_COLUMNS, "values", when_empty=False)
        _need(self.animal_factors, FACTOR_COLUMNS, "animal factors", when_empty=False)
        if self.truth is not None:
            _need(self.truth, TRUTH_COLUMNS, "truth", when_empty=True)


def _need(frame: pd.DataFrame, columns: tuple[str, ...], what: str, *, when_empty: bool) -> None:
    if frame.empty and not when_empty:
        return
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        msg = (
            f"The {what} table of the report lacks {', '.join(missing)}; "
            f"it has {', '.join(map(str, frame.columns)) or 'no columns'}."
        )
        raise TableError(msg)
