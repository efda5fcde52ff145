"""Synthetic somata planted into a user's own image, to see how many come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ketamap.core.space import VoxelGrid
from ketamap.core.volume import Blocks, Volume
from ketamap.detect.filters import bin_block, difference_of_gaussians
from ketamap.detect.scale import FilterPlan, plan_filters

F64 = NDArray[np.float64]

RIM = 8.0
"""Steepness of a soma's rim: light falls from 88 to 12 % over half of a radius."""

SUBVOXELS = 3
"""Points per voxel edge at which a soma is evaluated: voxels integrate."""

NEAREST_CELL = 1.0
"""Least distance to a detected cell, in diameters: nearer ones would hide the spike."""

NEAREST_SPIKE = 2.5
"""Least distance between spikes planted together, in diameters: they must not be each other's
neighbours."""

STRAY = (1.0, 4.0)
"""Spikes lie this far from a cell drawn at random, in diameters: in its kind of place."""

TRIES = 30
"""Places tried per spike before it is given up."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Spikes:
    """Planted somata."""

    um: F64
    """Centres in the sample, shape ``(n, 3)``."""

    height: F64
    """Brightness added inside, intensity units, shape ``(n,)``."""

    diameter_um: float
    """Of all of them."""


@dataclass(frozen=True, eq=False, slots=True)
class SpikedBlocks:
    """Blocks of an image with somata added as they are read."""

    data: Blocks
    """The image."""

    grid: VoxelGrid
    """Where its voxels are."""

    spikes: Spikes
    """What is added."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels along each axis."""
        return tuple(self.data.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one voxel, the image's."""
        return np.dtype(self.data.dtype)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Read a block given by three slices and add the somata that reach into it."""
        start = [s.indices(n)[0] for s, n in zip(key, self.shape, strict=True)]
        return add_spikes(np.asarray(self.data[key]), start, self.grid, self.spikes)


def add_spikes(
    block: NDArray[Any], start: Sequence[int], grid: VoxelGrid, spikes: Spikes
) -> NDArray[Any]:
    """Return a block with the somata that reach into it added; its type is kept.

    Parameters
    ----------
    block
        Shape ``(z, y, x)``.
    start
        Its first voxel in the volume.
    grid
        The volume's.
    spikes
        What is added.
    """
    spacing = np.asarray(grid.spacing_um)
    light = np.zeros(block.shape, dtype=np.float32)
    for um, height in zip(spikes.um, spikes.height, strict=True):
        where = (um - np.asarray(grid.origin_um)) / spacing
        add_soma(light, where - start, height, 0.5 * spikes.diameter_um / spacing)
    return _added(block, light)


def _added(block: NDArray[Any], light: NDArray[np.float32]) -> NDArray[Any]:
    if block.dtype.kind not in "ui":
        return np.asarray(block + light.astype(block.dtype))
    top = np.iinfo(block.dtype)
    bright = np.clip(np.rint(block + light.astype(np.float64)), top.min, top.max)
    return np.asarray(bright.astype(block.dtype))


def with_spikes(volume: Volume, spikes: Spikes) -> Volume:
    """Return the volume with somata added; nothing is read until a block is asked for."""
    return Volume(
        data=SpikedBlocks(volume.data, volume.grid, spikes),
        grid=volume.grid,
        name=volume.name,
        block_shape=volume.block_shape,
    )


def add_soma(light: NDArray[np.float32], centre: F64, height: float, radii: F64) -> None:
    """Add a ball with a soft rim to a block, in place.

    Parameters
    ----------
    light
        Shape ``(z, y, x)``.
    centre
        In voxels of the block, with fractions; it may lie outside.
    height
        Brightness inside, in intensity units.
    radii
        Along z, y, x, in voxels.
    """
    shape = np.asarray(light.shape)
    low = np.maximum(np.floor(centre - 1.7 * radii - 0.5).astype(int), 0)
    high = np.minimum(np.ceil(centre + 1.7 * radii + 0.5).astype(int) + 1, shape)
    if np.any(high <= low):
        return
    fine = (np.arange(SUBVOXELS) + 0.5) / SUBVOXELS - 0.5
    squares = [
        (((np.arange(a, b)[:, None] + fine).ravel() - c) / r) ** 2
        for a, b, c, r in zip(low, high, centre, radii, strict=True)
    ]
    far = np.sqrt(squares[0][:, None, None] + squares[1][:, None] + squares[2])
    ball = 1.0 / (1.0 + np.exp(np.minimum((far - 1.0) * RIM, 50.0)))
    n = high - low
    split = (n[0], SUBVOXELS, n[1], SUBVOXELS, n[2], SUBVOXELS)
    spot = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    light[spot] += height * ball.reshape(split).mean(axis=(1, 3, 5))


def response_per_height(grid: VoxelGrid, diameter_um: float) -> float:
    """Filter response to a soma of brightness 1 that is centred in a bin."""
    plan = plan_filters(grid, diameter_um)
    around = tuple(2 * (h + 2) + 1 for h in plan.halo)
    fine = tuple(n * b for n, b in zip(around, plan.bins, strict=True))
    light = np.zeros(fine, dtype=np.float32)
    centre = 0.5 * (np.asarray(fine) - 1.0)
    add_soma(light, centre, 1.0, 0.5 * diameter_um / np.asarray(grid.spacing_um))
    return float(_response(light, plan).max())


def _response(light: NDArray[np.float32], plan: FilterPlan) -> NDArray[np.float32]:
    return difference_of_gaussians(bin_block(light, plan.bins), plan.narrow, plan.wide)


def draw_spikes(
    grid: VoxelGrid,
    cells_um: F64,
    heights: F64,
    *,
    n: int,
    diameter_um: float,
    seed: int,
    apart: float = NEAREST_SPIKE,
) -> Spikes:
    """Choose where somata are planted and how bright they are.

    Each spike lies near a detected cell drawn at random, so tissue and density are those that
    cells have, but not on one; its brightness is that of another detected cell.

    Parameters
    ----------
    grid
        The image's.
    cells_um
        Detected cells, shape ``(m, 3)``.
    heights
        Their brightness over the surroundings, as that of a soma of the diameter.
    n
        Spikes wanted; fewer where there is no room for them.
    diameter_um
        Of all spikes.
    seed
        The same seed gives the same spikes.
    apart
        Least distance between them, in diameters; 0 where each is planted alone.
    """
    rng = np.random.default_rng(seed)
    low = np.asarray(grid.origin_um)
    high = low + (np.asarray(grid.shape) - 1) * np.asarray(grid.spacing_um)
    taken: list[F64] = []
    if len(cells_um):
        tree = cKDTree(cells_um)
        for _ in range(TRIES * n):
            if len(taken) == n:
                break
            place = cells_um[rng.integers(len(cells_um))] + _stray(rng, diameter_um)
            free = np.all(place >= low) and np.all(place <= high)
            if free and tree.query(place)[0] >= NEAREST_CELL * diameter_um:
                _take(taken, place, apart * diameter_um)
    at = np.array(taken).reshape(-1, 3)
    bright = rng.choice(heights, len(at)) if len(at) else np.empty(0)
    return Spikes(um=at, height=np.asarray(bright, dtype=np.float64), diameter_um=diameter_um)


def _stray(rng: np.random.Generator, diameter_um: float) -> F64:
    way = rng.normal(size=3)
    return np.asarray(way / np.linalg.norm(way) * rng.uniform(*STRAY) * diameter_um)


def _take(taken: list[F64], place: F64, least: float) -> None:
    if not taken or np.min(np.sum((np.array(taken) - place) ** 2, axis=1)) >= least**2:
        taken.append(place)
