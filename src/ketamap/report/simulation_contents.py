"""What the page of a simulated regimen shows: plain frames, each number with its label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import pandas as pd

from ketamap.core.errors import TableError

Label: TypeAlias = Literal["predicted", "compatible", "encoded", "known failure"]
"""What may be claimed for a number."""

LABELS: tuple[Label, ...] = get_args(Label)

LABEL_MEANINGS: dict[str, str] = {
    "predicted": "follows from parts that were calibrated elsewhere",
    "compatible": "the model's spread contains the data; not more than that",
    "encoded": "a table look-up with its citation; no mechanism is claimed",
    "known failure": "the model is known to be wrong here",
}
"""Label to its meaning, for the key of the page."""

COURSE_COLUMNS = (
    "time_h", "quantity", "member", "median", "q025", "q25", "q75", "q975", "label", "unit",
)  # fmt: skip
"""Columns of `SimulationReport.courses`."""

LABEL_COLUMNS = ("quantity", "label", "reason", "sources")
"""Columns of `SimulationReport.labels`."""

DOSE_COLUMNS = ("time_h", "stop_h", "text")
"""Columns of `SimulationReport.doses`."""

HEAT_COLUMNS = (
    "region", "name", "dose", "day", "value_log2", "low_log2", "high_log2",
    "label", "reason", "sources",
)  # fmt: skip
"""Columns of `SimulationReport.heat`."""

PATHWAY_COLUMNS = (
    "pathway", "origin", "target", "peak_percent", "low_percent", "high_percent",
    "peak_time_h", "day_percent", "label", "reason", "sources",
)  # fmt: skip
"""Columns of `SimulationReport.pathways`."""

PARAMETER_COLUMNS = (
    "name", "value", "unit", "certainty", "role", "prior_sd_ln", "source_rows", "meaning",
)  # fmt: skip
"""Columns of `SimulationReport.parameters`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One small picture: one quantity over time."""

    quantity: str
    """Value of the column ``quantity`` of the courses."""

    title: str
    """What it is, in two or three words."""

    unit: str
    """Unit as people write it; empty: relative to the untreated animal's level."""

    baseline: float | None = None
    """Level without drug, drawn as a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A row of small pictures that belong together."""

    title: str
    """Heading."""

    text: str
    """One sentence on what is shown."""

    panels: tuple[Panel, ...]
    """Pictures, left to right."""

    same_scale: bool = False
    """Whether the pictures share their vertical axis."""

    clinical: bool = False
    """Whether it speaks of symptoms or side effects of people."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SimulationReport:
    """All that the page of one regimen shows; what is left out is named as missing.

    Raises
    ------
    TableError
        If a frame that is there lacks a column, or a label is not one of the four.
    """

    title: str
    """Name of the regimen."""

    regimen: tuple[str, ...]
    """Who gets what and when, one sentence per line."""

    courses: pd.DataFrame
    """Time courses, `COURSE_COLUMNS`.  Rows of the reference member carry quantiles over
    draws of the parameters; those of other members their nominal course in ``median``, and
    NaN for the quantiles."""

    layers: tuple[Layer, ...]
    """Rows of pictures, from blood to behaviour."""

    labels: pd.DataFrame
    """Label, reason and sources of each quantity, `LABEL_COLUMNS`."""

    reference: str = "reference"
    """Member whose draws make the bands."""

    nominal: str = "nominal"
    """Name under which ``courses`` hold the reference with nominal parameters, against which
    the other members are drawn; may be missing, then they are compared with the median."""

    members: Mapping[str, str] = field(default_factory=dict)
    """Other members of the ensemble: name to what is different in it."""

    n_draws: int = 0
    """Draws behind the bands; 0: nominal values only."""

    doses: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Doses, `DOSE_COLUMNS`; times in hours, ``stop_h`` equal to ``time_h`` for a bolus."""

    heat: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Change by region, dose and day, `HEAT_COLUMNS`."""

    heat_text: str = ""
    """What the heat map was made for, one sentence."""

    pathways: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The dopamine pathways, `PATHWAY_COLUMNS`; NaN where the model holds nothing."""

    off_target: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Effects of targeted delivery beside those of the whole body, shown as they are."""

    off_target_text: str = ""
    """The off-target index, one sentence."""

    nca: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Non-compartmental summary, shown as it is."""

    scorecard: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Validation rows, shown as they are; a column ``verdict`` holds IN or OUT."""

    scorecard_text: str = ""
    """How the scorecard was made, one sentence."""

    parameters: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Parameters of this species, `PARAMETER_COLUMNS`."""

    note: str = ""
    """Something readers must know first."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """Package to version."""

    settings: Mapping[str, object] = field(default_factory=dict)
    """Setting to value."""

    _courses: dict[tuple[str, str], pd.DataFrame] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        need_columns(self.courses, COURSE_COLUMNS, "courses")
        need_columns(self.labels, LABEL_COLUMNS, "labels")
        for frame, columns, what in (
            (self.doses, DOSE_COLUMNS, "doses"),
            (self.heat, HEAT_COLUMNS, "heat map"),
            (self.pathways, PATHWAY_COLUMNS, "pathways"),
            (self.parameters, PARAMETER_COLUMNS, "parameters"),
        ):
            if not frame.empty:
                need_columns(frame, columns, what)
        for frame in (self.labels, self.heat, self.pathways):
            _need_known_labels(frame)
        ordered = self.courses.sort_values("time_h", kind="stable")
        parts = ordered.groupby(["quantity", "member"], sort=False)
        found = {(str(q), str(m)): rows for (q, m), rows in parts}
        object.__setattr__(self, "_courses", found)
        self._need_panels()

    def course(self, quantity: str, member: str) -> pd.DataFrame:
        """Return the rows of one quantity and member in order of time; none: an empty frame."""
        return self._courses.get((quantity, member), self.courses.iloc[:0])

    def course_rows(self, quantity: str) -> pd.DataFrame:
        """Return the rows of a quantity, of all members that the page draws."""
        names = (self.reference, self.nominal, *self.members)
        return pd.concat([self.course(quantity, name) for name in names])

    def _need_panels(self) -> None:
        wanted = {p.quantity for layer in self.layers for p in layer.panels}
        missing = sorted(q for q in wanted if (q, self.reference) not in self._courses)
        if missing:
            msg = (
                f"The courses of member {self.reference!r} lack {', '.join(missing)}, which "
                f"the page should show. Simulate them or leave their panels out."
            )
            raise TableError(msg)
        unlabelled = sorted(wanted - set(self.labels["quantity"]))
        if unlabelled:
            msg = f"No label is given for {', '.join(unlabelled)}; nothing is shown without one."
            raise TableError(msg)

    @property
    def clinical(self) -> bool:
        """Whether any row of pictures speaks of people's symptoms."""
        return any(layer.clinical for layer in self.layers)


def need_columns(frame: pd.DataFrame, columns: tuple[str, ...], what: str) -> None:
    """Refuse a frame that lacks a column.

    Raises
    ------
    TableError
        Naming the missing columns and those that are there.
    """
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        msg = (
            f"The {what} table of the simulation lacks {', '.join(missing)}; "
            f"it has {', '.join(map(str, frame.columns)) or 'no columns'}."
        )
        raise TableError(msg)


def _need_known_labels(frame: pd.DataFrame) -> None:
    if frame.empty:
        return
    unknown = sorted(set(frame["label"]) - set(LABELS))
    if unknown:
        msg = f"Labels must be one of {', '.join(LABELS)}; got {', '.join(map(repr, unknown))}."
        raise TableError(msg)
