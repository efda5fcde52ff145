"""The result of aligning one brain: a transform, and how far it can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ketamap.core.errors import InputError
from ketamap.core.settings import Extent, RegistrationSettings
from ketamap.core.space import FloatArray, Orientation, VoxelGrid
from ketamap.core.transform import Transform

Verdict: TypeAlias = Literal["pass", "look", "fail"]
"""``pass`` use it, ``look`` a person should look first, ``fail`` do not use it."""

VERDICTS: tuple[Verdict, ...] = ("pass", "look", "fail")


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ErrorMap:
    """How far off a registration is estimated to be, place by place."""

    grid: VoxelGrid
    """Where the error is known, atlas um."""

    error_um: NDArray[np.float32]
    """Estimated position error, shape ``grid.shape``; NaN where it is not known."""

    def at(self, atlas_um: ArrayLike) -> FloatArray:
        """Read the nearest voxel, ``(n,)`` um; NaN beyond the grid."""
        index, inside = self.grid.nearest_index(atlas_um)
        found = self.error_um[tuple(index.T)].astype(np.float64)
        return np.where(inside, found, np.nan)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class TissueMask:
    """Where a sample has tissue: holes, tears and what was cut away are not there."""

    grid: VoxelGrid
    """Voxels of the mask, sample um."""

    present: NDArray[np.bool_]
    """Whether there is tissue, shape ``grid.shape``."""

    def __post_init__(self) -> None:
        if self.present.shape != self.grid.shape:
            msg = f"A mask of shape {self.present.shape} has a grid of {self.grid.shape}."
            raise InputError(msg)

    def at(self, sample_um: ArrayLike) -> NDArray[np.bool_]:
        """Read the nearest voxel, ``(n,)``; beyond the grid nothing is known to be missing."""
        index, inside = self.grid.nearest_index(sample_um)
        return np.asarray(self.present[tuple(index.T)] | ~inside)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationQuality:
    """Figures that say whether a registration can be trusted."""

    ncc: float
    """Correlation of sample and template over the atlas brain mask."""

    lncc: float
    """Mean local correlation, 7x7x7 voxels, over the atlas brain mask."""

    least_jacobian: float
    """Least volume change (sample / atlas) in the brain; 0 or below is a fold."""

    inverse_error_p95_um: float
    """95th percentile of the round-trip error in the brain, um."""

    verdict: Verdict
    """What to do with this brain."""

    error_median_um: float = math.nan
    """Median over the brain of the estimated position error, um; NaN: not estimated."""

    reasons: tuple[str, ...] = ()
    """Why the verdict is not ``pass``, one sentence each."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Registration:
    """One brain aligned to one atlas."""

    transform: Transform
    """Sample <-> atlas."""

    quality: RegistrationQuality
    """Whether to trust it."""

    sample_grid: VoxelGrid
    """Grid of the image that was aligned."""

    orientation: Orientation
    """How that image lies in the animal."""

    atlas: str
    """Name of the atlas."""

    atlas_dir: Path | None = None
    """Folder the atlas came from, if not the user's cache."""

    extent: Extent = "whole"
    """Which part of the brain the image shows."""

    missing: tuple[str, ...] = ()
    """Acronyms of structures that the image does not show, with all that they hold."""

    tissue: TissueMask | None = None
    """Where the sample has tissue; None: wherever the image shows the brain."""

    error: ErrorMap | None = None
    """Estimated position error; None: not estimated."""

    settings: RegistrationSettings = field(default_factory=RegistrationSettings)
    """How it was aligned."""
