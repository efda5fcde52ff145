"""Regimen files (YAML, every quantity with its unit) and event tables (CSV)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from ketamap.core.dosing import (
    Block,
    BlockKind,
    Dose,
    DoseUnit,
    DosingPlan,
    Form,
    Route,
    Species,
    Stress,
    Subject,
    repeat,
)
from ketamap.core.errors import InputError, TableError
from ketamap.io.files import no_file, replacing
from ketamap.io.study_files import faults_of, read_yaml

_HOURS = {"min": 1.0 / 60.0, "h": 1.0, "d": 24.0, "days": 24.0, "weeks": 168.0}
_KILOGRAMS = {"g": 1e-3, "kg": 1.0}
_AMOUNTS = {"mg/kg": ("mg/kg", 1.0), "mg": ("mg", 1.0), "umol": ("umol", 1.0),
            "umol/kg": ("umol/kg", 1.0), "ug/kg": ("mg/kg", 1e-3), "g": ("mg", 1e3)}  # fmt: skip
"""Units a file may use, and what they are in a `Dose`."""

_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)\s*")

_EVENT_NUMBERS = ("TIME", "AMT", "RATE", "ADDL", "II", "CMT", "EVID", "WT")
_EVENT_COLUMNS = ("ID", "ROUTE", "FORM", "SEX", *_EVENT_NUMBERS)
_IGNORED = ("DV", "MDV", "SS")


def _split(text: object, units: Iterable[str]) -> tuple[float, str]:
    """Split ``30 mg/kg`` into number and unit; a number without a unit is refused."""
    match = _QUANTITY.fullmatch(str(text))
    known = list(units)
    fault = None
    if match is None:
        fault = f"not a number with a unit ({', '.join(known)})"
    elif not match[2]:
        fault = f"no unit; write for instance {match[1]} {known[0]}"
    elif match[2] not in known:
        fault = f"{match[2]} is not a unit known here ({', '.join(known)})"
    elif float(match[1]) < 0.0:
        fault = "must not be negative"
    if fault is not None or match is None:
        kind, message = "quantity", "{fault}"
        raise PydanticCustomError(kind, message, {"fault": fault})
    return float(match[1]), match[2]


def _hours(text: object) -> float:
    number, unit = _split(text, _HOURS)
    return number * _HOURS[unit]


def _kilograms(text: object) -> float:
    number, unit = _split(text, _KILOGRAMS)
    return number * _KILOGRAMS[unit]


def _amount(text: object) -> tuple[float, str]:
    number, unit = _split(text, _AMOUNTS)
    standard, factor = _AMOUNTS[unit]
    return number * factor, standard


Hours = Annotated[float, BeforeValidator(_hours)]
"""A time written as ``40 min``, ``24 h`` or ``14 d``."""

Kilograms = Annotated[float, BeforeValidator(_kilograms)]
"""A weight written as ``25 g`` or ``70 kg``."""

Amount = Annotated[tuple[float, DoseUnit], BeforeValidator(_amount)]
"""A dose written as ``30 mg/kg`` or ``84 mg``."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DoseEntry(_Strict):
    """One of ``doses`` of a regimen file."""

    amount: Amount
    route: Route
    time: Hours = 0.0
    duration: Hours = 0.0
    form: Form = "racemate"
    every: Hours | None = None
    additional: int = Field(default=0, ge=0, le=10_000)


class BlockEntry(_Strict):
    """One of ``blocks`` of a regimen file."""

    kind: BlockKind
    start: Hours = 0.0
    end: Hours
    fraction: float = Field(default=1.0, ge=0.0, le=1.0)


class RegimenEntry(_Strict):
    """A whole regimen file."""

    regimen: str
    species: Species
    weight: Kilograms | None = None
    sex: Literal["F", "M", ""] = ""
    stress: Stress = "none"
    doses: list[DoseEntry]
    end: Hours
    blocks: list[BlockEntry] = []
    targets: list[str] = []


def read_regimen(path: Path) -> DosingPlan:
    """Read a regimen file and check all of it.

    See ``examples/regimen_mouse_daily.yaml`` for every key.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InputError
        With every fault in one message: keys missing or unknown, quantities without a unit,
        unknown routes, doses after the end.
    """
    path = Path(path)
    content = read_yaml(path)
    faults: list[str] = []
    try:
        entry = RegimenEntry.model_validate(content)
    except ValidationError as error:
        raise _invalid(path, faults_of(error, RegimenEntry)) from error
    plan = _plan(entry, faults)
    if plan is None or faults:
        raise _invalid(path, faults)
    return plan


def write_regimen(path: Path, plan: DosingPlan) -> None:
    """Write a plan so that `read_regimen` gives it back.

    Raises
    ------
    ResourceError
        If the disk is full.
    """
    subject = plan.subject
    entry: dict[str, Any] = {"regimen": plan.name, "species": subject.species}
    if subject.weight_kg is not None:
        entry["weight"] = f"{subject.weight_kg!r} kg"
    entry |= {"sex": subject.sex, "stress": subject.stress}
    entry["doses"] = [
        {
            "time": f"{dose.time_h!r} h",
            "amount": f"{dose.amount!r} {dose.unit}",
            "route": dose.route,
            "duration": f"{dose.duration_h!r} h",
            "form": dose.form,
        }
        for dose in plan.doses
    ]
    entry["end"] = f"{plan.end_h!r} h"
    entry["blocks"] = [
        {
            "kind": block.kind,
            "start": f"{block.start_h!r} h",
            "end": f"{block.end_h!r} h",
            "fraction": block.fraction,
        }
        for block in plan.blocks
    ]
    entry["targets"] = list(plan.targets)
    text = yaml.safe_dump(entry, sort_keys=False, allow_unicode=True)
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_event_table(path: Path) -> pd.DataFrame:
    """Read a NONMEM-style event table: dosing rows and observations, comma separated.

    Column names are read without regard to case; ``.`` and empty cells count as 0; lines
    that begin with ``#`` are comments; DV, MDV are ignored, SS must be 0.

    Returns
    -------
    DataFrame
        Columns in capitals, numbers as numbers; `ID` as text.

    Raises
    ------
    MissingInputError
        If there is no such file.
    TableError
        With every fault: TIME or AMT missing, unknown columns, cells that are no numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise no_file(path)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, comment="#")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        msg = f"{path} is not a comma-separated table: {error}"
        raise TableError(msg) from error
    table.columns = [str(name).strip().upper() for name in table.columns]
    faults = [
        f"column {name} is needed and not there" for name in ("TIME", "AMT") if name not in table
    ]
    known = set(_EVENT_COLUMNS) | set(_IGNORED)
    faults += [
        f"column {name} is not known (known: {', '.join((*_EVENT_COLUMNS, *_IGNORED))})"
        for name in table.columns
        if name not in known
    ]
    numbers = {name: _numbers(table, name, faults) for name in (*_EVENT_NUMBERS, "SS")
               if name in table}  # fmt: skip
    if "SS" in numbers and (numbers["SS"] != 0.0).any():
        faults.append("column SS asks for a steady state; write the doses out with ADDL and II")
    if faults:
        msg = f"{path} is not a valid event table:" + "".join(f"\n  - {one}" for one in faults)
        raise TableError(msg)
    kept = [name for name in table.columns if name not in _IGNORED]
    return table[kept].assign(**{k: v for k, v in numbers.items() if k in kept})


def _numbers(table: pd.DataFrame, name: str, faults: list[str]) -> pd.Series:
    text = table[name].str.strip().replace({"": "0", ".": "0"})
    values = pd.to_numeric(text, errors="coerce")
    bad = text[values.isna()]
    faults += [f"row {int(row) + 2}: {name} is {cell!r}, not a number"
               for row, cell in zip(bad.index[:5], bad[:5], strict=True)]  # fmt: skip
    return values


def _plan(entry: RegimenEntry, faults: list[str]) -> DosingPlan | None:
    subject = _attempt(
        "subject", faults, Subject, species=entry.species, weight_kg=entry.weight,
        sex=entry.sex, stress=entry.stress,
    )  # fmt: skip
    doses = [_doses(one, f"doses[{k}]", faults) for k, one in enumerate(entry.doses, 1)]
    blocks = [
        _attempt(f"blocks[{k}]", faults, Block, kind=one.kind, start_h=one.start,
                 end_h=one.end, fraction=one.fraction)
        for k, one in enumerate(entry.blocks, 1)
    ]  # fmt: skip
    if faults:
        return None
    plan: DosingPlan | None = _attempt(
        "regimen", faults, DosingPlan, name=entry.regimen, subject=subject,
        doses=tuple(dose for group in doses for dose in group), end_h=entry.end,
        blocks=tuple(blocks), targets=tuple(entry.targets),
    )  # fmt: skip
    return plan


def _doses(entry: DoseEntry, where: str, faults: list[str]) -> tuple[Dose, ...]:
    if entry.additional and not entry.every:
        faults.append(f"{where}.every: additional doses need it, for instance 24 h")
        return ()
    amount, unit = entry.amount
    dose = _attempt(
        where, faults, Dose, time_h=entry.time, amount=amount, unit=unit,
        route=entry.route, duration_h=entry.duration, form=entry.form,
    )  # fmt: skip
    return () if dose is None else repeat(dose, entry.every or 0.0, entry.additional)


def _attempt(where: str, faults: list[str], make: Any, *args: Any, **values: Any) -> Any:
    """Call ``make``; on an input error note it, with its place, and give None."""
    try:
        return make(*args, **values)
    except InputError as error:
        faults.append(f"{where}: {error}")
        return None


def _invalid(path: Path, faults: list[str]) -> InputError:
    listed = "".join(f"\n  - {fault}" for fault in faults)
    return InputError(f"{path} is not a valid regimen file:{listed}")
