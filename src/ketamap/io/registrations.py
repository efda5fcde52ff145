"""A registration on disk: a folder with the transform, how it was made and its quality."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketamap.core.errors import InputError, MissingInputError
from ketamap.core.registration import (
    ErrorMap,
    Registration,
    RegistrationQuality,
    TissueMask,
)
from ketamap.core.settings import RegistrationSettings
from ketamap.core.space import Orientation, VoxelGrid
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.io.files import replacing_folder
from ketamap.io.manifests import read_json, write_json

_FORMAT = "ketamap registration 3"
"""Name and version of the folder's layout."""

_TRANSFORM, _RECORD, _QUALITY = "transform.npz", "registration.json", "qc.json"

_FIGURES = ("ncc", "lncc", "least_jacobian", "inverse_error_p95_um", "error_median_um")
"""Fields of `RegistrationQuality` that are numbers; null on disk means NaN."""

_ZIP_LEVEL = 1
"""Smooth float32 fields: level 6 saves a few per cent more and takes thrice the time."""


def save_registration(folder: Path, registration: Registration) -> None:
    """Write a registration to a folder: all of it or nothing, equal ones to equal bytes.

    An older registration there is replaced.

    Raises
    ------
    InputError
        If the folder holds something else.
    ResourceError
        If the disk is full.
    """
    folder = Path(folder)
    require_replaceable(folder)
    with replacing_folder(folder) as temporary:
        _save_arrays(temporary / _TRANSFORM, registration)
        write_json(temporary / _RECORD, _record(registration))
        write_json(temporary / _QUALITY, _quality(registration.quality))


def load_registration(folder: Path) -> Registration:
    """Read what `save_registration` wrote.

    Raises
    ------
    MissingInputError
        If the folder, or one of its files, is not there.
    InputError
        If a file in it cannot be understood.
    """
    folder = Path(folder)
    if not folder.is_dir():
        msg = f"There is no folder {folder}. Give the folder that `ketamap register` wrote."
        raise MissingInputError(msg)
    missing = [n for n in (_TRANSFORM, _RECORD, _QUALITY) if not (folder / n).is_file()]
    if missing:
        msg = (
            f"{folder} is not a registration: {', '.join(missing)} not there. Give the folder "
            f"that `ketamap register` wrote."
        )
        raise MissingInputError(msg)
    record = read_json(folder / _RECORD)
    if record.get("format") != _FORMAT:
        msg = f"{folder / _RECORD} has format {record.get('format')!r}; {_FORMAT!r} is needed."
        raise InputError(msg)
    try:
        return _registration(folder, record, read_json(folder / _QUALITY))
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        msg = f"{folder} is damaged ({error}). Run `ketamap register` again."
        raise InputError(msg) from error


def load_quality(folder: Path) -> RegistrationQuality:
    """Read only the quality of what `save_registration` wrote.

    Raises
    ------
    MissingInputError
        If there is none.
    InputError
        If its file cannot be understood.
    """
    path = Path(folder) / _QUALITY
    try:
        return _quality_of(read_json(path))
    except (KeyError, TypeError) as error:
        msg = f"{path} is damaged ({error}). Run `ketamap register` again."
        raise InputError(msg) from error


def require_replaceable(folder: Path) -> None:
    """Refuse to write a registration over anything but another one, or an empty folder.

    Raises
    ------
    InputError
        If ``folder`` is a file or holds something else.
    """
    if folder.exists() and not _may_be_replaced(folder):
        msg = f"{folder} holds other files. Give a new folder, or one with a registration."
        raise InputError(msg)


def _may_be_replaced(folder: Path) -> bool:
    return folder.is_dir() and ((folder / _RECORD).is_file() or not any(folder.iterdir()))


def _record(registration: Registration) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "atlas": registration.atlas,
        "atlas_dir": registration.atlas_dir,
        "orientation": registration.orientation.code,
        "extent": registration.extent,
        "missing": registration.missing,
        "error_grid": None if registration.error is None else registration.error.grid,
        "tissue_grid": None if registration.tissue is None else registration.tissue.grid,
        "sample_grid": registration.sample_grid,
        "outward_grid": registration.transform.outward.grid,
        "inward_grid": registration.transform.inward.grid,
        "settings": registration.settings,
    }


def _quality(quality: RegistrationQuality) -> dict[str, Any]:
    return {
        **{name: getattr(quality, name) for name in _FIGURES},
        "verdict": quality.verdict,
        "reasons": quality.reasons,
    }


def _registration(folder: Path, record: dict[str, Any], qc: dict[str, Any]) -> Registration:
    settings = dict(record["settings"])
    settings["iterations"] = tuple(settings["iterations"])
    return Registration(
        transform=_load_transform(folder / _TRANSFORM, record),
        error=_load_error(folder / _TRANSFORM, record),
        tissue=_load_tissue(folder / _TRANSFORM, record),
        quality=_quality_of(qc),
        sample_grid=_grid(record["sample_grid"]),
        orientation=Orientation(record["orientation"]),
        atlas=record["atlas"],
        atlas_dir=Path(record["atlas_dir"]) if record["atlas_dir"] else None,
        extent=record["extent"],
        missing=tuple(record["missing"]),
        settings=RegistrationSettings(**settings),
    )


def _quality_of(qc: dict[str, Any]) -> RegistrationQuality:
    figures = {name: math.nan if qc[name] is None else float(qc[name]) for name in _FIGURES}
    return RegistrationQuality(**figures, verdict=qc["verdict"], reasons=tuple(qc["reasons"]))


def _grid(stored: dict[str, Any]) -> VoxelGrid:
    return VoxelGrid(**{name: tuple(values) for name, values in stored.items()})


def _save_arrays(path: Path, registration: Registration) -> None:
    transform = registration.transform
    arrays: dict[str, NDArray[Any]] = {
        "affine": np.asarray(transform.affine.matrix, dtype=np.float64),
        "outward_um": np.asarray(transform.outward.vectors_um, dtype=np.float32),
        "inward_um": np.asarray(transform.inward.vectors_um, dtype=np.float32),
    }
    if registration.error is not None:
        arrays["error_um"] = np.asarray(registration.error.error_um, dtype=np.float32)
    if registration.tissue is not None:
        arrays["tissue"] = registration.tissue.present.astype(np.bool_)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_ZIP_LEVEL) as archive:
        for name, array in arrays.items():
            # opened by name, an entry gets the date 1980-01-01: the bytes never change
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.ascontiguousarray(array))


def _load_error(path: Path, record: dict[str, Any]) -> ErrorMap | None:
    if record["error_grid"] is None:
        return None
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        return ErrorMap(grid=_grid(record["error_grid"]), error_um=stored["error_um"])


def _load_tissue(path: Path, record: dict[str, Any]) -> TissueMask | None:
    if record["tissue_grid"] is None:
        return None
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        return TissueMask(grid=_grid(record["tissue_grid"]), present=stored["tissue"])


def _load_transform(path: Path, record: dict[str, Any]) -> Transform:
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        return Transform(
            affine=AffineMap(stored["affine"]),
            outward=DisplacementField(_grid(record["outward_grid"]), stored["outward_um"]),
            inward=DisplacementField(_grid(record["inward_grid"]), stored["inward_um"]),
        )
