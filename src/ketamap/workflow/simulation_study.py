"""The seed study in silico: simulated animals through the same statistics and report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ketamap.core.atlas import Structures
from ketamap.core.errors import InputError
from ketamap.core.measures import in_order
from ketamap.core.tables import ANIMALS, PLANTED_EFFECTS, REGIONS
from ketamap.io.files import replacing
from ketamap.io.manifests import read_json, write_json
from ketamap.io.study_files import faults_of, read_yaml
from ketamap.io.tables import write_table
from ketamap.phantom.density import own_volumes_mm3
from ketamap.simulate.study import (
    AXONS,
    CELLS,
    NOTE,
    STUDY_GROUPS,
    StudyGroup,
    StudySettings,
    planted_effects,
    simulated_study,
)
from ketamap.workflow.analysis import ANALYSIS, TRUTH, analyse, report
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.progress import Quiet, Reporter

STUDY_ATLAS = "phantom_mouse_100um"
"""Atlas whose regions and volumes simulated animals have unless a file says otherwise."""

RESULT = "analysis"
"""Folder of the analysis within the study's."""

LEAST_ANIMALS = 3
"""Animals per group that the statistics need."""

MEASURES = (CELLS, AXONS)
"""What is measured in simulated mice: TH+ cells and the length of dopamine axons."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


ALPHA = 0.05
"""False discovery rate of the analysis: the design's default."""


Dose = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Days = Annotated[int, Field(ge=1, le=60)]
Measures = Annotated[
    list[Literal["cells", "axon_length_mm"]], BeforeValidator(_listed), Field(min_length=1)
]


class StudyEntry(BaseModel):
    """A study to simulate, as a file says it."""

    model_config = ConfigDict(extra="forbid")

    study: str = "The seed study, simulated"
    doses_mg_per_kg: list[Dose] = Field(min_length=2)
    days: list[Days] = Field(min_length=1)
    n_per_group: Annotated[int, Field(ge=LEAST_ANIMALS)] | None = None
    measure: Measures = ["cells", "axon_length_mm"]
    atlas: str = STUDY_ATLAS


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """Groups of simulated mice, and how they are compared."""

    name: str
    """Title of the report."""

    groups: tuple[StudyGroup, ...] = STUDY_GROUPS
    """Doses and days; one dose must be 0."""

    n: int | None = None
    """Mice per group, where the file says it."""

    measures: tuple[str, ...] = MEASURES
    """What is analysed."""

    atlas: str = STUDY_ATLAS
    """Regions and their volumes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What the analysis of one measure called, relative effects."""

    measure: str
    """``cells`` or ``axon_length_mm``."""

    called: int
    """Region x contrast calls at the design's level."""

    planted: int
    """Region x contrast changes that were planted in analysed regions."""

    right_sign: int
    """Of the planted ones, those that were called with the planted direction."""

    same_sign: int
    """Of the planted ones, those whose estimate has the planted direction, called or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedStudyResult:
    """What a simulated study left behind."""

    report: Path
    """The page of the analysis."""

    n_animals: int
    """Simulated mice."""

    recovered: tuple[Recovered, ...]
    """Per measure."""

    @property
    def called(self) -> int:
        """Calls in all measures."""
        return sum(one.called for one in self.recovered)

    @property
    def planted(self) -> int:
        """Planted changes in all measures."""
        return sum(one.planted for one in self.recovered)

    @property
    def right_sign(self) -> int:
        """Planted changes called with their direction, in all measures."""
        return sum(one.right_sign for one in self.recovered)


def read_study_plan(path: Path) -> StudyPlan:
    """Read the plan of a study to simulate.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InputError
        With every fault in one message.
    """
    try:
        entry = StudyEntry.model_validate(read_yaml(path))
    except ValidationError as error:
        msg = f"{path}: {'; '.join(faults_of(error, StudyEntry))}"
        raise InputError(msg) from error
    if 0.0 not in entry.doses_mg_per_kg:
        msg = f"{path}: doses_mg_per_kg must hold 0 (vehicle), got {entry.doses_mg_per_kg}."
        raise InputError(msg)
    groups = tuple(
        StudyGroup(dose_mg_per_kg=dose, days=days)
        for dose in dict.fromkeys(entry.doses_mg_per_kg)
        for days in dict.fromkeys(entry.days)
    )
    return StudyPlan(
        name=entry.study,
        groups=groups,
        n=entry.n_per_group,
        measures=in_order(entry.measure),
        atlas=entry.atlas,
    )


def simulate_study(
    study: Path | None = None,
    *,
    out: Path,
    n: int | None = None,
    seed: int = 1,
    effects: bool = True,
    reporter: Reporter | None = None,
) -> SimulatedStudyResult:
    """Simulate the animals of a study and take them through the analysis and its report.

    Parameters
    ----------
    study
        Doses, days and mice per group, as YAML; left out: the seed study's nine groups.
    out
        Folder to write: ``regions.parquet``, ``animals.csv``, ``design.yaml`` (what
        `analyse` reads), ``planted.csv`` and ``analysis/`` with ``report.html``.
    n
        Mice per group; left out: the file's, else 6.
    seed
        Of the differences between animals.
    effects
        False plants nothing: what is called then is called falsely.
    reporter
        Shows progress.

    Raises
    ------
    InputError
        If the file is not a plan, or there are too few animals.
    """
    show = reporter or Quiet()
    plan = StudyPlan(name="The seed study, simulated") if study is None else read_study_plan(study)
    count = n or plan.n or 6
    if count < LEAST_ANIMALS:
        msg = f"--n must be at least {LEAST_ANIMALS} mice per group for statistics, got {count}."
        raise InputError(msg)
    atlas = open_atlas(plan.atlas)
    settings = StudySettings()
    with show.stage("simulate animals") as progress:
        regions, animals = simulated_study(
            plan.groups, count, seed, effects=effects, structures=atlas.structures,
            volumes_mm3=own_volumes_mm3(atlas), settings=settings,
        )  # fmt: skip
        planted = planted_effects(
            plan.groups, structures=atlas.structures, settings=settings, effects=effects
        )
        progress(1, 1)
    _write_inputs(out, regions, animals, planted, plan)
    found = analyse(
        out / "regions.parquet",
        animals=out / "animals.csv",
        design=out / "design.yaml",
        out=out / RESULT,
        atlas=plan.atlas,
        title=plan.name,
        reporter=show,
    )
    truth = truth_of(found.effects, plan, atlas.structures, settings, planted_any=effects)
    write_table(out / RESULT / TRUTH, truth, PLANTED_EFFECTS)
    _add_note(out / RESULT, effects=effects, seed=seed, n=count)
    page = report(out / RESULT)
    return _result(page, len(animals), found.effects, truth)


def _write_inputs(
    out: Path, regions: pd.DataFrame, animals: pd.DataFrame, planted: pd.DataFrame, plan: StudyPlan
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "regions.parquet", regions, REGIONS)
    write_table(out / "animals.csv", animals, ANIMALS)
    with replacing(out / "planted.csv") as temporary:
        planted.to_csv(temporary, index=False)
    several_days = len({group.days for group in plan.groups}) > 1
    measures = list(plan.measures)
    design: dict[str, Any] = {"dose": "dose_mg_per_kg", "control": 0, "measure": measures}
    if several_days:
        design["duration"] = "days"
    with replacing(out / "design.yaml") as temporary:
        temporary.write_text(yaml.safe_dump(design, sort_keys=False), encoding="utf-8")


def truth_of(
    effects: pd.DataFrame,
    plan: StudyPlan,
    structures: Structures,
    settings: StudySettings,
    *,
    planted_any: bool = True,
) -> pd.DataFrame:
    """Return the planted change of analysed regions in every contrast, zeros included.

    A part has the change of the structure it belongs to.  Structures of which only a part
    changes are left out: their change depends on the share of the part.

    Parameters
    ----------
    effects
        Columns of `ketamap.core.tables.EFFECTS`.
    plan
        Groups that were simulated.
    structures
        Tree of the atlas.
    settings
        Sizes.
    planted_any
        False: nothing was planted.
    """
    planted = planted_effects(
        plan.groups, structures=structures, settings=settings, effects=planted_any
    )
    keys = planted[["measure", "region_id", "group", "planted_log2"]]
    known = {
        (str(measure), int(region), str(group)): float(value)
        for measure, region, group, value in keys.itertuples(index=False, name=None)
    }
    partly = {(m, a, group) for m, region, group in known for a in structures.ancestors(region)}
    group_of = {_contrast(group, plan): group.label for group in plan.groups}
    columns = ["region_id", "acronym", "measure", "contrast"]
    shown = effects.loc[effects["estimand"] != "shift", columns].drop_duplicates()
    shown = shown[shown["contrast"].isin(group_of) & shown["region_id"].isin(structures.ids)]
    rows = []
    for region, acronym, measure, contrast in shown.itertuples(index=False, name=None):
        group, above = group_of[contrast], structures.ancestors(int(region))
        chain = [(measure, i, group) for i in (int(region), *above)]
        value = next((known[key] for key in chain if key in known), 0.0)
        if value or chain[0] not in partly:
            rows.append((int(region), acronym, measure, contrast, value))
    return pd.DataFrame(rows, columns=[*columns, "planted_log2"])


def _contrast(group: StudyGroup, plan: StudyPlan) -> str:
    """Name the comparison of a group with vehicle as the statistics do."""
    name = f"{group.dose_mg_per_kg:g} mg/kg vs vehicle"
    several_days = len({one.days for one in plan.groups}) > 1
    return f"{name}, {group.days} d" if several_days else name


def _add_note(out: Path, *, effects: bool, seed: int, n: int) -> None:
    about = read_json(out / ANALYSIS)
    about["note"] = NOTE if effects else f"{NOTE} In this cohort nothing was planted."
    about["settings"] |= {"simulated": {"seed": seed, "n_per_group": n, "effects": effects}}
    write_json(out / ANALYSIS, about)


def _result(
    page: Path, n_animals: int, effects: pd.DataFrame, truth: pd.DataFrame
) -> SimulatedStudyResult:
    relative = effects[effects["estimand"] == "relative"]
    keys = ["region_id", "measure", "contrast"]
    both = relative.merge(truth[[*keys, "planted_log2"]], on=keys)
    recovered = tuple(
        _recovered(str(measure), part) for measure, part in both.groupby("measure", sort=False)
    )
    return SimulatedStudyResult(report=page, n_animals=n_animals, recovered=recovered)


def _recovered(measure: str, rows: pd.DataFrame) -> Recovered:
    called = rows["testable"] & (rows["q"] < ALPHA)
    same = rows["estimate_log2"] * rows["planted_log2"] > 0.0
    return Recovered(
        measure=measure,
        called=int(called.sum()),
        planted=int((rows["planted_log2"] != 0.0).sum()),
        right_sign=int((called & same).sum()),
        same_sign=int(same.sum()),
    )
