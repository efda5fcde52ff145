"""Detection: accuracy on made-up tissue with known cells, and speed.

Run ``python benchmarks/detection.py``; ``--help`` lists the options. The tissue has a half
with scattered somata and a half with clusters of touching ones, neuropil, axons, vessels,
shading, stripes, Poisson and camera noise. Everything follows from the seed.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ketamap.core.settings import DetectionSettings
from ketamap.core.space import VoxelGrid
from ketamap.core.volume import Volume
from ketamap.detect import find_cells

BRIGHTNESS = 250.0
"""Mean intensity of tissue without cells, grey values."""


@dataclass(frozen=True, kw_only=True)
class Tissue:
    """What to make."""

    size_um: tuple[float, float, float] = (200.0, 2000.0, 2000.0)
    spacing_um: tuple[float, float, float] = (5.0, 2.0, 2.0)
    psf_um: tuple[float, float, float] = (4.0, 1.2, 1.2)
    diameter_um: tuple[float, float] = (10.0, 20.0)
    sparse_per_mm3: float = 900.0
    clusters_per_mm3: float = 220.0
    cells_per_cluster: tuple[int, int] = (4, 16)
    contrast: float = 1.0
    contrast_sd_ln: float = 0.4


def make_tissue(tissue, seed):
    """Return the image (uint16), the cells' positions in um and which lie in clusters."""
    rng = np.random.default_rng(seed)
    shape = tuple(round(s / v) for s, v in zip(tissue.size_um, tissue.spacing_um, strict=True))
    spacing = np.asarray(tissue.spacing_um)
    size = (np.asarray(shape) - 1) * spacing
    cells = np.zeros(shape, dtype=np.float32)
    at, diameters, clustered = plant_cells(tissue, size, rng)
    for centre, diameter in zip(at, diameters, strict=True):
        axes = 0.5 * diameter * np.exp(rng.normal(0.0, 0.1, 3))
        bright = tissue.contrast * np.exp(rng.normal(0.0, tissue.contrast_sd_ln))
        add_ball(cells, spacing, centre, axes, bright)
    for _ in range(int(150 * size.prod() / 8e8)):
        add_fibre(
            cells, spacing, size, rng, radius_um=rng.uniform(0.8, 2.0), bright=rng.uniform(0.3, 1.2)
        )
    base = neuropil(shape, spacing, rng)
    vessels = np.zeros(shape, dtype=np.float32)
    for _ in range(int(60 * size.prod() / 8e8)):
        add_fibre(
            vessels, spacing, size, rng, radius_um=rng.uniform(4, 9), bright=rng.choice([-0.4, 0.5])
        )
    base += vessels
    base += cells
    image = ndimage.gaussian_filter(base, np.asarray(tissue.psf_um) / spacing, truncate=3.0)
    image *= BRIGHTNESS * shading(shape, rng)
    return expose(image, rng), at, clustered


def plant_cells(tissue, size, rng):
    """Return positions (n, 3) um, diameters and whether each lies in a cluster."""
    half_mm3 = size.prod() / 2e9
    low, high = tissue.diameter_um
    places, widths, flags = [], [], []

    def place(centre, least):
        diameter = rng.uniform(low, high)
        if np.any(centre < 0) or np.any(centre > size):
            return False
        for other, width in zip(places, widths, strict=True):
            if np.sum((other - centre) ** 2) < (least * 0.5 * (diameter + width)) ** 2:
                return False
        places.append(centre)
        widths.append(diameter)
        return True

    middle = size[2] / 2
    for _ in range(int(tissue.sparse_per_mm3 * half_mm3)):
        centre = rng.uniform(0, 1, 3) * (size[0], size[1], middle)
        if place(centre, 1.5):
            flags.append(False)
    for _ in range(int(tissue.clusters_per_mm3 * half_mm3)):
        hub = rng.uniform(0, 1, 3) * (size[0], size[1], middle) + (0, 0, middle)
        wanted, spread = rng.integers(*tissue.cells_per_cluster), rng.uniform(14, 30)
        for _ in range(wanted):
            centre = hub + rng.normal(0, spread, 3)
            if centre[2] > middle and place(centre, 1.0):
                flags.append(True)
    return np.array(places), np.array(widths), np.array(flags)


def box_around(shape, spacing, centre, reach):
    """Slices of the box within ``reach`` um, and its coordinates relative to the centre."""
    lo = np.maximum(np.floor((centre - reach) / spacing).astype(int), 0)
    hi = np.minimum(np.ceil((centre + reach) / spacing).astype(int) + 1, shape)
    hi = np.maximum(hi, lo)
    axes = [np.arange(a, b) * s - c for a, b, s, c in zip(lo, hi, spacing, centre, strict=True)]
    return tuple(slice(a, b) for a, b in zip(lo, hi, strict=True)), axes


def add_ball(image, spacing, centre, radii, bright):
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


def neuropil(shape, spacing, rng):
    """Tissue of mean 1 with texture of soma size and larger."""
    out = np.ones(shape, dtype=np.float32)
    for width_um, share in ((6.0, 0.05), (25.0, 0.10), (120.0, 0.15)):
        coarse = [max(2, int(n * s / width_um) + 2) for n, s in zip(shape, spacing, strict=True)]
        noise = rng.normal(0, share, coarse).astype(np.float32)
        zoom = [n / c for n, c in zip(shape, coarse, strict=True)]
        out += ndimage.zoom(noise, zoom, order=1, grid_mode=True, mode="nearest")[
            : shape[0], : shape[1], : shape[2]
        ]
    return np.clip(out, 0.2, None)


def shading(shape, rng):
    """Slow illumination, and stripes along x as a light sheet casts them."""
    coarse = rng.normal(0, 0.2, (2, 4, 4))
    zoom = [n / c for n, c in zip(shape, coarse.shape, strict=True)]
    slow = ndimage.zoom(coarse, zoom, order=1, grid_mode=True, mode="nearest")
    stripes = ndimage.gaussian_filter(rng.normal(0, 1, (shape[0], shape[1], 1)), (0, 1.5, 0))
    return (np.exp(slow) * (1 + 0.05 * stripes)).astype(np.float32)


def expose(image, rng):
    """Photons (4 grey values each), camera offset and read noise."""
    photons = rng.poisson(np.clip(image, 0, None) / 4.0) * 4.0
    photons += rng.normal(100.0, 8.0, image.shape)
    return np.clip(np.rint(photons), 0, 65535).astype(np.uint16)


def match(found, truth, within_um):
    """Pair found and true positions one to one: the most pairs, then the shortest.

    Returns
    -------
    found_index, truth_index
        Rows of the pairs. Pairs farther apart than ``within_um`` do not exist, so the
        assignment falls apart into small independent groups that are solved exactly.
    """
    if not len(found) or not len(truth):
        return np.empty(0, int), np.empty(0, int)
    near = cKDTree(found).sparse_distance_matrix(
        cKDTree(truth), within_um, output_type="coo_matrix"
    )
    n, m = len(found), len(truth)
    links = coo_matrix((np.ones(near.nnz), (near.row, near.col + n)), shape=(n + m, n + m))
    _, group = connected_components(links, directed=False)
    pairs_f, pairs_t = [], []
    order = np.argsort(group[near.row], kind="stable")
    row, col, um = near.row[order], near.col[order], near.data[order]
    starts = np.flatnonzero(np.diff(group[row], prepend=-1))
    for a, b in zip(starts, [*starts[1:], len(row)], strict=True):
        fs, fi = np.unique(row[a:b], return_inverse=True)
        ts, ti = np.unique(col[a:b], return_inverse=True)
        cost = np.full((len(fs), len(ts)), 1e6)
        cost[fi, ti] = um[a:b]
        i, j = linear_sum_assignment(cost)
        real = cost[i, j] < 1e6
        pairs_f.append(fs[i[real]])
        pairs_t.append(ts[j[real]])
    if not pairs_f:
        return np.empty(0, int), np.empty(0, int)
    return np.concatenate(pairs_f), np.concatenate(pairs_t)


def accuracy(found, truth, within_um):
    """Recall, precision, F1, and found over planted."""
    pairs = len(match(found, truth, within_um)[0])
    recall, precision = pairs / max(len(truth), 1), pairs / max(len(found), 1)
    f1 = 2 * pairs / max(len(truth) + len(found), 1)
    return recall, precision, f1, len(found) / max(len(truth), 1)


def volume_of(image, spacing_um):
    return Volume(data=image, grid=VoxelGrid(shape=image.shape, spacing_um=spacing_um))


def report_accuracy(tissue, seeds, diameter_um):
    rows = []
    for seed in seeds:
        image, truth, clustered = make_tissue(tissue, seed)
        table = find_cells(
            volume_of(image, tissue.spacing_um), DetectionSettings(soma_diameter_um=diameter_um)
        )
        found = table[["z_um", "y_um", "x_um"]].to_numpy()
        middle = (image.shape[2] - 1) * tissue.spacing_um[2] / 2
        right = found[:, 2] > middle
        within = max(10.0, diameter_um / 2)
        row = [
            accuracy(found[~right], truth[~clustered], within),
            accuracy(found[right], truth[clustered], within),
        ]
        rows.append(row)
        for name, (r, p, f1, ratio) in zip(("sparse", "clustered"), row, strict=True):
            print(
                f"seed {seed} {name:9s} recall {r:.3f} precision {p:.3f} F1 {f1:.3f} count {ratio:.3f}"
            )
    mean = np.mean(rows, axis=0)
    for name, (r, p, f1, ratio) in zip(("sparse", "clustered"), mean, strict=True):
        print(f"mean   {name:9s} recall {r:.3f} precision {p:.3f} F1 {f1:.3f} count {ratio:.3f}")


def report_speed(tissue):
    """CPU seconds of find_cells and of one scipy Gaussian on the same volume, best of three."""
    image, _, _ = make_tissue(tissue, 0)
    volume = volume_of(image, tissue.spacing_um)
    find_cells(volume, DetectionSettings())
    ours, scipys = [], []
    for _ in range(3):
        start = time.process_time()
        find_cells(volume, DetectionSettings())
        ours.append(time.process_time() - start)
        start = time.process_time()
        ndimage.gaussian_filter(image, sigma=2.5, output=np.float32)
        scipys.append(time.process_time() - start)
    mvox = image.size / 1e6
    print(
        f"find_cells {mvox / min(ours):.1f} Mvoxel per CPU-s, scipy Gaussian {mvox / min(scipys):.1f}, "
        f"ratio of times {min(ours) / min(scipys):.2f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="number of made-up volumes")
    parser.add_argument("--small", action="store_true", help="a quarter of the area")
    parser.add_argument("--voxel-um", default="5,2,2", help="z,y,x")
    parser.add_argument("--speed", action="store_true", help="measure speed only")
    options = parser.parse_args()
    z, y, x = (float(v) for v in options.voxel_um.split(","))
    edge = 1000.0 if options.small else 2000.0
    tissue = Tissue(size_um=(200.0, edge, edge), spacing_um=(z, y, x))
    if options.speed:
        report_speed(tissue)
    else:
        report_accuracy(tissue, range(options.seeds), 15.0)


if __name__ == "__main__":
    main()
