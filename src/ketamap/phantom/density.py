"""How many TH+ cells, and how much TH+ fibre, each structure of a phantom brain holds.

**All sizes here are ours.**  They put many cells where dopamine and noradrenaline neurons
are known to be, more fibre where they project to, and a modest floor everywhere else, so
that a demonstration has some 250 testable structures.  They are not measurements.
"""

from __future__ import annotations

import numpy as np

from ketamap.core.atlas import Atlas, Structures
from ketamap.core.space import FloatArray
from ketamap.phantom.ontology import division_of
from ketamap.phantom.warping import unit_volume, volumes_mm3

TH_RICH_PER_MM3: dict[str, float] = {
    "VTA": 1000.0,
    "SNc": 1100.0,
    "RR": 1000.0,
    "CLI": 1250.0,
    "RL": 600.0,
    "IF": 600.0,
    "DR": 1200.0,
    "PAG": 150.0,
    "SNr": 150.0,
    "EW": 500.0,
    "LC": 1200.0,
    "ARH": 600.0,
    "PVH": 650.0,
    "PVi": 400.0,
    "PVp": 400.0,
    "PVa": 400.0,
    "PeF": 250.0,
    "TU": 350.0,
    "VMH": 350.0,
    "DMH": 500.0,
    "MPN": 450.0,
    "ZI": 150.0,
    "PH": 150.0,
    "SUM": 200.0,
    "SO": 300.0,
    "MOB": 120.0,
    "NTS": 200.0,
    "DMX": 200.0,
}
"""Cells per mm3 of TH-rich structures and their parts, by Allen acronym; sizes ours."""

FLOOR_PER_MM3: dict[str, float] = {
    "CTX": 22.0,
    "CNU": 28.0,
    "TH": 25.0,
    "HY": 45.0,
    "MB": 40.0,
    "HB": 25.0,
    "CB": 15.0,
}
"""Cells per mm3 elsewhere, by division; sizes ours.  Fibre tracts and ventricles have none."""

_FLOOR_CELLS = 24.0
"""Small structures are made dense enough to hold this many in both hemispheres ..."""

_FLOOR_MOST_PER_MM3 = 400.0
"""... up to this density."""


AXON_RICH_PER_MM2: dict[str, float] = {
    "CP": 9.0,
    "ACB": 9.0,
    "OT": 8.0,
    "CEA": 7.0,
    "PL": 7.0,
    "ILA": 7.0,
    "ACA": 7.0,
    "AUD": 7.0,
    "VIS": 7.0,
}
"""Fibre in structures that dopamine neurons project to, mm per mm3, by Allen acronym.

Real innervation is a thousand times denser; phantom fibres are as much thicker."""

AXON_FLOOR_PER_MM2: dict[str, float] = {
    "CTX": 4.0,
    "CNU": 5.0,
    "TH": 3.0,
    "HY": 4.0,
    "MB": 3.0,
    "HB": 2.0,
    "CB": 1.0,
}
"""Fibre elsewhere, mm per mm3, by division; fibre tracts and ventricles have none."""

_LEAST_LENGTH_MM = 1.5
"""Structures that would hold less in both hemispheres, one fibre's length, hold none: it would
be chance whether a fibre comes by."""

AXON_AXIS: dict[str, int] = {"CNU": 0, "HY": 0, "MB": 0, "PL": 1, "ILA": 1, "ACA": 1}
"""Axis of the atlas (0 ap, 1 dv, 2 ml) along which fibres start, by acronym; later ones
overrule earlier ones.  Elsewhere they start in any direction.  Ours."""


def own_volumes_mm3(atlas: Atlas) -> FloatArray:
    """Volume of each structure itself in the atlas, left and right, shape ``(n, 2)``."""
    return volumes_mm3(unit_volume(atlas), atlas.grid, len(atlas.structures))


def base_densities(atlas: Atlas, volumes: FloatArray | None = None) -> FloatArray:
    """Cells per mm3 of each structure in an untreated animal, shape ``(n,)``.

    Parameters
    ----------
    atlas
        Any atlas with Allen acronyms.
    volumes
        Of its structures themselves, if known (`own_volumes_mm3`).
    """
    structures = atlas.structures
    own = (own_volumes_mm3(atlas) if volumes is None else volumes).sum(axis=1)
    floor = np.array(
        [FLOOR_PER_MM3.get(division_of(structures, int(i)), 0.0) for i in structures.ids]
    )
    enough = np.minimum(_FLOOR_CELLS / np.maximum(own, 1e-9), _FLOOR_MOST_PER_MM3)
    density = np.where(floor > 0, np.maximum(floor, enough), 0.0)
    for acronym, per_mm3 in TH_RICH_PER_MM3.items():
        density[rows_with_parts(structures, acronym)] = per_mm3
    return density


def base_lengths(atlas: Atlas, volumes: FloatArray | None = None) -> FloatArray:
    """Fibre of each structure in an untreated animal, mm per mm3, shape ``(n,)``.

    Structures too small for a fibre have none.

    Parameters
    ----------
    atlas
        Any atlas with Allen acronyms.
    volumes
        Of its structures themselves, if known (`own_volumes_mm3`).
    """
    structures = atlas.structures
    own = (own_volumes_mm3(atlas) if volumes is None else volumes).sum(axis=1)
    length = np.array(
        [AXON_FLOOR_PER_MM2.get(division_of(structures, int(i)), 0.0) for i in structures.ids]
    )
    for acronym, per_mm2 in AXON_RICH_PER_MM2.items():
        length[rows_with_parts(structures, acronym)] = per_mm2
    return np.asarray(np.where(length * own >= _LEAST_LENGTH_MM, length, 0.0))


def axon_axes(structures: Structures) -> FloatArray:
    """Direction in the atlas along which fibres start in each structure, ``(n, 3)``.

    Unit vectors (ap, dv, ml), zero where there is none.
    """
    axes = np.zeros((len(structures), 3))
    for acronym, axis in AXON_AXIS.items():
        axes[rows_with_parts(structures, acronym)] = np.eye(3)[axis]
    return axes


def rows_with_parts(structures: Structures, acronym: str) -> list[int]:
    """Rows of a structure and all its descendants; empty where the atlas lacks it."""
    if acronym not in structures.acronyms:
        return []
    region_id = structures.id_of(acronym)
    return [structures.position(i) for i in (region_id, *structures.descendants(region_id))]
