"""JSON files: the same mapping always gives the same bytes."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from ketamap.core.errors import InputError
from ketamap.io.files import no_file, replacing


def write_json(path: Path, mapping: Mapping[str, Any]) -> None:
    """Write a mapping with sorted keys, atomically.

    NumPy numbers and arrays, paths, tuples and dataclasses are written as plain JSON;
    numbers that are not finite become null, which JSON has no other word for.

    Raises
    ------
    TypeError
        If a value has no JSON form: a fault of the caller.
    ResourceError
        If the disk is full.
    """
    text = json.dumps(_plain(mapping), indent=2, sort_keys=True, ensure_ascii=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a mapping.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InputError
        If it is not JSON, or not a mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise no_file(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # JSON and UTF-8 errors both are
        msg = f"{path} is not a JSON file ({error}). Was it changed by hand, or cut short?"
        raise InputError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds a {type(content).__name__}; a mapping is needed."
        raise InputError(msg)
    return content


def _plain(value: Any) -> Any:
    """Turn a value into what `json` can write."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return value.as_posix()
    return value
