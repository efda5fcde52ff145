"""From a soma in micrometres to filters in voxels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, floor, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ive

from ketamap.core.errors import InputError
from ketamap.core.space import VoxelGrid, Zyx

NARROW_PER_DIAMETER = 0.26
"""Standard deviation of the narrow Gaussian per soma diameter.

A Laplacian of Gaussian answers a ball of diameter d most strongly at d / (2 sqrt 3) = 0.289 d
(Lindeberg 1998, Int J Comput Vis 30:79, sec. 5, with the ball in place of the Gaussian); a
little less than that keeps touching somata apart."""

WIDE_PER_NARROW = 2.4
"""Ratio of the two Gaussians. At 1.6 the difference is closest to a Laplacian of Gaussian
(Marr and Hildreth 1980, Proc R Soc B 207:187, appendix B); a wider surround averages more of
the photon noise away and parts touching somata as well (a third more signal over white noise
in 10/5/5 um voxels, see `docs/benchmarks.md`)."""

LEAST_SIGMA_BINS = 0.85
"""Least standard deviation of a Gaussian in bins. In 10/5/5 um voxels narrower ones average
hardly any photon noise away, and part no more somata. Not for coarse images, `COARSE_BINS`: there
the two Gaussians would be nearly the same."""

TRUNCATE = 3.0
"""Kernels reach this many standard deviations."""

VOXELS_PER_DIAMETER = 3.5
"""Voxels are averaged while at least this many still span a soma."""

TILE_PER_DIAMETER = 8.0
"""Edge of a noise tile in soma diameters: some hundred resolution elements, few somata."""

PROFILE_PER_DIAMETER = 0.125
"""Step at which the response beside a peak is read, in soma diameters."""

PROFILE_STEPS = 10
"""Steps to either side: 1.25 diameters, where a soma has ended and a fibre has not."""

MERGE_PER_DIAMETER = 1.0
"""Two peaks farther apart than this along an axis are never parts of one soma."""

PATCH_PER_DIAMETER = 1.5
"""Farthest bin whose brightness describes a candidate, in soma diameters."""

RESPONSE_PER_DIAMETER = 1.7
"""Farthest bin whose response describes it."""

COARSE_BINS = 2.5
"""A soma that spans no more bins than this along most axes is scored by a model of its own."""

PEAK_REACH = 1
"""Voxels around a voxel that decide whether it is a maximum."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class FilterPlan:
    """The filters of one volume: everything that follows from spacing and soma diameter."""

    diameter_um: float
    """The soma's."""

    bins: Zyx[int]
    """Voxels averaged along each axis before filtering; bins start at voxel 0."""

    shape: Zyx[int]
    """Shape of the volume in bins; the last bin of an axis may be incomplete."""

    bin_um: Zyx[float]
    """Edge lengths of a bin, um."""

    narrow: Zyx[NDArray[np.float32]]
    """Half kernels (centre first) of the narrow Gaussian, one per axis."""

    wide: Zyx[NDArray[np.float32]]
    """Half kernels of the wide Gaussian, one per axis."""

    tile_edges: Zyx[NDArray[np.int64]]
    """Borders of the noise tiles along each axis, in bins, from 0 to the shape."""

    halo: Zyx[int]
    """Bins around a block that its peaks depend on."""

    ring: Zyx[int]
    """Distance in bins at which the brightness around a peak is read: one soma diameter."""

    merge: Zyx[int]
    """Half widths of the box in which peaks can be parts of one soma, in bins."""

    profile: NDArray[np.float64]
    """Distances in um at which the response beside a peak is read, ``(m,)``, rising."""

    point_sharpness: float
    """Curvature over height of the response to a single bright bin, per um2."""

    coarse: bool
    """Whether a soma spans no more than `COARSE_BINS` along two axes or more."""

    white_gain: float
    """Standard deviation of the response to white noise of unit deviation per bin."""

    @property
    def tiles(self) -> Zyx[int]:
        """Number of tiles along each axis."""
        z, y, x = (len(edges) - 1 for edges in self.tile_edges)
        return (z, y, x)


def plan_filters(grid: VoxelGrid, soma_diameter_um: float) -> FilterPlan:
    """Scale the filters to somata, isotropic in micrometres.

    Raises
    ------
    InputError
        If a soma is smaller than a voxel along an axis.
    """
    for axis, um in zip("zyx", grid.spacing_um, strict=True):
        if soma_diameter_um < um:
            msg = (
                f"Somata of {soma_diameter_um:g} um cannot be told apart in voxels of {um:g} um "
                f"along {axis}: a soma must span at least one voxel. Use a finer level of the "
                f"image, or state the diameter at which somata appear in it."
            )
            raise InputError(msg)
    per_axis = [
        max(1, floor(soma_diameter_um / (VOXELS_PER_DIAMETER * um))) for um in grid.spacing_um
    ]
    bins = (per_axis[0], per_axis[1], per_axis[2])
    binned = grid.binned(bins)
    coarse = sorted(binned.spacing_um)[1] * COARSE_BINS >= soma_diameter_um * (1.0 - 1e-9)
    narrow_um, least = NARROW_PER_DIAMETER * soma_diameter_um, 0.0 if coarse else LEAST_SIGMA_BINS
    narrow = _half_kernels(narrow_um, binned.spacing_um, least)
    wide = _half_kernels(WIDE_PER_NARROW * narrow_um, binned.spacing_um, least)
    ring = _ring(binned, soma_diameter_um)
    steps = np.arange(1, PROFILE_STEPS + 1, dtype=np.float64)
    profile = np.asarray(soma_diameter_um * PROFILE_PER_DIAMETER * steps, dtype=np.float64)
    return FilterPlan(
        diameter_um=soma_diameter_um,
        bins=bins,
        shape=binned.shape,
        bin_um=binned.spacing_um,
        narrow=narrow,
        wide=wide,
        tile_edges=_tile_edges(binned, TILE_PER_DIAMETER * soma_diameter_um),
        halo=_halo(wide, soma_diameter_um, binned),
        ring=ring,
        merge=_merge(binned, soma_diameter_um),
        profile=profile,
        point_sharpness=_point_sharpness(narrow, wide, binned.spacing_um),
        coarse=coarse,
        white_gain=_white_gain(narrow, wide),
    )


def for_noise(plan: FilterPlan) -> FilterPlan:
    """Return the plan with the halo that the noise of tiles depends on: the reach of the filters."""
    z, y, x = (len(kernel) - 1 for kernel in plan.wide)
    return replace(plan, halo=(z, y, x))


def _half_kernels(
    sigma_um: float, bin_um: Zyx[float], least_bins: float
) -> Zyx[NDArray[np.float32]]:
    z, y, x = (_half_kernel(sigma_um, um, least_bins) for um in bin_um)
    return (z, y, x)


def _half_kernel(sigma_um: float, bin_um: float, least_bins: float) -> NDArray[np.float32]:
    """Discrete Gaussian exp(-t) I_n(t), n >= 0, sum 1 over both halves.

    Its variance is t exactly at every scale (Lindeberg 1990, IEEE PAMI 12:234, eq. 17). The
    variance that a voxel's own width gives (width**2 / 12) is taken off, so that filtering
    is equally wide in micrometres along fine and coarse axes, down to ``least_bins``.
    """
    variance = max((sigma_um**2 - bin_um**2 / 12.0) / bin_um**2, least_bins**2)
    radius = max(1, ceil(TRUNCATE * sqrt(variance)))
    half = ive(np.arange(radius + 1), variance)
    half /= half[0] + 2.0 * half[1:].sum()
    return np.asarray(half, dtype=np.float32)


def _ring(binned: VoxelGrid, soma_diameter_um: float) -> Zyx[int]:
    z, y, x = (max(1, round(soma_diameter_um / um)) for um in binned.spacing_um)
    return (z, y, x)


def _merge(binned: VoxelGrid, soma_diameter_um: float) -> Zyx[int]:
    z, y, x = (
        max(1, round(MERGE_PER_DIAMETER * soma_diameter_um / um)) for um in binned.spacing_um
    )
    return (z, y, x)


def _halo(wide: Zyx[NDArray[np.float32]], diameter_um: float, binned: VoxelGrid) -> Zyx[int]:
    """Reach of the filters beyond the farthest response that is read, or of the patch."""
    response, patch = RESPONSE_PER_DIAMETER * diameter_um, PATCH_PER_DIAMETER * diameter_um
    z, y, x = (
        max(len(kernel) - 1 + max(PEAK_REACH, ceil(response / um) + 1), ceil(patch / um) + 2)
        for kernel, um in zip(wide, binned.spacing_um, strict=True)
    )
    return (z, y, x)


def _tile_edges(binned: VoxelGrid, tile_um: float) -> Zyx[NDArray[np.int64]]:
    z, y, x = (
        _even_edges(n, tile_um / um) for n, um in zip(binned.shape, binned.spacing_um, strict=True)
    )
    return (z, y, x)


def _even_edges(n: int, wanted: float) -> NDArray[np.int64]:
    """Cut n into equal parts (to one) of about the wanted length."""
    parts = min(n, max(1, round(n / wanted)))
    edges = (np.arange(parts + 1, dtype=np.int64) * n) // parts
    assert all(b > a for a, b in pairwise(edges))
    return edges


def _point_sharpness(
    narrow: Zyx[NDArray[np.float32]], wide: Zyx[NDArray[np.float32]], bin_um: Zyx[float]
) -> float:
    """Sum of second differences over height, at the peak that a single bin makes."""
    bend, height = 0.0, 0.0
    for kernels, sign in ((narrow, 1.0), (wide, -1.0)):
        top = sign * float(np.prod([float(k[0]) for k in kernels]))
        height += top
        for kernel, um in zip(kernels, bin_um, strict=True):
            bend += top * 2.0 * (float(kernel[1] / kernel[0]) - 1.0) / um**2
    return -bend / height


def _white_gain(narrow: Zyx[NDArray[np.float32]], wide: Zyx[NDArray[np.float32]]) -> float:
    """Norm of the difference kernel, from the one-dimensional inner products."""

    def inner(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
        n = min(len(a), len(b))
        return float(a[0] * b[0] + 2.0 * np.dot(a[1:n].astype(np.float64), b[1:n]))

    square = 1.0
    cross = 1.0
    surround = 1.0
    for a, b in zip(narrow, wide, strict=True):
        square *= inner(a, a)
        cross *= inner(a, b)
        surround *= inner(b, b)
    return sqrt(square - 2.0 * cross + surround)
