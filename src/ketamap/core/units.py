"""Unit conversions: each written once, with the units in its name."""

import math

UM_PER_MM = 1000.0
"""Micrometres in a millimetre."""

UM3_PER_MM3 = UM_PER_MM**3
"""Cubic micrometres in a cubic millimetre."""

LN2 = math.log(2.0)
"""Natural logarithm of two: the models work in ln units, tables show log2."""


def gib_from_bytes(n_bytes: float) -> float:
    """Convert bytes to gibibytes (2**30 bytes)."""
    return n_bytes / 2**30
