"""Coronal maps of an atlas, rolled to the analysed regions and coloured by effect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketamap.core.atlas import Atlas
from ketamap.core.units import UM_PER_MM
from ketamap.report.comparisons import Comparison, records
from ketamap.report.contours import outlines, path_text, smooth_labels
from ketamap.report.palette import NO_CALL_FILL, NOT_ANALYSED_FILL, effect_fill
from ketamap.report.words import equation, estimate, fold

SLICES = 8
"""Coronal slices drawn, one in each stretch of the brain."""

MORE_SLICES = 4
"""Slices added at most, to show called regions that the others miss."""

NOT_ANALYSED = 0
"""Label of places in the brain that belong to no analysed region."""

BEYOND = -1
"""Label of places outside the brain."""

COARSE_UM = 100.0
"""Sampling at which slices are chosen, um."""

FINE_UM = 25.0
"""Sampling of the outlines, um, reached by enlarging coarser atlases smoothly."""

TOLERANCE_PIXELS = 0.45
"""How far a simplified outline may stray, in pixels of `FINE_UM`."""

UM_PER_UNIT = 10.0
"""Micrometres per unit of the drawings."""

LEAST_VOXELS = 4
"""Coarse voxels of a region that make it visible on a slice."""

HATCHED = "url(#hatch)"
"""Fill of regions that could not be tested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One region on one slice."""

    region_id: int
    path_id: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One coronal slice, ready to be filled."""

    ap_mm: float
    """Distance of its plane from the front of the atlas, mm."""

    outline: Shape
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrainDrawing:
    """All slices, on one scale."""

    slices: tuple[Slice, ...]

    view_box: tuple[int, int, int, int]
    """Left, top, width, height in units of `UM_PER_UNIT`."""

    hidden: tuple[int, ...]
    """Called regions that lie on none of the slices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A shape with its colour and hover text in one comparison."""

    path_id: str
    region_id: int
    fill: str
    title: str


def draw_brain(
    atlas: Atlas, region_ids: Sequence[int], called: Iterable[int]
) -> BrainDrawing | None:
    """Draw coronal slices of the regions, choosing those that show most called ones.

    Parameters
    ----------
    atlas
        Orientation "asr": axis 0 runs from the front to the back, axis 2 from right to left.
    region_ids
        Analysed regions; every place belongs to the nearest of them at or above its structure.
    called
        Regions that should be seen.

    Returns
    -------
    BrainDrawing or None
        None if the atlas holds none of the regions.
    """
    nearest = nearest_analysed(atlas, region_ids)
    spacing = atlas.grid.spacing_um
    steps = tuple(max(1, round(COARSE_UM / um)) for um in spacing)
    coarse = _roll(atlas, atlas.annotation[:: steps[0], :: steps[1], :: steps[2]], nearest)
    if not np.any(coarse > NOT_ANALYSED):
        return None
    wanted = tuple(dict.fromkeys(int(i) for i in called))
    chosen = choose_slices(coarse, wanted)
    slices = tuple(_draw(atlas, at * steps[0], nearest, k) for k, at in enumerate(chosen))
    seen = {s.region_id for one in slices for s in one.shapes}
    return BrainDrawing(
        slices=slices,
        view_box=_view_box(coarse[chosen], (steps[1] * spacing[1], steps[2] * spacing[2])),
        hidden=tuple(i for i in wanted if i not in seen),
    )


def nearest_analysed(atlas: Atlas, region_ids: Iterable[int]) -> NDArray[np.int64]:
    """For each structure, itself or its nearest ancestor among the regions, else 0."""
    analysed = {int(i) for i in region_ids}
    tree = atlas.structures
    chains = ((int(i), *tree.ancestors(int(i))) for i in tree.ids)
    return np.array(
        [next((i for i in chain if i in analysed), NOT_ANALYSED) for chain in chains],
        dtype=np.int64,
    )


def choose_slices(labels: NDArray[np.int64], called: Sequence[int]) -> list[int]:
    """Choose one plane in each of `SLICES` stretches from front to back.

    Within the middle of its stretch, the plane with most called regions that no earlier
    plane shows; the most central one at ties.  Then up to `MORE_SLICES` further planes, as
    long as they show called regions that none of those does.

    Parameters
    ----------
    labels
        Shape ``(ap, dv, ml)``, region ids.
    called
        Region ids.
    """
    inside = np.flatnonzero(np.any(labels > NOT_ANALYSED, axis=(1, 2)))
    edges = np.linspace(inside[0], inside[-1] + 1, SLICES + 1)
    shown: set[int] = set()
    chosen: list[int] = []
    for low, high in pairwise(edges):
        centre, half = (low + high - 1) / 2, 0.35 * (high - low)
        near = range(max(ceil(centre - half), 0), int(centre + half) + 1)
        planes = [k for k in near if k < len(labels)] or [min(round(centre), len(labels) - 1)]
        visible = {k: _visible(labels[k]) & set(called) for k in planes}
        best = min(planes, key=lambda k: (-len(visible[k] - shown), abs(k - centre), k))
        if best not in chosen:
            chosen.append(best)
            shown |= visible[best]
    return sorted(chosen + _further(labels, set(called) - shown, chosen))


def colour_limit(comparisons: Sequence[Comparison]) -> float:
    """Size at which map colours are strongest, log2: shared by all comparisons.

    The 95th percentile of the called relative effects, up to the next 0.25, at least 0.5.
    """
    sizes = np.concatenate(
        [np.zeros(0), *(c.called("relative")["relative_estimate"].abs() for c in comparisons)]
    )
    return max(0.5, ceil(4 * float(np.quantile(sizes, 0.95))) / 4) if sizes.size else 0.5


def fill_slices(
    drawing: BrainDrawing, comparison: Comparison, limit_log2: float
) -> list[tuple[Slice, list[Filled]]]:
    """Colour each shape by the relative estimate, grey where not called, hatched where untested."""
    rows = {r.region_id: r for r in records(comparison.regions)}
    return [
        (one, [_fill(shape, rows.get(shape.region_id), limit_log2) for shape in one.shapes])
        for one in drawing.slices
    ]


def _fill(shape: Shape, row: Any, limit_log2: float) -> Filled:
    if row is None:
        fill, title = NOT_ANALYSED_FILL, "Not part of this comparison."
    elif not row.testable:
        fill = HATCHED
        title = f"{row.name} ({row.acronym})\nNot testable: {row.reason or 'no reason given'}"
    else:
        size = effect_fill(row.relative_estimate, limit_log2) if row.relative_called else None
        fill = size or NO_CALL_FILL
        title = f"{row.name} ({row.acronym})\n{_effects_text(row)}"
    return Filled(path_id=shape.path_id, region_id=shape.region_id, fill=fill, title=title)


def _effects_text(row: Any) -> str:
    lines = []
    for e in ("relative", "absolute"):
        value, low, high, q = (getattr(row, f"{e}_{x}") for x in ("estimate", "low", "high", "q"))
        text = f"{e} {estimate(value, low, high)} log2 ({fold(value)}), {equation('q', q)}"
        lines.append(text)
    return "\n".join(lines)


def _roll(atlas: Atlas, ids: NDArray[Any], nearest: NDArray[np.int64]) -> NDArray[np.int64]:
    rows = atlas.structures.rows_of(ids)
    return np.where(rows >= 0, nearest[np.maximum(rows, 0)], BEYOND)


def _further(labels: NDArray[np.int64], missed: set[int], chosen: list[int]) -> list[int]:
    added: list[int] = []
    while missed and len(added) < MORE_SLICES:
        visible = {k: _visible(plane) & missed for k, plane in enumerate(labels)}
        best = max(visible, key=lambda k: (len(visible[k]), -k))
        if not visible[best] or best in chosen:
            break
        added.append(best)
        missed = missed - visible[best]
    return added


def _visible(plane: NDArray[np.int64]) -> set[int]:
    ids, voxels = np.unique(plane, return_counts=True)
    return {int(i) for i in ids[voxels >= LEAST_VOXELS] if i > NOT_ANALYSED}


def _draw(atlas: Atlas, plane: int, nearest: NDArray[np.int64], k: int) -> Slice:
    spacing = atlas.grid.spacing_um
    stride = max(1, int(FINE_UM // max(spacing[1:])))
    labels = _roll(atlas, atlas.annotation[plane, ::stride, ::stride], nearest)
    row_um, column_um = (stride * um for um in spacing[1:])
    enlarge = max(1, round(max(row_um, column_um) / FINE_UM))
    fine = smooth_labels(labels, enlarge) if enlarge > 1 else labels
    scale = (column_um / enlarge / UM_PER_UNIT, row_um / enlarge / UM_PER_UNIT)

    def shape(mask: NDArray[np.bool_], region_id: int, name: str) -> Shape:
        path = path_text(outlines(mask, TOLERANCE_PIXELS), scale)
        return Shape(region_id=region_id, path_id=f"s{k}{name}", path=path)

    regions = [int(i) for i in np.unique(fine) if i > NOT_ANALYSED]
    return Slice(
        ap_mm=float(atlas.grid.to_um((plane, 0, 0))[0]) / UM_PER_MM,
        outline=shape(fine != BEYOND, NOT_ANALYSED, "o"),
        shapes=tuple(shape(fine == i, i, f"r{i}") for i in regions),
    )


def _view_box(
    planes: NDArray[np.int64], pixel_um: tuple[float, float]
) -> tuple[int, int, int, int]:
    """Box around the brain on all planes, with a margin of two pixels."""
    brain = np.any(planes != BEYOND, axis=0)
    low = [int(np.flatnonzero(brain.any(axis=1 - a))[0]) - 2 for a in (0, 1)]
    high = [int(np.flatnonzero(brain.any(axis=1 - a))[-1]) + 3 for a in (0, 1)]
    unit = [um / UM_PER_UNIT for um in pixel_um]
    top, left = (int(v * u) for v, u in zip(low, unit, strict=True))
    height, width = (ceil((h - v) * u) for v, h, u in zip(low, high, unit, strict=True))
    return left, top, width, height
