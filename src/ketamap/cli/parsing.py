"""Text from the command line to values, with errors that say how to write it."""

from __future__ import annotations

import re

from ketamap.core.errors import InputError
from ketamap.core.space import Zyx

_SIZES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*", re.IGNORECASE)


def parse_voxel_um(text: str | None) -> Zyx[float] | None:
    """Read ``Z,Y,X`` in micrometres; one number means all three.

    Raises
    ------
    InputError
        If the text is not one or three positive numbers.
    """
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 1:
        values *= 3
    if len(values) != 3:
        msg = f"--voxel-um {text!r}: give three numbers Z,Y,X in micrometres, for instance 5,2,2."
        raise InputError(msg)
    if not all(0 < value < float("inf") for value in values):
        msg = f"--voxel-um {text!r}: every voxel size must be above 0 um."
        raise InputError(msg)
    return (values[0], values[1], values[2])


def parse_bytes(text: str) -> int:
    """Read a size such as ``4GB``, ``500MB`` or ``2GiB``.

    Raises
    ------
    InputError
        If the text is no size.
    """
    found = _SIZE.fullmatch(text)
    if not found:
        msg = f"--memory {text!r}: give a size such as 4GB or 500MB."
        raise InputError(msg)
    number, prefix, binary = found.groups()
    factor = _SIZES[prefix.upper()]
    if binary and prefix:
        factor = 1024 ** ("KMGT".index(prefix.upper()) + 1)
    return int(float(number) * factor)


def parse_iterations(text: str) -> tuple[int, int, int]:
    """Read ``100x60x60``: iterations at 4x, 2x and 1x of the resolution.

    Raises
    ------
    InputError
        If the text is not three whole numbers.
    """
    parts = text.split("x")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        msg = f"--iterations {text!r}: give three whole numbers, coarse to fine, as 100x60x60."
        raise InputError(msg)
    return (int(parts[0]), int(parts[1]), int(parts[2]))
