"""Checks of a table against its schema: all faults in one message."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pandera
from pandera.errors import SchemaErrors

from ketamap.core.errors import TableError
from ketamap.core.tables import ANIMALS, CELLS, EFFECTS, REGIONS, Column, TableSchema

_ROWS_SHOWN = 3
"""Rows named per fault."""

_FREE_TEXT = frozenset({"drug", "sex", "batch", "group"})
"""Free columns of the animals table whose values are names even where they look like numbers."""


def text_columns(*schemas: TableSchema) -> frozenset[str]:
    """Return the columns that hold names, by the schemas given and all those of core."""
    known = (*schemas, ANIMALS, CELLS, EFFECTS, REGIONS)
    return _FREE_TEXT | {c.name for s in known for c in s.columns if c.kind == "text"}


def check_frame(frame: pd.DataFrame, schema: TableSchema, where: str) -> pd.DataFrame:
    """Return the frame with every declared column in its declared type.

    Parameters
    ----------
    frame
        Not changed.
    schema
        Declared columns; further ones are kept as they are.
    where
        What to call the table in the message: its path.

    Raises
    ------
    TableError
        Listing every fault: missing columns, values of the wrong type, missing values,
        values out of range, rows that repeat the key.
    """
    have = ", ".join(map(str, frame.columns))
    commas = "; separate columns by commas" if len(frame.columns) == 1 and ";" in have else ""
    faults = [
        f"column {name} is not there (there are: {have}){commas}"
        for name in schema.required
        if name not in frame.columns
    ]
    checked = frame.copy()
    present = [column for column in schema.columns if column.name in frame.columns]
    sound = []
    for column in present:
        try:
            checked[column.name] = _converted(frame[column.name], column)
            sound.append(column)
        except _ConversionError as error:
            faults.append(str(error))
    faults += _violations(checked, pandera_schema(schema, sound))
    if faults:
        lines = "".join(f"\n  - {fault}" for fault in faults)
        msg = f"{where} is not a valid {schema.name} table:{lines}"
        raise TableError(msg)
    return checked


def pandera_schema(schema: TableSchema, columns: list[Column]) -> pandera.DataFrameSchema:
    """Return the pandera schema of some of a table's columns, already of the right type."""
    names = {column.name for column in columns}
    return pandera.DataFrameSchema(
        {column.name: _pandera_column(column) for column in columns},
        unique=list(schema.key) if schema.key and set(schema.key) <= names else None,
        name=schema.name,
    )


def _pandera_column(column: Column) -> pandera.Column:
    checks = []
    if column.kind == "real":
        checks.append(pandera.Check(lambda s: ~np.isinf(s), error="must be finite"))
    if column.least is not None:
        checks.append(pandera.Check.ge(column.least, error=f"must be at least {column.least:g}"))
    if column.most is not None:
        checks.append(pandera.Check.le(column.most, error=f"must be at most {column.most:g}"))
    if column.allowed is not None:
        words = " or ".join(repr(word) for word in column.allowed)
        checks.append(pandera.Check.isin(list(column.allowed), error=f"must be {words}"))
    return pandera.Column(nullable=column.nullable, checks=checks)


class _ConversionError(ValueError):
    """A column cannot be turned into its declared type."""


def _converted(values: pd.Series[Any], column: Column) -> pd.Series[Any]:
    if column.kind == "text":
        if isinstance(values.dtype, pd.StringDtype):
            return values.astype("str")
        return values.where(values.isna(), values.astype(str)).astype("str")
    if column.kind == "flag":
        return _flags(values, column)
    numbers = _numbers(values, column)
    if column.kind == "real":
        return numbers
    if pd.api.types.is_integer_dtype(values.dtype) and not values.isna().any():
        return values.astype(np.int64)
    _refuse(numbers.isna() | (numbers % 1 != 0), values, column, "must be a whole number")
    return numbers.astype(np.int64)


def _numbers(values: pd.Series[Any], column: Column) -> pd.Series[Any]:
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.astype(np.float64)
    numbers = pd.to_numeric(values, errors="coerce").astype(np.float64)
    unreadable = numbers.isna() & values.notna() & (values.astype(str).str.strip() != "")
    _refuse(unreadable, values, column, "must be a number")
    return numbers


def _flags(values: pd.Series[Any], column: Column) -> pd.Series[Any]:
    words = values.astype(str).str.lower()
    _refuse(~words.isin(["true", "false", "1", "0"]), values, column, "must be true or false")
    return words.isin(["true", "1"])


def _refuse(wrong: pd.Series[Any], values: pd.Series[Any], column: Column, rule: str) -> None:
    rows = np.flatnonzero(wrong.to_numpy(dtype=bool))
    if len(rows):
        raise _ConversionError(_fault(column.name, rule, rows, values.iloc[rows].tolist()))


def _fault(name: str, rule: str, rows: Any, found: list[Any]) -> str:
    """Say what is wrong with a column, naming the first rows (data rows from 1)."""
    shown = ", ".join(
        f"row {int(row) + 1}: {value!r}"
        for row, value in list(zip(rows, found, strict=True))[:_ROWS_SHOWN]
    )
    more = f", and {len(rows) - _ROWS_SHOWN} more" if len(rows) > _ROWS_SHOWN else ""
    return f"column {name} {rule} ({shown}{more})"


def _violations(frame: pd.DataFrame, schema: pandera.DataFrameSchema) -> list[str]:
    try:
        schema.validate(frame.reset_index(drop=True), lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return []
    faults = []
    for (context, name, check), some in cases.groupby(
        ["schema_context", "column", "check"], sort=False
    ):
        if str(check).startswith("multiple_fields_uniqueness"):
            continue
        rule = "has missing values" if check == "not_nullable" else str(check)
        del context
        faults.append(
            _fault(str(name), rule, some["index"].tolist(), some["failure_case"].tolist())
        )
    return faults + _repeated(frame, schema)


def _repeated(frame: pd.DataFrame, schema: pandera.DataFrameSchema) -> list[str]:
    if not schema.unique:
        return []
    twice = frame.duplicated(subset=schema.unique, keep="first").to_numpy()
    rows = np.flatnonzero(twice)
    if not len(rows):
        return []
    keys = frame.loc[frame.index[rows], schema.unique].to_numpy().tolist()
    return [_fault("+".join(schema.unique), "must be unique", rows, keys)]
