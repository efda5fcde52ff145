"""The page of voxel-wise maps: projections, slices, clusters, methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import Structures
from ketamap.core.measures import measure_of
from ketamap.core.space import VoxelGrid
from ketamap.report import palette
from ketamap.report.render import page_environment
from ketamap.report.voxel_drawings import (
    PLANES,
    Frame,
    Picture,
    choose_series,
    colour_stops,
    cut,
    density_image,
    divisions_of,
    effect_image,
    frame_of,
    mask_path,
    project_any,
    project_strongest,
)
from ketamap.report.words import equation, estimate, fold, listing, number, plural, signed

CLUSTERS_SHOWN = 15
"""Rows of a table of clusters; the file holds all."""

SECTIONS = {
    "headline": "In short",
    "maps": "Maps of change",
    "clusters": "Clusters",
    "density": "Density by group",
    "warnings": "Warnings",
    "methods": "Methods",
    "versions": "Versions",
}
"""Anchor to title, in the order of the page."""


@dataclass(frozen=True, eq=False, kw_only=True)
class VoxelPanel:
    """One contrast and estimand; arrays of shape ``(voxel,)`` in the order of the mask."""

    contrast: str
    estimand: str
    effect_log2: NDArray[np.floating]
    tfce: NDArray[np.floating]
    p_fwe: NDArray[np.floating]
    critical_tfce: float
    relabelings: int
    exhaustive: bool
    df: float
    clusters: pd.DataFrame
    """`ketamap.stats.voxel_clusters.CLUSTER_COLUMNS`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class VoxelReport:
    """What the page shows."""

    title: str
    note: str
    measure: str
    kernel_um: float
    atlas: str
    citation: str
    grid: VoxelGrid

    region_id: NDArray[np.int64]
    """Structure of each voxel of the grid, 0 outside."""

    structures: Structures

    mask: NDArray[np.bool_]
    """Voxels that were tested."""

    groups: Mapping[str, int]
    """Animals in each group."""

    means: Mapping[str, NDArray[np.floating]]
    """Geometric mean density of each group, per mm3, shape ``(voxel,)``."""

    formula: str
    batch: str | None
    alpha: float
    seed: int
    connectivity: int
    offset_per_mm3: float
    sparse_voxels: int

    points: pd.DataFrame
    """One row per animal: ``animal, used, left_out, volume_mm3``."""

    panels: Sequence[VoxelPanel]
    """Relative and absolute of each contrast, side by side."""

    warnings: Sequence[str]
    versions: Mapping[str, str]


def render_voxel_page(report: VoxelReport) -> str:
    """Return the page: HTML that opens from disk and asks the network for nothing.

    Equal inputs give equal text.
    """
    draw = _Drawer(report)
    comparisons = [
        {"contrast": name, "key": f"c{k}", "panels": [draw.panel(p) for p in panels]}
        for k, (name, panels) in enumerate(groupby(report.panels, key=lambda p: p.contrast))
    ]
    means, density_limit = draw.means()
    environment = page_environment()
    environment.globals.update(
        palette=palette, signed=signed, number=number, estimate=estimate, fold=fold,
        plural=plural, equation=equation,
    )  # fmt: skip
    return environment.get_template("voxelwise.html").render(
        report=report,
        sections={k: v for k, v in SECTIONS.items() if k != "warnings" or report.warnings},
        measure=measure_of(report.measure),
        comparisons=comparisons,
        frames=draw.frames.values(),
        means=means,
        density_limit=density_limit,
        limit=draw.limit,
        stops=colour_stops(draw.limit),
        methods=methods_paragraphs(report),
        points=list(report.points.itertuples(index=False)),
    )


class _Drawer:
    """Draws all panels on shared frames, with one scale of colours."""

    def __init__(self, report: VoxelReport) -> None:
        self.report = report
        self.divisions = divisions_of(report.region_id, report.structures)
        self.tissue = report.region_id > 0
        self.frames: dict[str, Frame] = {}
        significant = np.zeros(report.mask.shape, dtype=np.bool_)
        for panel in report.panels:
            significant[report.mask] |= panel.p_fwe < report.alpha
        self.series = choose_series(self.tissue, significant)
        self.limit = _effect_limit(report)

    def panel(self, panel: VoxelPanel) -> dict[str, Any]:
        """Everything the template shows of one panel."""
        effect, score, significant = self._volumes(panel)
        evidence = np.abs(score) / max(panel.critical_tfce, 1e-12)
        up, down = significant & (score > 0), significant & (score < 0)

        def projection(kind: str) -> Picture:
            frame = self._frame(kind, None)
            image = effect_image(
                project_strongest(effect, evidence, kind),
                project_strongest(evidence, evidence, kind),
                project_any(self.report.mask, kind),
                project_any(self.tissue, kind),
                self.limit,
            )
            paths = (mask_path(project_any(m, kind), frame) for m in (up, down))
            return Picture(frame=frame, image=image, up=next(paths), down=next(paths))

        def plane(kind: str, index: int, cross: tuple[float, float] | None = None) -> Picture:
            frame = self._frame(kind, index)
            value, strength, tested, tissue = (
                cut(v, kind, index) for v in (effect, evidence, self.report.mask, self.tissue)
            )
            paths = (mask_path(cut(m, kind, index), frame) for m in (up, down))
            return Picture(
                frame=frame,
                image=effect_image(value, strength, tested, tissue, self.limit),
                up=next(paths),
                down=next(paths),
                cross=cross,
            )

        return {
            "panel": panel,
            "counts": _counts(panel.clusters),
            "rows": list(panel.clusters.head(CLUSTERS_SHOWN).itertuples(index=False)),
            "more": max(0, len(panel.clusters) - CLUSTERS_SHOWN),
            "projections": [projection(kind) for kind in PLANES],
            "series": [plane("coronal", k) for k in self.series],
            "peak": [plane(*place) for place in self._through_peak(panel)],
            "at_peak": self._at_peak(panel),
        }

    def means(self) -> tuple[list[dict[str, Any]], float]:
        """Coronal series of each group's mean density, and the density of the strongest colour."""
        report = self.report
        limit = float(max(np.quantile(v, 0.99) for v in report.means.values())) or 1.0
        rows = []
        for group, values in report.means.items():
            volume = np.zeros(report.mask.shape)
            volume[report.mask] = values
            pictures = []
            for k in self.series:
                value, tested, tissue = (
                    cut(v, "coronal", k) for v in (volume, report.mask, self.tissue)
                )
                frame = self._frame("coronal", k)
                pictures.append(
                    Picture(
                        frame=frame,
                        image=density_image(value, tested, tissue, limit),
                        up="",
                        down="",
                    )
                )
            rows.append({"group": group, "n": report.groups[group], "pictures": pictures})
        return rows, limit

    def _volumes(
        self, panel: VoxelPanel
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        mask = self.report.mask
        effect, score = np.zeros(mask.shape), np.zeros(mask.shape)
        significant = np.zeros(mask.shape, dtype=np.bool_)
        effect[mask], score[mask] = panel.effect_log2, panel.tfce
        significant[mask] = panel.p_fwe < self.report.alpha
        return effect, score, significant

    def _frame(self, kind: str, index: int | None) -> Frame:
        key = f"{kind[0]}{'p' if index is None else index}"
        if key not in self.frames:
            self.frames[key] = frame_of(kind, index, self.divisions, self.report.grid)
        return self.frames[key]

    def _peak_voxel(self, panel: VoxelPanel) -> NDArray[np.int64]:
        places = np.argwhere(self.report.mask)
        return np.asarray(places[int(np.argmax(np.abs(panel.tfce)))])

    def _through_peak(self, panel: VoxelPanel) -> list[tuple[str, int, tuple[float, float]]]:
        """List the three planes through the greatest score, and its place on each."""
        voxel = self._peak_voxel(panel)
        found = []
        for kind, (across, rows, columns) in PLANES.items():
            frame = self._frame(kind, int(voxel[across]))
            shape = self.report.mask.shape
            x = (voxel[columns] + 0.5) / shape[columns] * frame.width
            y = (voxel[rows] + 0.5) / shape[rows] * frame.height
            found.append((kind, int(voxel[across]), (float(x), float(y))))
        return found

    def _at_peak(self, panel: VoxelPanel) -> str:
        """Name of the structure at the greatest score, and its place."""
        voxel = self._peak_voxel(panel)
        region = int(self.report.region_id[tuple(voxel)])
        name = self.report.structures.name_of(region) if region > 0 else "no structure"
        ap, dv, ml = self.report.grid.to_um(voxel) / 1000.0
        best = int(np.argmax(np.abs(panel.tfce)))
        return (
            f"{name}, AP {ap:.2f}, DV {dv:.2f}, ML {ml:.2f} mm; "
            f"{equation('p', float(panel.p_fwe[best]))} (familywise)"
        )


def _counts(clusters: pd.DataFrame) -> dict[str, Any]:
    """Count clusters and add up their volumes, up and down."""
    found: dict[str, Any] = {}
    for direction in ("up", "down"):
        mine = clusters[clusters["direction"] == direction]
        found[direction] = len(mine)
        found[f"{direction}_mm3"] = float(mine["size_mm3"].sum())
    return found


def _effect_limit(report: VoxelReport) -> float:
    """Effect with the strongest colour: the 98th percentile of what is significant, to 0.25."""
    sizes = [np.abs(p.effect_log2[p.p_fwe < report.alpha]) for p in report.panels]
    joined = np.concatenate(sizes) if sizes else np.zeros(0)
    return max(0.5, ceil(4 * float(np.quantile(joined, 0.98))) / 4) if joined.size else 1.0


def methods_paragraphs(report: VoxelReport) -> tuple[str, ...]:
    """Write the methods with the numbers of this study in them."""
    return (_mapping_text(report), _model_text(report), _inference_text(report))


def _mapping_text(report: VoxelReport) -> str:
    um = report.grid.spacing_um[0]
    measure = measure_of(report.measure)
    tested = int(report.mask.sum())
    return (
        f"The {measure.density} was mapped in the space of the atlas {report.atlas} with voxels of "
        f"{um:g} um. Positions were carried to the atlas and smoothed with a Gaussian kernel of "
        f"{report.kernel_um:g} um standard deviation ({2.3548 * report.kernel_um:.0f} um full width "
        f"at half maximum), and so was the volume, in the sample's own mm3 (the Jacobian determinant "
        f"of the registration), of the tissue that was imaged; their ratio is the density, free of "
        f"edges and of the local stretch of each brain (Diggle 1985). {tested:,} voxels "
        f"({tested * report.grid.voxel_volume_mm3:.0f} mm3) with a mean of three or more points "
        f"behind the kernel were tested; {report.sparse_voxels:,} others in the brain were not, "
        f"which is not the same as not different."
    )


def _model_text(report: VoxelReport) -> str:
    sizes = listing([f"{group} (n = {n})" for group, n in report.groups.items()])
    df = listing(sorted({f"{p.df:.3g}" for p in report.panels}))
    unit = measure_of(report.measure).per_mm3
    return (
        f"Animals are the units: {sizes}. The natural logarithm of density plus "
        f"{report.offset_per_mm3:.3g} {unit} (half a point behind the kernel) was fitted with the "
        f"model {report.formula} at every voxel; variances were moderated over voxels with a trend "
        f"in mean density (Smyth 2004), which gives t with {df} degrees of freedom. Relative maps "
        f"take each animal's brain-wide level off first (the median over voxels of its log ratio to "
        f"the mean animal); absolute maps do not."
    )


def _inference_text(report: VoxelReport) -> str:
    panel = report.panels[0]
    how = (
        f"all {panel.relabelings:,} distinct relabelings of the animals"
        if panel.exhaustive
        else f"{panel.relabelings - 1:,} random relabelings (seed {report.seed})"
    )
    within = f" within each {report.batch}" if report.batch else ""
    return (
        f"t was enhanced without a cluster threshold (Smith and Nichols 2009, E = 0.5, H = 2, "
        f"{report.connectivity} neighbours), exactly, by a tree of clusters instead of steps. "
        f"Residuals of the model without the effect were permuted{within} (Freedman and Lane 1983; "
        f"Winkler et al. 2014) in {how}; the greatest score of the brain, of either sign, in each of "
        f"them gives two-sided p values that are familywise over the voxels of a map (not over "
        f"maps). Voxels are called below {report.alpha:g}. A called voxel may owe its score to its "
        f"cluster: the maps say where a change is, to within the kernel, not which single voxel "
        f"changed."
    )
