"""Studies, designs and the animals table that follows from a study."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pydantic import BaseModel, ValidationError

from ketamap.core.errors import DesignError, InputError
from ketamap.core.settings import (
    Design,
    DetectionSettings,
    RegistrationSettings,
    TracingSettings,
)
from ketamap.core.space import Orientation
from ketamap.core.study import Animal, Regimen, Study
from ketamap.io.files import replacing
from ketamap.io.study_files import (
    AnimalEntry,
    DesignEntry,
    StudyEntry,
    Unquoted,
    faults_of,
    misspelt,
    read_yaml,
)
from ketamap.io.tables import read_animals as read_animals

SPIKE_INS = 200
"""Somata planted into each brain of a study unless it says otherwise: about two CPU-seconds."""

_LEAST_ANIMALS = 2
"""Animals a group needs: the spread between animals cannot be told from one."""


def read_study(path: Path) -> Study:
    """Read a study file and check all of it.

    Image paths, and ``atlas_dir``, are relative to the file's folder.  See
    ``examples/study.yaml`` for every key.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InputError
        With every fault in one message: keys missing or unknown, values out of range,
        animals named twice, images that are not there, groups of one animal.
    """
    path = Path(path)
    content = read_yaml(path)
    faults = _Faults()
    try:
        entry = StudyEntry.model_validate(content)
    except ValidationError as error:
        faults.found += faults_of(error, StudyEntry)
    faults.found += _animal_faults(content, path.parent)
    study = None if faults.found else _study(entry, path.parent, faults)
    if study is not None:
        faults.found += _group_faults(study)
    if study is None or faults.found:
        raise _invalid(path, "study", faults.found)
    return study


def write_study(path: Path, study: Study) -> None:
    """Write a study so that `read_study` gives it back.

    Paths inside the file's folder are written relative to it: the folder can then move.

    Raises
    ------
    ResourceError
        If the disk is full.
    """
    path = Path(path)
    text = yaml.safe_dump(_as_entry(study, path.parent), sort_keys=False, allow_unicode=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_design(path: Path) -> Design:
    """Read a design file.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InputError
        With every fault in one message.
    """
    path = Path(path)
    content = read_yaml(path)
    faults = _Faults()
    design = None
    try:
        design = _design(DesignEntry.model_validate(content), faults)
    except ValidationError as error:
        faults.found += faults_of(error, DesignEntry)
    if design is None:
        raise _invalid(path, "design", faults.found)
    return design


def animals_table(study: Study) -> pd.DataFrame:
    """Return one row per animal: its regimen, group, sex, batch and covariates."""
    rows = [
        {
            "animal": one.animal,
            "drug": one.regimen.drug,
            "dose_mg_per_kg": float(one.regimen.dose_mg_per_kg),
            "days": one.regimen.days,
            "sex": one.sex,
            "batch": one.batch,
            "group": one.regimen.group,
            **dict(one.covariates),
        }
        for one in study.animals
    ]
    return pd.DataFrame(rows)


def check_groups(study: Study) -> None:
    """Refuse a study whose groups cannot be compared.

    Raises
    ------
    DesignError
        If the design names a column or control that is not there, a group has one animal,
        or there is only one group.
    """
    faults = _group_faults(study)
    if faults:
        raise DesignError(_listed(f"Study {study.name!r} cannot be analysed", faults))


class _Faults:
    """Collects faults instead of stopping at the first."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def attempt(self, where: str, make: Any, *args: Any, **values: Any) -> Any:
        """Call ``make``; on an input error note it, with its place, and give None."""
        try:
            return make(*args, **values)
        except InputError as error:
            self.found.append(f"{where}: {error}")
            return None


def _study(entry: StudyEntry, folder: Path, faults: _Faults) -> Study | None:
    parts: dict[str, Any] = {
        "orientation": faults.attempt("orientation", Orientation, entry.orientation),
        "design": _design(entry.design, faults),
        **_detection(entry, folder, faults),
        "registration": faults.attempt(
            "registration", RegistrationSettings, **_given(entry.registration)
        ),
        **_tracing(entry, folder, faults),
    }
    animals = [
        _animal(
            one, folder, f"animals[{k}]", faults, groups={entry.design.factor, entry.design.batch}
        )
        for k, one in enumerate(entry.animals, 1)
    ]
    if faults.found:
        return None
    study: Study | None = faults.attempt(
        "study",
        Study,
        name=entry.study,
        note=entry.note,
        atlas=entry.atlas,
        atlas_dir=_resolved(folder, entry.atlas_dir) if entry.atlas_dir else None,
        extent=entry.extent,
        voxel_um=entry.voxel_um,
        background_voxel_um=entry.background_voxel_um,
        signal_channel=entry.signal_channel,
        background_channel=entry.background_channel,
        animals=tuple(one for one in animals if one is not None),
        **parts,
    )
    return study


def _detection(entry: StudyEntry, folder: Path, faults: _Faults) -> dict[str, Any]:
    """Read how cells are found; without the key somata are planted."""
    values = {"spike_ins": SPIKE_INS, **_given(entry.detection)}
    model, background = values.pop("model", None), values.pop("background")
    stated = _stated_file("detection.model", model, folder, faults)
    return {
        "detection": faults.attempt("detection", DetectionSettings, **values),
        "score_model": stated,
        "detect_with_background": background,
    }


def _tracing(entry: StudyEntry, folder: Path, faults: _Faults) -> dict[str, Any]:
    """Read how axons are traced; without the key they are not."""
    if entry.tracing is None:
        return {}
    values = _given(entry.tracing)
    calibration, pictures = values.pop("calibration", None), values.pop("pictures")
    values.setdefault("soma_diameter_um", entry.detection.soma_diameter_um)
    settings = {name: value for name, value in values.items() if value is not None}
    stated = _stated_file("tracing.calibration", calibration, folder, faults)
    return {
        "tracing": faults.attempt("tracing", TracingSettings, **settings),
        "trace_calibration": stated,
        "trace_regions": tuple(pictures),
    }


def _stated_file(key: str, value: Any, folder: Path, faults: _Faults) -> Path | None:
    """Resolve a file that a key may name; a fault where there is none."""
    if value is None:
        return None
    path = _resolved(folder, value)
    if not path.is_file():
        faults.found.append(f"{key}: there is no file {path}")
    return path


def _design(entry: DesignEntry, faults: _Faults) -> Design | None:
    values: dict[str, Any] = _given(entry)
    if entry.measure is not None:
        values["measures"] = values.pop("measure")
    if entry.dose is not None:
        try:
            values["control"] = float(entry.control)
        except ValueError:
            faults.found.append(f"design.control: a dose is needed, got {entry.control!r}")
            return None
    design: Design | None = faults.attempt("design", Design, **values)
    return design


def _animal(
    entry: AnimalEntry, folder: Path, where: str, faults: _Faults, *, groups: set[str | None]
) -> Animal | None:
    """Make an animal; covariates that name groups stay text, whatever they look like."""
    regimen = faults.attempt(
        where,
        Regimen,
        drug=entry.drug,
        dose_mg_per_kg=entry.dose_mg_per_kg,
        days=entry.days,
    )
    if regimen is None:
        return None
    extras = entry.model_extra or {}
    return Animal(
        animal=str(entry.animal),
        regimen=regimen,
        signal=_resolved(folder, entry.signal),
        background=_resolved(folder, entry.background) if entry.background else None,
        mask=_resolved(folder, entry.mask) if entry.mask else None,
        sex=str(entry.sex),
        batch=str(entry.batch),
        covariates=tuple(
            (name, str(value) if name in groups else _covariate(value))
            for name, value in extras.items()
        ),
    )


def _animal_faults(content: dict[str, Any], folder: Path) -> list[str]:
    """Find what only the whole file shows, also where other keys of it are wrong."""
    listed = content.get("animals")
    animals = [a for a in listed if isinstance(a, dict)] if isinstance(listed, list) else []
    faults = []
    for k, animal in enumerate(animals, 1):
        extras = [key for key in animal if key not in AnimalEntry.model_fields]
        faults += misspelt(extras, f"animals[{k}].", AnimalEntry)
        for key in ("signal", "background", "mask"):
            stated = animal.get(key)
            if isinstance(stated, str) and not (stated and _resolved(folder, stated).exists()):
                shown = _resolved(folder, stated) if stated else "without a name"
                faults.append(f"animals[{k}].{key}: there is no image {shown}")
    names = Counter(str(one["animal"]) for one in animals if "animal" in one)
    return faults + [
        f"animals: {name!r} is there {n} times; identifiers must differ"
        for name, n in names.items()
        if n > 1
    ]


def _covariate(value: Any) -> str | float:
    """Read a free value: a number where it was written as one, else text."""
    if isinstance(value, Unquoted):
        try:
            return float(value)
        except ValueError:
            return str(value)
    return "" if value is None else str(value)


def _given(entry: BaseModel) -> dict[str, Any]:
    return {name: value for name, value in entry if value is not None}


def _resolved(folder: Path, stated: str) -> Path:
    return Path(os.path.normpath(folder.absolute() / Path(stated).expanduser()))


def _group_faults(study: Study) -> list[str]:
    table, design = animals_table(study), study.design
    named = [design.factor, design.dose, design.duration, design.batch]
    missing = [name for name in named if name is not None and name not in table.columns]
    if missing:
        have = ", ".join(table.columns)
        return [f"design: no column {name!r} among the animals' ({have})" for name in missing]
    columns = [name for name in named[:3] if name is not None]
    sizes = table.groupby(columns, sort=True, dropna=False).size()
    faults = [
        f"group {_group_name(level)} has one animal; at least {_LEAST_ANIMALS} are needed to tell "
        f"an effect from the spread between animals"
        for level, n in sizes.items()
        if n < _LEAST_ANIMALS
    ]
    levels = sorted(table[columns[0]].unique().tolist())
    if design.control not in levels:
        shown = ", ".join(map(str, levels))
        faults.append(f"design.control: {design.control!r} is not in {columns[0]} ({shown})")
    elif len(levels) < 2:
        faults.append(f"design: every animal has {columns[0]} {levels[0]}; nothing to compare")
    return faults


def _group_name(level: Any) -> str:
    return " x ".join(f"{part}" for part in level) if isinstance(level, tuple) else str(level)


def _as_entry(study: Study, folder: Path) -> dict[str, Any]:
    """Return the plain mapping that stands in the file, keys in reading order."""
    entry: dict[str, Any] = {
        "study": study.name,
        "note": study.note,
        "atlas": study.atlas,
        "atlas_dir": _written(study.atlas_dir, folder),
        "orientation": study.orientation.code,
        "extent": study.extent,
        "voxel_um": _listed_numbers(study.voxel_um),
        "background_voxel_um": _listed_numbers(study.background_voxel_um),
        "signal_channel": study.signal_channel,
        "background_channel": study.background_channel,
        "detection": _as_detection(study, folder),
        "registration": {
            **asdict(study.registration),
            "iterations": list(study.registration.iterations),
        },
        "tracing": _as_tracing(study, folder),
        "animals": [_as_animal(one, folder) for one in study.animals],
        "design": _as_design(study.design),
    }
    return {key: value for key, value in entry.items() if value is not None}


def _as_design(design: Design) -> dict[str, Any]:
    entry = {f.name: getattr(design, f.name) for f in fields(design)}
    measures = list(entry.pop("measures"))
    entry["measure"] = (measures[0] if len(measures) == 1 else measures) or None
    return {key: value for key, value in entry.items() if value is not None}


def _as_detection(study: Study, folder: Path) -> dict[str, Any]:
    model = _written(study.score_model, folder)
    return {
        **asdict(study.detection),
        **({} if model is None else {"model": model}),
        **({"background": True} if study.detect_with_background else {}),
    }


def _as_tracing(study: Study, folder: Path) -> dict[str, Any] | None:
    if study.tracing is None:
        return None
    entry = {
        **asdict(study.tracing),
        "calibration": _written(study.trace_calibration, folder),
        "pictures": list(study.trace_regions) or None,
    }
    return {key: value for key, value in entry.items() if value is not None}


def _as_animal(animal: Animal, folder: Path) -> dict[str, Any]:
    entry = {
        "animal": animal.animal,
        "signal": _written(animal.signal, folder),
        "background": _written(animal.background, folder),
        "mask": _written(animal.mask, folder),
        "drug": animal.regimen.drug,
        "dose_mg_per_kg": animal.regimen.dose_mg_per_kg,
        "days": animal.regimen.days,
        "sex": animal.sex,
        "batch": animal.batch,
        **dict(animal.covariates),
    }
    return {key: value for key, value in entry.items() if value is not None}


def _written(path: Path | None, folder: Path) -> str | None:
    if path is None:
        return None
    full, base = path.absolute(), folder.absolute()
    return full.relative_to(base).as_posix() if full.is_relative_to(base) else full.as_posix()


def _listed_numbers(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else list(values)


def _invalid(path: Path, what: str, faults: list[str]) -> InputError:
    return InputError(_listed(f"{path} is not a valid {what} file", faults))


def _listed(head: str, faults: list[str]) -> str:
    return f"{head}:" + "".join(f"\n  - {fault}" for fault in faults)
