"""The steps for one brain: register, transform points, detect; see `trace` and `quantification`.

Each function is the verb of the same name on the command line: same arguments, same
units.  They read and write files; the work is done in the rooms below.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import OUTSIDE_ATLAS, Atlas
from ketamap.core.errors import InputError
from ketamap.core.registration import Registration
from ketamap.core.settings import DetectionSettings, Extent, RegistrationSettings
from ketamap.core.space import FloatArray, Orientation, VoxelGrid, Zyx
from ketamap.core.tables import ATLAS_POSITION, POINTS, SAMPLE_POSITION
from ketamap.core.volume import Volume
from ketamap.io.corrections import require_cells_path, write_cells
from ketamap.io.files import replacing_folder
from ketamap.io.images import open_image
from ketamap.io.ome_zarr import write_image
from ketamap.io.overlays import save_overlays
from ketamap.io.registrations import (
    load_registration,
    require_replaceable,
    save_registration,
)
from ketamap.io.tables import read_points, require_table_path, write_table
from ketamap.quantify import CarriedAnnotation, annotation_in_sample
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.masks import read_tissue
from ketamap.workflow.progress import Quiet, Reporter
from ketamap.workflow.spike_check import write_spikes
from ketamap.workflow.training import read_model

DEFAULT_MEMORY_BYTES = 4 * 2**30
"""Memory a step may use unless told otherwise."""

ANNOTATION = "annotation.ome.zarr"
"""Atlas annotation carried into the sample, in a registration's folder."""

HEMISPHERES_IMAGE = "hemispheres.ome.zarr"
"""1 left, 2 right, 0 outside the brain, in a registration's folder."""


def register(
    image: Path,
    *,
    orientation: str,
    atlas: str,
    out: Path,
    voxel_um: Zyx[float] | None = None,
    channel: int | None = None,
    atlas_dir: Path | None = None,
    extent: Extent = "whole",
    mask: Path | None = None,
    settings: RegistrationSettings | None = None,
    reporter: Reporter | None = None,
) -> Registration:
    """Align a brain to an atlas and write the transform, its quality and the annotation.

    Parameters
    ----------
    image
        TIFF stack, folder of TIFF planes or OME-Zarr.
    orientation
        Three letters, the side at which z, y and x start, for instance ``psl``.
    atlas
        Name of the atlas.
    out
        Folder to write.
    voxel_um
        Voxel size (z, y, x), um; left out: the file's.
    channel
        Channel to use of an image with several.
    atlas_dir
        Folder with atlases in BrainGlobe's layout.
    extent
        Which part of the brain the image shows.
    mask
        Image that is 0 where tissue is missing (see `ketamap.workflow.masks.read_tissue`);
        left out: tears and holes are looked for.
    settings
        How to align.
    reporter
        Shows progress.
    """
    from ketamap.register import align, coarse_image, require_size

    show = reporter or Quiet()
    lies = Orientation(orientation)
    require_replaceable(out)
    volume = open_image(image, voxel_um=voxel_um, channel=channel)
    tissue = None if mask is None else read_tissue(mask, volume)
    with show.stage(f"open atlas {atlas}") as progress:
        reference = open_atlas(atlas, atlas_dir=atlas_dir, progress=progress)
    require_size(volume, reference, lies, extent)
    settings = settings or RegistrationSettings()
    with show.stage("read the image") as progress:
        coarse, coarse_grid = coarse_image(volume, settings.resolution_um, progress=progress)
    with show.stage("register") as progress:
        result = align(
            Volume(data=coarse, grid=coarse_grid, name=volume.name),
            reference,
            orientation=lies,
            extent=extent,
            tissue=tissue,
            settings=settings,
            progress=progress,
        )
        result = replace(
            result,
            sample_grid=volume.grid,
            atlas_dir=None if atlas_dir is None else atlas_dir.resolve(),
        )
    with show.stage("carry the annotation into the sample") as progress:
        keep_registration(out, result, reference, coarse=coarse, coarse_grid=coarse_grid)
        progress(1, 1)
    return result


def keep_registration(
    out: Path,
    result: Registration,
    atlas: Atlas,
    *,
    coarse: NDArray[np.float32],
    coarse_grid: VoxelGrid,
) -> None:
    """Write a registration's folder: transform, quality, annotation in the sample, overlays.

    Parameters
    ----------
    out
        Folder to write; an older registration there is replaced.
    result
        The registration.
    atlas
        Its atlas.
    coarse, coarse_grid
        The image at about 100 um, in its own orientation, for the overlays.
    """
    from ketamap.register import overlay_slices

    carried = annotation_in_sample(result, atlas)
    overlays = overlay_slices(coarse, coarse_grid, result.transform, atlas.without(result.missing))
    with replacing_folder(out) as folder:
        save_registration(folder, result)
        _save_annotation(folder, carried)
        save_overlays(folder, overlays)


def transform(
    points: Path,
    *,
    registration: Path,
    to: str,
    out: Path,
    atlas_dir: Path | None = None,
) -> tuple[pd.DataFrame, int]:
    """Carry points to the atlas or to the sample.

    Parameters
    ----------
    points
        Table with ``z_um, y_um, x_um`` (to the atlas) or ``ap_um, dv_um, ml_um`` (to the
        sample); other columns are kept.
    registration
        Folder written by `register`.
    to
        ``atlas`` or ``sample``.
    out
        Table to write; points outside the atlas have empty positions.
    atlas_dir
        Where the atlas is now; left out: where it was.

    Returns
    -------
    frame
        What was written.
    outside
        Number of points that fell outside.
    """
    columns = {
        "atlas": (SAMPLE_POSITION, ATLAS_POSITION),
        "sample": (ATLAS_POSITION, SAMPLE_POSITION),
    }
    if to not in columns:
        msg = f"Points can be carried to 'atlas' or to 'sample', not to {to!r}."
        raise InputError(msg)
    source, target = columns[to]
    require_table_path(out, inputs=(points,))
    frame = read_points(points)
    missing = [name for name in source if name not in frame.columns]
    if missing:
        msg = (
            f"{points} lacks {', '.join(missing)}, needed to go to the {to}; it has "
            f"{', '.join(map(str, frame.columns))}."
        )
        raise InputError(msg)
    positions = frame[list(source)].to_numpy(dtype=np.float64)
    _require_numbers(positions, source, points)
    result = load_registration(registration)
    reference = open_atlas(result.atlas, atlas_dir=atlas_dir or result.atlas_dir)
    carried = _carry(positions, result, reference, to=to)
    frame[list(target)] = carried
    write_table(out, frame, POINTS)
    return frame, int(np.isnan(carried).any(axis=1).sum())


def _require_numbers(positions: FloatArray, columns: tuple[str, ...], path: Path) -> None:
    bad = np.argwhere(~np.isfinite(positions))
    if len(bad):
        row, column = bad[0]
        rows = len(np.unique(bad[:, 0]))
        msg = (
            f"{path}, column {columns[column]}, row {row + 1} has no position "
            f"({positions[row, column]}), and {rows} of {len(positions)} rows in all. Points "
            f"outside an atlas have none: take those rows out."
        )
        raise InputError(msg)


def detect(
    image: Path,
    *,
    out: Path,
    voxel_um: Zyx[float] | None = None,
    channel: int | None = None,
    background: Path | None = None,
    background_voxel_um: Zyx[float] | None = None,
    background_channel: int | None = None,
    settings: DetectionSettings | None = None,
    model: Path | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    workers: int = 1,
    device: str = "cpu",
    reporter: Reporter | None = None,
) -> pd.DataFrame:
    """Find cells and write their positions and scores.

    Parameters
    ----------
    image
        TIFF stack, folder of TIFF planes or OME-Zarr.
    out
        Table to write, or ``.xml`` for cellfinder.
    voxel_um
        Voxel size (z, y, x), um; left out: the file's.
    channel
        Channel to use of an image with several.
    background
        Image of the same shape without the label, to tell cells from bright tissue.
    background_voxel_um
        Its voxel size; left out: ``voxel_um``.
    background_channel
        Channel to use of a background with several.
    settings
        The soma's diameter. With ``spike_ins`` somata are planted as well: the cells get a column
        ``efficiency``, and what was planted lies beside them (`ketamap.workflow.spike_check`).
    model
        Score written by `ketamap.workflow.training.train_detector`; left out: the shipped one.
    memory_bytes
        Memory to stay within.
    workers
        Threads.
    device
        ``cpu``, or ``gpu``: filters the image there (`ketamap.detect.gpu`), with the same cells.
    reporter
        Shows progress.
    """
    from ketamap.detect import Resources, find_and_check, find_cells
    from ketamap.detect.gpu import open_device

    show = reporter or Quiet()
    require_cells_path(out, inputs=(image,))
    resources = Resources(memory_bytes=memory_bytes, workers=workers, device=open_device(device))
    settings = settings or DetectionSettings()
    score = None if model is None else read_model(model)
    volume = open_image(image, voxel_um=voxel_um, channel=channel)
    other = None
    if background is not None:
        other = open_image(
            background, voxel_um=background_voxel_um or voxel_um, channel=background_channel
        )
    given: dict[str, Any] = {
        "background": other,
        "model": score,
        "resources": resources,
    }
    if settings.spike_ins == 0:
        with show.stage("detect cells") as progress:
            cells = find_cells(volume, settings, **given, progress=progress)
    else:
        with show.stage("detect cells, planted ones as well") as progress:
            checked = find_and_check(volume, settings, **given, progress=progress)
        cells = checked.cells
        write_spikes(out, checked.spikes)
    write_cells(out, cells, spacing_um=volume.grid.spacing_um)
    return cells


def _carry(positions: FloatArray, result: Registration, atlas: Atlas, *, to: str) -> FloatArray:
    """Carry points; those outside the atlas's own volume are nowhere (NaN)."""
    if to == "atlas":
        carried = result.transform.to_atlas(positions)
        return np.where(atlas.regions_at(carried)[:, None] == OUTSIDE_ATLAS, np.nan, carried)
    inside = atlas.regions_at(positions)[:, None] != OUTSIDE_ATLAS
    return np.where(inside, result.transform.to_sample(positions), np.nan)


def _save_annotation(folder: Path, carried: CarriedAnnotation) -> None:
    for name, labels in ((ANNOTATION, carried.region_id), (HEMISPHERES_IMAGE, carried.hemisphere)):
        write_image(folder / name, labels, carried.grid, labels=True)
