"""A look at a volume before it is traced: how dark, how bright, how noisy.

A fixed lattice of boxes is read, the same for every cut of the volume into blocks. From
them follow the zero and the offset of the logarithm and the noise of the ridge response at
every brightness; both follow any scaling and shift of the intensities, so that a fibre's
score means the same in every brain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ketamap.core.errors import ImageError
from ketamap.core.space import Zyx
from ketamap.core.volume import Volume
from ketamap.trace.filters import F32, log_contrast, ridge_response
from ketamap.trace.scale import RidgePlan, triple

BOX = 48
"""Edge of a survey box, voxels."""

TILE = 16
"""Edge of the tiles in which noise is measured, voxels."""

BOXES_AT_LEAST, BOXES_AT_MOST = 27, 216
"""Boxes that are read, as far as the volume holds so many."""

SHARE = 0.03
"""Part of a larger volume that is read."""

ALL_SAMPLED = 2**20
"""In so many voxels every score is sampled, in more every eighth: rare fibres in a small volume
are few voxels."""

OFFSET_PER_NOISE = 16.0
"""Offset of the logarithm in standard deviations of the pixel noise: the dark of the labelled
brains then gets the brightness that their camera offset gives it (15 to 17 deviations)."""

OFFSET_PER_RANGE = 0.02
"""Least offset, as a share of the range of intensities: images without noise."""

DARK_QUANTILE, BRIGHT_QUANTILE = 0.001, 0.999
"""Ends of the range of intensities."""

LOWER_QUANTILE = 0.158655
"""Normal distribution function at -1: median minus this quantile is one standard deviation."""

CALM_QUANTILE = 0.25
"""The noise at a brightness is that of the calmer tiles: fibres only ever add to it."""

LEAST_NOISE = 0.002
"""Ripples of the log contrast below this are never told from noise."""

FEWEST_TILES = 8
"""Tiles per level of brightness that a noise can be read from."""

DECOY_SCORE = 4.0
"""Responses above this many standard deviations may be fibres."""

DECOY_REACH = 4.0
"""Decoys are taken no nearer to those than this many filter widths along each axis."""

EMPTY_PER_CONTRAST = 4e-6
"""Responses below this fraction of the contrast are float32 rounding, not image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrainLevels:
    """What the response of one volume is measured against."""

    dark: float
    """Intensity of the darkest voxels."""

    offset: float
    """Intensity added before the logarithm."""

    texture: float
    """Variance of the response that does not depend on brightness."""

    photons: float
    """Variance of the response at log contrast `middle`; falls with the intensity."""

    middle: float
    """Median log contrast of the tiles."""

    range: tuple[float, float]
    """Log contrasts of the darkest and brightest tile; outside, the nearer end counts."""

    def noise_at(self, contrast: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the standard deviation of the response at a local log contrast, any shape.

        Photon noise has a variance in proportion to the intensity; divided by the squared
        intensity, as the logarithm does, it falls as one over it.
        """
        level = np.clip(np.asarray(contrast, dtype=np.float64), *self.range)
        return np.asarray(np.sqrt(self.texture + self.photons * np.exp(self.middle - level)))


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Survey:
    """What the boxes show."""

    levels: BrainLevels
    """What responses are measured against."""

    scores: NDArray[np.float64]
    """Responses over noise of an even sample of the voxels that are not empty, sorted."""

    decoys: NDArray[np.float64]
    """The same of the inverted image, away from fibres, sorted: what background alone does."""

    clear: float
    """Share of the voxels that are far enough from any fibre to be decoys."""

    constant: float
    """Share of the voxels that repeat the least intensity in runs: padding, not image."""


def survey(volume: Volume, plan: RidgePlan) -> Survey:
    """Measure the levels of a volume on a fixed lattice of boxes.

    Raises
    ------
    ImageError
        If a voxel is NaN or infinite.
    """
    boxes = [(start, volume.read(*_margins(start, stop, plan))) for start, stop in _lattice(plan)]
    for start, box in boxes:
        if box.dtype.kind == "f" and not np.isfinite(box.sum(dtype=np.float64)):
            msg = (
                f"{volume.name}, near voxel {start} (z, y, x), contains NaN or infinite voxels. "
                f"Replace them (0 where there is no tissue)."
            )
            raise ImageError(msg)
    dark, offset = _zero_and_offset([box for _, box in boxes])
    tiles: list[tuple[float, float]] = []
    for start, box in boxes:
        contrast = log_contrast(box, dark, offset)
        response = ridge_response(contrast, plan)
        tiles.extend(_measure_tiles(contrast, response, _core(start, box, plan)))
    measured = np.array(tiles, dtype=np.float64).reshape(-1, 2)
    texture, photons, middle, ends = _fit_noise(measured[:, 0], measured[:, 1])
    levels = BrainLevels(
        dark=dark, offset=offset, texture=texture, photons=photons, middle=middle, range=ends
    )
    every = 1 if sum(box.size for _, box in boxes) <= ALL_SAMPLED else 2
    pairs = [_sample(box, plan, levels, _core(start, box, plan), every) for start, box in boxes]
    scores = np.sort(np.concatenate([p[0] for p in pairs]))
    decoys = np.sort(np.concatenate([p[1] for p in pairs]))
    return Survey(
        levels=levels,
        scores=scores,
        decoys=decoys,
        clear=len(decoys) / max(len(scores), 1),
        constant=constant_share([box for _, box in boxes]),
    )


def constant_share(boxes: list[NDArray[np.generic]]) -> float:
    """Share of the voxels that have the least intensity of all, as have their 26 neighbours.

    Noise does not do that; the zeros beside stitched tiles, or a background that was subtracted
    and cut off, do.
    """
    least = min(box.min() for box in boxes)
    cube = np.ones((3, 3, 3), dtype=np.bool_)
    alike = sum(
        int(ndimage.binary_erosion(box == least, cube, border_value=1).sum()) for box in boxes
    )
    return alike / sum(box.size for box in boxes)


def _sample(
    box: NDArray[np.generic],
    plan: RidgePlan,
    levels: BrainLevels,
    core: tuple[slice, ...],
    every: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of a box, one of ``every`` along each axis, and decoys where no fibre is near.

    The same filters on the inverted image answer to dark lines. In background as many of
    those as bright ones arise by chance (noise and fine texture have no preferred sign), as
    decoys do in the search of mass spectra (Elias and Gygi 2007, Nat Methods 4:207). The
    flanks of bright fibres are dark lines as well, so their neighbourhood is left out.
    """
    contrast = log_contrast(box, levels.dark, levels.offset)
    response = ridge_response(contrast, plan)
    inverted = ridge_response(contrast, plan, dark_lines=True)
    filled = (response != 0.0) | (inverted != 0.0)
    noise = levels.noise_at(ndimage.uniform_filter(contrast, plan.cell, mode="nearest"))
    reach = [2 * max(1, round(DECOY_REACH * plan.sigma_um / um)) + 1 for um in plan.spacing_um]
    clear = ~ndimage.maximum_filter(response > DECOY_SCORE * noise, reach)
    score, decoy = (response / noise)[core], (inverted / noise)[core]
    filled, clear = filled[core], clear[core]
    taken = np.zeros(score.shape, dtype=bool)
    taken[::every, ::every, ::every] = True
    return score[taken & filled], decoy[taken & filled & clear]


def _lattice(plan: RidgePlan) -> Iterator[tuple[Zyx[int], Zyx[int]]]:
    """Boxes spread evenly over the volume, mirror-symmetric."""
    whole = np.ceil(np.asarray(plan.shape) / BOX)
    wanted = np.clip(np.prod(whole) * SHARE, BOXES_AT_LEAST, BOXES_AT_MOST)
    counts = whole
    while np.prod(counts) > wanted:
        counts = np.where(counts == counts.max(), np.maximum(counts - 1, 1), counts)
    edges = [min(BOX, n) for n in plan.shape]
    starts = [
        np.rint(np.linspace(0, n - e, int(c)) if c > 1 else [(n - e) / 2]).astype(int)
        for n, e, c in zip(plan.shape, edges, counts, strict=True)
    ]
    for spot in product(*starts):
        start = triple(int(v) for v in spot)
        yield start, triple(a + e for a, e in zip(start, edges, strict=True))


def _margins(start: Zyx[int], stop: Zyx[int], plan: RidgePlan) -> tuple[Zyx[int], Zyx[int]]:
    lower = triple(max(a - r, 0) for a, r in zip(start, plan.reach, strict=True))
    upper = triple(min(b + r, n) for b, r, n in zip(stop, plan.reach, plan.shape, strict=True))
    return lower, upper


def _core(start: Zyx[int], box: NDArray[np.generic], plan: RidgePlan) -> tuple[slice, ...]:
    """Part of a box as read that is far enough from its cut faces."""
    first = [min(a, r) for a, r in zip(start, plan.reach, strict=True)]
    return tuple(slice(f, f + min(BOX, n)) for f, n in zip(first, plan.shape, strict=True))


def _zero_and_offset(boxes: list[NDArray[np.generic]]) -> tuple[float, float]:
    """Darkest intensity, and the offset that belongs to the pixel noise."""
    values = np.concatenate([box[::2, ::3, ::3].reshape(-1) for box in boxes])
    dark, bright = (float(np.quantile(values, q)) for q in (DARK_QUANTILE, BRIGHT_QUANTILE))
    noise = [s for s in (_pixel_noise(box) for box in boxes) if s > 0.0]
    calm = float(np.quantile(noise, 0.5)) if noise else 0.0
    offset = max(OFFSET_PER_NOISE * calm, OFFSET_PER_RANGE * (bright - dark))
    return dark, offset if offset > 0.0 else 1.0


def _pixel_noise(box: NDArray[np.generic]) -> float:
    """Measure the noise in second differences, along the axis where it is least.

    For independent noise a second difference has six times its variance.
    """
    image = box.astype(np.float64)
    if image.min() == image.max():
        return 0.0
    found = []
    for axis, n in enumerate(image.shape):
        if n >= 3:
            size = np.abs(np.diff(image, n=2, axis=axis))
            found.append(float(np.median(size)) / (0.67449 * np.sqrt(6.0)))
    return min(found, default=0.0)


def _measure_tiles(
    contrast: F32, response: F32, core: tuple[slice, ...]
) -> Iterator[tuple[float, float]]:
    """Yield mean contrast and spread of the response of the tiles that are not empty."""
    u, r = contrast[core], response[core]
    edges = [range(0, max(n - TILE // 2, 1), TILE) for n in u.shape]
    for spot in product(*edges):
        where = tuple(slice(a, a + TILE) for a in spot)
        part = np.sort(r[where].reshape(-1))
        low, middle = part[round(LOWER_QUANTILE * (len(part) - 1))], part[len(part) // 2]
        level = float(u[where].mean(dtype=np.float64))
        if middle - low > EMPTY_PER_CONTRAST * max(abs(level), 1.0):
            yield level, float(middle - low)


def _fit_noise(
    level: NDArray[np.float64], noise: NDArray[np.float64]
) -> tuple[float, float, float, tuple[float, float]]:
    """Fit ``texture + photons * exp(middle - level)`` to the squared noise of calm tiles."""
    if not len(level):
        return LEAST_NOISE**2, 0.0, 0.0, (0.0, 0.0)
    order = np.argsort(level, kind="stable")
    parts = np.array_split(order, max(1, min(8, len(order) // FEWEST_TILES)))
    x = np.array([np.median(level[p]) for p in parts])
    y = np.array([np.quantile(noise[p], CALM_QUANTILE) ** 2 for p in parts])
    middle = float(np.median(level))
    texture, photons = _two_terms(np.exp(middle - x), y)
    return max(texture, LEAST_NOISE**2), photons, middle, (float(x[0]), float(x[-1]))


def _two_terms(falling: NDArray[np.float64], square: NDArray[np.float64]) -> tuple[float, float]:
    """Least squares on relative residuals, both terms not negative."""
    design = np.stack([1.0 / square, falling / square], axis=1)
    if len(square) > 1:
        best, *_ = np.linalg.lstsq(design, np.ones(len(square)), rcond=None)
        if np.all(best >= 0.0):
            return float(best[0]), float(best[1])
    errors = []
    for column in design.T:
        size = float(np.sum(column) / np.sum(column * column))
        errors.append((float(np.sum((size * column - 1.0) ** 2)), size))
    return (errors[0][1], 0.0) if errors[0][0] <= errors[1][0] else (0.0, errors[1][1])
