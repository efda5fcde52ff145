"""Images with planted fibres of known length, for the tests of this room."""

import numpy as np
from scipy import ndimage

from ketamap.core.space import VoxelGrid
from ketamap.core.volume import Volume
from ketamap.trace.board import Board
from ketamap.trace.lengths import measure_links
from ketamap.trace.thinning import thin


def volume_of(image, spacing_um=(2.0, 2.0, 2.0), **more):
    grid = VoxelGrid(shape=image.shape, spacing_um=spacing_um)
    return Volume(data=image, grid=grid, name="test image", **more)


def straight(start, stop, step_um=0.25):
    """Points along a straight fibre, um, and its length."""
    start, stop = np.asarray(start, float), np.asarray(stop, float)
    length = float(np.linalg.norm(stop - start))
    n = max(2, int(length / step_um))
    return start + np.linspace(0.0, 1.0, n)[:, None] * (stop - start)


def random_walks(size_um, total_um, rng, *, length_um=150.0, bend_per_um=0.01, step_um=0.5):
    """Winding fibres of a known length together; those that leave the volume are cut there.

    Returns a list of ``(n, 3)`` points in um and the length inside, um.
    """
    size = np.asarray(size_um, float)
    curves, done = [], 0.0
    while done < total_um:
        way = rng.normal(size=3)
        way /= np.linalg.norm(way)
        at = rng.uniform(size=3) * size
        points = [at]
        for _ in range(int(length_um / step_um)):
            way = way + rng.normal(size=3) * np.sqrt(bend_per_um * step_um)
            way /= np.linalg.norm(way)
            at = at + way * step_um
            if np.any(at < 0) or np.any(at > size):
                break
            points.append(at)
        curves.append(np.array(points))
        done += step_um * (len(points) - 1)
    return curves, done


def draw(
    curves,
    shape,
    spacing_um,
    *,
    sigma_um=1.8,
    background=300.0,
    height=300.0,
    noise=30.0,
    beads=0.0,
    seed=0,
):
    """Image of fibres of a Gaussian cross-section whose single-fibre peak is ``height``.

    Drawn on a grid three times finer per coarse axis, blurred, averaged to voxels.
    """
    rng = np.random.default_rng(seed)
    fine = np.maximum(1, np.rint(np.asarray(spacing_um) / 1.0)).astype(int)
    step = np.asarray(spacing_um) / fine
    big = np.zeros(np.asarray(shape) * fine, dtype=np.float32)
    for points in curves:
        bright = np.exp(beads * np.sin(2 * np.pi * (np.arange(len(points)) / 12.0 + rng.uniform())))
        index = (points + 0.5 * np.asarray(spacing_um)) / step - 0.5
        base = np.floor(index).astype(int)
        part = index - base
        run = np.linalg.norm(np.diff(points, axis=0), axis=1)
        weight = np.append(run, run[-1:]) * bright if len(points) > 1 else bright
        for corner in np.ndindex(2, 2, 2):
            w = np.prod(np.where(corner, part, 1.0 - part), axis=1) * weight
            at = base + corner
            ok = np.all((at >= 0) & (at < big.shape), axis=1)
            np.add.at(big, tuple(at[ok].T), w[ok])
    big = ndimage.gaussian_filter(big, sigma_um / step) / np.prod(step)
    peak = 1.0 / (2.0 * np.pi * sigma_um**2)  # of a line of unit weight per um
    z, y, x = fine
    image = big.reshape(shape[0], z, shape[1], y, shape[2], x).mean(axis=(1, 3, 5))
    clean = background + height / peak * image
    return (clean + rng.normal(0.0, noise, shape) * np.sqrt(clean / background)).astype(np.float32)


def thin_mask(mask, origin=(0, 0, 0), spacing_um=(1.0, 1.0, 1.0), **more):
    """Thin an image; `thin` takes lists of voxels."""
    board = Board(mask.shape)
    skeleton = np.zeros(mask.shape, bool)
    skeleton[mask] = thin(board.places(mask), board, origin, spacing_um, **more)
    return skeleton


def links_of(skeleton, weight, spacing_um=(1.0, 1.0, 1.0)):
    """Measure the links of a skeleton given as an image."""
    board = Board(skeleton.shape)
    return measure_links(board.places(skeleton > 0), board, weight, spacing_um)
