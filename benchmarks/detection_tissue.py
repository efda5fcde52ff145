"""Made-up tissue with known somata, to measure detection on.

A half with scattered somata and a half with clusters of touching ones; axons and vessels that
look like rows of cells, neuropil with texture of the somata's own size, illumination that
drifts, light-sheet stripes, two point spreads, photon and camera noise. Tissue is rendered
in voxels of at most 5/2.5/2.5 um and averaged, so that coarse voxels integrate as a camera
does. Everything follows from the seed.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

BRIGHTNESS = 250.0
"""Mean intensity of tissue without cells, grey values."""

SHARP_PSF_UM = (4.0, 1.2, 1.2)
BLUNT_PSF_UM = (7.0, 2.2, 2.2)
"""Standard deviations of the point spread along z, y, x."""

FINEST_UM = (5.0, 2.5, 2.5)
"""Coarser voxels are rendered in whole parts no larger than this."""


@dataclass(frozen=True, kw_only=True)
class Tissue:
    """What to make."""

    size_um: tuple[float, float, float] = (200.0, 2000.0, 2000.0)
    spacing_um: tuple[float, float, float] = (5.0, 2.0, 2.0)
    psf_um: tuple[float, float, float] = SHARP_PSF_UM
    diameter_um: tuple[float, float] = (10.0, 20.0)
    sparse_per_mm3: float = 900.0
    clusters_per_mm3: float = 220.0
    cells_per_cluster: tuple[int, int] = (4, 16)
    cluster_sd_um: tuple[float, float] = (14.0, 30.0)
    contrast: float = 1.0
    contrast_sd_ln: float = 0.4
    elongation_sd_ln: float = 0.1
    axons_per_mm3: float = 188.0
    vessels_per_mm3: float = 75.0
    neuropil: float = 1.0
    shading_sd_ln: float = 0.2
    stripes: float = 0.05
    flicker: float = 0.0
    """How much planes differ in brightness: as standard deviation of the logarithm."""
    surface: float | None = None
    """Brightness of the brain's outermost 15 um over tissue's; None: no surface in the image."""
    debris_per_mm3: float = 0.0
    grey_per_photon: float = 4.0
    read_noise: float = 8.0


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Where the somata are."""

    at_um: np.ndarray
    """Centres, (n, 3)."""
    diameter_um: np.ndarray
    clustered: np.ndarray
    """Whether a soma belongs to the clustered half."""
    contrast: np.ndarray
    """Brightness over that of tissue."""


def make_tissue(tissue, seed):
    """Return the image (uint16) and its `Truth`."""
    rng = np.random.default_rng(seed)
    shape = tuple(round(s / v) for s, v in zip(tissue.size_um, tissue.spacing_um, strict=True))
    parts = tuple(
        max(1, int(np.ceil(v / f - 0.01)))
        for v, f in zip(tissue.spacing_um, FINEST_UM, strict=True)
    )
    fine = np.asarray(tissue.spacing_um) / parts
    fine_shape = tuple(n * p for n, p in zip(shape, parts, strict=True))
    size = (np.asarray(fine_shape) - 1) * fine
    base, truth = _tissue_light(tissue, fine_shape, fine, size, rng)
    image = ndimage.gaussian_filter(base, np.asarray(tissue.psf_um) / fine, truncate=3.0)
    if parts != (1, 1, 1):
        split = [v for n, p in zip(shape, parts, strict=True) for v in (n, p)]
        image = image.reshape(split).mean(axis=(1, 3, 5))
    image *= BRIGHTNESS * illumination(tissue, shape, rng)
    add_debris(image, tissue, rng)
    shift = 0.5 * (np.asarray(parts) - 1) * fine
    found = Truth(
        at_um=truth.at_um - shift,
        diameter_um=truth.diameter_um,
        clustered=truth.clustered,
        contrast=truth.contrast,
    )
    return expose(tissue, image, rng), found


def _tissue_light(tissue, shape, spacing, size, rng):
    mm3 = size.prod() / 1e9
    light = np.zeros(shape, dtype=np.float32)
    at, widths, clustered = plant_cells(tissue, size, rng)
    bright = tissue.contrast * np.exp(rng.normal(0.0, tissue.contrast_sd_ln, len(at)))
    for centre, width, one in zip(at, widths, bright, strict=True):
        axes = 0.5 * width * np.exp(rng.normal(0.0, tissue.elongation_sd_ln, 3))
        add_ball(light, spacing, centre, axes, one)
    for _ in range(round(tissue.axons_per_mm3 * mm3)):
        add_fibre(
            light, spacing, size, rng, radius_um=rng.uniform(0.8, 2.0), bright=rng.uniform(0.3, 1.2)
        )
    vessels = np.zeros(shape, dtype=np.float32)
    for _ in range(round(tissue.vessels_per_mm3 * mm3)):
        add_fibre(
            vessels, spacing, size, rng, radius_um=rng.uniform(4, 9), bright=rng.choice([-0.4, 0.5])
        )
    light += vessels
    light += neuropil(shape, spacing, rng, tissue.neuropil)
    inside = np.ones(len(at), dtype=bool)
    if tissue.surface is not None:
        depth = depth_below_surface(shape, spacing, rng)
        light *= np.where(depth > 0, 1 + tissue.surface * np.exp(-np.maximum(depth, 0) / 15), 0.03)
        z, y, x = np.clip(np.rint(at / spacing).astype(int), 0, np.asarray(shape) - 1).T
        inside = depth[z, y, x] > 0.5 * widths
        for centre, width in zip(at[~inside], widths[~inside], strict=True):
            clear_ball(light, spacing, centre, 0.9 * width, depth)
    return light, Truth(
        at_um=at[inside],
        diameter_um=widths[inside],
        clustered=clustered[inside],
        contrast=bright[inside],
    )


def depth_below_surface(shape, spacing, rng):
    """Distance in um below a wavy surface that crosses the volume along y."""
    span = shape[1] * spacing[1]
    waves = _stretched(rng.normal(0, 0.06 * span, (2, 1, 6)), (shape[0], 1, shape[2]))
    y = np.arange(shape[1])[:, None] * spacing[1]
    slope = rng.normal(0, 0.6) * np.arange(shape[0])[:, None, None] * spacing[0]
    return (y - rng.uniform(0.1, 0.4) * span - waves - slope).astype(np.float32)


def clear_ball(light, spacing, centre, radius, depth):
    """Put plain tissue where a soma is cut by the surface."""
    where, (z, y, x) = box_around(light.shape, spacing, centre, radius)
    r2 = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2
    spot = light[where]
    spot[r2 < radius**2] = np.where(depth[where][r2 < radius**2] > 0, 1.0, 0.03)


def add_debris(image, tissue, rng):
    """Specks of one to a few voxels, brighter than tissue."""
    n = rng.poisson(tissue.debris_per_mm3 * np.prod(tissue.size_um) / 1e9)
    for centre in rng.integers(0, image.shape, (n, 3)):
        spot = tuple(slice(c, c + k) for c, k in zip(centre, rng.integers(1, 3, 3), strict=True))
        image[spot] += BRIGHTNESS * rng.uniform(1, 8)


def plant_cells(tissue, size, rng):
    """Return positions (n, 3) um, diameters and whether each lies in a cluster.

    Sparse somata keep 1.5 mean diameters apart, those of a cluster one: they touch.
    """
    half_mm3 = size.prod() / 2e9
    middle = size[2] / 2
    room = _Room(tissue.diameter_um, rng)
    for _ in range(int(tissue.sparse_per_mm3 * half_mm3)):
        room.place(rng.uniform(0, 1, 3) * (size[0], size[1], middle), 1.5, clustered=False)
    for _ in range(int(tissue.clusters_per_mm3 * half_mm3)):
        hub = rng.uniform(0, 1, 3) * (size[0], size[1], middle) + (0, 0, middle)
        wanted, spread = rng.integers(*tissue.cells_per_cluster), rng.uniform(*tissue.cluster_sd_um)
        for centre in hub + rng.normal(0, spread, (wanted, 3)):
            if np.all(centre >= (0, 0, middle)) and np.all(centre <= size):
                room.place(centre, 1.0, clustered=True)
    return room.places[: room.n], room.widths[: room.n], room.flags[: room.n]


class _Room:
    """Somata planted so far."""

    def __init__(self, diameter_um, rng):
        self.places, self.widths = np.empty((65536, 3)), np.empty(65536)
        self.flags = np.zeros(65536, dtype=bool)
        self.n, self._range, self._rng = 0, diameter_um, rng

    def place(self, centre, least, *, clustered):
        width = self._rng.uniform(*self._range)
        apart = least * 0.5 * (self.widths[: self.n] + width)
        if np.any(np.sum((self.places[: self.n] - centre) ** 2, axis=1) < apart**2):
            return
        self.places[self.n], self.widths[self.n], self.flags[self.n] = centre, width, clustered
        self.n += 1


def box_around(shape, spacing, centre, reach):
    """Slices of the box within ``reach`` um, and its coordinates relative to the centre."""
    lo = np.maximum(np.floor((centre - reach) / spacing).astype(int), 0)
    hi = np.minimum(np.ceil((centre + reach) / spacing).astype(int) + 1, shape)
    hi = np.maximum(hi, lo)
    axes = [np.arange(a, b) * s - c for a, b, s, c in zip(lo, hi, spacing, centre, strict=True)]
    return tuple(slice(a, b) for a, b in zip(lo, hi, strict=True)), axes


def add_ball(image, spacing, centre, radii, bright):
    """Add an ellipsoid with a rim an eighth of its radius wide."""
    where, (z, y, x) = box_around(image.shape, spacing, centre, radii.max() * 1.6)
    r = np.sqrt(
        (z[:, None, None] / radii[0]) ** 2 + (y[:, None] / radii[1]) ** 2 + (x / radii[2]) ** 2
    )
    image[where] += bright / (1 + np.exp((r - 1) * 8))


def add_fibre(image, spacing, size, rng, *, radius_um, bright):
    """Draw a winding tube; its brightness replaces a weaker one, so crossings do not add up."""
    at = rng.uniform(0, 1, 3) * size
    way = rng.normal(0, 1, 3) * (0.4, 1, 1)
    way /= np.linalg.norm(way)
    step = max(radius_um, 2.0)
    for _ in range(int(rng.uniform(150, 700) / step)):
        where, (z, y, x) = box_around(image.shape, spacing, at, 2.5 * radius_um + spacing.max())
        spot = image[where]
        if spot.size:
            r2 = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2
            value = bright * np.exp(-0.5 * r2 / radius_um**2)
            np.copyto(spot, value, where=np.abs(value) > np.abs(spot))
        way += rng.normal(0, 0.06 * np.sqrt(step / 2), 3)
        way /= np.linalg.norm(way)
        at = at + way * step


def neuropil(shape, spacing, rng, amount):
    """Tissue of mean 1 with texture of soma size and larger."""
    out = np.ones(shape, dtype=np.float32)
    for width_um, share in ((6.0, 0.05), (25.0, 0.10), (120.0, 0.15)):
        coarse = [max(2, int(n * s / width_um) + 2) for n, s in zip(shape, spacing, strict=True)]
        noise = rng.normal(0, amount * share, coarse).astype(np.float32)
        out += _stretched(noise, shape)
    return np.clip(out, 0.2, None)


def illumination(tissue, shape, rng):
    """Slow illumination, and stripes along x as a light sheet casts them."""
    slow = _stretched(rng.normal(0, tissue.shading_sd_ln, (2, 4, 4)), shape)
    stripes = ndimage.gaussian_filter(rng.normal(0, 1, (shape[0], shape[1], 1)), (0, 1.5, 0))
    if tissue.flicker:
        slow = slow + rng.normal(0, tissue.flicker, (shape[0], 1, 1))
    return (np.exp(slow) * np.clip(1 + tissue.stripes * stripes, 0.2, None)).astype(np.float32)


def _stretched(coarse, shape):
    zoom = [n / c for n, c in zip(shape, coarse.shape, strict=True)]
    fine = ndimage.zoom(coarse, zoom, order=1, grid_mode=True, mode="nearest")
    return fine[: shape[0], : shape[1], : shape[2]]


def expose(tissue, image, rng):
    """Photons, camera offset and read noise."""
    grey = tissue.grey_per_photon
    photons = rng.poisson(np.clip(image, 0, None) / grey) * grey
    photons += rng.normal(100.0, tissue.read_noise, image.shape)
    return np.clip(np.rint(photons), 0, 65535).astype(np.uint16)
