"""The structure tree of the phantom: Allen names and places in the tree, our own colours."""

from __future__ import annotations

import colorsys
import csv
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from ketamap.core.atlas import NO_PARENT, Structures

DIVISION_HUES: dict[str, tuple[float, float]] = {
    "CTX": (0.33, 0.55),
    "CNU": (0.50, 0.55),
    "TH": (0.01, 0.50),
    "HY": (0.07, 0.65),
    "MB": (0.78, 0.40),
    "HB": (0.90, 0.45),
    "CB": (0.14, 0.65),
    "fiber tracts": (0.60, 0.05),
    "VS": (0.58, 0.25),
}
"""Hue and saturation (0 to 1) of each major division, by Allen acronym; our own choice."""

_GREY = (0.0, 0.0)
"""Hue and saturation above the divisions."""

_SHADES = 7
"""Siblings take this many shades in turn, so that neighbours can be told apart."""


def phantom_structures() -> Structures:
    """Return the 351 regions of the phantom and all their ancestors, depth first.

    Notes
    -----
    Ids, acronyms, names and parents are nomenclature of the Allen Mouse Brain Common
    Coordinate Framework ontology, 2017 version; the colours are ours.

    References
    ----------
    Wang Q. et al. (2020), The Allen Mouse Brain Common Coordinate Framework: a 3D
    reference atlas, Cell 181, 936-953.
    """
    text = files("ketamap.phantom").joinpath("structures.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    ids = np.array([int(row["region_id"]) for row in rows], dtype=np.int64)
    parent_ids = np.array([int(row["parent_id"]) for row in rows], dtype=np.int64)
    acronyms = tuple(row["acronym"] for row in rows)
    return Structures(
        ids=ids,
        acronyms=acronyms,
        names=tuple(row["name"] for row in rows),
        parent_ids=parent_ids,
        colors=_colors(ids, parent_ids, acronyms),
    )


def division_of(structures: Structures, region_id: int) -> str:
    """Acronym of the major division (a key of `DIVISION_HUES`) a structure lies in, or ""."""
    for one in (region_id, *structures.ancestors(region_id)):
        if structures.acronym_of(one) in DIVISION_HUES:
            return structures.acronym_of(one)
    return ""


def _colors(
    ids: NDArray[np.int64], parent_ids: NDArray[np.int64], acronyms: tuple[str, ...]
) -> NDArray[np.uint8]:
    """Give each division a hue, each sibling a shade of it."""
    base: dict[int, tuple[float, float]] = {NO_PARENT: _GREY}
    siblings: dict[int, int] = {}
    colors = np.empty((len(ids), 3), dtype=np.uint8)
    pairs = zip(ids.tolist(), parent_ids.tolist(), acronyms, strict=True)
    for row, (region_id, parent, acronym) in enumerate(pairs):
        hue, saturation = DIVISION_HUES.get(acronym, base[parent])
        base[region_id] = hue, saturation
        turn = siblings.get(parent, 0)
        siblings[parent] = turn + 1
        shade = (turn % _SHADES) / (_SHADES - 1)
        rgb = colorsys.hsv_to_rgb(
            (hue + 0.04 * (shade - 0.5)) % 1.0, saturation * (0.7 + 0.3 * shade), 0.95 - 0.3 * shade
        )
        colors[row] = np.round(255 * np.array(rgb)).astype(np.uint8)
    return colors
