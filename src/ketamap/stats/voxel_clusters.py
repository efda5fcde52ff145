"""Clusters of significant voxels: where they are, how large, and which regions they cover."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from ketamap.core.atlas import OUTSIDE_BRAIN, Structures
from ketamap.core.space import VoxelGrid
from ketamap.core.units import LN2
from ketamap.stats.model import Estimates, fit_linear
from ketamap.stats.tfce import Lattice
from ketamap.stats.voxelwise import VoxelTest

REGIONS_NAMED = 4
"""Regions named in the text of a cluster, those with most of it."""

CLUSTER_COLUMNS = (
    "cluster", "direction", "size_mm3", "voxels", "peak_ap_um", "peak_dv_um", "peak_ml_um",
    "peak_region_id", "peak_acronym", "peak_t", "peak_tfce", "p_fwe", "mean_log2",
    "ci_low_log2", "ci_high_log2", "regions",
)  # fmt: skip
"""Columns of the table of clusters."""

SHARE_COLUMNS = (
    "cluster", "region_id", "acronym", "voxels", "share_of_cluster", "share_of_region",
)  # fmt: skip
"""Columns of the table of the regions that clusters cover."""


@dataclass(frozen=True, eq=False, kw_only=True)
class BrainVoxels:
    """What the voxels are, in raster order of the lattice's mask."""

    grid: VoxelGrid
    """Where the voxels lie in the atlas."""

    lattice: Lattice
    """Which voxels are tested."""

    region_id: NDArray[np.int64]
    """Structure of each tested voxel, 0 for none."""

    structures: Structures
    """The tree of these ids."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Clusters:
    """Significant clusters of one contrast."""

    labels: NDArray[np.uint32]
    """Number of each tested voxel's cluster, 0 for none, shape ``(voxel,)``."""

    table: pd.DataFrame
    """One row per cluster, `CLUSTER_COLUMNS`, the greatest score first.  ``size_mm3`` is
    atlas volume; ``mean_log2`` and its 95 % interval are of the cluster's mean log density,
    by least squares.  The cluster was chosen for its size: both overstate the change."""

    shares: pd.DataFrame
    """One row per cluster and structure, `SHARE_COLUMNS`."""


def clusters_of(
    test: VoxelTest,
    brain: BrainVoxels,
    alpha: float,
    mean_change: Callable[[NDArray[np.bool_]], tuple[float, float, float]],
) -> Clusters:
    """Gather the voxels with p below alpha into clusters and describe them.

    Parameters
    ----------
    test
        Result of `ketamap.stats.voxelwise.voxel_test`.
    brain
        Where its voxels are.
    alpha
        Familywise level.
    mean_change
        Gives the mean change (ln) over some voxels, shape ``(voxel,)``, and the ends of its
        interval; see `cluster_change`.
    """
    labels = _numbered(test, brain.lattice, alpha)
    rows, shares = [], []
    for number in range(1, int(labels.max(initial=0)) + 1):
        inside = labels == number
        mine = _shares(number, inside, brain)
        shares.append(mine)
        rows.append(_row(number, inside, test, brain, mine, mean_change(inside)))
    return Clusters(
        labels=labels,
        table=pd.DataFrame(rows, columns=list(CLUSTER_COLUMNS)),
        shares=pd.concat(shares, ignore_index=True)
        if shares
        else pd.DataFrame(columns=list(SHARE_COLUMNS)),
    )


def cluster_change(
    log_density: NDArray[np.floating],
    design: NDArray[np.float64],
    contrast: NDArray[np.float64],
    inside: NDArray[np.bool_],
) -> tuple[float, float, float]:
    """Estimate the change of the mean log density over some voxels.

    Parameters
    ----------
    log_density
        Shape ``(animal, voxel)``.
    design
        Shape ``(animal, coefficient)``, full rank.
    contrast
        Shape ``(coefficient,)``.
    inside
        Shape ``(voxel,)``.

    Returns
    -------
    estimate, low, high
        Natural log units; the ends of the 95 % interval.
    """
    mean = log_density[:, inside].mean(axis=1, dtype=np.float64)
    fit = fit_linear(mean[:, None], design, contrast[None])
    found = Estimates(estimate=fit.effect[0], se=np.sqrt(fit.variance[0] * fit.scale[0]), df=fit.df)
    low, high = found.interval()
    return float(found.estimate[0]), float(low[0]), float(high[0])


def _numbered(test: VoxelTest, lattice: Lattice, alpha: float) -> NDArray[np.uint32]:
    """Label clusters of each sign apart, numbered by their greatest score."""
    corner = 3 if lattice.steps.size == 26 else 1
    structure = ndimage.generate_binary_structure(3, corner)
    raw, n = np.zeros(test.tfce.shape, dtype=np.int64), 0
    for sign in (1.0, -1.0):
        volume = np.zeros(lattice.mask.shape, dtype=np.bool_)
        volume[lattice.mask] = (test.p_fwe < alpha) & (sign * test.tfce > 0)
        found, more = ndimage.label(volume, structure)
        here = found[lattice.mask]
        raw += np.where(here > 0, here + n, 0)
        n += int(more)
    best = np.zeros(n + 1)
    np.maximum.at(best, raw, np.abs(test.tfce))
    best[0] = np.inf
    rank = np.empty(n + 1, dtype=np.uint32)
    rank[np.argsort(-best, kind="stable")] = np.arange(n + 1)
    return rank[raw]


def _row(
    number: int,
    inside: NDArray[np.bool_],
    test: VoxelTest,
    brain: BrainVoxels,
    shares: pd.DataFrame,
    change: Sequence[float],
) -> dict[str, Any]:
    voxels = np.flatnonzero(inside)
    peak = int(voxels[np.argmax(np.abs(test.tfce[voxels]))])
    place = np.unravel_index(brain.lattice.places[peak], np.add(brain.lattice.mask.shape, 2))
    ap, dv, ml = brain.grid.to_um(np.array(place) - 1)
    region = int(brain.region_id[peak])
    mean, low, high = (v / LN2 for v in change)
    return {
        "cluster": number,
        "direction": "up" if test.tfce[peak] > 0 else "down",
        "size_mm3": voxels.size * brain.grid.voxel_volume_mm3,
        "voxels": voxels.size,
        "peak_ap_um": float(ap),
        "peak_dv_um": float(dv),
        "peak_ml_um": float(ml),
        "peak_region_id": region,
        "peak_acronym": _acronym(region, brain.structures),
        "peak_t": float(test.t[peak]),
        "peak_tfce": float(test.tfce[peak]),
        "p_fwe": float(test.p_fwe[voxels].min()),
        "mean_log2": mean,
        "ci_low_log2": low,
        "ci_high_log2": high,
        "regions": _named(shares),
    }


def _named(shares: pd.DataFrame) -> str:
    top = shares.head(REGIONS_NAMED)
    return ", ".join(
        f"{name} {100 * share:.0f} %"
        for name, share in zip(top["acronym"], top["share_of_cluster"].astype(float), strict=True)
    )


def _shares(number: int, inside: NDArray[np.bool_], brain: BrainVoxels) -> pd.DataFrame:
    ids, counts = np.unique(brain.region_id[inside], return_counts=True)
    tested = np.array([np.count_nonzero(brain.region_id == i) for i in ids])
    frame = pd.DataFrame(
        {
            "cluster": number,
            "region_id": ids,
            "acronym": [_acronym(int(i), brain.structures) for i in ids],
            "voxels": counts,
            "share_of_cluster": counts / counts.sum(),
            "share_of_region": counts / tested,
        }
    )
    return frame.sort_values(["voxels", "region_id"], ascending=[False, True], ignore_index=True)


def _acronym(region_id: int, structures: Structures) -> str:
    return "none" if region_id == OUTSIDE_BRAIN else structures.acronym_of(region_id)
