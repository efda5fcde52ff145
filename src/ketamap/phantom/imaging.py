"""How a phantom brain is imaged: settings, light and the brightness of cells."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ketamap.core.errors import InputError
from ketamap.core.space import Orientation, VoxelGrid, Zyx
from ketamap.phantom.deformation import SAMPLE_ORIENTATION
from ketamap.phantom.fibres import Fibres, FibreSettings
from ketamap.phantom.planting import Planted
from ketamap.phantom.render import Channel, Spots

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

    lattice_um: float = 50.0
    """Spacing of the lattice on which regions and tissue are carried into the sample, um."""

    displacement_um: float = 150.0
    """See `random_transform`."""

    soma_counts: float = 600.0
    """Median brightness of a soma above its surroundings, camera counts."""

    soma_sd_ln: float = 0.25
    """Spread of the brightness of somata, ln units."""

    fibres: FibreSettings = field(default_factory=FibreSettings)
    """How fibres run and look, where there are any."""

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


def channel(
    tissue: NDArray[np.float32],
    lattice: VoxelGrid,
    grid: VoxelGrid,
    settings: BrainSettings,
    counts: float,
    seed: int,
) -> Channel:
    """Set up a channel: the template as tissue of ``counts`` on average, with its own shading."""
    mean = float(tissue.mean(where=tissue > 0)) if tissue.any() else 1.0
    rng = np.random.default_rng(seed)
    z, y, x = (_shading(n, settings.shading, rng) for n in grid.shape)
    return Channel(
        tissue=tissue * np.float32(counts / mean),
        ratio=np.asarray(grid.spacing_um) / np.asarray(lattice.spacing_um),
        profiles=(z, y, x),
        offset=settings.offset_counts,
        read_sd=settings.read_noise_counts,
        gain=settings.gain,
        seed=seed,
        shape=grid.shape,
    )


def _shading(n: int, amplitude: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Brightness along one axis: slow cosines, at most ``amplitude`` away from 1."""
    where = np.linspace(0.0, 1.0, n)
    weights = rng.uniform(-1.0, 1.0, _SHADING_WAVES) / _SHADING_WAVES
    phases = rng.uniform(0.0, 2 * np.pi, _SHADING_WAVES)
    waves = [
        w * np.cos(np.pi * (k + 1) * where + phase)
        for k, (w, phase) in enumerate(zip(weights, phases, strict=True))
    ]
    return np.asarray(1.0 + amplitude * np.sum(waves, axis=0), dtype=np.float32)


def somata(
    planted: Planted, grid: VoxelGrid, settings: BrainSettings, rng: np.random.Generator
) -> Spots:
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
    return Spots(
        places=grid.to_index(planted.positions_um[order]),
        peaks=peaks[order].astype(np.float32),
        sigma=np.sqrt(variance) / spacing,
    )


def fibre_spots(
    fibres: Fibres, grid: VoxelGrid, settings: BrainSettings, rng: np.random.Generator
) -> Spots:
    """Sort the points of fibres along z and give each a brightness: beads on a line.

    Across a fibre the profile is the Gaussian whose variance is that of a solid disc
    (diameter squared over 16, per axis) blurred by the point spread and by the voxel.  The
    spots of neighbouring points add up to a line of the fibre's brightness.
    """
    spacing, look = np.asarray(grid.spacing_um), settings.fibres
    variance = look.diameter_um**2 / 16 + settings.point_spread_um**2 + spacing**2 / 12
    # a row of Gaussians one step apart sums to sigma sqrt(2 pi) / step
    overlap = np.sqrt(2 * np.pi * variance.mean()) / fibres.step_um
    n = int(fibres.fibre.max(initial=0)) + 1
    brightness = look.counts * np.exp(rng.normal(0.0, look.sd_ln, n))
    phase = rng.uniform(0.0, 2 * np.pi, n)
    along = 2 * np.pi * fibres.step_um * np.arange(len(fibres.fibre)) / look.bead_um
    beads = 1.0 + look.bead_depth * np.cos(along + phase[fibres.fibre])
    peaks = brightness[fibres.fibre] * beads / overlap
    order = np.argsort(fibres.points_um[:, 0], kind="stable")
    return Spots(
        places=grid.to_index(fibres.points_um[order]),
        peaks=peaks[order].astype(np.float32),
        sigma=np.sqrt(variance) / spacing,
    )
