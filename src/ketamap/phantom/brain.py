"""One phantom brain: images block by block, and the truth behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ketamap.core.atlas import HEMISPHERES, Atlas, Structures
from ketamap.core.errors import InputError
from ketamap.core.space import FloatArray, Orientation, VoxelGrid, Zyx
from ketamap.core.tables import ATLAS_POSITION, SAMPLE_POSITION
from ketamap.core.transform import Transform
from ketamap.phantom.deformation import SAMPLE_ORIENTATION, random_transform, sample_grid
from ketamap.phantom.density import base_densities
from ketamap.phantom.noise import stream_seed
from ketamap.phantom.planting import Planted, most_cells_per_mm3, plant
from ketamap.phantom.render import Channel, Somata, paint_block
from ketamap.phantom.warping import carry_image, carry_labels, unit_volume, volumes_mm3

_LATTICE_UM = 50.0
"""Spacing of the lattice on which labels and tissue are carried into the sample, um."""

_TEMPLATE_MEAN = 140.0
"""Typical brightness of the phantom template inside the brain."""

_SHADING_WAVES = 3
"""Cosines in the light-sheet shading along an axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrainSettings:
    """How a phantom brain is imaged.  All sizes are ours, chosen to keep demonstrations light."""

    voxel_um: Zyx[float] = (25.0, 25.0, 25.0)
    """Spacing of the signal image; much coarser than a real light-sheet image."""

    background_voxel_um: Zyx[float] = (50.0, 50.0, 50.0)
    """Spacing of the autofluorescence image."""

    orientation: Orientation = SAMPLE_ORIENTATION
    """How the sample lies."""

    soma_diameter_um: float = 50.0
    """Diameter of a soma, um: enlarged (a real dopamine neuron has 15 to 20) so that coarse
    voxels resolve it."""

    point_spread_um: float = 10.0
    """Standard deviation of the microscope's point spread, um."""

    spacing_diameters: float = 1.3
    """Least distance between two somata, in diameters: neighbours can be told apart."""

    displacement_um: float = 150.0
    """See `random_transform`."""

    soma_counts: float = 320.0
    """Median brightness of a soma above its surroundings, camera counts."""

    soma_sd_ln: float = 0.25
    """Spread of the brightness of somata, ln units."""

    signal_tissue_counts: float = 40.0
    """Typical autofluorescence in the signal image, counts."""

    background_tissue_counts: float = 300.0
    """Typical autofluorescence in the background image, counts."""

    offset_counts: float = 100.0
    """Camera offset."""

    read_noise_counts: float = 2.0
    """Standard deviation of the noise without light."""

    gain: float = 1.0
    """Noise variance per count of light."""

    shading: float = 0.15
    """Largest change of brightness by uneven light along an axis, as a fraction."""

    def __post_init__(self) -> None:
        if not self.soma_diameter_um >= max(self.voxel_um):
            msg = (
                f"A soma of {self.soma_diameter_um:g} um is smaller than a voxel of "
                f"{self.voxel_um} um. Raise soma_diameter_um or lower voxel_um."
            )
            raise InputError(msg)

    @property
    def min_distance_um(self) -> float:
        """Least distance between two somata, um."""
        return self.spacing_diameters * self.soma_diameter_um


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
    structures = atlas.structures
    if densities_per_mm3 is None:
        densities_per_mm3 = base_densities(atlas)
    density = _per_structure(densities_per_mm3, structures, "densities_per_mm3")
    effect = _per_structure(
        np.zeros(len(structures)) if effects_log2 is None else effects_log2,
        structures,
        "effects_log2",
    )
    transform = random_transform(
        atlas, animal_seed, displacement_um=settings.displacement_um,
        orientation=settings.orientation,
    )  # fmt: skip
    rng = np.random.default_rng(np.random.SeedSequence([animal_seed, 0xC3]))
    lattice = sample_grid(atlas, transform, (_LATTICE_UM,) * 3)
    labels = carry_labels(unit_volume(atlas), atlas.grid, transform, lattice)
    volumes = volumes_mm3(labels, lattice, len(structures))
    capped = np.minimum(density, most_cells_per_mm3(settings.min_distance_um))
    asked = np.floor(capped[:, None] * volumes + rng.random(volumes.shape)).astype(np.int64)
    planted = plant(atlas, transform, labels, lattice, asked.ravel(), settings.min_distance_um, rng)
    signal_grid = sample_grid(atlas, transform, settings.voxel_um)
    background_grid = sample_grid(atlas, transform, settings.background_voxel_um)
    tissue = carry_image(atlas.template, atlas.grid, transform, lattice) / np.float32(
        _TEMPLATE_MEAN
    )
    return PhantomBrain(
        signal_grid=signal_grid,
        background_grid=background_grid,
        orientation=settings.orientation,
        transform=transform,
        cells=_cells_table(planted, structures),
        counts=_counts_table(planted, structures, volumes, density, effect),
        settings=settings,
        _signal=_channel(
            tissue * np.float32(settings.signal_tissue_counts), lattice, signal_grid, settings,
            stream_seed(animal_seed, 1),
        ),
        _background=_channel(
            tissue * np.float32(settings.background_tissue_counts), lattice, background_grid,
            settings, stream_seed(animal_seed, 2),
        ),
        _somata=_somata(planted, signal_grid, settings, rng),
    )  # fmt: skip


def _per_structure(values: ArrayLike, structures: Structures, name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (len(structures),) or not np.all(np.isfinite(array)):
        msg = (
            f"{name} needs one finite number per structure of the atlas ({len(structures)}), "
            f"got an array of shape {array.shape}."
        )
        raise InputError(msg)
    return array


def _channel(
    tissue: NDArray[np.float32],
    lattice: VoxelGrid,
    grid: VoxelGrid,
    settings: BrainSettings,
    seed: int,
) -> Channel:
    rng = np.random.default_rng(seed)
    z, y, x = (
        _shading(n * um, n, settings.shading, rng)
        for n, um in zip(grid.shape, grid.spacing_um, strict=True)
    )
    return Channel(
        tissue=tissue,
        ratio=np.asarray(grid.spacing_um) / np.asarray(lattice.spacing_um),
        profiles=(z, y, x),
        offset=settings.offset_counts,
        read_sd=settings.read_noise_counts,
        gain=settings.gain,
        seed=seed,
        shape=grid.shape,
    )


def _shading(
    extent_um: float, n: int, amplitude: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Brightness along one axis: slow cosines, at most ``amplitude`` away from 1."""
    where = np.linspace(0.0, 1.0, n) if extent_um > 0 else np.zeros(n)
    weights = rng.uniform(-1.0, 1.0, _SHADING_WAVES) / _SHADING_WAVES
    phases = rng.uniform(0.0, 2 * np.pi, _SHADING_WAVES)
    waves = [
        w * np.cos(np.pi * (k + 1) * where + phase)
        for k, (w, phase) in enumerate(zip(weights, phases, strict=True))
    ]
    return (1.0 + amplitude * np.sum(waves, axis=0)).astype(np.float32)


def _somata(
    planted: Planted, grid: VoxelGrid, settings: BrainSettings, rng: np.random.Generator
) -> Somata:
    """Sort cells along z and give each a brightness.

    The profile is the Gaussian whose variance is that of a solid ball (diameter squared
    over 20, per axis) blurred by the point spread and by the voxel (spacing squared over
    12).
    """
    spacing = np.asarray(grid.spacing_um)
    variance = settings.soma_diameter_um**2 / 20 + settings.point_spread_um**2 + spacing**2 / 12
    peaks = settings.soma_counts * np.exp(
        rng.normal(0.0, settings.soma_sd_ln, len(planted.positions_um))
    )
    order = np.argsort(planted.positions_um[:, 0], kind="stable")
    return Somata(
        index=grid.to_index(planted.positions_um[order]),
        peaks=peaks[order].astype(np.float32),
        sigma=np.sqrt(variance) / spacing,
    )


def _cells_table(planted: Planted, structures: Structures) -> pd.DataFrame:
    columns: dict[str, Any] = dict(zip(SAMPLE_POSITION, planted.positions_um.T, strict=True))
    columns["region_id"] = structures.ids[planted.units // 2]
    columns["hemisphere"] = np.asarray(HEMISPHERES, dtype=object)[planted.units % 2]
    columns |= dict(zip(ATLAS_POSITION, planted.atlas_um.T, strict=True))
    table = pd.DataFrame(columns)
    return table.sort_values(list(SAMPLE_POSITION), ignore_index=True)


def _counts_table(
    planted: Planted,
    structures: Structures,
    volumes: FloatArray,
    density: FloatArray,
    effect: FloatArray,
) -> pd.DataFrame:
    """One row per structure and side that has a volume in the sample."""
    found = np.bincount(planted.units, minlength=2 * len(structures))
    rows = np.repeat(np.arange(len(structures)), 2)
    table = pd.DataFrame(
        {
            "region_id": structures.ids[rows],
            "acronym": np.asarray(structures.acronyms, dtype=object)[rows],
            "hemisphere": np.tile(np.asarray(HEMISPHERES, dtype=object), len(structures)),
            "planted": found,
            "asked": planted.asked,
            "volume_mm3": volumes.ravel(),
            "density_per_mm3": density[rows],
            "effect_log2": effect[rows],
        }
    )
    return table[table["volume_mm3"] > 0].reset_index(drop=True)


def _check_block(start: Zyx[int], stop: Zyx[int], grid: VoxelGrid) -> None:
    if not all(0 <= a <= b <= n for a, b, n in zip(start, stop, grid.shape, strict=True)):
        msg = f"Block {start} to {stop} does not lie in an image of shape {grid.shape}."
        raise InputError(msg)
