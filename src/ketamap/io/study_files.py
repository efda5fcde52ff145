"""What a study file may say: the pydantic models at the edge, and YAML without surprises."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ketamap.core.errors import InputError
from ketamap.core.settings import Extent
from ketamap.io.files import no_file

_NULLS = ("", "~", "null", "Null", "NULL")
"""Plain words that mean "nothing" in YAML."""


class Unquoted(str):
    """A plain YAML scalar, as it was written: it may stand for a number."""

    __slots__ = ()


def _split_triple(value: Any) -> Any:
    return value.split(",") if isinstance(value, str) else value


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Triple = Annotated[tuple[Positive, Positive, Positive], BeforeValidator(_split_triple)]
"""Three positive numbers, as a list or as ``5,2,2``."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DetectionEntry(_Strict):
    """Key ``detection`` of a study file."""

    soma_diameter_um: float | None = None
    min_score: float | None = None
    spike_ins: int | None = None
    model: str | None = None
    background: bool = False


class RegistrationEntry(_Strict):
    """Key ``registration`` of a study file."""

    resolution_um: float | None = None
    iterations: tuple[int, int, int] | None = None
    refits: int | None = None
    threads: int | None = None


class TracingEntry(_Strict):
    """Key ``tracing`` of a study file: where it stands, axons are traced."""

    fibre_sigma_um: float | None = None
    box_um: float | None = None
    min_length_um: float | None = None
    threshold: float | None = None
    soma_diameter_um: float | None = None
    vessel_diameter_um: float | None = None
    calibration: str | None = None
    pictures: list[str] = []


class DesignEntry(_Strict):
    """A design: a file of its own, or key ``design`` of a study file."""

    control: str
    factor: str | None = None
    dose: str | None = None
    duration: str | None = None
    formula: str | None = None
    batch: str | None = None
    measure: Annotated[tuple[str, ...] | None, BeforeValidator(_one_or_more)] = None
    alpha: float | None = None
    permutations: int | None = Field(default=None, ge=0)


class AnimalEntry(BaseModel):
    """One of ``animals`` of a study file; further keys are covariates."""

    model_config = ConfigDict(extra="allow")

    animal: str = Field(min_length=1, pattern=r"^[^/\\\s.][^/\\]*$")
    signal: str
    background: str | None = None
    mask: str | None = None
    drug: str
    dose_mg_per_kg: float
    days: int
    sex: str = ""
    batch: str = ""


class StudyEntry(_Strict):
    """A whole study file."""

    study: str
    note: str = ""
    atlas: str
    atlas_dir: str | None = None
    orientation: str
    extent: Extent = "whole"
    voxel_um: Triple | None = None
    background_voxel_um: Triple | None = None
    signal_channel: int | None = Field(default=None, ge=0)
    background_channel: int | None = Field(default=None, ge=0)
    detection: DetectionEntry = DetectionEntry()
    registration: RegistrationEntry = RegistrationEntry()
    tracing: TracingEntry | None = None
    animals: list[AnimalEntry] = Field(min_length=1)
    design: DesignEntry


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; scalars stay text, so that animal 007 keeps its zeros.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InputError
        If it is not YAML, not a mapping, or a key repeats.
    """
    if not path.is_file():
        raise no_file(path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_TextLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"{path} is not valid YAML: {error}"
        raise InputError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} is not a mapping of keys to values. See examples/study.yaml."
        raise InputError(msg)
    return content


def faults_of(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Say each fault that pydantic found, with its key and the nearest valid one."""
    return [_fault(one, model) for one in error.errors(include_url=False)]


def misspelt(extras: Iterable[str], where: str, model: type[BaseModel]) -> list[str]:
    """Say which free keys look like a known key written wrongly."""
    faults = []
    for key in extras:
        near = difflib.get_close_matches(key, model.model_fields, n=1, cutoff=0.8)
        if near:
            faults.append(f"{where}{key}: not a known key; did you mean {near[0]!r}?")
    return faults


def _fault(one: Any, model: type[BaseModel]) -> str:
    where = _place(one["loc"])
    if one["type"] == "missing":
        return f"{where}: this key is needed and not there"
    if one["type"] == "extra_forbidden":
        known = _fields_at(one["loc"][:-1], model)
        near = difflib.get_close_matches(str(one["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(known)}"
        return f"{where}: not a known key; {hint}"
    if one["type"] == "string_pattern_mismatch":
        return f"{where}: {one['input']!r} cannot name a folder; leave out / and a leading dot"
    return f"{where}: {one['msg'].lower()}, got {one['input']!r}"


def _place(loc: tuple[int | str, ...]) -> str:
    """Write a place as ``animals[3].dose_mg_per_kg``, animals counted from 1."""
    text = ""
    for part in loc:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _fields_at(loc: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """Return the known keys at a place of the file."""
    for part in (name for name in loc if isinstance(name, str)):
        stated = model.model_fields[part].annotation
        for inner in (stated, *get_args(stated)):  # a list's entries count as the list
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                model = inner
    return list(model.model_fields)


class _TextLoader(yaml.SafeLoader):
    """Reads plain scalars as `Unquoted` text and refuses repeated keys."""


def _scalar(loader: _TextLoader, node: yaml.ScalarNode) -> str | None:
    value = str(loader.construct_scalar(node))
    if node.style is not None:
        return value
    return None if value in _NULLS else Unquoted(value)


def _mapping(loader: _TextLoader, node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node, deep=True))
        if key in found:
            problem = f"key {key!r} is there twice"
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        found[key] = loader.construct_object(value_node, deep=True)
    return found


for _tag in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge"):
    _TextLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _scalar)
_TextLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
