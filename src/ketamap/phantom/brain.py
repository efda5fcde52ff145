"""One phantom brain: images block by block, and the truth behind them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ketamap.core.atlas import Atlas
from ketamap.core.errors import InputError
from ketamap.core.space import FloatArray, Orientation, VoxelGrid, Zyx
from ketamap.core.transform import Transform
from ketamap.phantom.deformation import random_transform, sample_grid
from ketamap.phantom.density import base_densities
from ketamap.phantom.imaging import BrainSettings, channel, somata
from ketamap.phantom.noise import stream_seed
from ketamap.phantom.planting import Planted, most_cells_per_mm3, plant
from ketamap.phantom.render import Channel, Somata, paint_block
from ketamap.phantom.truth import cells_table, counts_table
from ketamap.phantom.warping import carry_image, carry_labels, unit_volume, volumes_mm3


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class PhantomBrain:
    """A phantom brain: what a microscope sees of it, and what is true of it.

    Both images share one frame: sample position 0 is the centre of voxel (0, 0, 0) of each.
    """

    signal_grid: VoxelGrid
    """Grid of the signal image."""

    background_grid: VoxelGrid
    """Grid of the autofluorescence image."""

    orientation: Orientation
    """How the sample lies."""

    transform: Transform
    """The true sample <-> atlas."""

    cells: pd.DataFrame
    """Planted cells: ``z_um, y_um, x_um, region_id, hemisphere, ap_um, dv_um, ml_um``."""

    counts: pd.DataFrame
    """Per structure itself and hemisphere: ``region_id, acronym, hemisphere, planted, asked,
    volume_mm3, density_per_mm3`` (wanted) ``, effect_log2`` (of the design)."""

    settings: BrainSettings
    """How it is imaged."""

    _signal: Channel = field(repr=False)
    _background: Channel = field(repr=False)
    _somata: Somata = field(repr=False)

    def signal_block(self, start: Zyx[int], stop: Zyx[int]) -> NDArray[np.uint16]:
        """Paint voxels ``[start, stop)`` of the signal image; the same for every chunking."""
        _check_block(start, stop, self.signal_grid)
        return paint_block(self._signal, self._somata, start, stop)

    def background_block(self, start: Zyx[int], stop: Zyx[int]) -> NDArray[np.uint16]:
        """Paint voxels ``[start, stop)`` of the autofluorescence image."""
        _check_block(start, stop, self.background_grid)
        none = Somata(np.empty((0, 3)), np.empty(0, np.float32), np.ones(3))
        return paint_block(self._background, none, start, stop)


def plan_brain(
    atlas: Atlas,
    animal_seed: int,
    *,
    densities_per_mm3: ArrayLike | None = None,
    effects_log2: ArrayLike | None = None,
    settings: BrainSettings | None = None,
) -> PhantomBrain:
    """Decide everything about one phantom brain; images are painted later, by blocks.

    Parameters
    ----------
    atlas
        The brain before it is deformed.
    animal_seed
        The same seed and arguments give the same brain, voxel by voxel.
    densities_per_mm3
        Cells per mm3 wanted in each structure itself, by row of the tree, effects and
        between-animal noise included; left out: `base_densities`.  Densities beyond what
        the minimum distance allows are lowered to it (`counts` shows asked and wanted).
    effects_log2
        Planted effect of each structure, recorded in `counts`; left out: none.
    settings
        How it is imaged.

    Returns
    -------
    PhantomBrain
        The number of cells of a structure and side is density x volume in the sample,
        rounded up or down at random with the right mean: there is no Poisson noise
        beyond what is in ``densities_per_mm3``.

    Raises
    ------
    InputError
        If arguments do not match the atlas, or the cells do not fit.
    """
    settings = settings or BrainSettings()
    n = len(atlas.structures)
    wanted = base_densities(atlas) if densities_per_mm3 is None else densities_per_mm3
    density = _per_structure(wanted, n, "densities_per_mm3")
    _check_not_negative(density, atlas)
    planned = np.zeros(n) if effects_log2 is None else effects_log2
    effect = _per_structure(planned, n, "effects_log2")
    transform = random_transform(
        atlas,
        animal_seed,
        displacement_um=settings.displacement_um,
        orientation=settings.orientation,
    )
    rng = np.random.default_rng(np.random.SeedSequence([animal_seed, 0xC3]))
    lattice = sample_grid(atlas, transform, (settings.lattice_um,) * 3)
    planted, volumes = _plant(atlas, transform, lattice, density, settings, rng)
    signal_grid = sample_grid(atlas, transform, settings.voxel_um)
    background_grid = sample_grid(atlas, transform, settings.background_voxel_um)
    tissue = carry_image(atlas.template, atlas.grid, transform, lattice)
    signal, background = (
        channel(tissue, lattice, grid, settings, counts, stream_seed(animal_seed, number))
        for number, (grid, counts) in enumerate(
            (
                (signal_grid, settings.signal_tissue_counts),
                (background_grid, settings.background_tissue_counts),
            )
        )
    )
    return PhantomBrain(
        signal_grid=signal_grid,
        background_grid=background_grid,
        orientation=settings.orientation,
        transform=transform,
        cells=cells_table(planted, atlas.structures),
        counts=counts_table(planted, atlas.structures, volumes, density, effect),
        settings=settings,
        _signal=signal,
        _background=background,
        _somata=somata(planted, signal_grid, settings, rng),
    )


def _plant(
    atlas: Atlas,
    transform: Transform,
    lattice: VoxelGrid,
    density_per_mm3: FloatArray,
    settings: BrainSettings,
    rng: np.random.Generator,
) -> tuple[Planted, FloatArray]:
    """Plant the cells; also return each structure's volume in the sample, ``(n, 2)`` mm3."""
    labels = carry_labels(unit_volume(atlas), atlas.grid, transform, lattice)
    volumes = volumes_mm3(labels, lattice, len(atlas.structures))
    capped = np.minimum(density_per_mm3, most_cells_per_mm3(settings.min_distance_um))
    asked = np.floor(capped[:, None] * volumes + rng.random(volumes.shape)).astype(np.int64)
    distance_um = settings.min_distance_um
    return plant(atlas, transform, labels, lattice, asked.ravel(), distance_um, rng), volumes


def _per_structure(values: ArrayLike, n: int, name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (n,) or not np.all(np.isfinite(array)):
        msg = (
            f"{name} needs one finite number per structure of the atlas ({n}), "
            f"got an array of shape {array.shape}."
        )
        raise InputError(msg)
    return array


def _check_not_negative(density_per_mm3: FloatArray, atlas: Atlas) -> None:
    if density_per_mm3.min() < 0.0:
        acronym = atlas.structures.acronyms[int(density_per_mm3.argmin())]
        msg = f"densities_per_mm3 must be 0 or more, got {density_per_mm3.min():g} for {acronym}."
        raise InputError(msg)


def _check_block(start: Zyx[int], stop: Zyx[int], grid: VoxelGrid) -> None:
    if not all(0 <= a <= b <= n for a, b, n in zip(start, stop, grid.shape, strict=True)):
        msg = f"Block {start} to {stop} does not lie in an image of shape {grid.shape}."
        raise InputError(msg)
