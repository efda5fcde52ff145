"""The verb `trace`: axons of one image to a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.errors import InputError
from ketamap.core.settings import TracingSettings
from ketamap.core.space import Zyx
from ketamap.core.tables import CELLS
from ketamap.core.volume import Volume
from ketamap.io.files import replacing_folder
from ketamap.io.images import open_image
from ketamap.io.labels import read_labels
from ketamap.io.manifests import read_json
from ketamap.io.ome_zarr import ImageWriter, create_image
from ketamap.io.tables import read_table
from ketamap.io.tracings import PROBABILITY, SKELETON, fill_tracing, require_trace_folder
from ketamap.workflow.brain import DEFAULT_MEMORY_BYTES
from ketamap.workflow.progress import Quiet, Reporter

if TYPE_CHECKING:
    from ketamap.trace import Calibration, Tracing

_CHUNK = (64, 128, 128)
"""Voxels in a file of the images beside the table: blocks of tracing begin anywhere."""


def trace(
    image: Path,
    *,
    out: Path,
    voxel_um: Zyx[float] | None = None,
    channel: int | None = None,
    calibrate: Path | None = None,
    calibration: Path | None = None,
    cells: Path | None = None,
    settings: TracingSettings | None = None,
    probability: bool = False,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    workers: int = 1,
    reporter: Reporter | None = None,
) -> Tracing:
    """Trace axons and write their length, how sure it is, and the centre lines.

    Parameters
    ----------
    image
        TIFF stack, folder of TIFF planes or OME-Zarr.
    out
        Folder to write: ``axons.parquet``, ``trace.json``, ``skeleton.ome.zarr``.
    voxel_um
        Voxel size (z, y, x), um; left out: the file's.
    channel
        Channel to use of an image with several.
    calibrate
        Labelled planes or boxes of this image (TIFF or npz, see `read_labels`): the
        threshold is fitted to them.
    calibration
        ``trace.json`` of a calibrated trace of another brain, used as it is.
    cells
        Table written by `detect`: cell bodies are no axons.
    settings
        Width of a fibre and the rest.
    probability
        Also write ``probability.ome.zarr``.
    memory_bytes
        Memory to stay within.
    workers
        Threads.
    reporter
        Shows progress.

    Raises
    ------
    InputError
        If both ``calibrate`` and ``calibration`` are given, or a file does not fit.
    """
    from ketamap.trace import trace_axons

    show = reporter or Quiet()
    settings = settings or TracingSettings()
    if calibrate is not None and calibration is not None:
        msg = "Give labels to calibrate with, or the calibration of another trace, not both."
        raise InputError(msg)
    require_trace_folder(out)
    volume = open_image(image, voxel_um=voxel_um, channel=channel)
    somata = None if cells is None else read_table(cells, CELLS)
    fitted = _calibration(volume, calibrate, calibration, settings, show)
    with replacing_folder(out) as folder:
        with (
            _images(folder, volume, probability=probability) as images,
            show.stage("trace axons") as progress,
        ):
            traced = trace_axons(
                volume,
                settings,
                cells=somata,
                calibration=fitted,
                memory_bytes=memory_bytes,
                workers=workers,
                progress=progress,
                sink=images.take,
            )
            images.finish()
        fill_tracing(folder, traced.axons, _record(traced, settings, fitted, somata))
    return traced


def read_calibration(path: Path) -> Calibration:
    """Read the calibration in the ``trace.json`` of a calibrated trace.

    Raises
    ------
    InputError
        If there is none in it.
    """
    from ketamap.trace import Calibration

    values = read_json(path).get("calibration")
    if not isinstance(values, Mapping):
        msg = f"{path} holds no calibration. Give the trace.json of a trace made with --calibrate."
        raise InputError(msg)
    return Calibration.from_dict(values)


def _calibration(
    volume: Volume,
    labels: Path | None,
    stored: Path | None,
    settings: TracingSettings,
    show: Reporter,
) -> Calibration | None:
    from ketamap.trace import calibrate

    if stored is not None:
        return read_calibration(stored)
    if labels is None:
        return None
    painted = read_labels(labels, volume.grid.shape)
    with show.stage("calibrate") as progress:
        fitted = calibrate(volume, painted, settings)
        progress(1, 1)
    return fitted


class _Images:
    """Takes traced blocks into the images that were asked for."""

    def __init__(self, skeleton: ImageWriter, probability: ImageWriter | None) -> None:
        self._skeleton, self._probability = skeleton, probability

    def take(
        self, start: Zyx[int], probability: NDArray[np.uint8], skeleton: NDArray[np.bool_]
    ) -> None:
        if skeleton.any():
            self._skeleton.write_unaligned(start, skeleton.astype(np.uint8))
        if self._probability is not None:
            self._probability.write_unaligned(start, probability)

    def finish(self) -> None:
        self._skeleton.finish()
        if self._probability is not None:
            self._probability.finish()


@contextmanager
def _images(folder: Path, volume: Volume, *, probability: bool) -> Iterator[_Images]:
    with ExitStack() as stack:

        def begin(name: str, *, labels: bool) -> ImageWriter:
            writer = create_image(
                folder / name, volume.grid, np.uint8, labels=labels, chunk=_CHUNK, shard=_CHUNK
            )
            return stack.enter_context(writer)

        yield _Images(
            begin(SKELETON, labels=True),
            begin(PROBABILITY, labels=False) if probability else None,
        )


def _record(
    traced: Tracing,
    settings: TracingSettings,
    fitted: Calibration | None,
    somata: pd.DataFrame | None,
) -> dict[str, Any]:
    return {
        "settings": asdict(settings),
        "threshold": traced.threshold,
        "threshold_low": traced.threshold_low,
        "threshold_high": traced.threshold_high,
        "calibration": None if fitted is None else fitted.to_dict(),
        "cells_left_out": 0 if somata is None else len(somata),
        "length_mm": float(traced.axons["length_um"].sum()) / 1000.0,
        "length_low_mm": float(traced.axons["length_low_um"].sum()) / 1000.0,
        "length_high_mm": float(traced.axons["length_high_um"].sum()) / 1000.0,
        "quality": dict(traced.quality),
    }
