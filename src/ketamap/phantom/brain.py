"""One phantom brain: images block by block, and the truth behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ketamap.core.atlas import Atlas
from ketamap.core.errors import InputError
from ketamap.core.space import FloatArray, Orientation, VoxelGrid, Zyx
from ketamap.core.transform import Transform
from ketamap.phantom.deformation import random_transform, sample_grid
from ketamap.phantom.density import axon_axes, base_densities
from ketamap.phantom.fibres import (
    Fibres,
    grow_fibres,
    labels_away_from,
    lengths_table,
    most_length_per_mm3,
    no_fibres,
    place_fibres,
)
from ketamap.phantom.imaging import BrainSettings, channel, fibre_spots, somata
from ketamap.phantom.noise import stream_seed
from ketamap.phantom.planting import Planted, most_cells_per_mm3, plant
from ketamap.phantom.render import Channel, Spots, paint_block
from ketamap.phantom.truth import cells_table, counts_table
from ketamap.phantom.warping import carry_image, carry_labels, unit_volume, volumes_mm3


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class PlannedAxons:
    """Fibre wanted in a phantom brain."""

    lengths_per_mm3: ArrayLike
    """mm of fibre per mm3 wanted in each structure itself, by row of the tree; lowered where
    fibres could not be told apart."""

    effects_log2: ArrayLike
    """Planted effect of each structure, recorded in `PhantomBrain.lengths`."""


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

    lengths: pd.DataFrame
    """Planted fibre per structure itself and hemisphere, see `fibres.lengths_table`."""

    fibres: Fibres = field(repr=False)
    """Planted fibres, point by point."""

    settings: BrainSettings
    """How it is imaged."""

    _signal: Channel = field(repr=False)
    _background: Channel = field(repr=False)
    _lights: tuple[Spots, ...] = field(repr=False)

    def signal_block(self, start: Zyx[int], stop: Zyx[int]) -> NDArray[np.uint16]:
        """Paint voxels ``[start, stop)`` of the signal image; the same for every chunking."""
        _check_block(start, stop, self.signal_grid)
        return paint_block(self._signal, self._lights, start, stop)

    def background_block(self, start: Zyx[int], stop: Zyx[int]) -> NDArray[np.uint16]:
        """Paint voxels ``[start, stop)`` of the autofluorescence image."""
        _check_block(start, stop, self.background_grid)
        return paint_block(self._background, (), start, stop)


def plan_brain(
    atlas: Atlas,
    animal_seed: int,
    *,
    densities_per_mm3: ArrayLike | None = None,
    effects_log2: ArrayLike | None = None,
    axons: PlannedAxons | None = None,
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
    axons
        Fibre wanted in each structure; left out: the brain has none.
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
    axons = axons or PlannedAxons(lengths_per_mm3=np.zeros(n), effects_log2=np.zeros(n))
    length = _per_structure(axons.lengths_per_mm3, n, "lengths_per_mm3")
    wanted = base_densities(atlas) if densities_per_mm3 is None else densities_per_mm3
    density = _per_structure(wanted, n, "densities_per_mm3")
    for name, values in (("densities_per_mm3", density), ("lengths_per_mm3", length)):
        _check_not_negative(values, atlas, name)
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
    labels = carry_labels(unit_volume(atlas), atlas.grid, transform, lattice)
    volumes = volumes_mm3(labels, lattice, n)
    planted = _plant(atlas, transform, (labels, lattice, volumes), density, settings, rng)
    length = np.minimum(length, most_length_per_mm3(settings.lattice_um))
    away = labels_away_from(planted.positions_um, labels, lattice, settings.fibres.clearance_um)
    fibres = _grow(atlas, transform, (away, lattice, volumes), length, settings, animal_seed)
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
        lengths=lengths_table(
            fibres,
            atlas,
            volumes,
            length,
            _per_structure(axons.effects_log2, n, "effects_log2"),
        ),
        fibres=fibres,
        settings=settings,
        _signal=signal,
        _background=background,
        _lights=(
            somata(planted, signal_grid, settings, rng),
            fibre_spots(fibres, signal_grid, settings, rng),
        ),
    )


_Labelled: TypeAlias = tuple[NDArray[np.int16], VoxelGrid, FloatArray]
"""Units on a lattice over the sample, the lattice, and the volume of each unit, mm3."""


def _plant(
    atlas: Atlas,
    transform: Transform,
    labelled: _Labelled,
    density_per_mm3: FloatArray,
    settings: BrainSettings,
    rng: np.random.Generator,
) -> Planted:
    """Plant the cells."""
    labels, lattice, volumes = labelled
    capped = np.minimum(density_per_mm3, most_cells_per_mm3(settings.min_distance_um))
    asked = np.floor(capped[:, None] * volumes + rng.random(volumes.shape)).astype(np.int64)
    distance_um = settings.min_distance_um
    return plant(atlas, transform, labels, lattice, asked.ravel(), distance_um, rng)


def _grow(
    atlas: Atlas,
    transform: Transform,
    labelled: _Labelled,
    length_per_mm3: FloatArray,
    settings: BrainSettings,
    seed: int,
) -> Fibres:
    """Grow the fibres; their directions are carried from the atlas by the affine part."""
    labels, lattice, volumes = labelled
    if not length_per_mm3.any():
        return no_fibres(settings.fibres.step_um)
    turned = axon_axes(atlas.structures) @ transform.affine.matrix[:3, :3].T
    size = np.linalg.norm(turned, axis=1, keepdims=True)
    points_um, fibre = grow_fibres(
        labels,
        lattice,
        (length_per_mm3[:, None] * volumes).ravel(),
        seed,
        settings=settings.fibres,
        headings=np.repeat(turned / np.maximum(size, 1e-12), 2, axis=0),
    )
    return place_fibres(
        points_um, fibre, step_um=settings.fibres.step_um, atlas=atlas, transform=transform
    )


def _per_structure(values: ArrayLike, n: int, name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (n,) or not np.all(np.isfinite(array)):
        msg = (
            f"{name} needs one finite number per structure of the atlas ({n}), "
            f"got an array of shape {array.shape}."
        )
        raise InputError(msg)
    return array


def _check_not_negative(values: FloatArray, atlas: Atlas, name: str) -> None:
    if values.min() < 0.0:
        acronym = atlas.structures.acronyms[int(values.argmin())]
        msg = f"{name} must be 0 or more, got {values.min():g} for {acronym}."
        raise InputError(msg)


def _check_block(start: Zyx[int], stop: Zyx[int], grid: VoxelGrid) -> None:
    if not all(0 <= a <= b <= n for a, b, n in zip(start, stop, grid.shape, strict=True)):
        msg = f"Block {start} to {stop} does not lie in an image of shape {grid.shape}."
        raise InputError(msg)
