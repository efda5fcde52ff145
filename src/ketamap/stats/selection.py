"""Regions read by division: false discoveries bounded among regions and among divisions at once.

References
----------
Barber RF, Ramdas A (2017) The p-filter: multilayer false discovery rate control for grouped
hypotheses. Journal of the Royal Statistical Society B 79:1247.
Simes RJ (1986) Biometrika 73:751 (the p of a group).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import Structures

DIVISIONS = (
    *("Isocortex", "OLF", "HPF", "CTXsp", "STR", "PAL", "TH", "HY"),
    *("MB", "P", "MY", "CBX", "CBN", "fiber tracts", "VS"),
)
"""Acronyms of the Allen divisions that regions are read by (Wang et al. 2020, Cell 181:936)."""


class Filtered(NamedTuple):
    """What the p-filter selects."""

    selected: NDArray[np.bool_]
    """Shape ``(test,)``."""

    group_p: NDArray[np.float64]
    """Simes' p of the group of each test, same shape."""


def divisions_of(region_ids: NDArray[np.int64], structures: Structures) -> tuple[str, ...]:
    """Acronym of the division of each region: an Allen division, else the child of the root.

    Parameters
    ----------
    region_ids
        Shape ``(region,)``.
    structures
        The tree.
    """
    known = {structures.id_of(a) for a in DIVISIONS if a in structures.acronyms}
    found = []
    for region in region_ids:
        path = [int(region)]
        while structures.parent_of(path[-1]) in structures:
            path.append(structures.parent_of(path[-1]))
        named = [i for i in path if i in known]
        top = named[0] if named else path[max(len(path) - 2, 0)]
        found.append(structures.acronyms[structures.position(top)])
    return tuple(found)


def simes(p: NDArray[np.float64]) -> float:
    """Return the p of "none of these has an effect"."""
    return float(np.min(np.sort(p) * len(p) / np.arange(1, len(p) + 1)))


def p_filter(p: NDArray[np.float64], groups: Sequence[str], alpha: float) -> Filtered:
    """Select tests so that false discoveries are bounded among tests and among groups.

    Parameters
    ----------
    p
        P values, shape ``(test,)``; NaN is not a test.
    groups
        Group of each test.
    alpha
        Bound of both false discovery rates.

    Returns
    -------
    Filtered

    Notes
    -----
    A test is selected where its p is at most t_1 and the p of its group at most t_2; the
    thresholds are the largest with t_1 <= alpha x (selected tests) / (tests) and t_2 <= alpha x
    (groups with a selected test) / (groups).
    """
    tested = ~np.isnan(p)
    labels = np.array(groups, dtype=object)
    group_p = np.full(p.shape, np.nan)
    for label in dict.fromkeys(labels[tested]):
        mine = tested & (labels == label)
        group_p[mine] = simes(p[mine])
    n, n_groups = int(tested.sum()), len(set(labels[tested]))
    selected, t = tested.copy(), (alpha, alpha)
    while True:
        with np.errstate(invalid="ignore"):
            selected = tested & (p <= t[0]) & (group_p <= t[1])
        if not selected.any():
            return Filtered(selected, group_p)
        new = (alpha * selected.sum() / n, alpha * len(set(labels[selected])) / n_groups)
        if new == t:
            return Filtered(selected, group_p)
        t = new


def selection_frame(
    effects: pd.DataFrame, structures: Structures, alpha: float
) -> pd.DataFrame | None:
    """Select regions of each contrast and estimand as they are read by division.

    Parameters
    ----------
    effects
        The effects table.
    structures
        The tree.
    alpha
        Bound of the false discovery rate among regions and among divisions.

    Returns
    -------
    pandas.DataFrame or None
        One row per tested region, contrast and estimand: region_id, acronym, measure,
        contrast, estimand, division, p, selected, division_p (Simes), division_selected.
        None where the regions lie in one division: there is no hierarchy to read by.
    """
    rows = effects[effects["testable"] & (effects["estimand"] != "shift")]
    of = dict(
        zip(
            rows["region_id"],
            divisions_of(rows["region_id"].to_numpy(dtype=np.int64), structures),
            strict=True,
        )
    )
    if len(set(of.values())) < 2 or len(set(of.values())) == len(of):
        return None
    blocks = []
    for _, part in rows.groupby(["contrast", "estimand"], sort=False):
        block = part[["region_id", "acronym", "measure", "contrast", "estimand"]].copy()
        block["division"] = [of[i] for i in part["region_id"]]
        block["p"] = part["p"]
        found = p_filter(part["p"].to_numpy(dtype=np.float64), block["division"].tolist(), alpha)
        block["selected"], block["division_p"] = found.selected, found.group_p
        block["division_selected"] = block.groupby("division")["selected"].transform("any")
        blocks.append(block)
    return pd.concat(blocks, ignore_index=True)
