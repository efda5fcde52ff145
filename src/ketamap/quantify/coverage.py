"""How much of each structure an image shows: brains are halved, cut, torn and imaged in part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import OUTSIDE_BRAIN, Atlas, Structures
from ketamap.core.space import FloatArray, VoxelGrid
from ketamap.core.transform import Transform
from ketamap.quantify.volumes import CarriedAnnotation, in_box

LEAST_COVERED = 0.05
"""A structure of which less is shown is missing: a sliver at a cut edge, as wide as the
registration is wrong, is no sample of it."""

LATTICE_UM = 50.0
"""Atlas voxels finer than this are sampled: a structure of 0.01 mm3 still has 80 points."""

_SLAB_POINTS = 1_000_000
"""Points carried in one go: bounds the memory to about 150 MB."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Coverage:
    """Points of the atlas in each structure, and how many of them an image shows."""

    structures: Structures
    """The tree."""

    every: NDArray[np.int64]
    """Points in the structure itself, shape ``(n structures, 2)``; left, right."""

    shown: NDArray[np.int64]
    """Those of them that the image shows, same shape."""

    @property
    def own(self) -> FloatArray:
        """Shown share of each structure without its descendants; NaN where it has no point."""
        return _share(self.shown, self.every)

    @property
    def total(self) -> FloatArray:
        """Shown share of each structure with all that it holds; NaN where it has no point."""
        return _share(self.structures.roll_up(self.shown), self.structures.roll_up(self.every))

    @property
    def scarce(self) -> NDArray[np.bool_]:
        """Structures with their descendants of which less than `LEAST_COVERED` is shown."""
        return np.asarray(self.total < LEAST_COVERED)

    @property
    def own_scarce(self) -> NDArray[np.bool_]:
        """The same without descendants; one without a point of its own goes with the whole."""
        own = self.own
        return np.where(np.isnan(own), self.scarce, own < LEAST_COVERED)


def measure_coverage(
    carried: CarriedAnnotation,
    transform: Transform,
    atlas: Atlas,
    *,
    seen: VoxelGrid | None = None,
) -> Coverage:
    """Carry the atlas's voxels into the sample and look which the image shows there.

    Parameters
    ----------
    carried
        Says what of the brain is there: its extent, missing structures, tissue.
    transform
        Sample <-> atlas.
    atlas
        The atlas, whole.
    seen
        Grid of the image in which cells and axons were looked for; what lies beyond its box
        is not shown.  Left out: all was seen.
    """
    tree = atlas.structures
    there = atlas.without(carried.missing).brain_mask
    every = np.zeros((len(tree), 2), dtype=np.int64)
    shown = np.zeros_like(every)
    strides = [max(1, round(LATTICE_UM / um)) for um in atlas.grid.spacing_um]
    some = tuple(slice(s // 2, None, s) for s in strides)
    index = np.argwhere(atlas.annotation[some] != OUTSIDE_BRAIN) * strides
    index += [s // 2 for s in strides]
    for start in range(0, len(index), _SLAB_POINTS):
        part = index[start : start + _SLAB_POINTS]
        where = tuple(part.T)
        atlas_um = atlas.grid.to_um(part)
        rows = tree.rows_of(atlas.annotation[where])
        side = np.where(atlas.is_left(atlas_um), 0, 1)
        seen_there = there[where] & _is_shown(carried, transform.to_sample(atlas_um), seen)
        if carried.extent != "whole":
            seen_there &= side == (0 if carried.extent == "left" else 1)
        np.add.at(every, (rows, side), 1)
        np.add.at(shown, (rows, side), seen_there)
    return Coverage(structures=tree, every=every, shown=shown)


def leave_out_scarce(placed: pd.DataFrame, coverage: Coverage) -> pd.DataFrame:
    """Give points in structures that are hardly shown to no structure (`Coverage.own_scarce`).

    Parameters
    ----------
    placed
        Result of `ketamap.quantify.place_points`.
    coverage
        Of the same image.
    """
    region_id = placed["region_id"].to_numpy(dtype=np.int64)
    rows = coverage.structures.rows_of(region_id)
    side = (placed["hemisphere"].to_numpy() == "right").astype(np.int64)
    lost = (rows >= 0) & coverage.own_scarce[rows, side]
    return placed.assign(region_id=np.where(lost, OUTSIDE_BRAIN, region_id))


def _is_shown(
    carried: CarriedAnnotation, sample_um: FloatArray, seen: VoxelGrid | None
) -> NDArray[np.bool_]:
    shown = np.isfinite(sample_um).all(axis=1)
    if seen is not None:
        shown &= in_box(sample_um, seen)
    if carried.tissue is not None:
        shown &= carried.tissue.at(sample_um)
    return np.asarray(shown)


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> FloatArray:
    share = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return np.asarray(share)
