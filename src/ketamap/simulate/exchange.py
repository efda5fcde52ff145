"""Other programs: NONMEM-style event tables, and SBML out and in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from ketamap.core.dosing import Dose, DoseUnit, DosingPlan, Form, Route, Species, Subject, repeat
from ketamap.core.errors import InputError, TableError
from ketamap.simulate.events import Events, events_of, start_of
from ketamap.simulate.model import MODEL_NAME, antimony_text, state_table, to_sbml
from ketamap.simulate.parameters import parameters_for

ROUTE_OF_COMPARTMENT: dict[int, Route] = {1: "iv", 2: "ip", 3: "sc", 4: "im", 5: "in", 6: "po"}
"""What the numbers of a column CMT mean."""

_NEEDED = ("TIME", "AMT")
_DOSE_EVENTS, _OTHER_EVENTS = (1,), (0, 2)


def plans_from_events(
    table: pd.DataFrame,
    *,
    species: Species,
    unit: DoseUnit,
    end_h: float | None = None,
) -> tuple[DosingPlan, ...]:
    """Turn an event table into plans, one per ID.

    Parameters
    ----------
    table
        Columns ``TIME`` (h) and ``AMT``; ``ROUTE`` (iv, ip, sc, im, in, po) or ``CMT`` (see
        `ROUTE_OF_COMPARTMENT`); optional ``ID``, ``RATE`` (amount per h; 0 a bolus),
        ``ADDL`` and ``II`` (h), ``EVID`` (1 dose, 0 and 2 observations), ``FORM``
        (racemate, S, R), ``WT`` (kg), ``SEX``.
    species
        Species of all subjects.
    unit
        Unit of ``AMT``.
    end_h
        Length of the plans; left out: the last time in the table of that subject, or 24 h
        after its last dose where no observation is later.

    Raises
    ------
    TableError
        With every fault and its row: missing columns, unknown codes, negative amounts.
    """
    table = table.rename(columns=str.upper)
    _check_columns(table)
    table = table.assign(ID=table["ID"].astype(str) if "ID" in table else "1")
    plans, faults = [], []
    for name, rows in table.groupby("ID", sort=False):
        try:
            plans.append(_plan(str(name), rows, species, unit, end_h))
        except InputError as error:
            faults.append(f"ID {name}: {error}")
    if faults:
        msg = "The event table cannot be used:" + "".join(f"\n  - {one}" for one in faults)
        raise TableError(msg)
    return tuple(plans)


def events_from_plan(plan: DosingPlan, *, identifier: str = "1") -> pd.DataFrame:
    """Write a plan as an event table in mg; the last row is an observation at the end.

    Blocks and targets have no place in such a table and are left out.
    """
    rows: list[dict[str, Any]] = [_row(plan, dose) for dose in plan.doses]
    rows.append({"TIME": plan.end_h, "EVID": 0})
    filled = {"AMT": 0.0, "RATE": 0.0, "ADDL": 0, "II": 0.0, "CMT": 0, "ROUTE": "", "FORM": ""}
    table = pd.DataFrame(rows).reindex(columns=["TIME", *filled, "EVID"]).fillna(filled)
    table.insert(0, "ID", identifier)
    return table.astype({"CMT": int, "ADDL": int}).assign(WT=plan.subject.kg, SEX=plan.subject.sex)


def sbml_of(plan: DosingPlan, parameters: Mapping[str, float] | None = None) -> str:
    """Return SBML of one plan that needs nothing of ours: values, doses and blocks inside.

    Doses are events with triggers ``time >= t``, which every simulator understands alike.

    Raises
    ------
    InputError
        If a parameter or target is not possible.
    """
    values = parameters_for(plan.subject.species, parameters)
    events = events_of(plan, values)
    start = start_of(plan, values, parameters or {})
    lines = [f"  {name} = {value!r};" for name, value in start.items()]
    lines += _event_lines(events, plan.end_h)
    body = antimony_text().removesuffix("end\n")
    return to_sbml(body + "// This plan.\n" + "\n".join(lines) + "\nend\n")


def parameters_from_sbml(text: str) -> dict[str, float]:
    """Read the parameter values of an SBML text that this package wrote.

    Returns
    -------
    dict
        Values by name, for ``parameters=`` of `simulate`; weight and stress included.

    Raises
    ------
    InputError
        If it is not SBML, or not this model: another name, other states or parameters.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        msg = f"This is not SBML: {error}. Give a file written by 'sbml_of' or 'sbml_text'."
        raise InputError(msg) from error
    spaces = root.tag.removesuffix("sbml").strip("{}")
    model = root.find(f"{{{spaces}}}model")
    if "sbml.org" not in spaces or model is None:
        msg = "This XML holds no SBML model. Give a file written by 'sbml_of' or 'sbml_text'."
        raise InputError(msg)
    _check_ours(model, spaces)
    found = {
        one.get("id", ""): float(one.get("value", "nan"))
        for one in model.iter(f"{{{spaces}}}parameter")
    }
    return {name: found[name] for name in parameters_for("human") if name in found}


def _check_columns(table: pd.DataFrame) -> None:
    missing = [name for name in _NEEDED if name not in table]
    if "ROUTE" not in table and "CMT" not in table:
        missing.append("ROUTE (or CMT)")
    if missing:
        have = ", ".join(map(str, table.columns))
        msg = f"The event table has no column {', '.join(missing)}; it has {have}."
        raise TableError(msg)


def _plan(
    name: str, rows: pd.DataFrame, species: Species, unit: DoseUnit, end_h: float | None
) -> DosingPlan:
    doses: list[Dose] = []
    for index, row in rows.iterrows():
        try:
            doses += _doses(row, unit)
        except InputError as error:
            msg = f"row {index}: {error}"
            raise TableError(msg) from error
    last = max((dose.stop_h for dose in doses), default=0.0)
    latest = float(rows["TIME"].astype(float).max())
    end = end_h if end_h is not None else (latest if latest > last else last + 24.0)
    weight = float(rows["WT"].iloc[0]) if "WT" in rows else None
    sex = str(rows["SEX"].iloc[0]) if "SEX" in rows else ""
    subject = Subject(species=species, weight_kg=weight, sex=sex)
    return DosingPlan(name=name, subject=subject, doses=tuple(doses), end_h=end)


def _doses(row: pd.Series, unit: DoseUnit) -> tuple[Dose, ...]:
    event = _whole(row, "EVID", 1 if float(row["AMT"]) != 0.0 else 0)
    if event in _OTHER_EVENTS:
        return ()
    if event not in _DOSE_EVENTS:
        msg = f"EVID {event} (a reset) is not understood; use 1 for doses, 0 for observations."
        raise TableError(msg)
    amount, rate = float(row["AMT"]), float(row.get("RATE", 0.0))
    if rate < 0.0:
        msg = f"RATE {rate:g} (a modelled duration) is not understood; give the rate itself."
        raise TableError(msg)
    dose = Dose(
        time_h=float(row["TIME"]),
        amount=amount,
        unit=unit,
        route=_route(row),
        duration_h=amount / rate if rate > 0.0 else 0.0,
        form=_form(row),
    )
    return repeat(dose, float(row.get("II", 0.0)), _whole(row, "ADDL", 0))


def _whole(row: pd.Series, column: str, otherwise: int) -> int:
    value = float(row.get(column, otherwise))
    if value != np.floor(value):
        msg = f"{column} must be a whole number, got {value:g}."
        raise TableError(msg)
    return int(value)


def _route(row: pd.Series) -> Route:
    stated = str(row.get("ROUTE", "")).strip().lower()
    if stated:
        return cast("Route", stated)  # Dose refuses what is no route
    code = _whole(row, "CMT", 0)
    if code not in ROUTE_OF_COMPARTMENT:
        known = ", ".join(f"{number} {route}" for number, route in ROUTE_OF_COMPARTMENT.items())
        msg = f"CMT {code} is not known; it is one of {known}."
        raise TableError(msg)
    return ROUTE_OF_COMPARTMENT[code]


def _form(row: pd.Series) -> Form:
    stated = str(row.get("FORM", "")).strip()
    known = {form.lower(): form for form in get_args(Form)}
    return cast("Form", known.get(stated.lower(), stated)) if stated else "racemate"


def _row(plan: DosingPlan, dose: Dose) -> dict[str, Any]:
    milligrams = dose.amount_mg(plan.subject.kg)
    code = {route: number for number, route in ROUTE_OF_COMPARTMENT.items()}[dose.route]
    return {
        "TIME": dose.time_h,
        "AMT": milligrams,
        "RATE": milligrams / dose.duration_h if dose.duration_h > 0.0 else 0.0,
        "CMT": code,
        "ROUTE": dose.route,
        "FORM": dose.form,
        "EVID": 1,
    }


def _event_lines(events: Events, end_h: float) -> list[str]:
    """Antimony of all changes; moments, amounts and rates are quantities with units."""
    lines = []
    for k, time_h in enumerate(events.cuts_h(end_h)):
        changes = []
        for n, (name, value) in enumerate(events.settings_at(time_h).items()):
            unit = "umol_per_h" if name.startswith("infuse_") else "dimensionless"
            lines.append(f"  setting_{k}_{n} has {unit}; setting_{k}_{n} = {value!r};")
            changes.append(f"{name} = setting_{k}_{n}")
        for n, (state, umol) in enumerate(events.jumps_at(time_h).items()):
            lines.append(f"  amount_{k}_{n} has umol; amount_{k}_{n} = {umol!r};")
            changes.append(f"{state} = {state} + amount_{k}_{n}")
        if changes:
            lines.append(f"  moment_{k} has hour; moment_{k} = {time_h!r};")
            lines.append(f"  at (time >= moment_{k}), t0=false: {', '.join(changes)};")
    return lines


def _check_ours(model: ElementTree.Element, spaces: str) -> None:
    ours = set(state_table()["name"])
    rules = {one.get("variable") for kind in ("rateRule", "assignmentRule")
             for one in model.iter(f"{{{spaces}}}{kind}")}  # fmt: skip
    if model.get("id") != MODEL_NAME or rules != ours:
        shown = model.get("id") or "without a name"
        missing, more = len(ours - rules), len(rules - ours)
        msg = (
            f"The SBML model {shown!r} is not this package's {MODEL_NAME!r} model ({missing} of "
            f"its quantities are missing, {more} are foreign). Only its own exports can be read "
            f"back; simulate others in a tool for SBML."
        )
        raise InputError(msg)
