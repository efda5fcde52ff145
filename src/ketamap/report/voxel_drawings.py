"""Slices and projections of voxel-wise maps, as pictures with outlines."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ketamap.core.atlas import Structures
from ketamap.core.space import VoxelGrid
from ketamap.core.units import UM_PER_MM
from ketamap.report.contours import outlines, path_text, smooth_labels
from ketamap.report.palette import DOWN, UP

PLANES = {"coronal": (0, 1, 2), "sagittal": (2, 1, 0), "horizontal": (1, 0, 2)}
"""Axis a plane is cut across, and the axes of its rows and columns; atlas axes (ap, dv, ml)."""

SERIES = 8
"""Coronal slices of the series."""

MOST_DIVISIONS = 40
"""Divisions of the brain drawn as lines: the deepest level of the tree with no more."""

ENLARGE = 4
"""Fine pixels per voxel of the outlines."""

UM_PER_UNIT = 10.0
"""Micrometres per unit of the drawings."""

FAINTEST = 0.12
"""Opacity of a voxel without any evidence."""

DENSITY = ("#f5f6f8", "#cfdcd9", "#8fb8b0", "#3f8a80", "#0f4f4a")
"""Low to high density."""

UNTESTED = (225, 228, 232)
"""Tissue that was not tested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A plane: its size, the brain's outline and the lines between divisions."""

    key: str
    kind: str
    index: int | None
    """Voxel along the axis it is cut across; None for a projection."""

    caption: str
    width: float
    height: float
    brain: str
    lines: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One map on one plane."""

    frame: Frame
    image: str
    """``data:`` address of a PNG, one pixel per voxel."""

    up: str
    down: str
    """Outlines of significant voxels, as paths."""

    cross: tuple[float, float] | None = None
    """A place to mark, in units of the drawing."""


def divisions_of(region_id: NDArray[np.int64], structures: Structures) -> NDArray[np.int64]:
    """Replace structures by their ancestors on one level, for lines that can be told apart.

    Parameters
    ----------
    region_id
        Any shape; 0 outside the brain.
    structures
        The tree.

    Returns
    -------
    ndarray
        Same shape: the deepest level of the tree with at most `MOST_DIVISIONS` of them.
    """
    present = [int(i) for i in np.unique(region_id) if i > 0]
    paths = {i: (*reversed(structures.ancestors(i)), i) for i in present}
    chosen = {i: i for i in present}
    for level in range(1, 1 + max((len(p) for p in paths.values()), default=0)):
        here = {i: p[min(level, len(p)) - 1] for i, p in paths.items()}
        if len(set(here.values())) > MOST_DIVISIONS:
            break
        chosen = here
    rows = structures.rows_of(region_id)
    table = np.zeros(len(structures) + 1, dtype=np.int64)
    for i in present:
        table[structures.position(i)] = chosen[i]
    return np.asarray(table[rows])


def choose_series(brain: NDArray[np.bool_], significant: NDArray[np.bool_]) -> list[int]:
    """Choose one coronal plane in each of `SERIES` stretches, that with most significant voxels."""
    inside = np.flatnonzero(brain.any(axis=(1, 2)))
    counts = significant.sum(axis=(1, 2))
    edges = np.linspace(inside[0], inside[-1] + 1, SERIES + 1)
    chosen = []
    for low, high in pairwise(edges):
        centre = (low + high - 1) / 2
        planes = range(int(np.ceil(low)), int(np.ceil(high))) or [round(centre)]
        chosen.append(min(planes, key=lambda k: (-int(counts[k]), abs(k - centre))))
    return sorted(set(chosen))


def frame_of(kind: str, index: int | None, divisions: NDArray[np.int64], grid: VoxelGrid) -> Frame:
    """Draw the outlines of a plane; ``index`` None projects the whole brain."""
    across, rows, columns = PLANES[kind]
    labels = cut(divisions, kind, index) if index is not None else None
    brain = (
        cut(divisions > 0, kind, index) if index is not None else project_any(divisions > 0, kind)
    )
    unit = [grid.spacing_um[a] / UM_PER_UNIT for a in (rows, columns)]
    lines = "" if labels is None else _division_lines(labels, unit)
    where = "" if index is None else f"{_place_um(grid, across, index) / UM_PER_MM:.2f} mm"
    name = {"coronal": "AP", "sagittal": "ML", "horizontal": "DV"}[kind]
    return Frame(
        key=f"{kind[0]}{'p' if index is None else index}",
        kind=kind,
        index=index,
        caption=f"{name} {where}" if where else kind,
        width=brain.shape[1] * unit[1],
        height=brain.shape[0] * unit[0],
        brain=_path(brain, unit),
        lines=lines,
    )


def cut(volume: NDArray[Any], kind: str, index: int) -> NDArray[Any]:
    """Take one plane of a volume (ap, dv, ml), rows and columns as it is shown."""
    across, rows, columns = PLANES[kind]
    plane: NDArray[Any] = np.take(volume, index, axis=across)
    return plane if rows < columns else plane.T


def project_any(volume: NDArray[np.bool_], kind: str) -> NDArray[np.bool_]:
    """Whether any voxel along a line of sight is true."""
    across, rows, columns = PLANES[kind]
    plane = np.asarray(volume.any(axis=across))
    return plane if rows < columns else plane.T


def project_strongest(
    values: NDArray[np.floating], strength: NDArray[np.floating], kind: str
) -> NDArray[np.floating]:
    """Value of the voxel with the greatest strength along each line of sight."""
    across, rows, columns = PLANES[kind]
    at = np.expand_dims(np.argmax(strength, axis=across), across)
    plane = np.take_along_axis(values, at, axis=across).squeeze(across)
    return np.asarray(plane if rows < columns else plane.T)


def effect_image(
    effect_log2: NDArray[np.floating],
    evidence: NDArray[np.floating],
    tested: NDArray[np.bool_],
    tissue: NDArray[np.bool_],
    limit_log2: float,
) -> str:
    """Paint a plane of effects.

    Parameters
    ----------
    effect_log2
        Shape ``(rows, columns)``.
    evidence
        Score over its critical value, same shape: from 1 on a voxel has its full colour, below
        it fades.
    tested, tissue
        Same shape; tissue that was not tested is grey.
    limit_log2
        Effect with the strongest colour.

    Returns
    -------
    str
        ``data:`` address of a PNG.
    """
    place = np.clip(np.abs(effect_log2) / limit_log2, 0.0, 1.0)
    rgb = np.where((effect_log2 < 0)[..., None], _ramp(place, DOWN), _ramp(place, UP))
    strength = np.clip(evidence, FAINTEST, 1.0)[..., None]
    rgb = 255.0 + (rgb - 255.0) * strength
    rgb = np.where(tested[..., None], rgb, np.array(UNTESTED, dtype=np.float64))
    return _png(rgb, tissue)


def density_image(
    density: NDArray[np.floating],
    tested: NDArray[np.bool_],
    tissue: NDArray[np.bool_],
    limit: float,
) -> str:
    """Paint a plane of densities, strongest colour at ``limit``; see `effect_image`."""
    rgb = _ramp(np.clip(density / limit, 0.0, 1.0), DENSITY)
    rgb = np.where(tested[..., None], rgb, np.array(UNTESTED, dtype=np.float64))
    return _png(rgb, tissue)


def mask_path(mask: NDArray[np.bool_], frame: Frame) -> str:
    """Outline of a mask on a frame."""
    unit = [frame.height / mask.shape[0], frame.width / mask.shape[1]]
    return _path(mask, unit)


def colour_stops(limit: float) -> list[tuple[str, str]]:
    """Colours of effects from -limit to limit, with what they stand for."""
    steps = np.linspace(-1.0, 1.0, 21)
    rgb = [_ramp(np.array([abs(s)]), DOWN if s < 0 else UP)[0] for s in steps]
    return [
        ("#" + "".join(f"{round(float(c)):02x}" for c in one), f"{s * limit:+.2f}")
        for one, s in zip(rgb, steps, strict=True)
    ]


def _ramp(place: NDArray[np.floating], stops: tuple[str, ...]) -> NDArray[np.float64]:
    """Colour at a place in [0, 1] along stops, RGB 0 to 255."""
    table = np.array([[int(s[k : k + 2], 16) for k in (1, 3, 5)] for s in stops], np.float64)
    at = np.linspace(0.0, 1.0, len(stops))
    return np.stack([np.interp(place, at, table[:, c]) for c in range(3)], axis=-1)


def _png(rgb: NDArray[np.float64], tissue: NDArray[np.bool_]) -> str:
    """Write a picture; outside the tissue the nearest colour goes on, to be clipped by an outline."""
    if tissue.any():
        _, nearest = ndimage.distance_transform_edt(~tissue, return_indices=True)
        rgb = rgb[tuple(nearest)]
    file = io.BytesIO()
    Image.fromarray(np.rint(rgb).astype(np.uint8), "RGB").save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _path(mask: NDArray[np.bool_], unit: list[float]) -> str:
    if not mask.any():
        return ""
    fine = smooth_labels(mask.astype(np.int64), ENLARGE) > 0
    return path_text(outlines(fine, 0.6), (unit[1] / ENLARGE, unit[0] / ENLARGE))


def _division_lines(labels: NDArray[Any], unit: list[float]) -> str:
    fine = smooth_labels(np.asarray(labels, dtype=np.int64), ENLARGE)
    scale = (unit[1] / ENLARGE, unit[0] / ENLARGE)
    return "".join(path_text(outlines(fine == i, 0.6), scale) for i in np.unique(fine) if i > 0)


def _place_um(grid: VoxelGrid, axis: int, index: int) -> float:
    return grid.origin_um[axis] + index * grid.spacing_um[axis]
