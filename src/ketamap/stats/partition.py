"""A declared partition of the brain: every cell in exactly one unit, proven against the root."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ketamap.core.atlas import Structures
from ketamap.core.errors import BalanceError
from ketamap.stats.rows import tally

LAYER = re.compile(r"\blayers?\b", re.IGNORECASE)
"""Names of structures that are layers of the one above ("Frontal pole, layer 1")."""

RULE = (
    "structures that are layers are added to the structure they belong to; every other "
    "structure with tissue of its own is a unit; a unit whose structure has parts holds only "
    "what belongs to none of them"
)
"""How the brain is divided, in words."""

MISSING_AT_MOST = 0.1
"""Share of a unit's extent that may be missing in an animal before the unit is missing."""

BALANCED_WITHIN = 1e-6
"""Relative tolerance of the proof (sums of decimals)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Units:
    """Values of the units of a partition."""

    rows: NDArray[np.int64]
    """Row of each unit's structure in the tree, shape ``(unit,)``."""

    counts: NDArray[np.float64]
    """Shape ``(animal, unit)``; NaN where the unit is missing in the animal."""

    extents: NDArray[np.float64]
    """Same shape; 0 where unknown."""

    side_counts: NDArray[np.float64]
    """Shape ``(2, animal, unit)``: left and right; NaN where a side has no row."""


def unit_rows(structures: Structures) -> NDArray[np.int64]:
    """Map each structure to its unit: itself, or for a layer the nearest one that is none.

    Returns
    -------
    ndarray of int
        Row of the unit's structure, shape ``(structure,)``.
    """
    parents = structures.rows_of(structures.parent_ids)
    unit = np.arange(len(structures))
    for row in np.argsort(structures.depths, kind="stable"):
        if parents[row] >= 0 and LAYER.search(structures.names[row]):
            unit[row] = unit[parents[row]]
    return unit


def divide(
    own: NDArray[np.float64],
    extents: NDArray[np.float64],
    unit: NDArray[np.int64],
    spoilt: NDArray[np.bool_],
) -> Units:
    """Add own values up to units and sides.

    Parameters
    ----------
    own
        Own counts, shape ``(animal, side, structure)``, NaN where missing.
    extents
        Own volumes or areas, same shape; NaN where missing or unknown.
    unit
        Shape ``(structure,)``, from `unit_rows`.
    spoilt
        Shape ``(animal, structure)``: own counts that hold a missing part's cells as well.

    Returns
    -------
    Units
        Units that hold anything, in the order of the tree.  A unit is missing in an
        animal where more than `MISSING_AT_MOST` of its usual extent is, on the sides that
        the animal has.
    """
    n = own.shape[2]
    filled, size = np.nan_to_num(own), np.nan_to_num(extents)
    weight = _usual(extents if np.any(size > 0) else own)
    here = ~np.isnan(own).all(axis=2, keepdims=True)
    absent = np.isnan(own) & ~np.isnan(own).all(axis=0) & here
    lost = _gather((absent * weight).sum(axis=1), unit, n)
    whole = _gather((here * weight).sum(axis=1), unit, n)
    empty = _gather((~np.isnan(own)).sum(axis=1).astype(np.float64), unit, n) == 0
    missing = (lost > MISSING_AT_MOST * whole) | empty
    missing |= _gather(spoilt.astype(np.float64), unit, n) > 0
    counts = _gather(filled.sum(axis=1), unit, n)
    volumes = _gather(np.where(np.isnan(own), 0.0, size).sum(axis=1), unit, n)
    keep = np.flatnonzero((counts.sum(axis=0) > 0) | (volumes.sum(axis=0) > 0))
    seen = _gather((~np.isnan(own)).astype(np.float64), unit, n) > 0
    sides = np.where(seen, _gather(filled, unit, n), np.nan)[:, :2, :]
    return Units(
        rows=keep,
        counts=np.where(missing, np.nan, counts)[:, keep],
        extents=volumes[:, keep],
        side_counts=np.moveaxis(sides[:, :, keep], 1, 0),
    )


def _usual(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over animals, 0 where no animal has a value; shape ``(side, structure)``."""
    known = ~np.isnan(values)
    total = np.nansum(values, axis=0)
    return np.asarray(np.maximum(total / np.maximum(known.sum(axis=0), 1), 0.0))


def _gather(values: NDArray[np.float64], unit: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    out = np.zeros((*values.shape[:-1], n))
    np.add.at(np.moveaxis(out, -1, 0), unit, np.moveaxis(values, -1, 0))
    return out


def prove_sum(units_sum: NDArray[np.float64], root: NDArray[np.float64], slack: float = 0.5) -> str:
    """Check that the units of each animal add up to its root.

    Parameters
    ----------
    units_sum, root
        Shape ``(animal,)``; NaN in `root` where it is not known.
    slack
        What sums may differ by: half a count, or nothing for a continuous measure.

    Returns
    -------
    str
        The proof in words.

    Raises
    ------
    BalanceError
        If an animal's sums differ.
    """
    known = ~np.isnan(root)
    gap = np.abs(units_sum - root)[known]
    if np.any(gap > slack + BALANCED_WITHIN * root[known]):
        worst = int(np.argmax(gap))
        msg = (
            f"The units of an animal add up to {tally(units_sum[known][worst])}, its root holds "
            f"{tally(root[known][worst])}: the partition counts cells twice or loses some."
        )
        raise BalanceError(msg)
    if not known.any():
        return f"{tally(units_sum.sum())} in all (the table has no root to check against)"
    return f"units add up to the root in every animal ({tally(root[known].sum())} in all)"
