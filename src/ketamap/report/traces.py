"""Axons as traced: what was counted, brain by brain, in figures and in pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ketamap.core.pictures import TracePicture
from ketamap.report.contents import BrainQuality
from ketamap.report.groups import Groups
from ketamap.report.quality import in_group_order
from ketamap.report.words import NO_VALUE, listing, number, percent

TRACE_RGB, OUTLINE_RGB = (255, 64, 160), (255, 176, 32)
"""Magenta and amber: told apart from each other, and seen against every grey."""

GREYS = 64
"""Grey levels kept: more cannot be told apart at this size and compress badly."""

LINES_PIXELS = 480
"""Shortest side of the layer with the lines: thin enough to see the fibre beside them."""

NICE_UM = (20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)
"""Lengths that a scale bar can have, um."""

BAR_SHARE = 0.35
"""A scale bar is at most this part of the picture's width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceFigure:
    """One region of one animal."""

    animal: str
    group: str
    signal: str
    """``data:`` address of the raw image."""

    trace: str
    """The same of the trace and the region's border, clear elsewhere."""

    ratio: float
    """Width over height, in um."""

    bar: str
    """Length of the scale bar, in words."""

    bar_share: float
    """Its part of the width, percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRegion:
    """One region in all animals of which there is a picture."""

    acronym: str
    name: str
    depth: str
    """Thickness of the boxes, in words."""

    figures: tuple[TraceFigure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AxonRow:
    """Axon length of one animal: where all of it went and how sure it is."""

    animal: str
    group: str
    lengths: tuple[str, ...]
    """Traced, in regions, outside the brain, outside the atlas; mm."""

    share_in_regions: str
    band: str
    """Traced length at the strict and at the lenient end of the threshold's band, mm."""

    threshold: str
    saturated: str
    """Structures whose length is too low."""


def axon_rows(brains: Sequence[BrainQuality], groups: Groups) -> list[AxonRow]:
    """Prepare the balance sheet of axon length of the animals that have one."""
    return [
        _row(brain, groups.of_animal.get(brain.animal, ""))
        for brain in in_group_order(brains, groups)
        if brain.axon_balance
    ]


def traced_regions(
    brains: Sequence[BrainQuality], groups: Groups, names: dict[str, str]
) -> list[TracedRegion]:
    """Prepare the pictures, region by region.

    Parameters
    ----------
    brains
        In any order; animals are shown group by group.
    groups
        The groups.
    names
        Acronym to name.
    """
    order = in_group_order(brains, groups)
    acronyms = dict.fromkeys(one.acronym for brain in order for one in brain.traces)
    return [_region(name, names.get(name, ""), order, groups) for name in acronyms]


def _region(
    acronym: str, name: str, brains: Sequence[BrainQuality], groups: Groups
) -> TracedRegion:
    mine = [(brain, one) for brain in brains for one in brain.traces if one.acronym == acronym]
    depths = sorted({f"{one.depth_um:.0f}" for _, one in mine}, key=float)
    return TracedRegion(
        acronym=acronym,
        name=name,
        depth=" to ".join(dict.fromkeys((depths[0], depths[-1]))) + " µm",
        figures=tuple(
            _figure(brain.animal, groups.of_animal.get(brain.animal, ""), one)
            for brain, one in mine
        ),
    )


def _row(brain: BrainQuality, group: str) -> AxonRow:
    parts = ("traced_mm", "in_regions_mm", "outside_brain_mm", "outside_atlas_mm")
    lengths = [brain.axon_balance[name] for name in parts]
    figure = brain.tracing.get
    return AxonRow(
        animal=brain.animal,
        group=group,
        lengths=tuple(number(mm, 1) for mm in lengths),
        share_in_regions=NO_VALUE if not lengths[0] else percent(round(lengths[1] / lengths[0], 3)),
        band=_span(figure("length_low_mm"), figure("length_high_mm"), 1),
        threshold=f"{number(figure('threshold'), 1)} "
        f"({_span(figure('threshold_low'), figure('threshold_high'), 1)})",
        saturated=listing(brain.saturated) if brain.saturated else "none",
    )


def _span(low: float | None, high: float | None, digits: int) -> str:
    return f"{number(low, digits)} to {number(high, digits)}"


def _figure(animal: str, group: str, one: TracePicture) -> TraceFigure:
    height_um, width_um = (n * um for n, um in zip(one.signal.shape, one.pixel_um, strict=True))
    bar_um = max([um for um in NICE_UM if um <= BAR_SHARE * width_um], default=NICE_UM[0])
    return TraceFigure(
        animal=animal,
        group=group,
        signal=_grey_uri(one.signal),
        trace=_lines_uri(one.trace, one.outline),
        ratio=round(width_um / height_um, 4),
        bar=f"{bar_um:g} µm" if bar_um < 1000 else f"{bar_um / 1000:g} mm",
        bar_share=round(100.0 * bar_um / width_um, 2),
    )


def _grey_uri(grey: NDArray[np.uint8]) -> str:
    levels = np.rint(grey.astype(np.float32) * ((GREYS - 1) / 255.0)).astype(np.uint8)
    picture = Image.frombytes("P", (grey.shape[1], grey.shape[0]), levels.tobytes())
    shown = [round(k * 255 / (GREYS - 1)) for k in range(GREYS)]
    return _png_uri(picture, [v for g in shown for v in (g, g, g)], clear=None)


def _lines_uri(trace: NDArray[np.bool_], outline: NDArray[np.bool_]) -> str:
    """Draw thin lines between neighbouring pixels of the trace and of the border."""
    scale = max(1, round(LINES_PIXELS / min(trace.shape)))
    rows, columns = (n * scale for n in trace.shape)
    picture = Image.new("P", (columns, rows), 0)
    pen = ImageDraw.Draw(picture)
    for colour, mask in ((2, outline), (1, trace)):
        for ends in _links(mask):
            (y0, x0), (y1, x1) = (ends + 0.5) * scale
            pen.line((x0, y0, x1, y1), fill=colour, width=max(1, round(scale / 3)))
    return _png_uri(picture, [0, 0, 0, *TRACE_RGB, *OUTLINE_RGB], clear=0)


def _links(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Pairs of neighbouring pixels, ``(n, 2, 2)``; lone pixels are linked to themselves."""
    where = np.argwhere(mask)
    numbered = np.full([n + 2 for n in mask.shape], -1)
    numbered[tuple((where + 1).T)] = np.arange(len(where))
    pairs = []
    for step in ((0, 1), (1, -1), (1, 0), (1, 1)):
        other = numbered[tuple((where + 1 + step).T)]
        pairs.append(np.column_stack([np.flatnonzero(other >= 0), other[other >= 0]]))
    linked = np.concatenate(pairs)
    alone = np.setdiff1d(np.arange(len(where)), linked)
    ends = np.concatenate([linked, np.column_stack([alone, alone])])
    return np.asarray(where[ends], dtype=np.float64)


def _png_uri(picture: Image.Image, palette: list[int], *, clear: int | None) -> str:
    """Return a picture as a ``data:`` address, one colour of its palette clear or none."""
    picture.putpalette(palette)
    options = {} if clear is None else {"transparency": clear}
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True, **options)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
