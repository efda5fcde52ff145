"""Bring any volume to one coarse, isotropic image, and make intensities comparable."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from ketamap.core.errors import ImageError
from ketamap.core.progress import Progress, silent
from ketamap.core.space import VoxelGrid, Zyx
from ketamap.core.volume import Volume

BLOCK_VOXELS = 16_000_000
"""Voxels read at a time: bounds the memory of `coarse_image` to about 250 MB."""

CLIP_PERCENTILE = 99.5
"""Brighter tissue is clipped here, so that vessels and labels do not steer the fit."""

_HISTOGRAM_BINS = 256
"""Bins of the histogram in which `otsu_threshold` looks."""


def coarse_image(
    volume: Volume, resolution_um: float, *, progress: Progress = silent
) -> tuple[NDArray[np.float32], VoxelGrid]:
    """Average a volume to isotropic voxels, reading it block by block.

    Blocks of whole voxels are averaged first, then an anti-aliased linear resampling
    brings the result to exactly ``resolution_um``.  Axes that are coarser than that are
    interpolated.  Positions are kept: a feature has the same um position before and after.

    Parameters
    ----------
    volume
        Any size and spacing; memory does not grow with it.
    resolution_um
        Wanted voxel size, um.

    Returns
    -------
    image
        Mean intensity, axes of ``volume``.
    grid
        Covers the same box as ``volume.grid`` (to within half a voxel on each side).

    Raises
    ------
    ImageError
        If the volume holds NaN or infinity.
    """
    factors = _bin_factors(volume.grid.spacing_um, resolution_um)
    image = _block_means(volume, factors, progress)
    if not np.all(np.isfinite(image)):
        msg = (
            f"{volume.name} holds NaN or infinite values. Replace them with the background "
            f"intensity before registration."
        )
        raise ImageError(msg)
    target = isotropic_grid(volume.grid, resolution_um)
    return resample_to(image, volume.grid.binned(factors), target), target


def isotropic_grid(source: VoxelGrid, resolution_um: float) -> VoxelGrid:
    """Return the grid of cubic voxels that fills the box of ``source``, same centre."""
    counts = [
        max(1, round(n * um / resolution_um))
        for n, um in zip(source.shape, source.spacing_um, strict=True)
    ]
    start = [
        float(centre) - 0.5 * (n - 1) * resolution_um
        for centre, n in zip(source.centre_um, counts, strict=True)
    ]
    return VoxelGrid(
        shape=(counts[0], counts[1], counts[2]),
        spacing_um=(resolution_um,) * 3,
        origin_um=(start[0], start[1], start[2]),
    )


def resample_to(
    image: NDArray[np.float32], source: VoxelGrid, target: VoxelGrid
) -> NDArray[np.float32]:
    """Resample on a grid with parallel axes: anti-aliased, then linear; edges repeat.

    The Gaussian has a variance of a quarter of the difference of the squared spacings,
    which leaves a box of the finer voxel about as blurred as one of the coarser.

    Parameters
    ----------
    image
        Shape ``source.shape``.
    """
    if source == target:
        return image
    ratio = np.asarray(target.spacing_um) / np.asarray(source.spacing_um)
    sigma = 0.5 * np.sqrt(np.clip(ratio**2 - 1.0, 0.0, None))
    smooth = ndimage.gaussian_filter(image, sigma, mode="nearest")
    offset = source.to_index(target.origin_um)
    out = ndimage.affine_transform(
        smooth, ratio, offset=offset, output_shape=target.shape, order=1, mode="nearest"
    )
    return np.asarray(out, dtype=np.float32)


def enhance(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Make images of different stains comparable: background off, clipped, square root.

    The background is the median of what lies below Otsu's threshold; tissue is clipped
    at its `CLIP_PERCENTILE`; the root evens out the bright and the dark structures.

    Returns
    -------
    ndarray of float32
        Shape of ``image``, from 0 to 1.

    Raises
    ------
    ImageError
        If the image is constant.
    """
    lifted = np.sqrt(image - image.min())
    if not lifted.max() > 0.0:
        msg = "The image is empty: every voxel has the same value. Choose another channel."
        raise ImageError(msg)
    tissue = lifted > otsu_threshold(lifted)
    background = float(np.median(image[~tissue]))
    clean = np.clip(image - background, 0.0, None)
    top = float(np.percentile(clean[tissue], CLIP_PERCENTILE))
    return np.asarray(np.sqrt(np.minimum(clean / top, 1.0)), dtype=np.float32)


def otsu_threshold(image: NDArray[np.float32]) -> float:
    """Threshold that parts an image into two classes of least variance.

    Values above it are tissue.  Ties go to the lowest threshold.

    References
    ----------
    Otsu 1979, IEEE Transactions on Systems, Man and Cybernetics 9:62, equation 18.
    """
    counts, edges = np.histogram(image, _HISTOGRAM_BINS)
    share = counts / counts.sum()
    centres = 0.5 * (edges[1:] + edges[:-1])
    below = np.cumsum(share)
    moment = np.cumsum(share * centres)
    spread = below * (1.0 - below)
    between = (moment[-1] * below - moment) ** 2 / np.where(spread > 0.0, spread, np.inf)
    return float(edges[1 + int(np.argmax(between[:-1]))])


def _bin_factors(spacing_um: Zyx[float], resolution_um: float) -> Zyx[int]:
    # the small excess lets 33.333 um voxels be averaged by three for 100 um
    a, b, c = (max(1, int(resolution_um / um * (1.0 + 1e-6))) for um in spacing_um)
    return (a, b, c)


def _block_means(volume: Volume, factors: Zyx[int], progress: Progress) -> NDArray[np.float32]:
    """Mean of each block of ``factors`` voxels; blocks at the end may be incomplete."""
    shape = volume.grid.shape
    sums = np.zeros(volume.grid.binned(factors).shape, dtype=np.float64)
    reads = _reads(shape, _read_shape(volume, factors))
    for done, (start, stop) in enumerate(reads, start=1):
        block = volume.read(start, stop)
        where = []
        for axis, (a, b, f) in enumerate(zip(start, stop, factors, strict=True)):
            first, last = a // f, -(-b // f)
            cuts = np.maximum(np.arange(first, last) * f, a) - a
            if f > 1:
                block = np.add.reduceat(block, cuts, axis=axis, dtype=np.float64)
            where.append(slice(first, last))
        sums[tuple(where)] += block
        progress(done, len(reads))
    for axis, (n, f) in enumerate(zip(shape, factors, strict=True)):
        inside = np.minimum(np.arange(f, f * sums.shape[axis] + 1, f), n) % f
        sums /= np.expand_dims(np.where(inside == 0, f, inside), [k for k in range(3) if k != axis])
    return sums.astype(np.float32)


def _read_shape(volume: Volume, factors: Zyx[int]) -> Zyx[int]:
    """Shape of one read: whole storage units, at most about `BLOCK_VOXELS`.

    Storage that is not cut into blocks is taken to be cut into planes.
    """
    shape = volume.grid.shape
    unit = volume.block_shape or (1, shape[1], shape[2])
    size = [min(u, n) for u, n in zip(unit, shape, strict=True)]
    for axis in (2, 1, 0):
        room = BLOCK_VOXELS // (prod(size) // size[axis])
        whole = max(1, room // size[axis]) * size[axis]
        size[axis] = min(whole, shape[axis])
    if prod(size) > BLOCK_VOXELS:  # one storage unit alone is too much: cut it
        size[0] = max(1, size[0] * BLOCK_VOXELS // prod(size))
    return (size[0], size[1], size[2])


def _reads(shape: Zyx[int], step: Zyx[int]) -> list[tuple[Zyx[int], Zyx[int]]]:
    return [
        (
            (z, y, x),
            (min(z + step[0], shape[0]), min(y + step[1], shape[1]), min(x + step[2], shape[2])),
        )
        for z in range(0, shape[0], step[0])
        for y in range(0, shape[1], step[1])
        for x in range(0, shape[2], step[2])
    ]


def as_array(image: ArrayLike) -> NDArray[np.float32]:
    """Return a contiguous float32 copy or view, as the engine needs it."""
    return np.ascontiguousarray(image, dtype=np.float32)
