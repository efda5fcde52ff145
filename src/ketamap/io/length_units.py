"""Names of length units in image metadata."""

from __future__ import annotations

_UM_PER: dict[str, float] = {
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "nanometre": 1e-3,
    "angstrom": 1e-4,
    "mm": 1e3,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "centimetre": 1e4,
    "m": 1e6,
    "meter": 1e6,
    "metre": 1e6,
    "inch": 25400.0,
}
"""Micrometres per unit; the inch is 25.4 mm by definition."""

_MICRO_SIGNS = ("\u00b5", "\u03bc", "\\u00b5")
"""Micro sign, Greek mu, and the former as ImageJ escapes it in a TIFF header."""


def um_per(unit: str) -> float | None:
    """Return micrometres per unit, or None where the name is not a length we know."""
    name = unit.strip().lower()
    for sign in _MICRO_SIGNS:
        name = name.replace(sign, "u")
    return _UM_PER.get(name)
