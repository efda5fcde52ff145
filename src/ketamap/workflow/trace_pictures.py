"""Pictures of traces: a box in a region, the brightest of its planes, and the trace over it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import Atlas, Structures
from ketamap.core.errors import StructureNotFoundError
from ketamap.core.pictures import TracePicture
from ketamap.core.space import VoxelGrid, Zyx
from ketamap.core.volume import Volume
from ketamap.io.images import open_image
from ketamap.io.registrations import load_registration
from ketamap.io.trace_pictures import save_trace_pictures
from ketamap.io.tracings import SKELETON, load_tracing
from ketamap.quantify import CarriedAnnotation, place_points
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.quantification import annotation_of

SIDE_VOXELS, SIDE_UM = 240, (300.0, 2200.0)
"""Edge of a picture: so many voxels, but never less or more than so many um."""

DEPTH_UM_PER_SIDE = 0.12
"""Depth of the box per edge: thin enough that fibres do not cover each other."""

DEFAULT_REGIONS = 4
"""Pictures of a brain whose study names no regions."""

DISPLAY_QUANTILES = (0.01, 0.98)
"""Brightness of the projection shown as black and white: somata, brighter by far than fibres,
are clipped."""


def picture_traces(
    image: Path,
    *,
    trace: Path,
    registration: Path,
    out: Path,
    regions: Sequence[str] = (),
    voxel_um: Zyx[float] | None = None,
    channel: int | None = None,
) -> tuple[TracePicture, ...]:
    """Picture the trace in chosen regions and write the pictures.

    Parameters
    ----------
    image
        What was traced.
    trace
        Folder written by `ketamap.workflow.tracing`.
    registration
        Folder written by `register`.
    out
        File to write, ``.npz``.
    regions
        Acronyms; those that the image does not show are left out.  None given: those with
        the greatest length.
    voxel_um, channel
        As for tracing.

    Raises
    ------
    StructureNotFoundError
        If the atlas lacks a region.
    """
    volume = open_image(image, voxel_um=voxel_um, channel=channel)
    skeleton = open_image(trace / SKELETON)
    result = load_registration(registration)
    atlas = open_atlas(result.atlas, atlas_dir=result.atlas_dir).without(result.missing)
    require_regions(regions, atlas.structures)
    carried = annotation_of(registration, result, atlas)
    axons = place_points(load_tracing(trace).axons, result.transform, atlas, extent=result.extent)
    length = axons.groupby("region_id")["length_um"].sum()
    chosen = list(regions) or _longest(length[length.index > 0], atlas.structures)
    pictures = [_picture(name, volume, skeleton, carried, atlas) for name in chosen]
    made = tuple(one for one in pictures if one is not None)
    save_trace_pictures(out, made)
    return made


def require_regions(regions: Sequence[str], structures: Structures) -> None:
    """Refuse regions that the atlas lacks.

    Raises
    ------
    StructureNotFoundError
        If there is one.
    """
    unknown = [name for name in regions if name not in structures.acronyms]
    if unknown:
        msg = (
            f"The atlas has no {', '.join(unknown)}, of which pictures of the trace are asked. "
            f"Give acronyms as in the atlas, such as {structures.acronyms[-1]}."
        )
        raise StructureNotFoundError(msg)


def _longest(length_um: pd.Series[float], structures: Structures) -> list[str]:
    ids = length_um.sort_values(ascending=False).index[:DEFAULT_REGIONS]
    return [structures.acronym_of(int(i)) for i in ids]


def _picture(
    acronym: str, volume: Volume, skeleton: Volume, carried: CarriedAnnotation, atlas: Atlas
) -> TracePicture | None:
    """Picture the part of a region nearest its middle, on the side with more of it."""
    tree = atlas.structures
    region_id = tree.id_of(acronym)
    parts = [region_id, *tree.descendants(region_id)]
    centre_um = _middle(carried, parts)
    if centre_um is None:
        return None
    start, stop = _box(volume.grid, centre_um)
    raw = volume.read(start, stop).astype(np.float32)
    traced = skeleton.read(start, stop) > 0
    if raw.size == 0:
        return None
    projected = raw.max(axis=0)
    low, high = np.quantile(projected, DISPLAY_QUANTILES)
    flat = np.clip((projected - low) / max(high - low, 1e-9), 0.0, 1.0)
    inside = _region_plane(volume.grid, carried, parts, centre_um, start, stop)
    return TracePicture(
        acronym=acronym,
        signal=np.rint(255.0 * flat).astype(np.uint8),
        trace=np.asarray(traced.any(axis=0)),
        outline=_outline(inside),
        pixel_um=(volume.grid.spacing_um[1], volume.grid.spacing_um[2]),
        depth_um=float((stop[0] - start[0]) * volume.grid.spacing_um[0]),
    )


def _middle(carried: CarriedAnnotation, parts: Sequence[int]) -> NDArray[np.float64] | None:
    """Lattice point of the region nearest the centroid of its larger side, um."""
    best: NDArray[np.int64] | None = None
    inside = np.isin(carried.region_id, np.asarray(parts, dtype=np.uint32))
    for side in (1, 2):
        index = np.argwhere(inside & (carried.hemisphere == side))
        if len(index) and (best is None or len(index) > 1.1 * len(best)):
            best = index
    if best is None:
        return None
    away = np.sum((best - best.mean(axis=0)) ** 2, axis=1)
    return carried.grid.to_um(best[int(np.argmin(away))])


def _box(grid: VoxelGrid, centre_um: NDArray[np.float64]) -> tuple[Zyx[int], Zyx[int]]:
    """Voxels of the box around a place, cut off at the image."""
    side = float(np.clip(SIDE_VOXELS * min(grid.spacing_um[1:]), *SIDE_UM))
    half = np.array([0.5 * DEPTH_UM_PER_SIDE * side, 0.5 * side, 0.5 * side])
    low = np.maximum(np.floor(grid.to_index(centre_um - half)), 0).astype(int)
    high = np.minimum(np.ceil(grid.to_index(centre_um + half)) + 1, grid.shape).astype(int)
    high = np.maximum(high, low)
    return (int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2]))


def _region_plane(
    grid: VoxelGrid,
    carried: CarriedAnnotation,
    parts: Sequence[int],
    centre_um: NDArray[np.float64],
    start: Zyx[int],
    stop: Zyx[int],
) -> NDArray[np.bool_]:
    """Where the region lies in the middle plane of the box, on the image's pixels."""
    y, x = np.meshgrid(np.arange(start[1], stop[1]), np.arange(start[2], stop[2]), indexing="ij")
    points = np.stack([np.zeros(y.size), y.ravel(), x.ravel()], axis=1)
    points_um = grid.to_um(points)
    points_um[:, 0] = centre_um[0]
    index, there = carried.grid.nearest_index(points_um)
    labels = np.where(there, carried.region_id[tuple(index.T)], 0)
    inside = np.isin(labels, np.asarray(parts, dtype=np.int64))
    return np.asarray(inside.reshape(y.shape))


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    edge = np.zeros_like(inside)
    edge[1:] |= inside[1:] != inside[:-1]
    edge[:, 1:] |= inside[:, 1:] != inside[:, :-1]
    return edge
