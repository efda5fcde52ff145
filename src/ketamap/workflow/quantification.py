"""The verb `quantify`: cells and axons of one brain to its region table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ketamap.core.atlas import Atlas
from ketamap.core.errors import InputError, RegistrationError
from ketamap.core.registration import Registration
from ketamap.core.space import VoxelGrid
from ketamap.core.tables import AXONS, CELLS, REGIONS, SAMPLE_POSITION
from ketamap.io.images import open_image
from ketamap.io.manifests import write_json
from ketamap.io.registrations import load_registration
from ketamap.io.tables import beside, read_table, require_table_path, write_table
from ketamap.io.tracings import load_tracing
from ketamap.quantify import (
    AxonQuantification,
    CarriedAnnotation,
    Quantification,
    add_border_fraction,
    add_corrected,
    add_detection_efficiency,
    annotation_in_sample,
    measure_coverage,
    quantify_axons,
    quantify_cells,
    saturated_regions,
)
from ketamap.trace import corrected_length
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.brain import ANNOTATION, HEMISPHERES_IMAGE
from ketamap.workflow.progress import Quiet, Reporter

MANY_CELLS = 10
"""So many cells and none in a region: something is wrong; fewer may be false ones."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Quantified:
    """What one brain holds."""

    regions: pd.DataFrame
    """Columns of `ketamap.core.tables.REGIONS`: cells, then axons, whichever there are."""

    cells: Quantification | None
    """Cells placed and counted, with their balance sheet."""

    axons: AxonQuantification | None
    """Axons placed and summed, with their balance sheet."""

    saturated: tuple[str, ...]
    """Structures so densely labelled that their axon length is too low."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantifyFiles:
    """Where the placed points and balance sheets go."""

    cells: Path
    """Cells with their regions."""

    cells_balance: Path
    """Where every cell went, JSON."""

    axons: Path
    """Axons with their regions."""

    axons_balance: Path
    """Where all traced length went, JSON."""

    @classmethod
    def beside(cls, out: Path) -> QuantifyFiles:
        """Return the names beside a region table: ``<name>_cells`` and so on."""
        return cls(
            cells=beside(out, "_cells"),
            cells_balance=beside(out, "_balance", suffix=".json"),
            axons=beside(out, "_axons"),
            axons_balance=beside(out, "_axon_balance", suffix=".json"),
        )


def quantify(
    *,
    registration: Path,
    out: Path,
    cells: Path | None = None,
    axons: Path | None = None,
    animal: str | None = None,
    seen: VoxelGrid | None = None,
    files: QuantifyFiles | None = None,
    atlas_dir: Path | None = None,
    accept_failed: bool = False,
    reporter: Reporter | None = None,
) -> Quantified:
    """Count cells and sum axon length per region and hemisphere, and measure volumes.

    Parameters
    ----------
    registration
        Folder written by `register`.
    out
        Region table to write.
    cells
        Table written by `detect`; may be left out where axons are given.
    axons
        Folder written by `trace`.
    animal
        Identifier written into the table; left out: the registration folder's name.
    seen
        Grid of the image in which cells and axons were looked for; left out: the
        registered one.
    files
        Where to write the placed points and the balance sheets; left out: beside ``out``.
    atlas_dir
        Where the atlas is now; left out: where it was.
    accept_failed
        Count although the registration was judged a failure.
    reporter
        Shows progress.

    Raises
    ------
    InputError
        If neither cells nor axons are given.
    RegistrationError
        If the registration failed, or no cell lies in the atlas, and ``accept_failed`` is not
        set.
    """
    show = reporter or Quiet()
    files = files or QuantifyFiles.beside(out)
    found, traced = _inputs(cells, axons, out, files)
    result = load_registration(registration)
    if result.quality.verdict == "fail" and not accept_failed:
        msg = (
            f"The registration in {registration} failed: {' '.join(result.quality.reasons)} "
            f"Register again; --accept-failed counts all the same."
        )
        raise RegistrationError(msg)
    with show.stage(f"open atlas {result.atlas}") as progress:
        reference = open_atlas(
            result.atlas, atlas_dir=atlas_dir or result.atlas_dir, progress=progress
        )
    with show.stage("count") as progress:
        space = _Space(registration, result, reference, seen)
        name = animal or registration.resolve().name
        quantified = space.quantify(name, found, traced)
        progress(1, 1)
    if not accept_failed:
        _require_cells_inside(quantified, registration)
    _write(quantified, out, files)
    return quantified


def _inputs(
    cells: Path | None, axons: Path | None, out: Path, files: QuantifyFiles
) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """Check where results go and read what is to be placed."""
    if cells is None and axons is None:
        msg = "There is nothing to quantify: give cells (--cells), traced axons (--axons) or both."
        raise InputError(msg)
    given = [path for path in (cells, axons) if path is not None]
    for table_out in (out, files.cells, files.axons):
        require_table_path(table_out, inputs=tuple(given))
    found = None if cells is None else read_table(cells, CELLS)
    traced = None if axons is None else load_tracing(axons).axons
    return found, traced


def _require_cells_inside(quantified: Quantified, registration: Path) -> None:
    """Refuse cells that cannot be this brain's.

    Raises
    ------
    RegistrationError
        If all lie outside the atlas, or `MANY_CELLS` or more and none lies in a region.
    """
    if quantified.cells is None:
        return
    where = quantified.cells.balance
    if where.in_regions or where.outside_atlas < where.detected < MANY_CELLS or not where.detected:
        return
    um = quantified.cells.cells[list(SAMPLE_POSITION)].median().round(1).tolist()
    msg = (
        f"None of the {where.detected} cells lies in a region of the atlas: {where.outside_atlas} "
        f"lie outside its volume, {where.outside_brain} outside the brain. The usual cause is "
        f"cells and registration of different images, positions in voxels instead of micrometres, "
        f"or a wrong --orientation or --voxel-um in `ketamap register` (median position of the "
        f"cells z, y, x: {um} um; registration: {registration}). Nothing was written; "
        "--accept-failed counts all the same."
    )
    raise RegistrationError(msg)


class _Space:
    """One registered brain."""

    def __init__(
        self, folder: Path, result: Registration, atlas: Atlas, seen: VoxelGrid | None
    ) -> None:
        self._result, self._atlas = result, atlas
        self._seen = seen or result.sample_grid
        self._carried = annotation_of(folder, result, atlas)
        self._coverage = measure_coverage(self._carried, result.transform, atlas, seen=self._seen)

    def quantify(
        self, animal: str, cells: pd.DataFrame | None, axons: pd.DataFrame | None
    ) -> Quantified:
        counted = None if cells is None else self._cells(animal, cells)
        summed = None if axons is None else self._axons(animal, axons)
        frames = [one.regions for one in (counted, summed) if one is not None]
        return Quantified(
            regions=pd.concat(frames, ignore_index=True),
            cells=counted,
            axons=summed,
            saturated=() if summed is None else tuple(saturated_regions(summed.regions)),
        )

    def _cells(self, animal: str, cells: pd.DataFrame) -> Quantification:
        counted = quantify_cells(
            cells,
            animal=animal,
            transform=self._result.transform,
            atlas=self._atlas,
            carried=self._carried,
            seen=self._seen,
            coverage=self._coverage,
        )
        counted = replace(
            counted,
            regions=add_detection_efficiency(counted.regions, counted.cells, self._atlas),
        )
        error = self._result.error
        if error is None:
            return counted
        return replace(
            counted,
            regions=add_border_fraction(counted.regions, counted.cells, self._atlas, error),
        )

    def _axons(self, animal: str, axons: pd.DataFrame) -> AxonQuantification:
        summed = quantify_axons(
            axons,
            animal=animal,
            transform=self._result.transform,
            atlas=self._atlas,
            carried=self._carried,
            seen=self._seen,
            coverage=self._coverage,
        )
        full = add_corrected(summed.regions, self._atlas, corrected_length)
        return AxonQuantification(axons=summed.axons, regions=full, balance=summed.balance)


def annotation_of(folder: Path, result: Registration, atlas: Atlas) -> CarriedAnnotation:
    """Read the annotation in the sample, or carry it again if it was removed."""
    if not ((folder / ANNOTATION).exists() and (folder / HEMISPHERES_IMAGE).exists()):
        return annotation_in_sample(result, atlas)
    labels = open_image(folder / ANNOTATION)
    sides = open_image(folder / HEMISPHERES_IMAGE)
    return CarriedAnnotation(
        grid=labels.grid,
        region_id=labels.load(),
        hemisphere=sides.load(),
        missing=result.missing,
        extent=result.extent,
        tissue=result.tissue,
    )


def _write(quantified: Quantified, out: Path, files: QuantifyFiles) -> None:
    if quantified.cells is not None:
        write_table(files.cells, quantified.cells.cells, CELLS)
        write_json(files.cells_balance, quantified.cells.balance.as_dict())
    if quantified.axons is not None:
        write_table(files.axons, quantified.axons.axons, AXONS)
        write_json(
            files.axons_balance,
            {**quantified.axons.balance.as_dict(), "saturated": quantified.saturated},
        )
    write_table(out, quantified.regions, REGIONS)
