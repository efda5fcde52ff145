"""Traced axons on disk: a folder with the table, how it was made, and pictures of the trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ketamap.core.errors import InputError, MissingInputError
from ketamap.core.tables import AXONS
from ketamap.io.manifests import read_json, write_json
from ketamap.io.tables import read_table, write_table

FORMAT = "ketamap trace 1"
"""Name and version of the folder's layout."""

TRACE = "trace"
"""Name of the folder among an animal's files in a study."""

TABLE, RECORD = "axons.parquet", "trace.json"

SKELETON = "skeleton.ome.zarr"
"""1 on the centre line of every traced axon, else 0."""

PROBABILITY = "probability.ome.zarr"
"""Probability of axon, 0 to 255; written where asked for."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class StoredTracing:
    """What a trace folder holds."""

    axons: pd.DataFrame
    """Columns of `ketamap.core.tables.AXONS`."""

    record: Mapping[str, Any]
    """Settings, thresholds (``threshold``, ``threshold_low``, ``threshold_high``), the
    calibration if there was one, and ``quality``."""


def fill_tracing(folder: Path, axons: pd.DataFrame, record: Mapping[str, Any]) -> None:
    """Write table and record into a folder that is being made.

    Raises
    ------
    TableError
        If the table lacks a column.
    ResourceError
        If the disk is full.
    """
    write_table(folder / TABLE, axons, AXONS)
    write_json(folder / RECORD, {"format": FORMAT, **record})


def load_tracing(folder: Path) -> StoredTracing:
    """Read a trace folder.

    Raises
    ------
    MissingInputError
        If the folder, or one of its files, is not there.
    InputError
        If it was written by another version.
    """
    record = load_trace_record(folder)
    return StoredTracing(axons=read_table(Path(folder) / TABLE, AXONS), record=record)


def load_trace_record(folder: Path) -> Mapping[str, Any]:
    """Read how a trace was made, without its table; raises as `load_tracing` does."""
    folder = Path(folder)
    if not folder.is_dir():
        msg = f"There is no folder {folder}. Give the folder that `ketamap trace` wrote."
        raise MissingInputError(msg)
    missing = [name for name in (TABLE, RECORD) if not (folder / name).is_file()]
    if missing:
        msg = (
            f"{folder} holds no traced axons: {', '.join(missing)} not there. Give the folder "
            f"that `ketamap trace` wrote."
        )
        raise MissingInputError(msg)
    record: dict[str, Any] = read_json(folder / RECORD)
    if record.get("format") != FORMAT:
        msg = f"{folder / RECORD} has format {record.get('format')!r}; {FORMAT!r} is needed."
        raise InputError(msg)
    return record


def require_trace_folder(folder: Path) -> None:
    """Refuse to write a trace over anything but another one, or an empty folder.

    Raises
    ------
    InputError
        If ``folder`` is a file or holds something else.
    """
    folder = Path(folder)
    if not folder.exists():
        return
    if not folder.is_dir() or not ((folder / RECORD).is_file() or not any(folder.iterdir())):
        msg = f"{folder} holds other files. Give a new folder, or one with a trace."
        raise InputError(msg)
