"""What a region table can hold, in the words of a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

CELLS = "cells"
"""The measure of a table that does not say what it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A measure and its words."""

    name: str
    """Value of the `measure` column."""

    short: str
    """One word, for labels: ``cells``."""

    density: str
    """Its amount per volume, in a sentence: ``density of cells``."""

    per_mm3: str
    """Unit of the density."""

    amount: str
    """What is added up: ``count`` or ``length (mm)``."""


_KNOWN = {
    one.name: one
    for one in (
        Measure(
            name=CELLS,
            short="cells",
            density="density of cells",
            per_mm3="cells per mm³",
            amount="count",
        ),
        Measure(
            name="axon_length_mm",
            short="axons",
            density="length density of axons",
            per_mm3="mm of axon per mm³",
            amount="length in mm",
        ),
    )
}


def measure_of(name: str) -> Measure:
    """Return a measure with its words; an unknown one is called by its name."""
    return _KNOWN.get(
        name,
        Measure(
            name=name, short=name, density=f"density of {name}", per_mm3=f"{name} per mm³",
            amount=name,
        ),
    )  # fmt: skip


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Order measures for analysis and report, each once: cells first, then as they come."""
    found = tuple(dict.fromkeys(names))
    return tuple(sorted(found, key=lambda name: name != CELLS))
