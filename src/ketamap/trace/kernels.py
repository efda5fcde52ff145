"""From the scores of one block to its fibres: objects, skeleton and length per box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketamap.core.settings import TracingSettings
from ketamap.core.space import Zyx
from ketamap.trace.blocks import BlockExtent
from ketamap.trace.board import Board, Places, Workspace, places_above
from ketamap.trace.calibration import Decision
from ketamap.trace.crests import CREST_SHARE, crest_shares, crest_steps
from ketamap.trace.filters import F32
from ketamap.trace.lengths import LINK_REACH, Links, measure_links
from ketamap.trace.objects import drop_small
from ketamap.trace.scale import RidgePlan, triple
from ketamap.trace.thick import AVERAGINGS, on_lines, sphere_steps
from ketamap.trace.thinning import thin, thinning_reach


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class BlockAxons:
    """What a block contributes; arrays over its boxes that hold anything."""

    box: NDArray[np.int64]
    """Shape ``(n, 3)``: index of the box in the volume."""

    length_um: NDArray[np.float64]
    """Shape ``(n, 3)``: at the threshold, at the strict and at the lenient end."""

    centre: NDArray[np.float64]
    """Shape ``(n, 3)``: length-weighted centre, voxels from the box's first voxel."""

    voxels: NDArray[np.int64]
    """Shape ``(n,)``: labelled voxels."""

    sizes: NDArray[np.int64]
    """Shape ``(n,)``: voxels of the box, fewer at the end of the volume."""

    small_objects: int
    """Objects left out because they are too short, at the threshold."""

    small_voxels: int
    """Their voxels that belong to this block."""

    thick_voxels: int
    """Voxels of the skeleton left out because they are on no line."""


@dataclass(frozen=True, eq=False, slots=True)
class _Traced:
    links: Links
    kept: Places
    skeleton: Places
    small_objects: int
    small_voxels: int
    thick_voxels: int


def object_reach(plan: RidgePlan, min_length_um: float) -> Zyx[int]:
    """Voxels along each axis within which an object is too short to be a fibre."""
    return triple(max(1, round(min_length_um / um)) for um in plan.spacing_um)


def block_halo(plan: RidgePlan, settings: TracingSettings) -> Zyx[int]:
    """Voxels around a block whose scores decide what is in it."""
    crest = crest_steps(plan).max(axis=0)
    sphere = sphere_steps(plan, settings.vessel_diameter_um).max(axis=0)
    objects = object_reach(plan, settings.min_length_um)
    return triple(
        max(o + t + int(c), int(s)) + AVERAGINGS + LINK_REACH
        for o, t, c, s in zip(objects, thinning_reach(), crest, sphere, strict=True)
    )


def trace_block(
    score: F32,
    image: NDArray[Any],
    plan: RidgePlan,
    extent: BlockExtent,
    decision: Decision,
    settings: TracingSettings,
    workspace: Workspace | None = None,
) -> tuple[BlockAxons, NDArray[np.bool_]]:
    """Find the fibres of a block at the threshold and at both ends of its band.

    Parameters
    ----------
    score
        Scores of the voxels ``[extent.start, extent.stop)``; minus infinity where nothing
        may be traced.
    image
        Intensities of the same voxels.
    plan
        The filters.
    extent
        Where the block lies.
    decision
        The thresholds.
    settings
        What is too short or too thick.
    workspace
        Scratch memory; left out: new.

    Returns
    -------
    axons
        What the block contributes to the table.
    skeleton
        Shape of the core: the skeleton at the threshold.
    """
    board = Board(score.shape, workspace)
    where, value = places_above(score, decision.low)
    share = crest_shares(where, board, score, plan)
    frame = _Frame(board, plan, settings)

    def above(least: float) -> _Traced:
        some = value >= np.float32(least)
        return _trace(where[some], share[some], score, image, extent, frame)

    middle, strict, lenient = map(above, (decision.threshold, decision.high, decision.low))
    board.state[middle.skeleton] = 1
    skeleton = board.state.reshape(board.padded)[1:-1, 1:-1, 1:-1][extent.core] > 0
    board.state[middle.skeleton] = 0
    board.close()
    return _collect(plan, extent, board, (middle, strict, lenient)), skeleton


@dataclass(frozen=True, eq=False, slots=True)
class _Frame:
    board: Board
    plan: RidgePlan
    settings: TracingSettings


def _trace(
    where: Places,
    share: F32,
    score: F32,
    image: NDArray[Any],
    extent: BlockExtent,
    frame: _Frame,
) -> _Traced:
    board, plan, settings = frame.board, frame.plan, frame.settings
    faces = np.array(
        [(a > 0, b < n) for a, b, n in zip(extent.start, extent.stop, plan.shape, strict=True)]
    )
    keep, first = drop_small(where, board, object_reach(plan, settings.min_length_um), faces)
    kept = where[keep]
    lines = thin(kept, board, extent.start, plan.spacing_um)
    lines &= share[keep] >= np.float32(CREST_SHARE)
    thin_ones = on_lines(kept[lines], board, image, sphere_steps(plan, settings.vessel_diameter_um))
    skeleton, thick = kept[lines][thin_ones], kept[lines][~thin_ones]
    links = measure_links(skeleton, board, score, plan.spacing_um)
    inside = _inside(links.voxel, extent)
    own = Links(links.voxel[inside], links.middle[inside], links.length_um[inside])
    return _Traced(
        own,
        kept,
        skeleton,
        small_objects=int(_inside(board.index(first), extent).sum()),
        small_voxels=int(_inside(board.index(where[~keep]), extent).sum()),
        thick_voxels=int(_inside(board.index(thick), extent).sum()),
    )


def _inside(index: NDArray[np.int64], extent: BlockExtent) -> NDArray[np.bool_]:
    low = np.array([s.start for s in extent.core])
    high = np.array([s.stop for s in extent.core])
    return np.asarray(np.all((index >= low) & (index < high), axis=1))


def _collect(
    plan: RidgePlan, extent: BlockExtent, board: Board, traced: tuple[_Traced, _Traced, _Traced]
) -> BlockAxons:
    """Add up lengths and voxels box by box, in raster order within each box."""
    box = np.asarray(plan.box)
    start, stop = np.asarray(extent.core_start), np.asarray(extent.core_stop)
    shift = np.asarray(extent.start) - start
    counts = triple(-(-(stop - start) // box))
    n = int(np.prod(counts))
    lengths, moments = np.zeros((n, 3)), np.zeros((3, n, 3))
    for k, part in enumerate(traced):
        at = part.links.voxel + shift
        place = np.ravel_multi_index(tuple((at // box).T), counts)
        lengths[:, k] = np.bincount(place, part.links.length_um, n)
        where = at % box + part.links.middle
        for axis in range(3):
            moments[k, :, axis] = np.bincount(place, part.links.length_um * where[:, axis], n)
    kept = board.index(traced[0].kept)
    at = kept[_inside(kept, extent)] + shift
    voxels = np.bincount(np.ravel_multi_index(tuple((at // box).T), counts), minlength=n)
    some = np.flatnonzero((lengths.max(axis=1) > 0.0) | (voxels > 0))
    index = np.stack(np.unravel_index(some, counts), axis=1)
    edges = np.minimum(box, stop - start - index * box)
    return BlockAxons(
        box=index + start // box,
        length_um=lengths[some],
        centre=_centres(lengths[some], moments[:, some], edges),
        voxels=voxels[some],
        sizes=np.prod(edges, axis=1),
        small_objects=traced[0].small_objects,
        small_voxels=traced[0].small_voxels,
        thick_voxels=traced[0].thick_voxels,
    )


def _centres(
    lengths: NDArray[np.float64], moments: NDArray[np.float64], edges: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Length-weighted centres; the lenient end's or the box's where there is no length."""
    out = np.asarray(0.5 * (edges - 1.0), dtype=np.float64)
    for k in (2, 0):
        some = lengths[:, k] > 0.0
        out[some] = moments[k][some] / lengths[some, k][:, None]
    return out
