"""Which structure a row of a table is about, and the tree a table itself describes."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import NO_PARENT, OUTSIDE_ATLAS, OUTSIDE_BRAIN, Structures
from ketamap.core.errors import TableError

ROOT_ID = 997
"""Allen id of the root, given to a root that a table does not name."""

BACKGROUND_NAMES = frozenset({"background", "outside", "outside brain", "out of brain", "clear"})
"""Acronyms or names (lower case) of rows that hold what lies outside the brain."""

UNMAPPED = -1
"""Row of a structure that is not in the tree."""

BACKGROUND = -2
"""Row of what lies outside the brain."""


def structures_from_table(table: pd.DataFrame) -> Structures:
    """Build the tree that a table describes in its own columns.

    Parameters
    ----------
    table
        Columns `acronym` and, optionally, `region_id`, `name`, `parent_region_id`.
        Rows of all animals and hemispheres together; an acronym is one structure.

    Returns
    -------
    Structures
        Parents before children.  A structure without an id gets one above the largest
        id there is, in alphabetical order.  Without `parent_region_id`, or where a
        parent is not in the table, structures hang under the root.

    Raises
    ------
    TableError
        If there is no `acronym`, or two acronyms claim the same id.
    """
    nodes = _nodes(table)
    root = _root_id(nodes)
    known = set(nodes["id"])
    parent_of = {
        int(i): int(p) if not np.isnan(p) and int(p) in known and p != i else root
        for i, p in zip(nodes["id"], nodes["parent"], strict=True)
    }
    parent_of[root] = NO_PARENT
    label = {int(i): (str(a), str(n)) for i, a, n in nodes[["id", "acronym", "name"]].to_numpy()}
    label.setdefault(root, ("root", "root"))
    order = _depth_first(parent_of, root)
    return Structures(
        ids=np.array(order, dtype=np.int64),
        acronyms=tuple(label[i][0] for i in order),
        names=tuple(label[i][1] for i in order),
        parent_ids=np.array([parent_of[i] for i in order], dtype=np.int64),
        colors=np.full((len(order), 3), 128, dtype=np.uint8),
    )


def _nodes(table: pd.DataFrame) -> pd.DataFrame:
    if "acronym" not in table:
        msg = "A tree can only be built from a table with a column 'acronym'; pass an atlas."
        raise TableError(msg)
    rows = table[table["acronym"].notna()]
    first = rows.groupby("acronym", sort=False).first().reset_index()
    acronym = first["acronym"].astype(str)
    ids = _numbers(first, "region_id")
    made = np.flatnonzero(np.isnan(ids))
    start = int(np.nanmax(ids, initial=ROOT_ID)) + 1
    for step, row in enumerate(sorted(made, key=lambda r: str(acronym.iloc[r]))):
        ids[row] = start + step
    inside = (ids > 0) & ~acronym.str.lower().isin(BACKGROUND_NAMES).to_numpy()
    nodes = pd.DataFrame(
        {
            "id": ids,
            "acronym": acronym,
            "name": first["name"].fillna(acronym) if "name" in first else acronym,
            "parent": _numbers(first, "parent_region_id"),
        }
    )[inside].astype({"id": np.int64})
    twice = nodes.loc[nodes["id"].duplicated(keep=False), "acronym"].tolist()
    if twice:
        msg = f"These acronyms share a region_id: {', '.join(twice[:6])}. One id is one structure."
        raise TableError(msg)
    return nodes


def _numbers(frame: pd.DataFrame, column: str) -> NDArray[np.float64]:
    if column not in frame:
        return np.full(len(frame), np.nan)
    return pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64, copy=True)


def _root_id(nodes: pd.DataFrame) -> int:
    tops = nodes[nodes["parent"].isna()]
    named = tops[tops["acronym"].str.lower() == "root"]
    if len(named) == 1:
        return int(named["id"].iloc[0])
    if ROOT_ID in set(nodes["id"]):
        return ROOT_ID if len(named) else int(nodes["id"].max()) + 1
    return ROOT_ID


def _depth_first(parent_of: dict[int, int], root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for node, parent in parent_of.items():
        children.setdefault(parent, []).append(node)
    order: list[int] = []
    stack = [root]
    while stack:
        node = stack.pop()
        order.append(node)
        stack.extend(reversed(children.get(node, [])))
    lost = sorted(set(parent_of) - set(order))
    if lost:
        msg = f"parent_region_id runs in a loop at ids {lost[:6]}; correct the table."
        raise TableError(msg)
    return order


def match_structures(
    region_id: NDArray[np.float64], acronym: NDArray[np.object_], structures: Structures
) -> NDArray[np.int64]:
    """Find the structure of each row: by id, else by acronym, else by acronym whatever its case and blanks.

    Parameters
    ----------
    region_id
        Shape ``(rows,)``; NaN where not given.
    acronym
        Shape ``(rows,)``; empty text where not given.
    structures
        The tree.

    Returns
    -------
    ndarray of int
        Row in `structures`, `UNMAPPED`, or `BACKGROUND`.
    """
    keys = pd.DataFrame({"region_id": region_id, "acronym": acronym})
    code = keys.groupby(["region_id", "acronym"], sort=False, dropna=False).ngroup().to_numpy()
    first = np.unique(code, return_index=True)[1]
    exact = {a: k for k, a in enumerate(structures.acronyms)}
    folded = _unique_folded(structures)
    found = np.array(
        [_match(region_id[i], str(acronym[i]).strip(), structures, exact, folded) for i in first],
        dtype=np.int64,
    )
    return found[code] if len(code) else np.empty(0, dtype=np.int64)


def _fold(acronym: str) -> str:
    """Acronym without case and blanks ("CUL4, 5" is "CUL4,5" elsewhere)."""
    return "".join(acronym.lower().split())


def _unique_folded(structures: Structures) -> dict[str, int]:
    folded: dict[str, list[int]] = {}
    for k, a in enumerate(structures.acronyms):
        folded.setdefault(_fold(a), []).append(k)
    return {a: rows[0] for a, rows in folded.items() if len(rows) == 1}


def _match(
    region_id: float,
    acronym: str,
    structures: Structures,
    exact: dict[str, int],
    folded: dict[str, int],
) -> int:
    given: Hashable = None if np.isnan(region_id) else int(region_id)
    if given in (OUTSIDE_BRAIN, OUTSIDE_ATLAS) or acronym.lower() in BACKGROUND_NAMES:
        return BACKGROUND
    if given is not None and given in structures:
        return structures.position(int(region_id))
    return exact.get(acronym, folded.get(_fold(acronym), UNMAPPED))
