"""Align one brain to one atlas: coarse image, affine, deformation, verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ketamap.core.atlas import Atlas
from ketamap.core.errors import RegistrationError
from ketamap.core.progress import Progress, silent
from ketamap.core.registration import Registration
from ketamap.core.settings import Extent, RegistrationSettings
from ketamap.core.space import ATLAS_ORIENTATION, Orientation, VoxelGrid
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.core.units import UM_PER_MM
from ketamap.core.volume import Volume
from ketamap.register.engine import Picture, Schedule, fit
from ketamap.register.orientation import OrientationCheck, check_orientation
from ketamap.register.prepare import as_array, coarse_image, enhance, isotropic_grid, resample_to
from ketamap.register.quality import QUALITY_RESOLUTION_UM, Findings, assess
from ketamap.register.reference import reference_at
from ketamap.register.refits import REFIT_RESOLUTION_UM, estimate_error
from ketamap.register.tissue import find_missing_parts

MAX_SIZE_RATIO = 3.0
"""An image more than so many times larger or smaller than the atlas is refused."""

FIELD_MARGIN_UM = 1500.0
"""How far the fields reach beyond the atlas, so that brain just outside it is carried."""

_STEPS = 100.0


def align(
    volume: Volume,
    atlas: Atlas,
    *,
    orientation: Orientation,
    extent: Extent = "whole",
    settings: RegistrationSettings | None = None,
    atlas_dir: Path | None = None,
    progress: Progress = silent,
) -> Registration:
    """Align a brain to an atlas.

    Parameters
    ----------
    volume
        One channel with anatomical contrast (autofluorescence), any size.
    atlas
        Where to align it to, any resolution.
    orientation
        How the volume's axes lie in the animal.  It is checked, not guessed; a
        left-right mirror cannot be seen.
    extent
        Which part of the brain the volume shows.
    settings
        Resolution, iterations, threads; left out: the defaults.
    atlas_dir
        Kept in the result for the record.

    Returns
    -------
    Registration
        With a verdict; a ``fail`` is returned, not raised.

    Raises
    ------
    RegistrationError
        If the image's physical size cannot be that of the atlas, or the engine fails.
    ImageError
        If the volume is empty or holds NaN.
    """
    settings = settings or RegistrationSettings()
    _check_size(volume, atlas, orientation, extent)
    sample, grid = coarse_image(
        volume, settings.resolution_um, progress=lambda d, n: progress(30.0 * d / n, _STEPS)
    )
    turn = orientation.map_to(ATLAS_ORIENTATION)
    upright = turn.grid(grid)
    turned = as_array(turn.array(sample))
    reference = reference_at(atlas, settings.resolution_um, extent)
    check = check_orientation(sample, grid, orientation, reference)
    missing = find_missing_parts(Picture(image=turned, grid=upright), reference, atlas)
    if missing:
        reference = reference_at(atlas, settings.resolution_um, extent, missing=missing)
    progress(35.0, _STEPS)

    fixed = Picture(image=enhance(reference.template), grid=reference.grid)
    moving = Picture(image=enhance(turned), grid=upright)
    schedule = Schedule(deformable=settings.iterations, threads=settings.threads)
    fitted = fit(fixed, moving, schedule)
    progress(80.0, _STEPS)

    back = AffineMap(turn.matrix(grid)).inverse()
    transform = Transform(
        affine=back.after(fitted.affine),
        outward=_with_margin(fitted.outward),
        inward=_with_margin(fitted.inward),
    )
    error = None
    if settings.refits:
        error = estimate_error(
            fitted,
            reference_at(atlas, REFIT_RESOLUTION_UM, extent, missing=missing),
            Picture(image=turned, grid=upright),
            refits=settings.refits,
            threads=settings.threads,
            progress=lambda d, n: progress(80.0 + 15.0 * d / n, _STEPS),
        )
    quality_grid = isotropic_grid(grid, QUALITY_RESOLUTION_UM)
    quality = assess(
        resample_to(sample, grid, quality_grid),
        quality_grid,
        transform,
        reference_at(atlas, QUALITY_RESOLUTION_UM, extent, missing=missing),
        error=error,
        findings=_findings(extent, check, missing),
    )
    progress(_STEPS, _STEPS)
    return Registration(
        transform=transform,
        quality=quality,
        sample_grid=volume.grid,
        orientation=orientation,
        atlas=atlas.name,
        atlas_dir=atlas_dir,
        extent=extent,
        missing=missing,
        error=error,
        settings=settings,
    )


def _findings(extent: Extent, check: OrientationCheck, missing: tuple[str, ...]) -> Findings:
    turned = (check.reason,) * check.refuted
    remarks: tuple[str, ...] = ()
    if missing:
        names = " and ".join(missing)
        remarks = (f"The image seems not to show {names}: their counts are missing, not zero.",)
    if extent == "whole":
        return Findings(suspicions=turned, remarks=remarks)
    # at 400 um half a brain is a featureless wedge: there the final fit decides
    return Findings(doubts=turned, remarks=remarks)


def _check_size(volume: Volume, atlas: Atlas, orientation: Orientation, extent: Extent) -> None:
    turn = orientation.map_to(ATLAS_ORIENTATION)
    sample_mm = _size_mm(turn.grid(volume.grid))
    atlas_mm = _size_mm(atlas.grid)
    if extent != "whole":
        atlas_mm[2] *= 0.5
    ratio = sample_mm / atlas_mm
    if np.all((ratio < MAX_SIZE_RATIO) & (ratio > 1.0 / MAX_SIZE_RATIO)):
        return
    msg = (
        f"{volume.name} is {_mm(sample_mm)} mm (ap x dv x ml) in orientation "
        f"{orientation.code}, but {atlas.name} ({extent}) is {_mm(atlas_mm)} mm: they cannot be "
        f"the same brain. Check --voxel-um (now {_um(volume.grid)}, z,y,x) and --orientation."
    )
    raise RegistrationError(msg)


def _size_mm(grid: VoxelGrid) -> NDArray[np.float64]:
    spacing_um = np.asarray(grid.spacing_um, dtype=np.float64)
    return np.asarray(spacing_um * np.asarray(grid.shape) / UM_PER_MM)


def _mm(size_mm: NDArray[np.float64]) -> str:
    return " x ".join(f"{v:.3g}" for v in size_mm)


def _um(grid: VoxelGrid) -> str:
    return ",".join(f"{v:g}" for v in grid.spacing_um)


def _with_margin(field: DisplacementField) -> DisplacementField:
    """Extend a field by `FIELD_MARGIN_UM` on all sides, repeating its outermost vectors."""
    grid = field.grid
    pad = [int(np.ceil(FIELD_MARGIN_UM / um)) for um in grid.spacing_um]
    vectors = np.pad(field.vectors_um, [(0, 0), *((n, n) for n in pad)], mode="edge")
    z, y, x = (float(v) for v in grid.to_um([-n for n in pad]))
    a, b, c = vectors.shape[1:]
    wider = VoxelGrid(shape=(a, b, c), spacing_um=grid.spacing_um, origin_um=(z, y, x))
    return DisplacementField(wider, vectors)
