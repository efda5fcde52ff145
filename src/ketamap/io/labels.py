"""Labelled planes and boxes: what a person painted, for calibration."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ketamap.core.errors import InputError, MissingInputError
from ketamap.core.space import Zyx

HIGHEST_LABEL = 4
"""0 unlabelled, 1 background, 2 axon, 3 artefact (no axon), 4 edge of an axon (left out)."""

_NPZ_HELP = (
    "An npz holds `labels`: of the image's shape; or with `start` (z, y, x: the box's first "
    "voxel); or with `planes` (the z of each labelled plane)"
)


@dataclass(frozen=True, eq=False, slots=True)
class LabelledBox:
    """Labels of an image of which only a box is kept; reads as an array of the image's shape."""

    start: Zyx[int]
    """First voxel of the box."""

    labels: NDArray[np.uint8]
    """Shape of the box, (z, y, x): 0 unlabelled, 1 background, 2 axon, 3 artefact, 4 edge."""

    shape: Zyx[int]
    """Of the image."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a label."""
        return self.labels.dtype

    def __getitem__(self, key: Any, /) -> NDArray[np.uint8]:
        """Read a block given by three slices without steps; 0 beyond the box."""
        bounds = [part.indices(n)[:2] for part, n in zip(key, self.shape, strict=True)]
        out = np.zeros([max(b - a, 0) for a, b in bounds], dtype=np.uint8)
        there, here = [], []
        for (a, b), first, n in zip(bounds, self.start, self.labels.shape, strict=True):
            low, high = max(a, first), min(b, first + n)
            if low >= high:
                return out
            there.append(slice(low - a, high - a))
            here.append(slice(low - first, high - first))
        out[tuple(there)] = self.labels[tuple(here)]
        return out


def read_labels(path: Path, shape: Zyx[int]) -> LabelledBox:
    """Read labels painted in napari or any editor.

    Parameters
    ----------
    path
        A TIFF stack of the image's shape, or an npz with ``labels`` and, unless they cover
        the image, ``start`` (first voxel of a box, z, y, x) or ``planes`` (z of each plane).
    shape
        Of the image.

    Returns
    -------
    LabelledBox
        An array of the image's shape, of which the smallest box with every label is kept.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InputError
        If it does not fit the image, holds another label, or none of 2 (axon) and 1 or 3
        (no axon).
    """
    path = Path(path)
    if not path.is_file():
        msg = f"{path} is not there. Give labels as a TIFF stack or an npz."
        raise MissingInputError(msg)
    if path.suffix.lower() == ".npz":
        box = _from_npz(path, shape)
    elif path.suffix.lower() in (".tif", ".tiff"):
        box = _from_tiff(path, shape)
    else:
        msg = f"{path} is neither .tif, .tiff nor .npz: labels come as one of these."
        raise InputError(msg)
    _check(path, box.labels)
    return _cropped(box)


def _from_tiff(path: Path, shape: Zyx[int]) -> LabelledBox:
    """Read a stack plane by plane and keep the labelled ones."""
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            stated = tuple(n for n in series.shape if n > 1)
            if stated != tuple(n for n in shape if n > 1) or len(series.pages) != shape[0]:
                msg = (
                    f"{path} has shape {tuple(series.shape)} but the image {tuple(shape)} "
                    f"(z, y, x). A TIFF of labels has the image's shape; one plane or a box is "
                    f"given as npz. {_NPZ_HELP}."
                )
                raise InputError(msg)
            planes = {}
            for z, page in enumerate(series.pages):
                plane = page.asarray().reshape(shape[1:])  # type: ignore[union-attr]
                if plane.any():
                    planes[z] = plane
    except InputError:
        raise
    except (tifffile.TiffFileError, ValueError, OSError) as error:
        msg = f"{path} cannot be read as a TIFF stack of labels ({error})."
        raise InputError(msg) from error
    if not planes:
        return LabelledBox((0, 0, 0), np.zeros((1, 1, 1), dtype=np.uint8), shape)
    return _from_planes(path, np.stack(list(planes.values())), np.array(list(planes)), shape)


def _from_npz(path: Path, shape: Zyx[int]) -> LabelledBox:
    try:
        with np.load(path, allow_pickle=False) as stored:
            held = {name: stored[name] for name in stored.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        msg = f"{path} is not an npz of plain arrays ({error})."
        raise InputError(msg) from error
    if "labels" not in held:
        msg = f"{path} holds {', '.join(held) or 'nothing'}. {_NPZ_HELP}."
        raise InputError(msg)
    labels = np.atleast_3d(held["labels"])
    if "planes" in held:
        return _from_planes(path, held["labels"], np.atleast_1d(held["planes"]), shape)
    if "start" not in held:
        return LabelledBox((0, 0, 0), _fitting(path, labels, shape), shape)
    z, y, x = (int(n) for n in np.ravel(held["start"]))
    stop = np.add((z, y, x), labels.shape)
    if labels.ndim != 3 or min(z, y, x) < 0 or np.any(stop > shape):
        msg = (
            f"{path}: the box from {(z, y, x)} to {tuple(stop.tolist())} does not lie in the "
            f"image of shape {shape} (z, y, x)."
        )
        raise InputError(msg)
    return LabelledBox((z, y, x), labels, shape)


def _from_planes(path: Path, planes: NDArray[Any], z: NDArray[Any], shape: Zyx[int]) -> LabelledBox:
    planes = planes[None] if planes.ndim == 2 else planes
    if planes.shape != (len(z), *shape[1:]) or not np.all((z >= 0) & (z < shape[0])):
        msg = (
            f"{path}: labels of shape {planes.shape} for planes {z.tolist()} do not fit the "
            f"image of shape {shape} (z, y, x). {_NPZ_HELP}."
        )
        raise InputError(msg)
    first, last = int(z.min()), int(z.max())
    box = np.zeros((last - first + 1, *shape[1:]), dtype=planes.dtype)
    box[np.asarray(z, dtype=np.int64) - first] = planes
    return LabelledBox((first, 0, 0), box, shape)


def _fitting(path: Path, labels: NDArray[Any], shape: Zyx[int]) -> NDArray[Any]:
    if tuple(labels.shape) != tuple(shape):
        msg = (
            f"{path} has shape {tuple(labels.shape)} but the image {tuple(shape)} (z, y, x). "
            f"{_NPZ_HELP}."
        )
        raise InputError(msg)
    return labels


def _check(path: Path, labels: NDArray[Any]) -> None:
    if labels.dtype.kind not in "uib":
        msg = f"{path} holds {labels.dtype}; labels are whole numbers 0 to {HIGHEST_LABEL}."
        raise InputError(msg)
    found = set(np.unique(labels).tolist())
    strange = sorted(found - set(range(HIGHEST_LABEL + 1)))
    if strange:
        msg = (
            f"{path} holds the labels {strange[:5]}; known are 0 unlabelled, 1 background, "
            f"2 axon, 3 artefact, 4 edge of an axon."
        )
        raise InputError(msg)
    if 2 not in found or not found & {1, 3}:
        msg = (
            f"{path} holds {'no axon (2)' if 2 not in found else 'no background (1)'}: both "
            f"must be painted for a calibration. Unlabelled voxels stay 0."
        )
        raise InputError(msg)


def _cropped(box: LabelledBox) -> LabelledBox:
    index = [
        np.flatnonzero(box.labels.any(axis=tuple(a for a in range(3) if a != axis)))
        for axis in range(3)
    ]
    z, y, x = (int(start + where[0]) for start, where in zip(box.start, index, strict=True))
    cut = tuple(slice(int(where[0]), int(where[-1]) + 1) for where in index)
    kept = np.ascontiguousarray(box.labels[cut], dtype=np.uint8)
    return LabelledBox((z, y, x), kept, box.shape)
