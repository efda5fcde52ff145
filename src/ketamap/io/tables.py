"""Tables: Parquet or CSV by suffix, checked against their schema at the door."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ketamap.core.errors import TableError
from ketamap.core.tables import ATLAS_POSITION, SAMPLE_POSITION, TableSchema
from ketamap.io.files import no_file, replacing
from ketamap.io.table_checks import check_frame, text_columns

_MISSING = ("", "NA", "NaN", "nan", "None", "null")
"""Cells of a CSV that mean "no value" in a column of numbers."""

_IDENTIFIERS = frozenset({"region_id", "parent_region_id", "structure_id"})
"""Columns of whole numbers, though other programs write them as 997.0."""


def read_table(path: Path, schema: TableSchema) -> pd.DataFrame:
    """Read a table and check it.

    Parameters
    ----------
    path
        ``.parquet``, ``.csv`` or ``.csv.gz``.
    schema
        Columns it must have; further ones are kept.

    Raises
    ------
    MissingInputError
        If there is no such file.
    TableError
        With every fault of the table: its column and the first rows.
    """
    path = Path(path)
    return check_frame(_frame(path, text_columns(schema)), schema, str(path))


def write_table(path: Path, frame: pd.DataFrame, schema: TableSchema) -> None:
    """Check a table and write it atomically; equal frames give equal bytes.

    The row index is not written.

    Raises
    ------
    TableError
        With every fault of the table, or if the suffix is not known.
    ResourceError
        If the disk is full.
    """
    path = Path(path)
    kind = _kind(path)
    checked = check_frame(frame, schema, str(path))
    with replacing(path) as temporary:
        _WRITERS[kind](temporary, checked)


def read_any_table(path: Path) -> pd.DataFrame:
    """Read a table from elsewhere: no schema, types from the content.

    Identifiers that could be read as numbers (animal, batch, ...) stay text, structure ids
    become whole numbers where all are there.

    Raises
    ------
    MissingInputError
        If there is no such file.
    TableError
        If the file cannot be read as a table.
    """
    return _frame(Path(path), text_columns())


def read_animals(path: Path) -> pd.DataFrame:
    """Read the animals table; see `ketamap.core.tables.ANIMALS`."""
    from ketamap.core.tables import ANIMALS

    return read_table(path, ANIMALS)


def read_points(path: Path) -> pd.DataFrame:
    """Read points with sample or atlas positions, in micrometres; other columns are kept.

    Raises
    ------
    TableError
        If neither ``z_um, y_um, x_um`` nor ``ap_um, dv_um, ml_um`` are there, or a
        position is not a number.
    """
    frame = read_any_table(path)
    sets = [s for s in (SAMPLE_POSITION, ATLAS_POSITION) if set(s) <= set(frame.columns)]
    if not sets:
        msg = (
            f"{path} has columns {', '.join(map(str, frame.columns))}; points need "
            f"{', '.join(SAMPLE_POSITION)} (positions in the sample, um) or "
            f"{', '.join(ATLAS_POSITION)} (positions in the atlas, um)."
        )
        raise TableError(msg)
    for name in (name for s in sets for name in s):
        if not pd.api.types.is_numeric_dtype(frame[name]):
            numbers = pd.to_numeric(frame[name], errors="coerce")
            wrong = np.flatnonzero(numbers.isna() & frame[name].notna())
            if len(wrong):
                cell = frame[name].iloc[int(wrong[0])]
                msg = f"{path}, column {name}, row {wrong[0] + 1}: {cell!r} is no number."
                raise TableError(msg)
            frame[name] = numbers
        frame[name] = frame[name].astype(np.float64)
    return frame


def require_table_path(path: Path, *, inputs: tuple[Path, ...] = ()) -> None:
    """Refuse, before any work is done, a path to which no table can be written.

    Parameters
    ----------
    path
        Where a table is to be written.
    inputs
        Files that are read, and must not be replaced.

    Raises
    ------
    TableError
        If the suffix is not known, the path is a folder, or it is one of the inputs.
    """
    _kind(path)
    if path.is_dir():
        msg = f"{path} is a folder; give the name of a table to write."
        raise TableError(msg)
    if path.resolve() in {one.resolve() for one in inputs}:
        msg = f"{path} is read and would be replaced. Give another name to write to."
        raise TableError(msg)


def beside(path: Path, ending: str, *, suffix: str | None = None) -> Path:
    """Name a file beside a table: ``a.csv.gz`` with ``_cells`` is ``a_cells.csv.gz``."""
    kind = path.name[-len(_kind(path)) :]
    return path.with_name(path.name.removesuffix(kind) + ending + (suffix or kind))


def _kind(path: Path) -> str:
    for kind in (".csv.gz", ".csv", ".parquet"):
        if path.name.lower().endswith(kind):
            return kind
    msg = f"{path}: tables are .parquet, .csv or .csv.gz files. Rename or convert it."
    raise TableError(msg)


def _frame(path: Path, text: frozenset[str]) -> pd.DataFrame:
    kind = _kind(path)
    if not path.is_file():
        raise no_file(path)
    try:
        frame = _read_parquet(path) if kind == ".parquet" else _read_csv(path, text)
    except (pa.ArrowInvalid, ValueError, gzip.BadGzipFile, EOFError) as error:
        msg = f"{path} cannot be read as a {kind} table ({str(error).strip()})."
        raise TableError(msg) from error
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    frame: pd.DataFrame = pq.ParquetFile(path).read().to_pandas()
    return frame


def _read_csv(path: Path, text: frozenset[str]) -> pd.DataFrame:
    names = list(pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns)
    named = [name for name in names if name in text]
    frame = pd.read_csv(
        path,
        encoding="utf-8-sig",
        dtype=dict.fromkeys(named, str),
        keep_default_na=False,  # "NA" is an acronym like any other
        na_values={name: list(_MISSING) for name in names if name not in text},
        low_memory=False,
    )
    if not frame.index.equals(pd.RangeIndex(len(frame))):  # pandas takes surplus cells for an index
        msg = f"rows have more cells than the {len(names)} columns of the header"
        raise ValueError(msg)
    for name in names:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            frame[name] = frame[name].fillna("")
        elif name in _IDENTIFIERS and bool((frame[name] % 1 == 0).all()):
            frame[name] = frame[name].astype(np.int64)
    return frame


def _write_parquet(path: Path, frame: pd.DataFrame) -> None:
    table = pa.Table.from_pandas(frame.set_axis(range(len(frame))), preserve_index=False)
    pq.write_table(table, path, compression="zstd")


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def _write_csv_gz(path: Path, frame: pd.DataFrame) -> None:
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
        text = io.TextIOWrapper(packed, encoding="utf-8", newline="")
        frame.to_csv(text, index=False, lineterminator="\n")
        text.flush()
        text.detach()


_WRITERS: dict[str, Callable[[Path, pd.DataFrame], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".csv.gz": _write_csv_gz,
}
