"""Outlines of labelled areas as SVG paths: smooth, simplified, without gaps."""

from __future__ import annotations

import numpy as np
from contourpy import LineType, contour_generator
from numpy.typing import NDArray
from scipy import ndimage

SMOOTHING_VOXELS = 0.65
"""Standard deviation of the smoothing of each area, in voxels of the slice: it takes the
staircase off outlines; areas one voxel wide may lose a little to their neighbours."""

PAD = 4
"""Voxels around an area within which its smoothed mask is not zero."""


def smooth_labels(labels: NDArray[np.int64], enlarge: int) -> NDArray[np.int64]:
    """Enlarge a label image with smooth borders.

    Every label is blurred on its own and each fine pixel goes to the greatest, so areas
    still cover the plane without gaps or overlaps.

    Parameters
    ----------
    labels
        Shape ``(rows, columns)``.
    enlarge
        Fine pixels per voxel along each axis.

    Returns
    -------
    numpy.ndarray
        Shape ``(rows * enlarge, columns * enlarge)``; the smaller label wins ties.
    """
    shape = tuple(n * enlarge for n in labels.shape)
    best = np.zeros(shape, dtype=np.float32)
    out = np.zeros(shape, dtype=np.int64)
    for label in np.unique(labels):
        rows, columns = _box(labels == label)
        mask = (labels[rows, columns] == label).astype(np.float32)
        blurred = ndimage.gaussian_filter(mask, SMOOTHING_VOXELS, mode="nearest")
        fine = ndimage.zoom(blurred, enlarge, order=1, grid_mode=True, mode="nearest")
        where = (_scaled(rows, enlarge), _scaled(columns, enlarge))
        wins = fine > best[where]
        best[where][wins] = fine[wins]
        out[where][wins] = label
    return out


def outlines(mask: NDArray[np.bool_], tolerance: float) -> list[NDArray[np.float64]]:
    """Draw the closed outlines of a mask.

    Parameters
    ----------
    mask
        Shape ``(rows, columns)``.
    tolerance
        How far the simplified line may lie from the full one, pixels.

    Returns
    -------
    list of numpy.ndarray
        Each ``(n, 2)``, (column, row) in pixels, pixel i spans [i, i + 1); holes are
        outlines too (fill with the even-odd rule).
    """
    if not mask.any():
        return []
    rows, columns = _box(mask)
    padded = np.pad(mask[rows, columns], 1).astype(np.float64)
    lines = contour_generator(z=padded, line_type=LineType.Separate).lines(0.5)
    corner = np.array([columns.start, rows.start]) - 0.5
    simple = (simplified(np.asarray(line) + corner, tolerance) for line in lines)
    return [line for line in simple if len(line) >= 3]


def simplified(closed: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Drop points of a closed line that lie within ``tolerance`` of the rest.

    Parameters
    ----------
    closed
        Shape ``(n, 2)``, first point repeated at the end.
    tolerance
        In the units of the points.

    Returns
    -------
    numpy.ndarray
        Shape ``(m, 2)``, not repeated at the end.

    References
    ----------
    Douglas and Peucker 1973, Cartographica 10:112, applied to the two halves between the
    first point and the one farthest from it.
    """
    points = closed[:-1]
    if len(points) < 4:
        return points
    far = int(np.argmax(np.sum((points - points[0]) ** 2, axis=1)))
    keep = np.zeros(len(closed), dtype=np.bool_)
    keep[[0, far]] = True
    spans = [(0, far), (far, len(closed) - 1)]
    while spans:
        start, stop = spans.pop()
        if stop - start < 2:
            continue
        distance = _distance(closed[start + 1 : stop], closed[start], closed[stop])
        worst = int(np.argmax(distance))
        if distance[worst] > tolerance:
            middle = start + 1 + worst
            keep[middle] = True
            spans += [(start, middle), (middle, stop)]
    return closed[:-1][keep[:-1]]


def path_text(lines: list[NDArray[np.float64]], scale: tuple[float, float]) -> str:
    """Write outlines as the ``d`` of an SVG path, whole numbers after scaling.

    Consecutive points are written as steps, which is shorter than places.

    Parameters
    ----------
    lines
        Each ``(n, 2)``, (column, row).
    scale
        Units of the drawing per unit of the points, (column, row).
    """
    parts = []
    for line in lines:
        whole = np.rint(line * np.asarray(scale)).astype(int)
        steps = np.diff(whole, axis=0)
        steps = steps[np.any(steps != 0, axis=1)]
        moves = "".join(f" {a} {b}" for a, b in steps.tolist())
        parts.append(f"M{whole[0, 0]} {whole[0, 1]}l{moves.strip()}z" if len(steps) else "")
    return "".join(parts)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    def span(axis: int) -> slice:
        filled = np.asarray(mask.any(axis=axis))
        at = np.flatnonzero(filled)
        return slice(max(int(at[0]) - PAD, 0), min(int(at[-1]) + PAD + 1, len(filled)))

    return span(1), span(0)


def _scaled(span: slice, factor: int) -> slice:
    return slice(span.start * factor, span.stop * factor)


def _distance(
    points: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance of points from the straight line through a and b (from a, if they coincide)."""
    along = b - a
    length = float(np.hypot(*along))
    offset = points - a
    if length == 0.0:
        return np.asarray(np.hypot(offset[:, 0], offset[:, 1]))
    return np.asarray(np.abs(offset[:, 0] * along[1] - offset[:, 1] * along[0]) / length)
