"""Parameters as data: value, unit, prior, certainty, source."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from math import isfinite

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
        ``certainty`` (exact, abstract, secondary, derived, scaled, memory, guess), ``role``
        (calibrated, prior, encoded, fixed), ``prior_sd_ln`` (spread on the scale of
        ``prior_form``: log, logit or log above 1; 0 where nothing is drawn),
        ``spread_from`` (the certainty class, or the source's standard error), ``lower``
        and ``upper`` (bounds of a draw), ``source_rows`` (rows of the facts) and
        ``meaning``.
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
    values, bounds = _of_species(species)
    missing = sorted(set(_table()["name"]) - set(values)) if len(values) < _n_names() else []
    if missing:
        shown = ", ".join(missing[:8]) + (" ..." if len(missing) > 8 else "")
        have = ", ".join(sorted(set(_table()["species"]) - {EVERY_SPECIES}))
        msg = (
            f"Species {species!r} has no value for {shown} ({len(missing)} parameters). Use one "
            f"of {have}, or add rows for it to the parameter table."
        )
        raise InputError(msg)
    return values | _checked(overrides or {}, bounds)


@lru_cache(maxsize=8)
def _of_species(species: str) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Values and bounds of one species; not to be changed by the caller."""
    table = _table()
    ours = table[table["species"].isin([EVERY_SPECIES, species])]
    names = ours["name"].tolist()
    bounds = zip(ours["lower"].tolist(), ours["upper"].tolist(), strict=True)
    values = ours["value"].astype(float).tolist()
    return dict(zip(names, values, strict=True)), dict(zip(names, bounds, strict=True))


@lru_cache(maxsize=1)
def _n_names() -> int:
    return int(_table()["name"].nunique())


def _checked(
    overrides: Mapping[str, float], known: Mapping[str, tuple[float, float]]
) -> dict[str, float]:
    unknown = [name for name in overrides if name not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], list(known), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        msg = f"No parameter is called {', '.join(unknown)}.{hint} See parameter_table()."
        raise InputError(msg)
    faults = []
    for name, value in overrides.items():
        low, high = known[name]
        if not (isfinite(value) and low <= value <= high):
            faults.append(
                f"{name} must be finite and lie between {low:g} and {high:g}, got {value:g}"
            )
    if faults:
        msg = f"Parameters out of range: {'; '.join(faults)}."
        raise InputError(msg)
    return {name: float(value) for name, value in overrides.items()}
