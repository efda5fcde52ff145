"""A folder of TIFF planes, read lazily: one file per plane of a volume."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ketamap.core.errors import ImageError
from ketamap.io.blocks import Level, StoredImage, require_real
from ketamap.io.tiff import TIFF_SUFFIXES, opened, read_window, require_whole

_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True, eq=False, slots=True)
class PlaneFolder:
    """Planes in files of their own, each opened for the reads that touch it.

    Safe between threads: nothing is shared but the list of names.
    """

    paths: tuple[Path, ...]
    """Files in the order of z."""

    shape: tuple[int, int, int]
    """Voxels along z, y, x."""

    dtype: np.dtype[Any]
    """Type of one voxel."""

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Read a block: a slice per axis."""
        planes, rows, columns = key
        chosen = self.paths[planes]
        height, width = len(range(self.shape[1])[rows]), len(range(self.shape[2])[columns])
        out = np.empty((len(chosen), height, width), dtype=self.dtype)
        for k, path in enumerate(chosen):
            with opened(path) as tif:
                page = tif.pages[0]
                _require_same(page, self.shape[1:], self.dtype, path)
                out[k] = read_window(
                    page.keyframe,
                    tif.filehandle,
                    page.dataoffsets,
                    page.databytecounts,
                    rows=rows,
                    columns=columns,
                )
        return out


def open_planes(folder: Path) -> StoredImage:
    """Describe a folder of TIFF planes; every file's header is read, no voxels.

    Files are taken in natural order (plane 2 before plane 10).  The folder may hold other
    files, but all its TIFF files must be the planes of one volume.

    Raises
    ------
    ImageError
        If there are no TIFF files, a plane is missing from the numbers, names do not
        belong together, or a plane has another shape or type than the first.
    """
    paths = _in_order(folder)
    with opened(paths[0]) as tif:
        page = tif.pages[0]
        dtype = np.dtype(page.dtype)
        require_real(dtype, str(paths[0]))
        plane = _plane_shape(page, paths[0])
        packed = page.compression != tifffile.COMPRESSION.NONE
        name = page.compression.name.lower()
    for path in paths:
        with opened(path) as tif:
            _require_same(tif.pages[0], plane, dtype, path)
            require_whole(tif, [tif.pages[0]], path)
            if len(tif.pages) > 1:
                msg = f"{path} holds {len(tif.pages)} planes; each file of a folder must hold one."
                raise ImageError(msg)
    shape = (len(paths), *plane)
    return StoredImage(
        path=str(folder),
        format=f"folder of TIFF planes{f', {name}' if packed else ''}",
        data=PlaneFolder(tuple(paths), shape, dtype),
        axes="zyx",
        levels=(Level(shape=shape, spacing_um=None),),
        block_shape=(1, *plane),
    )


def tiff_files(folder: Path) -> list[Path]:
    """Return the TIFF files of a folder in natural order, hidden ones left out."""
    found = [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in TIFF_SUFFIXES and not file.name.startswith(".")
    ]
    return sorted(found, key=lambda file: (_split(file), file.name))


def _split(file: Path) -> list[tuple[str, int]]:
    """Split a name into (text, number) pairs, so that 2 sorts before 10."""
    parts = _NUMBER.split(file.name)
    numbers = [int(n) for n in parts[1::2]] + [-1]
    return list(zip(parts[::2], numbers, strict=True))


def _in_order(folder: Path) -> list[Path]:
    files = tiff_files(folder)
    if not files:
        there = ", ".join(sorted(f.name for f in folder.iterdir())[:3]) or "nothing"
        msg = (
            f"{folder} holds no TIFF files (there is: {there}). Give a TIFF stack, a folder of "
            f"TIFF planes, or an OME-Zarr folder."
        )
        raise ImageError(msg)
    if len(files) == 1:
        msg = (
            f"{folder} holds one TIFF file, {files[0].name}. If it is a stack, give the file "
            f"itself; a folder is read as one plane per file."
        )
        raise ImageError(msg)
    _require_one_pattern(files)
    numbers = np.array([[n for _, n in _split(file)][:-1] for file in files], dtype=np.int64)
    _require_no_gap(files, numbers)
    return files


def _require_one_pattern(files: list[Path]) -> None:
    patterns = [tuple(text for text, _ in _split(file)) for file in files]
    usual, n = Counter(patterns).most_common(1)[0]
    odd = next((f for f, p in zip(files, patterns, strict=True) if p != usual), None)
    if odd is not None:
        like = files[patterns.index(usual)].name
        msg = (
            f"{odd} is not named like the other planes ({n} of {len(files)} TIFF files are named "
            f"like {like}). Move it out of the folder, or rename it."
        )
        raise ImageError(msg)


def _require_no_gap(files: list[Path], numbers: NDArray[np.int64]) -> None:
    """Refuse a sequence of names with a plane missing.

    The step from plane to plane may be any, but it must be the same throughout.  Where
    several numbers vary, each must grow with every plane.
    """
    varying = np.flatnonzero((numbers != numbers[0]).any(axis=0))
    if not varying.size:
        msg = f"{files[1]} has the same plane number as {files[0].name}. Remove one of them."
        raise ImageError(msg)
    for column in varying:
        steps = np.diff(numbers[:, column])
        if np.any(steps <= 0):
            at = int(np.flatnonzero(steps <= 0)[0])
            msg = (
                f"{files[at + 1]} does not follow {files[at].name}: several numbers in the names "
                f"change. Put the planes of one channel, one per z, in a folder of their own."
            )
            raise ImageError(msg)
        counts = Counter(steps.tolist())
        step = int(min(counts, key=lambda s: (-counts[s], s)))
        for at in np.flatnonzero(steps != step).tolist():
            _raise_gap(files, at, int(numbers[at, column]), step, int(steps[at]))


def _raise_gap(files: list[Path], at: int, number: int, step: int, jump: int) -> None:
    missing = f"plane {number + step}" if jump > step else "a regular sequence"
    msg = (
        f"{files[at].parent}: {missing} is missing: {files[at].name} is followed by "
        f"{files[at + 1].name}, but planes are {step} apart. Restore the file; a missing plane "
        f"would shift every position behind it."
    )
    raise ImageError(msg)


def _plane_shape(page: Any, path: Path) -> tuple[int, int]:
    if page.samplesperpixel > 1:
        msg = (
            f"{path} is a colour image ({page.samplesperpixel} samples per pixel). Intensities "
            f"are needed: save one channel as grey 16-bit planes."
        )
        raise ImageError(msg)
    height, width = (int(n) for n in page.shape[:2])
    return (height, width)


def _require_same(page: Any, plane: tuple[int, ...], dtype: np.dtype[Any], path: Path) -> None:
    shape = _plane_shape(page, path)
    if shape != tuple(plane) or np.dtype(page.dtype) != dtype:
        msg = (
            f"{path} is {shape[0]} x {shape[1]} voxels of {page.dtype}, but the first plane of "
            f"the folder is {plane[0]} x {plane[1]} of {dtype}. Restore or remove the file."
        )
        raise ImageError(msg)
