"""Which regions can be tested, decided blind to the result; "not testable" with the reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ketamap.core.atlas import Structures
from ketamap.stats.magnitude import LEAST_MEAN_COUNT as LEAST_MEAN_COUNT
from ketamap.stats.magnitude import Magnitude
from ketamap.stats.tables import RegionCounts

LEAST_VOLUME_MM3 = 0.01
"""Mean volume over all animals; below, registration error is as large as the region."""

LEAST_ANIMALS = 3
"""Animals with the region in each of the groups compared."""

NO_CELL_BODIES = ("fiber tracts", "VS")
"""Allen acronyms of the divisions that hold no neurons: fibre tracts, ventricles."""

CELLS = "cells"
"""The measure for which fibre tracts and ventricles are no regions to test."""


def region_reasons(regions: RegionCounts, structures: Structures) -> tuple[str, ...]:
    """Say for each region why it cannot be tested, or nothing; blind to group.

    Parameters
    ----------
    regions
        The counts.
    structures
        The tree, for fibre tracts, ventricles and tissue without a structure.

    Returns
    -------
    tuple of str
        One per region, empty where it can be tested.
    """
    known = ~np.isnan(regions.counts)
    n = np.maximum(known.sum(axis=0), 1)
    count = np.where(known, regions.counts, 0.0).sum(axis=0) / n
    extent = np.where(known, np.nan_to_num(regions.extents), 0.0).sum(axis=0) / n
    size = regions.magnitude
    bare = _without_cell_bodies(structures) if regions.measure == CELLS else set()
    reasons = []
    for k, region_id in enumerate(regions.region_ids):
        why = []
        if not known[:, k].any():
            why.append("missing in every animal")
        if structures.parent_of(int(region_id)) not in structures:
            why.append("tissue that belongs to no structure below the root")
        if int(region_id) in bare:
            why.append("fibre tract or ventricle: holds no cell bodies of neurons")
        if count[k] < size.least_mean:
            why.append(_too_little(float(count[k]), size))
        if regions.extent_unit == "mm3" and extent[k] < LEAST_VOLUME_MM3:
            why.append(f"volume {extent[k]:.4f} mm3 is below {LEAST_VOLUME_MM3:g}")
        reasons.append("; ".join(why))
    return tuple(reasons)


def _too_little(mean: float, size: Magnitude) -> str:
    if size.is_count:
        return f"mean count {mean:.1f} is below {size.least_mean:g}"
    return f"mean {size.written(mean)} is below {size.written(size.least_mean)}"


def _without_cell_bodies(structures: Structures) -> set[int]:
    bare: set[int] = set()
    for acronym in NO_CELL_BODIES:
        if acronym in structures.acronyms:
            top = structures.id_of(acronym)
            bare |= {top, *structures.descendants(top)}
    return bare


def group_reasons(
    counts: NDArray[np.float64], groups: Sequence[str], compared: tuple[str, ...]
) -> tuple[str, ...]:
    """Say for each region whether a compared group has too few animals with it.

    Parameters
    ----------
    counts
        Shape ``(animal, region)``; NaN where missing.
    groups
        Group of each animal.
    compared
        Groups that must have `LEAST_ANIMALS`.
    """
    member = np.array([[g == wanted for g in groups] for wanted in compared])
    have = member.astype(np.int64) @ (~np.isnan(counts)).astype(np.int64)
    return tuple(
        "; ".join(
            f"only {n} animals of {group} have the region, {LEAST_ANIMALS} are needed"
            for group, n in zip(compared, column, strict=True)
            if n < LEAST_ANIMALS
        )
        for column in have.T
    )
