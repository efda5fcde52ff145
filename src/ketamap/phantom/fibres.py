"""Fibres of known length and direction in the structures of a sample.

So much length per structure and side, laid down fibre by fibre; what is true of them is
summed over their points afterwards, from the exact transform, so that it does not matter
how well a request could be met.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import HEMISPHERES, Atlas
from ketamap.core.errors import InputError
from ketamap.core.space import FloatArray, VoxelGrid
from ketamap.core.transform import Transform
from ketamap.core.units import UM_PER_MM
from ketamap.phantom.fibre_walk import Gait, Ground, walk_fibres
from ketamap.phantom.noise import stream_seed
from ketamap.phantom.planting import units_at, voxels_by_unit

_ROUNDS = 40
"""Rounds of new fibres before the rest is given up."""

_EASY_PER_MM2 = 0.03
"""Densest packing: length per volume times the square of the least distance between fibres.
Random fibres this dense still find their way (see ``tests/phantom/test_fibres.py``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FibreSettings:
    """How phantom fibres run and look.  All sizes are ours: fit for coarse demonstrations."""

    diameter_um: float = 30.0
    """Diameter of a fibre, um: enlarged (a real axon has 0.2 to 1) so that coarse voxels
    show it."""

    length_um: float = 1500.0
    """Mean length of a fibre, um; single ones have half to one and a half times as much."""

    least_length_um: float = 120.0
    """No fibre is shorter, um."""

    clearance_um: float = 75.0
    """No fibre starts or goes where the lattice is nearer to the centre of a soma, um: it
    could not be told from the soma's blurred rim."""

    bend_radius_um: float = 500.0
    """Radius of curvature, one standard deviation, um."""

    alignment: float = 0.6
    """0: fibres run in any direction; 1: all start in their structure's direction."""

    counts: float = 120.0
    """Median brightness of a fibre above its surroundings, camera counts."""

    sd_ln: float = 0.1
    """Spread of the brightness of fibres, ln units."""

    bead_depth: float = 0.1
    """Beads are so much brighter, the stretches between so much darker, as a fraction."""

    bead_um: float = 60.0
    """Distance between beads, um."""

    def __post_init__(self) -> None:
        for name in ("diameter_um", "length_um", "least_length_um", "bend_radius_um", "bead_um"):
            value = getattr(self, name)
            if not 0.0 < value < float("inf"):
                msg = f"{name} of fibres must be positive, got {value:g}."
                raise InputError(msg)
        for name in ("alignment", "bead_depth"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                msg = f"{name} of fibres must lie between 0 and 1, got {value:g}."
                raise InputError(msg)

    @property
    def step_um(self) -> float:
        """Distance between the points of a fibre, um: their spots then join without ripples."""
        return 0.4 * self.diameter_um


@dataclass(frozen=True, eq=False, slots=True)
class Fibres:
    """Fibres in a sample, point by point."""

    points_um: FloatArray
    """Shape ``(n, 3)``, sample (z, y, x); points of a fibre follow each other."""

    fibre: NDArray[np.int32]
    """Fibre of each point, ``(n,)``."""

    units: NDArray[np.int64]
    """Structure and side of each point, -1 in none; see `warping.unit_volume`."""

    directions: FloatArray
    """Direction of the fibre at each point, unit vectors (z, y, x), ``(n, 3)``."""

    step_um: float
    """Length that each point stands for, um."""


def no_fibres(step_um: float) -> Fibres:
    """Return an empty set."""
    none = np.empty((0, 3))
    return Fibres(none, np.empty(0, np.int32), np.empty(0, np.int64), none.copy(), step_um)


def grow_fibres(
    labels: NDArray[np.int16],
    grid: VoxelGrid,
    wanted_mm: FloatArray,
    seed: int,
    *,
    settings: FibreSettings,
    headings: FloatArray,
) -> tuple[FloatArray, NDArray[np.int32]]:
    """Grow fibres until each unit holds the length that is wanted, or no more will fit.

    Parameters
    ----------
    labels
        Unit of each voxel of ``grid``.
    grid
        Cubic lattice over the sample; fibres keep at least one of its voxels apart.
    wanted_mm
        Length per unit, ``(units,)`` mm.
    seed
        The same seed and arguments give the same fibres.
    settings
        How they run.
    headings
        Preferred direction in the sample of each unit, ``(units, 3)``; zero is none.

    Returns
    -------
    points_um
        Shape ``(n, 3)``, sample (z, y, x), `FibreSettings.step_um` apart along a fibre.
    fibre
        Fibre of each point, ``(n,)``.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xF1]))
    order, first = voxels_by_unit(labels, len(wanted_mm))
    size = np.diff(first)
    need = np.where(size > 0, wanted_mm * UM_PER_MM, 0.0)
    ground = Ground(labels, np.zeros(labels.shape, np.int32), grid.spacing_um[0], need)
    gait = Gait(
        step_um=settings.step_um,
        bend_per_um=1.0 / settings.bend_radius_um,
        bend_um=0.3 * settings.bend_radius_um,
        least_um=settings.least_length_um,
        seed=stream_seed(seed, 0xF2),
    )
    parts: list[tuple[FloatArray, NDArray[np.int32]]] = []
    number = 1
    for _ in range(_ROUNDS):
        wants = np.where(need >= settings.least_length_um, need / settings.length_um, 0.0)
        units = np.repeat(np.arange(len(need)), np.ceil(wants).astype(np.int64))
        if not len(units):
            break
        units = rng.permutation(units)
        voxel = order[first[units] + (rng.random(len(units)) * size[units]).astype(np.int64)]
        index = np.column_stack(np.unravel_index(voxel, grid.shape))
        starts = index + rng.uniform(-0.5, 0.5, index.shape)
        lengths = settings.length_um * rng.uniform(0.5, 1.5, len(units))
        begin = _first_directions(headings[units], settings.alignment, rng)
        parts.append(walk_fibres(ground, gait, starts, begin, lengths, number))
        number += len(units)
    points = [np.empty((0, 3)), *(one[0] for one in parts)]
    fibre = [np.empty(0, np.int32), *(one[1] for one in parts)]
    return grid.to_um(np.concatenate(points)), np.concatenate(fibre)


def labels_away_from(
    positions_um: FloatArray, labels: NDArray[np.int16], grid: VoxelGrid, clearance_um: float
) -> NDArray[np.int16]:
    """Mark the surroundings of somata as no place for fibres.

    Parameters
    ----------
    positions_um
        Centres of somata, sample (z, y, x), ``(n, 3)``.
    labels
        Unit of each voxel of ``grid``.
    grid
        Lattice over the sample.
    clearance_um
        Voxels whose centres are nearer than this to a soma are marked.

    Returns
    -------
    ndarray
        ``labels`` with -1 there.
    """
    reach = [int(np.ceil(clearance_um / um)) for um in grid.spacing_um]
    index, there = grid.nearest_index(positions_um)
    away = labels.copy()
    for step in product(*(range(-n, n + 1) for n in reach)):
        near = index[there] + np.asarray(step)
        inside = np.all((near >= 0) & (near < grid.shape), axis=1)
        distance = np.linalg.norm(grid.to_um(near) - positions_um[there], axis=1)
        away[tuple(near[inside & (distance < clearance_um)].T)] = -1
    return away


def place_fibres(
    points_um: FloatArray,
    fibre: NDArray[np.int32],
    *,
    step_um: float,
    atlas: Atlas,
    transform: Transform,
) -> Fibres:
    """Say of grown fibres where each point lies, exactly, and which way it runs."""
    return Fibres(
        points_um=points_um,
        fibre=fibre,
        units=units_at(atlas, transform.to_atlas(points_um)),
        directions=_directions(points_um, fibre),
        step_um=step_um,
    )


def most_length_per_mm3(apart_um: float) -> float:
    """Largest length density that is planted with fibres so far apart, mm per mm3."""
    return _EASY_PER_MM2 * (UM_PER_MM / apart_um) ** 2


def lengths_table(
    fibres: Fibres, atlas: Atlas, volumes: FloatArray, density: FloatArray, effect: FloatArray
) -> pd.DataFrame:
    """Lay out the true length of each structure itself and side that has a volume.

    Parameters
    ----------
    fibres
        What was grown.
    atlas
        The atlas.
    volumes
        Volume of each structure itself in the sample, ``(n, 2)`` mm3; left, right.
    density
        Length wanted, mm per mm3, by row of the tree.
    effect
        Planted log2 change, by row of the tree.

    Returns
    -------
    DataFrame
        ``region_id, acronym, hemisphere, length_mm, asked_mm, volume_mm3,
        density_per_mm2`` (mm of fibre per mm3, wanted) ``, effect_log2`` and
        ``along_z, along_y, along_x``: the mean squared direction of the fibres, which
        sums to 1 (a third each where they run anyhow; NaN where there are none).
    """
    tree = atlas.structures
    inside = fibres.units >= 0
    units, n = fibres.units[inside], 2 * len(tree)
    points = np.bincount(units, minlength=n)
    along = np.column_stack(
        [np.bincount(units, fibres.directions[inside, axis] ** 2, minlength=n) for axis in range(3)]
    )
    along = np.where(points[:, None] > 0, along / np.maximum(points, 1)[:, None], np.nan)
    rows = np.repeat(np.arange(len(tree)), 2)
    columns: dict[str, Any] = {
        "region_id": tree.ids[rows],
        "acronym": np.asarray(tree.acronyms, dtype=object)[rows],
        "hemisphere": np.tile(np.asarray(HEMISPHERES, dtype=object), len(tree)),
        "length_mm": points * fibres.step_um / UM_PER_MM,
        "asked_mm": (density[:, None] * volumes).ravel(),
        "volume_mm3": volumes.ravel(),
        "density_per_mm2": density[rows],
        "effect_log2": effect[rows],
    }
    columns |= {f"along_{axis}": along[:, k] for k, axis in enumerate("zyx")}
    table = pd.DataFrame(columns)
    return table[table["volume_mm3"] > 0].reset_index(drop=True)


def _first_directions(
    headings: FloatArray, alignment: float, rng: np.random.Generator
) -> FloatArray:
    """Mix each heading, either way along it, with a random direction."""
    anyhow = rng.standard_normal(headings.shape)
    anyhow /= np.linalg.norm(anyhow, axis=1, keepdims=True)
    side = rng.choice([-1.0, 1.0], (len(headings), 1))
    led = np.any(headings != 0.0, axis=1, keepdims=True)
    mixed = np.where(led, alignment * side * headings + (1.0 - alignment) * anyhow, anyhow)
    size = np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.asarray(np.where(size > 1e-9, mixed / np.maximum(size, 1e-9), anyhow))


def _directions(points_um: FloatArray, fibre: NDArray[np.int32]) -> FloatArray:
    """Direction from each point to the next of its fibre; the last has that of the one before."""
    ahead = np.zeros_like(points_um)
    ahead[:-1] = np.diff(points_um, axis=0)
    last = np.append(fibre[1:] != fibre[:-1], [True] * (len(fibre) > 0))
    ends = np.flatnonzero(last)
    before = np.maximum(ends - 1, 0)
    ahead[ends] = np.where((fibre[before] == fibre[ends])[:, None], ahead[before], 0.0)
    size = np.linalg.norm(ahead, axis=1, keepdims=True)
    return np.asarray(ahead / np.maximum(size, 1e-12))
