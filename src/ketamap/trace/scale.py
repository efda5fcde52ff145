"""From a fibre in micrometres to filters in voxels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, sqrt
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ive

from ketamap.core.errors import InputError
from ketamap.core.settings import TracingSettings
from ketamap.core.space import VoxelGrid, Zyx

T = TypeVar("T")

WIDE_PER_NARROW = 2.0
"""Ratio of the two Gaussians whose sum is differentiated: thin and thick fibres answer alike."""

WIDE_WEIGHT = 2.0
"""Weight of the wide Gaussian. Of the ratios 1.5 to 2.5 and weights 1 to 4 tried on the
labelled planes of ``benchmarks/tracing.py`` all rank voxels nearly alike (F1 .79 to .80)."""

TRUNCATE = 3.0
"""Kernels reach this many standard deviations."""

CELL_UM = 16.0
"""Edge of the cells on which the local brightness is taken."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class RidgePlan:
    """The filters of one volume: everything that follows from spacing and fibre width."""

    shape: Zyx[int]
    """Shape of the volume in voxels."""

    spacing_um: Zyx[float]
    """Voxel edges, um."""

    sigma_um: float
    """Standard deviation of the narrow Gaussian, um."""

    narrow: Zyx[NDArray[np.float32]]
    """Half kernels (centre first) of the narrow Gaussian, one per axis."""

    wide: Zyx[NDArray[np.float32]]
    """Half kernels of the wide Gaussian times its weight along z, one per axis."""

    curvature: Zyx[float]
    """``sigma_um`` / spacing: scales first differences so that second ones are unitless."""

    reach: Zyx[int]
    """Voxels around a voxel that its response depends on."""

    cell: Zyx[int]
    """Voxels per brightness cell; cells start at voxel 0."""

    box: Zyx[int]
    """Voxels per box of the table of axons, whole cells; boxes start at voxel 0."""


def plan_ridges(grid: VoxelGrid, settings: TracingSettings) -> RidgePlan:
    """Scale the filters to fibres, isotropic in micrometres.

    Where voxels are coarser than a fibre, the filter grows to the middle one of the three
    spacings: finer detail than that is not in the image.

    Raises
    ------
    InputError
        If voxels are so coarse along an axis that no fibre can be followed, or so fine that a
        fibre is needlessly many voxels wide.
    """
    middle_um = sorted(grid.spacing_um)[1]
    sigma = max(settings.fibre_sigma_um, middle_um)
    if sigma > FINEST_PER_SIGMA * middle_um:
        msg = (
            f"fibre_sigma_um {sigma:g} is {sigma / middle_um:.0f} voxels of {middle_um:g} um; at "
            f"most {FINEST_PER_SIGMA:g} are traced. It is the standard deviation of one fibre's "
            f"cross-section: check it and the voxel size, or use a coarser level of the image."
        )
        raise InputError(msg)
    for axis, um in zip("zyx", grid.spacing_um, strict=True):
        if um > COARSEST_PER_SIGMA * sigma:
            msg = (
                f"Axons cannot be followed in voxels of {um:g} um along {axis} beside "
                f"{min(grid.spacing_um):g} um: at most {COARSEST_PER_SIGMA * sigma:g} um would "
                f"do. Use a finer level of the image, or average it to more even voxels."
            )
            raise InputError(msg)
    narrow = triple(_half_kernel(sigma, um) for um in grid.spacing_um)
    wide = triple(_half_kernel(WIDE_PER_NARROW * sigma, um) for um in grid.spacing_um)
    cell = triple(
        max(1, round(max(CELL_UM, 4.0 * sigma) / um)) if n > 1 else 1
        for n, um in zip(grid.shape, grid.spacing_um, strict=True)
    )
    return RidgePlan(
        shape=grid.shape,
        spacing_um=grid.spacing_um,
        sigma_um=sigma,
        narrow=narrow,
        wide=wide,
        curvature=triple(sigma / um for um in grid.spacing_um),
        reach=triple(len(k) for k in wide),
        cell=cell,
        box=triple(max(1, round(settings.box_um / um)) for um in grid.spacing_um),
    )


COARSEST_PER_SIGMA = 6.0
"""A voxel may be this many filter widths long along one axis."""


FINEST_PER_SIGMA = 10.0
"""A filter width may be this many voxels: wider ones take hours and show nothing more."""


def _half_kernel(sigma_um: float, voxel_um: float) -> NDArray[np.float32]:
    """Discrete Gaussian exp(-t) I_n(t), n >= 0, sum 1 over both halves.

    Its variance is t exactly at every scale (Lindeberg 1990, IEEE PAMI 12:234, eq. 17). The
    variance that a voxel's own width gives (width**2 / 12) is taken off.
    """
    variance = max(sigma_um**2 - voxel_um**2 / 12.0, 0.0) / voxel_um**2
    radius = max(1, ceil(TRUNCATE * sqrt(variance)))
    half = ive(np.arange(radius + 1), variance)
    half /= half[0] + 2.0 * half[1:].sum()
    return np.asarray(half, dtype=np.float32)


def triple(values: Iterable[T]) -> Zyx[T]:
    """Return three values as a tuple."""
    z, y, x = values
    return (z, y, x)
