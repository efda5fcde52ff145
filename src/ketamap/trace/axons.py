"""Axons of a volume of any size: block by block, the same answer for every cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from dask.base import compute
from dask.delayed import delayed
from numpy.typing import NDArray

from ketamap.core.errors import ImageError, InputError
from ketamap.core.progress import Progress, silent
from ketamap.core.settings import TracingSettings
from ketamap.core.space import Zyx
from ketamap.core.volume import Volume
from ketamap.trace.blocks import BlockExtent, choose_blocks
from ketamap.trace.board import Workspace
from ketamap.trace.calibration import DEFAULT, Calibration, Decision, decide
from ketamap.trace.exclusion import Somata
from ketamap.trace.filters import F32
from ketamap.trace.kernels import BlockAxons, block_halo, trace_block
from ketamap.trace.saturation import SATURATED_OCCUPANCY
from ketamap.trace.scale import RidgePlan, plan_ridges
from ketamap.trace.scores import score_and_image
from ketamap.trace.survey import Survey, survey

DEFAULT_MEMORY_BYTES = 4 * 2**30
"""Memory that tracing may use, bytes."""

Sink: TypeAlias = Callable[[Zyx[int], NDArray[np.uint8], NDArray[np.bool_]], None]
"""Takes the first voxel of a block, its probabilities (0 to 255) and its skeleton."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Tracing:
    """Axons of one volume."""

    axons: pd.DataFrame
    """Columns of `ketamap.core.tables.AXONS`: one row per box that holds any fibre."""

    threshold: float
    """Score from which a voxel is fibre, in standard deviations of the local noise."""

    threshold_low: float
    """Lenient end of the threshold's band; `length_high_um` belongs to it."""

    threshold_high: float
    """Strict end of the threshold's band; `length_low_um` belongs to it."""

    quality: Mapping[str, float]
    """What was measured and what was left out."""


def trace_axons(  # noqa: PLR0913 (the data, the settings, and six options by name)
    volume: Volume,
    settings: TracingSettings | None = None,
    *,
    cells: pd.DataFrame | None = None,
    calibration: Calibration | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    workers: int = 1,
    progress: Progress = silent,
    sink: Sink | None = None,
) -> Tracing:
    """Trace axons and measure their length, box by box.

    The answer does not depend on ``memory_bytes`` or ``workers``: every link of the skeleton
    belongs to exactly one box, and every number is computed in the same order.

    Parameters
    ----------
    volume
        Axes (z, y, x); whole numbers or floats, read block by block.
    settings
        Width of a fibre, what is too short or too thick.
    cells
        Somata with columns ``z_um, y_um, x_um``; what lies within one is not traced.
    calibration
        From `calibrate`; left out, the threshold is chosen from the brain's own scores.
    memory_bytes
        What the process may use, all workers together; at least about one GiB.
    workers
        Threads; the kernels release the interpreter lock.
    progress
        Told the number of blocks done and in all.
    sink
        Called once for every block, from any thread, one call at a time.

    Returns
    -------
    Tracing
        Rows sorted by box; no rows where there is no fibre.

    Raises
    ------
    ImageError
        If a voxel is NaN or infinite, or voxels are not real numbers.
    InputError
        If voxels are too coarse or ``workers`` is less than 1.
    ResourceError
        If the smallest possible block does not fit; nothing has been read by then.
    """
    settings = settings or TracingSettings()
    _check(volume, workers)
    plan = plan_ridges(volume.grid, settings)
    blocks = choose_blocks(
        plan,
        block_halo(plan, settings),
        itemsize=np.dtype(volume.data.dtype).itemsize,
        stored=volume.block_shape or (1, 1, 1),
        memory_bytes=memory_bytes,
        workers=workers,
    )
    map_ = calibration or DEFAULT
    seen = survey(volume, plan)
    decision = decide(map_, seen, settings)
    somata = Somata.of(cells, volume.grid, settings.soma_diameter_um)
    spaces = [Workspace() for _ in range(workers)]
    out = _Output(sink, map_, decision, len(blocks), progress)

    def examine(extent: BlockExtent) -> _Result:
        space = spaces.pop()
        score, image = score_and_image(volume, plan, seen.levels, extent.start, extent.stop, space)
        masked = somata.blank(score, extent.start, extent.core)
        found, skeleton = trace_block(score, image, plan, extent, decision, settings, space)
        out.add(extent, score, skeleton)
        spaces.append(space)
        return _Result(found, masked)

    results = _run(examine, blocks, workers)
    return _tracing(volume, plan, seen, decision, results)


@dataclass(frozen=True, eq=False, slots=True)
class _Result:
    axons: BlockAxons
    soma_voxels: int


def _check(volume: Volume, workers: int) -> None:
    if workers < 1:
        msg = f"workers must be at least 1, got {workers}."
        raise InputError(msg)
    if np.dtype(volume.data.dtype).kind not in "uif":
        msg = f"{volume.name} has voxels of type {volume.data.dtype}; real numbers are needed."
        raise ImageError(msg)


def _run(
    examine: Callable[[BlockExtent], _Result], blocks: list[BlockExtent], workers: int
) -> Sequence[_Result]:
    """Examine every block, in order or in threads; results in the order of the blocks."""
    if workers == 1:
        return [examine(extent) for extent in blocks]
    lazy = delayed(examine, traverse=False)
    results: tuple[_Result, ...] = compute(  # type: ignore[no-untyped-call]
        *(lazy(extent) for extent in blocks), scheduler="threads", num_workers=workers
    )
    return results


class _Output:
    """Hands finished blocks on and counts them, from any thread."""

    def __init__(
        self,
        sink: Sink | None,
        calibration: Calibration,
        decision: Decision,
        total: int,
        progress: Progress,
    ) -> None:
        self._sink, self._map, self._decision = sink, calibration, decision
        self._done, self._total, self._progress, self._lock = 0, total, progress, Lock()
        progress(0, total)

    def add(self, extent: BlockExtent, score: F32, skeleton: NDArray[np.bool_]) -> None:
        share = None
        if self._sink is not None:
            share = self._map.byte_probability(score[extent.core], self._decision.prevalence)
        with self._lock:
            if self._sink is not None and share is not None:
                self._sink(extent.core_start, share, skeleton)
            self._done += 1
            self._progress(self._done, self._total)


def _tracing(
    volume: Volume,
    plan: RidgePlan,
    seen: Survey,
    decision: Decision,
    results: Sequence[_Result],
) -> Tracing:
    parts = [r.axons for r in results]
    box = np.concatenate([p.box for p in parts])
    length = np.concatenate([p.length_um for p in parts])
    voxels = np.concatenate([p.voxels for p in parts])
    index = box * np.asarray(plan.box) + np.concatenate([p.centre for p in parts])
    axons = pd.DataFrame(volume.grid.to_um(index), columns=["z_um", "y_um", "x_um"])
    axons["length_um"] = length[:, 0]
    axons["length_low_um"] = length.min(axis=1)
    axons["length_high_um"] = length.max(axis=1)
    axons["volume_um3"] = voxels * float(np.prod(plan.spacing_um))
    occupancy = voxels / np.concatenate([p.sizes for p in parts])
    order = np.lexsort(box.T[::-1])
    return Tracing(
        axons=axons.iloc[order].reset_index(drop=True),
        threshold=decision.threshold,
        threshold_low=decision.low,
        threshold_high=decision.high,
        quality=_quality(volume, plan, seen, decision, results, occupancy),
    )


def _quality(
    volume: Volume,
    plan: RidgePlan,
    seen: Survey,
    decision: Decision,
    results: Sequence[_Result],
    occupancy: NDArray[np.float64],
) -> dict[str, Any]:
    boxes = np.prod([-(-n // b) for n, b in zip(plan.shape, plan.box, strict=True)])
    parts = [r.axons for r in results]
    labelled = sum(int(p.voxels.sum()) for p in parts)
    return {
        "labelled_share": labelled / volume.grid.n_voxels,
        "prevalence": decision.prevalence,
        "noise": float(seen.levels.noise_at(np.array(seen.levels.middle))),
        "dark": seen.levels.dark,
        "offset": seen.levels.offset,
        "constant_share": seen.constant,
        "saturated_boxes_share": float(np.sum(occupancy > SATURATED_OCCUPANCY) / boxes),
        "small_objects": float(sum(p.small_objects for p in parts)),
        "small_voxels": float(sum(p.small_voxels for p in parts)),
        "thick_voxels": float(sum(p.thick_voxels for p in parts)),
        "soma_voxels": float(sum(r.soma_voxels for r in results)),
    }
