"""Do rows include their descendants?  Found from the arithmetic of the tree, and undone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ketamap.core.atlas import Structures
from ketamap.core.errors import TableError
from ketamap.stats.rows import listed, tally

CountKind: TypeAlias = Literal["own", "total"]
"""Whether a row holds the structure alone, or the structure with all below it."""

BELOW_AT_MOST = 0.1
"""Share of parents that may fall below the sum of their children in a table of totals.

In the two whole-brain tables studied 0 and 1 of 197 parents do (a custom row counted twice).
"""

BELOW_AT_LEAST = 0.5
"""Share of parents below the sum of their children from which a table holds own counts."""

PARENTS_FOR_PROOF = 8
"""Parents needed to call a table one of totals when none equals the sum of its children."""

BETWEEN_AT_LEAST = 0.95
"""Share of parents that lie between their least and largest child, over all animals, from which
rows hold densities or means.  Own counts of independent structures lie there in 1/3 (two
children) to 4/5 (ten)."""

EQUAL_WITHIN = 1e-6
"""Relative tolerance of "equals the sum of its children" (sums of decimals)."""

DROPPED_AT_MOST = 3
"""Children tried together when looking for a row that is counted twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """How parents compare with the sum of their children, over all animals."""

    n_parents: int
    """Parents whose children hold anything."""

    n_equal: int
    """Parents equal to the sum of their children."""

    n_above: int
    """Parents above it."""

    n_below: int
    """Parents below it."""

    example: str
    """One parent with its arithmetic."""

    @property
    def says_total(self) -> bool:
        """Whether rows must include their descendants."""
        few = self.n_below <= BELOW_AT_MOST * self.n_parents
        return (
            self.n_parents > 0 and few and (self.n_equal > 0 or self.n_parents >= PARENTS_FOR_PROOF)
        )

    @property
    def says_own(self) -> bool:
        """Whether rows cannot include their descendants, or the question does not arise."""
        return self.n_parents == 0 or self.n_below >= BELOW_AT_LEAST * self.n_parents

    def __str__(self) -> str:
        return (
            f"of {self.n_parents} parents {self.n_equal} equal the sum of their children, "
            f"{self.n_above} exceed it and {self.n_below} fall below it ({self.example})"
        )


def present_parents(present: NDArray[np.bool_], structures: Structures) -> NDArray[np.int64]:
    """Find the nearest ancestor that a table has rows for, whether or not the structure has any.

    Parameters
    ----------
    present
        Shape ``(structure,)``.
    structures
        The tree.

    Returns
    -------
    ndarray of int
        Row of that ancestor, -1 where there is none.
    """
    parents = structures.rows_of(structures.parent_ids)
    nearest = np.full(len(structures), -1, dtype=np.int64)
    for row in np.argsort(structures.depths, kind="stable"):
        above = parents[row]
        if above >= 0:
            nearest[row] = above if present[above] else nearest[above]
    return nearest


def children_sums(values: NDArray[np.float64], parents: NDArray[np.int64]) -> NDArray[np.float64]:
    """Add up the children of each structure; a missing child adds nothing.

    Parameters
    ----------
    values
        Shape ``(..., structure)``.
    parents
        Shape ``(structure,)``, from `present_parents`.
    """
    sums = np.zeros_like(values)
    children = np.flatnonzero(parents >= 0)
    known = np.nan_to_num(values[..., children])
    np.add.at(np.moveaxis(sums, -1, 0), parents[children], np.moveaxis(known, -1, 0))
    return sums


def weigh_evidence(
    values: NDArray[np.float64], parents: NDArray[np.int64], structures: Structures
) -> Evidence:
    """Compare parents with the sum of their children, where both are known."""
    below = np.where(np.isnan(values), 0.0, children_sums(values, parents))
    axes = tuple(range(values.ndim - 1))
    parent, child = np.nansum(values, axis=axes), below.sum(axis=axes)
    asked = child > 0
    near = np.isclose(parent, child, rtol=EQUAL_WITHIN, atol=0.0) & asked
    under = (parent < child) & asked & ~near
    over = (parent > child) & asked & ~near
    shown = np.flatnonzero(under if under.any() else over if over.any() else near)
    pick = shown[np.argmax(child[shown])] if shown.size else -1
    return Evidence(
        n_parents=int(asked.sum()),
        n_equal=int(near.sum()),
        n_above=int(over.sum()),
        n_below=int(under.sum()),
        example=(
            f"{structures.acronyms[pick]} {tally(parent[pick])}, its children {tally(child[pick])}"
            if shown.size
            else "no structure has rows for its parts"
        ),
    )


def require_amounts(
    values: NDArray[np.float64], parents: NDArray[np.int64], structures: Structures
) -> None:
    """Refuse densities and means, of which those of the parts do not add up.

    Raises
    ------
    TableError
        If nearly every one of `PARENTS_FOR_PROOF` parents or more lies between its least and
        its largest child.
    """
    flat = values.reshape(-1, values.shape[-1])
    inside = asked = 0
    several = [np.flatnonzero(parents == row) for row in np.unique(parents[parents >= 0])]
    families = [(int(parents[c[0]]), c) for c in several if len(c) > 1]
    for parent, children in families:
        known = ~np.isnan(flat[:, [parent, *children]]).any(axis=1)
        own, parts = flat[known, parent], flat[np.ix_(known, children)]
        inside += int(np.sum((own > parts.min(axis=1)) & (own < parts.max(axis=1))))
        asked += int(known.sum())
    if len(families) < PARENTS_FOR_PROOF or inside < BETWEEN_AT_LEAST * asked:
        return
    names = listed([structures.acronyms[parent] for parent, _ in families])
    msg = (
        f"In {inside} of {asked} cases a structure lies between its least and its largest part "
        f"({names}): these are densities or means, which do not add up. Give the counts (or "
        f"amounts) with volumes in 'volume_mm3'."
    )
    raise TableError(msg)


def require_no_bare_root(
    values: NDArray[np.float64], parents: NDArray[np.int64], structures: Structures
) -> None:
    """Refuse a root that looks like a total over rows that nothing says how to nest.

    Raises
    ------
    TableError
        If the root is the only parent, holds less than all other rows together, and more
        than each of them in every animal.
    """
    above = np.unique(parents[parents >= 0])
    if len(above) != 1:
        return
    totals = np.nansum(values, axis=1)
    root, children = totals[:, above[0]], totals[:, parents >= 0]
    if np.all(root < children.sum(axis=1)) and np.all(root > children.max(axis=1)):
        msg = (
            f"{structures.acronyms[above[0]]} holds more than any other row and less than all of "
            f"them together, so that structures seem to nest, but nothing says how. Name an "
            f"atlas, add a column parent_region_id, or declare counts 'own' if no row includes "
            f"another."
        )
        raise TableError(msg)


def decide_kind(evidence: Evidence, declared: CountKind | None) -> CountKind:
    """Tell own from total counts, or refuse.

    Raises
    ------
    TableError
        If the declared kind contradicts the arithmetic, or nothing is declared and the
        arithmetic does not tell.
    """
    if declared == "own" and evidence.says_total:
        msg = (
            f"The table is declared to hold own counts, but its rows include their descendants: "
            f"{evidence}. Added up over all rows, cells would be counted once per level. "
            f"Declare counts 'total' (or leave it out)."
        )
        raise TableError(msg)
    if declared == "total" and evidence.n_parents and evidence.says_own:
        msg = (
            f"The table is declared to hold totals, but {evidence}: rows do not include their "
            f"descendants. Declare counts 'own' (or leave it out)."
        )
        raise TableError(msg)
    if declared is not None:
        return declared
    if evidence.says_total:
        return "total"
    if evidence.says_own:
        return "own"
    msg = (
        f"Whether a row includes its descendants cannot be told from the table: {evidence}. "
        f"Declare counts 'own' or 'total'."
    )
    raise TableError(msg)


def find_double_counts(
    totals: NDArray[np.float64],
    parents: NDArray[np.int64],
    structures: Structures,
    suspects: NDArray[np.bool_],
    slack: float = 0.5,
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Find children that count their parent's cells again, in a table of totals.

    Parameters
    ----------
    totals
        Shape ``(animal, side, structure)``.
    parents
        Shape ``(structure,)``.
    structures
        The tree.
    suspects
        Shape ``(structure,)``: structures that are not the atlas's own, suspected first.
    slack
        What sums may differ by: half a count, or nothing for a continuous measure.

    Returns
    -------
    extra
        Shape ``(structure,)``: rows to leave out.
    warnings
        One per parent, with names and sums.

    Raises
    ------
    TableError
        If children exceed their parent and no few of them explain it.
    """
    extra = np.zeros(len(structures), dtype=np.bool_)
    warnings = []
    for parent in _exceeded(totals, parents, slack):
        children = np.flatnonzero(parents == parent)
        drop = _explaining(totals, parent, children, suspects, slack)
        name, whole = structures.acronyms[parent], np.nansum(totals[..., parent])
        parts = np.nansum(totals[..., children])
        if drop is None:
            names = listed([structures.acronyms[c] for c in children])
            msg = (
                f"The children of {name} hold more than {name} itself: {tally(parts)} against "
                f"{tally(whole)} over all animals ({names}), and no few rows explain it. "
                f"Correct these rows or leave the doubtful ones out."
            )
            raise TableError(msg)
        extra[drop] = True
        names = listed([structures.acronyms[c] for c in drop])
        warnings.append(
            f"{name} is counted twice: its children hold {tally(parts)} against {tally(whole)} in "
            f"{name} itself, over all animals. Rows left out: {names}."
        )
    return extra, tuple(warnings)


def _exceeded(totals: NDArray[np.float64], parents: NDArray[np.int64], slack: float) -> list[int]:
    sums = children_sums(totals, parents)
    near = slack + EQUAL_WITHIN * np.nan_to_num(totals)
    over = (sums > totals + near) & ~np.isnan(totals)
    return [int(row) for row in np.flatnonzero(over.any(axis=(0, 1)))]


def _explaining(
    totals: NDArray[np.float64],
    parent: int,
    children: NDArray[np.int64],
    suspects: NDArray[np.bool_],
    slack: float,
) -> NDArray[np.int64] | None:
    """Fewest suspicious children without which the rest fits the parent, closest fit first."""
    foreign = children[suspects[children]]
    if foreign.size and _fits(totals, parent, np.setdiff1d(children, foreign), slack):
        return foreign
    for size in range(1, min(DROPPED_AT_MOST, len(children) - 1) + 1):
        fitting = [
            (float(np.nansum(totals[..., drop])), drop)
            for drop in combinations(children.tolist(), size)
            if _fits(totals, parent, np.setdiff1d(children, drop), slack)
        ]
        if fitting:
            return np.array(min(fitting)[1], dtype=np.int64)
    return None


def _fits(totals: NDArray[np.float64], parent: int, kept: NDArray[np.int64], slack: float) -> bool:
    whole = totals[..., parent]
    rest = np.nansum(totals[..., kept], axis=-1)
    return bool(
        np.all((rest <= whole + slack + EQUAL_WITHIN * np.nan_to_num(whole)) | np.isnan(whole))
    )


def filled_parents(
    totals: NDArray[np.float64], parents: NDArray[np.int64], structures: Structures
) -> NDArray[np.float64]:
    """Give a structure without a row the sum of its children, where it has any.

    Parameters
    ----------
    totals
        Shape ``(animal, side, structure)``; NaN where missing.
    parents
        Shape ``(structure,)``, from `present_parents`.
    structures
        The tree.

    Returns
    -------
    ndarray
        Same shape; only structures that have a row in some animal are filled.
    """
    out = totals.copy()
    known = ~np.isnan(totals).all(axis=(0, 1))
    for parent in sorted(set(parents[parents >= 0].tolist()), key=lambda r: -structures.depths[r]):
        below = out[..., (parents == parent) & known]
        hollow = np.isnan(out[..., parent]) & ~np.isnan(below).all(axis=-1)
        out[..., parent] = np.where(hollow, np.nansum(below, axis=-1), out[..., parent])
    return out


def peel(totals: NDArray[np.float64], parents: NDArray[np.int64]) -> NDArray[np.float64]:
    """Take children off their parents: totals to own values.

    Parameters
    ----------
    totals
        Shape ``(animal, side, structure)``.
    parents
        Shape ``(structure,)``.

    Returns
    -------
    ndarray
        Same shape.  NaN stays NaN; differences within rounding below zero become zero.
    """
    own = totals - children_sums(totals, parents)
    rounding = EQUAL_WITHIN * np.nan_to_num(totals)
    return np.where(np.abs(own) <= rounding, 0.0, own)
