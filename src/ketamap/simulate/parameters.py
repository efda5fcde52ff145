"""Parameters as data: value, unit, prior, certainty, source."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources

import numpy as np
import pandas as pd

from ketamap.core.errors import InputError

EVERY_SPECIES = "any"
"""Species of a row that holds for all."""


@lru_cache(maxsize=1)
def _table() -> pd.DataFrame:
    with (resources.files("ketamap.simulate") / "parameters.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file, keep_default_na=False)
    table["lower"] = pd.to_numeric(table["lower"].replace("", -np.inf)).astype(float)
    table["upper"] = pd.to_numeric(table["upper"].replace("", np.inf)).astype(float)
    return table


def parameter_table() -> pd.DataFrame:
    """Return every parameter, one row per name and species.

    Returns
    -------
    DataFrame
        Columns ``name``, ``value``, ``unit``, ``species`` (``any`` where it holds for all),
        ``certainty`` (exact, abstract, secondary, derived, memory, guess), ``role``
        (calibrated, prior, encoded, fixed), ``prior_sd_ln`` (sd of the natural logarithm;
        0 where nothing is drawn), ``lower`` and ``upper`` (bounds of a draw),
        ``source_rows`` (rows of the facts) and ``meaning``.
    """
    return _table().copy()


def parameters_for(species: str, overrides: Mapping[str, float] | None = None) -> dict[str, float]:
    """Return the values of one species.

    Parameters
    ----------
    species
        ``mouse``, ``rat`` or ``human``.
    overrides
        Values that replace those of the table, in the table's units.

    Raises
    ------
    InputError
        If a parameter has no value for this species, or an override names no parameter or
        is outside the
        bounds of its row.
    """
    table = _table()
    ours = table[table["species"].isin([EVERY_SPECIES, species])]
    values = dict(zip(ours["name"], ours["value"].astype(float), strict=True))
    missing = sorted(set(table["name"]) - set(values))
    if missing:
        shown = ", ".join(missing[:8]) + (" ..." if len(missing) > 8 else "")
        have = ", ".join(sorted(set(table["species"]) - {EVERY_SPECIES}))
        msg = (
            f"Species {species!r} has no value for {shown} ({len(missing)} parameters). Use one "
            f"of {have}, or add rows for it to the parameter table."
        )
        raise InputError(msg)
    return values | _checked(overrides or {}, ours)


def _checked(overrides: Mapping[str, float], ours: pd.DataFrame) -> dict[str, float]:
    bounds = zip(ours["lower"].tolist(), ours["upper"].tolist(), strict=True)
    known = dict(zip(ours["name"].tolist(), bounds, strict=True))
    unknown = [name for name in overrides if name not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], list(known), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        msg = f"No parameter is called {', '.join(unknown)}.{hint} See parameter_table()."
        raise InputError(msg)
    faults = []
    for name, value in overrides.items():
        low, high = known[name]
        if not (np.isfinite(value) and low <= value <= high):
            faults.append(
                f"{name} must be finite and lie between {low:g} and {high:g}, got {value:g}"
            )
    if faults:
        msg = f"Parameters out of range: {'; '.join(faults)}."
        raise InputError(msg)
    return {name: float(value) for name, value in overrides.items()}
