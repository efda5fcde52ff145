"""Columns of every table: names, types and meanings, written once.

Frames are checked where they are read and written (`ketamap.io.tables`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ketamap.core.atlas import HEMISPHERES

Kind: TypeAlias = Literal["text", "whole", "real", "flag"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column."""

    name: str
    kind: Kind
    meaning: str
    required: bool = True
    nullable: bool = False
    least: float | None = None
    most: float | None = None
    allowed: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSchema:
    """The columns of a table, and those that identify a row."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that must be there."""
        return tuple(c.name for c in self.columns if c.required)


SAMPLE_POSITION = ("z_um", "y_um", "x_um")
"""Columns of a position in the sample, micrometres."""

ATLAS_POSITION = ("ap_um", "dv_um", "ml_um")
"""Columns of a position in the atlas, micrometres."""

CELLS = TableSchema(
    name="cells",
    columns=(
        Column(name="z_um", kind="real", meaning="position in the sample"),
        Column(name="y_um", kind="real", meaning="position in the sample"),
        Column(name="x_um", kind="real", meaning="position in the sample"),
        Column(name="score", kind="real", meaning="confidence", least=0.0, most=1.0),
        Column(
            name="efficiency",
            kind="real",
            meaning="estimated share that is found of cells of that contrast and crowd",
            required=False,
            nullable=True,
            least=0.0,
            most=1.0,
        ),
        Column(
            name="ap_um",
            kind="real",
            meaning="position in the atlas",
            required=False,
            nullable=True,
        ),
        Column(
            name="dv_um",
            kind="real",
            meaning="position in the atlas",
            required=False,
            nullable=True,
        ),
        Column(
            name="ml_um",
            kind="real",
            meaning="position in the atlas",
            required=False,
            nullable=True,
        ),
        Column(
            name="region_id",
            kind="whole",
            meaning="structure; 0 outside the brain, -1 outside the atlas",
            required=False,
        ),
        Column(
            name="hemisphere",
            kind="text",
            meaning="side",
            required=False,
            allowed=(*HEMISPHERES, ""),
        ),
    ),
)
"""Detected cells; the atlas columns are there once quantified."""

CORRECTIONS = TableSchema(
    name="corrected cells",
    columns=(
        Column(name="z_um", kind="real", meaning="position in the sample"),
        Column(name="y_um", kind="real", meaning="position in the sample"),
        Column(name="x_um", kind="real", meaning="position in the sample"),
        Column(name="kept", kind="flag", meaning="whether a person holds it to be a cell"),
    ),
)
"""Cells that a person has kept or removed."""

REGIONS = TableSchema(
    name="regions",
    key=("animal", "region_id", "hemisphere", "measure"),
    columns=(
        Column(name="animal", kind="text", meaning="identifier"),
        Column(name="region_id", kind="whole", meaning="Allen structure id", least=1),
        Column(name="acronym", kind="text", meaning="Allen acronym"),
        Column(name="hemisphere", kind="text", meaning="side", allowed=HEMISPHERES),
        Column(
            name="measure",
            kind="text",
            meaning="what was measured",
            allowed=("cells", "axon_length_mm"),
        ),
        Column(
            name="own",
            kind="real",
            meaning="assigned to the structure itself",
            nullable=True,
            least=0.0,
        ),
        Column(name="total", kind="real", meaning="with its descendants", nullable=True, least=0.0),
        Column(
            name="volume_own_mm3",
            kind="real",
            meaning="volume in the sample's space, the structure itself",
            least=0.0,
        ),
        Column(
            name="volume_total_mm3",
            kind="real",
            meaning="volume in the sample's space, with descendants",
            least=0.0,
        ),
        *(
            Column(
                name=f"{part}_{end}",
                kind="real",
                meaning=f"{part}, at the {which} end of the measure's own uncertainty",
                required=False,
                nullable=True,
                least=0.0,
            )
            for part in ("own", "total")
            for end, which in (("low", "lower"), ("high", "upper"))
        ),
        *(
            Column(
                name=f"{part}_corrected",
                kind="real",
                meaning=f"{part}, corrected for saturation; shown beside the raw value",
                required=False,
                nullable=True,
                least=0.0,
            )
            for part in ("own", "total")
        ),
        *(
            Column(
                name=f"occupancy_{part}",
                kind="real",
                meaning=f"part of the volume that is labelled, {part}",
                required=False,
                nullable=True,
                least=0.0,
                most=1.0,
            )
            for part in ("own", "total")
        ),
        Column(
            name="covered_fraction",
            kind="real",
            meaning="part of the region, with its descendants, that the image shows",
            required=False,
            nullable=True,
            least=0.0,
            most=1.0,
        ),
        Column(
            name="border_fraction",
            kind="real",
            meaning="part of the total that lies within the position error of the border",
            required=False,
            nullable=True,
            least=0.0,
            most=1.0,
        ),
        Column(
            name="detection_efficiency",
            kind="real",
            meaning="estimated share that is found of cells like the region's, descendants included",
            required=False,
            nullable=True,
            least=0.0,
            most=1.0,
        ),
    ),
)
"""Long: one row per animal x region x hemisphere x measure.

The optional columns are there for measures that know them: axon length has an interval
from its threshold, the labelled part of the volume, and a value corrected for saturation.
"""

AXONS = TableSchema(
    name="axons",
    columns=(
        Column(name="z_um", kind="real", meaning="length-weighted centre, in the sample"),
        Column(name="y_um", kind="real", meaning="length-weighted centre, in the sample"),
        Column(name="x_um", kind="real", meaning="length-weighted centre, in the sample"),
        Column(name="length_um", kind="real", meaning="length of fibre", least=0.0),
        Column(
            name="length_low_um",
            kind="real",
            meaning="length at the strict end of the threshold band",
            least=0.0,
        ),
        Column(
            name="length_high_um",
            kind="real",
            meaning="length at the lenient end of the threshold band",
            least=0.0,
        ),
        Column(name="volume_um3", kind="real", meaning="volume of labelled voxels", least=0.0),
        *(
            Column(
                name=name,
                kind="real",
                meaning="centre, in the atlas",
                required=False,
                nullable=True,
            )
            for name in ATLAS_POSITION
        ),
        Column(
            name="region_id",
            kind="whole",
            meaning="structure; 0 outside the brain, -1 outside the atlas",
            required=False,
        ),
        Column(
            name="hemisphere",
            kind="text",
            meaning="side",
            required=False,
            allowed=(*HEMISPHERES, ""),
        ),
    ),
)
"""Traced axons: one row per small box of tissue that holds any, with the length in it."""

ANIMALS = TableSchema(
    name="animals",
    key=("animal",),
    columns=(Column(name="animal", kind="text", meaning="identifier"),),
)
"""One row per animal; further columns (drug, dose_mg_per_kg, days, sex, batch, ...) are free."""

ESTIMANDS = ("shift", "relative", "absolute")
"""Values of the effects table's `estimand` column."""

EFFECTS = TableSchema(
    name="effects",
    key=("region_id", "measure", "contrast", "estimand"),
    columns=(
        Column(name="region_id", kind="whole", meaning="Allen structure id", least=1),
        Column(name="acronym", kind="text", meaning="Allen acronym; root for the shift"),
        Column(name="measure", kind="text", meaning="what was measured"),
        Column(name="contrast", kind="text", meaning="what is compared with what"),
        Column(
            name="estimand", kind="text", meaning="shift, relative or absolute", allowed=ESTIMANDS
        ),
        Column(name="estimate_log2", kind="real", meaning="log2 change of density", nullable=True),
        Column(
            name="ci_low_log2", kind="real", meaning="lower end of the 95 % interval", nullable=True
        ),
        Column(
            name="ci_high_log2",
            kind="real",
            meaning="upper end of the 95 % interval",
            nullable=True,
        ),
        Column(name="se_log2", kind="real", meaning="standard error", nullable=True, least=0.0),
        Column(name="df", kind="real", meaning="degrees of freedom", nullable=True, least=0.0),
        Column(
            name="p", kind="real", meaning="two-sided p value", nullable=True, least=0.0, most=1.0
        ),
        Column(
            name="q",
            kind="real",
            meaning="Benjamini-Hochberg q value in its family",
            nullable=True,
            least=0.0,
            most=1.0,
        ),
        Column(name="testable", kind="flag", meaning="whether a test was made"),
        Column(name="reason", kind="text", meaning="why not, or empty"),
    ),
)
"""One row per region x contrast x estimand, and the shift."""

VALUES = TableSchema(
    name="values",
    key=("animal", "region_id", "measure"),
    columns=(
        Column(name="animal", kind="text", meaning="identifier"),
        Column(name="region_id", kind="whole", meaning="Allen structure id", least=1),
        Column(name="acronym", kind="text", meaning="Allen acronym"),
        Column(name="measure", kind="text", meaning="what was measured"),
        Column(name="count", kind="real", meaning="both hemispheres", nullable=True, least=0.0),
        Column(name="volume_mm3", kind="real", meaning="both hemispheres", nullable=True),
        Column(name="density_per_mm3", kind="real", meaning="count / volume", nullable=True),
        Column(name="log2_density", kind="real", meaning="with 0.5 added", nullable=True),
        Column(
            name="log2_relative",
            kind="real",
            meaning="without the animal's brain-wide factor",
            nullable=True,
        ),
    ),
)
"""What the effects were estimated from: one row per animal x region of the partition."""

ANIMAL_FACTORS = TableSchema(
    name="animal factors",
    key=("animal", "measure"),
    columns=(
        Column(name="animal", kind="text", meaning="identifier"),
        Column(name="measure", kind="text", meaning="what was measured", required=False),
        Column(name="factor_log2", kind="real", meaning="brain-wide level", nullable=True),
        Column(name="group", kind="text", meaning="label of its group"),
    ),
)
"""Brain-wide level of each animal in each measure, on the scale of the shift."""

PLANTED_EFFECTS = TableSchema(
    name="planted effects",
    key=("region_id", "measure", "contrast"),
    columns=(
        Column(name="region_id", kind="whole", meaning="Allen structure id", least=1),
        Column(name="acronym", kind="text", meaning="Allen acronym"),
        Column(
            name="measure",
            kind="text",
            meaning="what was planted; left out: whatever was measured",
            required=False,
        ),
        Column(name="contrast", kind="text", meaning="what is compared with what"),
        Column(name="planted_log2", kind="real", meaning="planted change, zero included"),
    ),
)
"""Truth of a phantom cohort."""

POINTS = TableSchema(name="points", columns=())
"""Positions in the sample or the atlas, with any other columns."""

ANSWERS = TableSchema(name="answers", columns=())
"""Further answers of an analysis (any dose, onset, ...); their columns are told where made."""
