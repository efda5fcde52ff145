"""Align one brain to one atlas: coarse image, affine, deformation, verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ketamap.core.atlas import Atlas
from ketamap.core.errors import ImageError, RegistrationError
from ketamap.core.progress import Progress, silent
from ketamap.core.registration import Registration, TissueMask
from ketamap.core.settings import Extent, RegistrationSettings
from ketamap.core.space import ATLAS_ORIENTATION, Orientation, VoxelGrid
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.core.units import UM_PER_MM
from ketamap.core.volume import Volume
from ketamap.register.engine import Picture, Schedule, fit
from ketamap.register.orientation import CHECK_RESOLUTION_UM, OrientationCheck, check_orientation
from ketamap.register.prepare import as_array, coarse_image, enhance, isotropic_grid, resample_to
from ketamap.register.quality import QUALITY_RESOLUTION_UM, Findings, assess
from ketamap.register.reference import Reference, reference_at
from ketamap.register.refits import REFIT_RESOLUTION_UM, estimate_error
from ketamap.register.tissue import (
    find_holes,
    find_missing_parts,
    seen_picture,
    single_losses,
)

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
    tissue: TissueMask | None = None,
    settings: RegistrationSettings | None = None,
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
    tissue
        Where there is tissue; left out: tears and holes are looked for.
    settings
        Resolution, iterations, threads; left out: the defaults.

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
    case = open_case(
        volume,
        atlas,
        orientation=orientation,
        extent=extent,
        tissue=tissue,
        settings=settings,
        progress=lambda done, total: progress(35.0 * done / total, _STEPS),
    )
    fitted = fit(case.fixed, case.moving, schedule_of(settings))
    progress(80.0, _STEPS)
    return close_case(
        case,
        fitted,
        progress=lambda done, total: progress(80.0 + 20.0 * done / total, _STEPS),
    )


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Case:
    """One brain and its atlas, ready to be fitted."""

    fixed: Picture
    """The atlas as the fit sees it, without parts that the image lacks."""

    moving: Picture
    """The brain as the fit sees it, in the atlas's orientation."""

    sample: Picture
    """The brain in its own orientation, intensities as they were."""

    sample_grid: VoxelGrid
    """Grid of the image it came from."""

    atlas: Atlas
    orientation: Orientation
    extent: Extent
    missing: tuple[str, ...]
    tissue: TissueMask | None
    check: OrientationCheck
    settings: RegistrationSettings

    def reference(self, resolution_um: float) -> Reference:
        """Return the atlas at a resolution, of what the image shows of it."""
        return reference_at(self.atlas, resolution_um, self.extent, missing=self.missing)


def schedule_of(settings: RegistrationSettings) -> Schedule:
    """Return the engine's schedule."""
    return Schedule(deformable=settings.iterations, threads=settings.threads)


def open_case(
    volume: Volume,
    atlas: Atlas,
    *,
    orientation: Orientation,
    extent: Extent,
    tissue: TissueMask | None,
    settings: RegistrationSettings,
    progress: Progress = silent,
) -> Case:
    """Make a brain coarse, check how it lies, and find what of it is there; see `align`."""
    require_size(volume, atlas, orientation, extent)
    sample, grid = coarse_image(
        volume, settings.resolution_um, progress=lambda d, n: progress(30.0 * d / n, 35.0)
    )
    if not np.ptp(sample) > 0.0:
        msg = (
            f"{volume.name} is empty: every voxel is {sample.flat[0]:g}. Choose another channel "
            f"(--channel), or another image."
        )
        raise ImageError(msg)
    turn = orientation.map_to(ATLAS_ORIENTATION)
    upright = Picture(image=as_array(turn.array(sample)), grid=turn.grid(grid))
    reference = reference_at(atlas, settings.resolution_um, extent)
    shown = [
        reference_at(atlas, CHECK_RESOLUTION_UM, extent, missing=parts)
        for parts in single_losses(atlas)
    ]
    check = check_orientation(sample, grid, orientation, shown)
    missing = find_missing_parts(upright, reference, atlas)
    if missing:
        reference = reference_at(atlas, settings.resolution_um, extent, missing=missing)
    lost = None
    if tissue is not None:
        lost = np.asarray(
            turn.array(~tissue.at(grid.voxel_centres_um()).reshape(grid.shape)), np.bool_
        )
    moving = seen_picture(upright, reference, lost)
    progress(1.0, 1.0)
    return Case(
        fixed=Picture(image=enhance(reference.template), grid=reference.grid),
        moving=moving,
        sample=Picture(image=sample, grid=grid),
        sample_grid=volume.grid,
        atlas=atlas,
        orientation=orientation,
        extent=extent,
        missing=missing,
        tissue=tissue,
        check=check,
        settings=settings,
    )


def close_case(case: Case, fitted: Transform, *, progress: Progress = silent) -> Registration:
    """Turn a fit of the upright brain into a registration of the brain, and judge it.

    Parameters
    ----------
    case
        From `open_case`.
    fitted
        ``case.fixed`` <-> ``case.moving``; its fields lie on the grid of ``case.fixed``.
    """
    turn = case.orientation.map_to(ATLAS_ORIENTATION)
    back = AffineMap(turn.matrix(case.sample.grid)).inverse()
    transform = Transform(
        affine=back.after(fitted.affine),
        outward=with_margin(fitted.outward),
        inward=with_margin(fitted.inward),
    )
    error = None
    if case.settings.refits:
        error = estimate_error(
            fitted,
            case.reference(REFIT_RESOLUTION_UM),
            case.moving,
            refits=case.settings.refits,
            threads=case.settings.threads,
            progress=lambda d, n: progress(0.75 * d, n),
        )
    reference = case.reference(QUALITY_RESOLUTION_UM)
    grid = isotropic_grid(case.sample.grid, QUALITY_RESOLUTION_UM)
    image = resample_to(case.sample.image, case.sample.grid, grid)
    quality = assess(
        image,
        grid,
        transform,
        _where_tissue_is(reference, transform, case.tissue),
        error=error,
        findings=_findings(case.check, case.missing),
    )
    progress(1.0, 1.0)
    return Registration(
        transform=transform,
        quality=quality,
        sample_grid=case.sample_grid,
        orientation=case.orientation,
        atlas=case.atlas.name,
        extent=case.extent,
        missing=case.missing,
        tissue=case.tissue or find_holes(image, grid, transform, reference),
        error=error,
        settings=case.settings,
    )


def _where_tissue_is(
    reference: Reference, transform: Transform, tissue: TissueMask | None
) -> Reference:
    """Leave out of the atlas's mask what the user says is missing: it cannot be compared there.

    Holes that were found stay in: a wrong registration finds many, and must not be excused.
    """
    if tissue is None:
        return reference
    there = tissue.at(transform.to_sample(reference.grid.voxel_centres_um()))
    return replace(reference, mask=reference.mask & there.reshape(reference.grid.shape))


def _findings(check: OrientationCheck, missing: tuple[str, ...]) -> Findings:
    turned = (check.reason,) * check.refuted
    remarks: tuple[str, ...] = ()
    if missing:
        names = " and ".join(missing)
        remarks = (f"The image seems not to show {names}: their counts are missing, not zero.",)
    return Findings(suspicions=turned, remarks=remarks)


def require_size(volume: Volume, atlas: Atlas, orientation: Orientation, extent: Extent) -> None:
    """Refuse an image that cannot be a brain of the atlas's size, without reading it.

    Raises
    ------
    RegistrationError
        If a side is more than `MAX_SIZE_RATIO` times longer or shorter.
    """
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


def with_margin(field: DisplacementField) -> DisplacementField:
    """Extend a field by `FIELD_MARGIN_UM` on all sides, repeating its outermost vectors."""
    grid = field.grid
    pad = [int(np.ceil(FIELD_MARGIN_UM / um)) for um in grid.spacing_um]
    vectors = np.pad(field.vectors_um, [(0, 0), *((n, n) for n in pad)], mode="edge")
    z, y, x = (float(v) for v in grid.to_um([-n for n in pad]))
    a, b, c = vectors.shape[1:]
    wider = VoxelGrid(shape=(a, b, c), spacing_um=grid.spacing_um, origin_um=(z, y, x))
    return DisplacementField(wider, vectors)
