"""TIFF stacks, read lazily: one file with all planes of a volume."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import tifffile
from numpy.typing import NDArray

from ketamap.core.errors import ImageError, MissingInputError
from ketamap.core.space import Zyx
from ketamap.io.blocks import Level, StoredImage, require_real
from ketamap.io.length_units import um_per

_PLANE_AXES = {"Q": "z", "I": "z", "Z": "z", "C": "c", "T": "t", "Y": "y", "X": "x", "S": "s"}
"""tifffile's axis letters; an unnamed axis of pages (I, Q) is taken as z."""

TIFF_SUFFIXES = (".tif", ".tiff")
"""Suffixes of TIFF files, in lower case; ``.ome.tif`` and ``.btf`` variants end in them."""


@dataclass(frozen=True, eq=False, slots=True)
class RawStack:
    """An uncompressed stack: mapped into memory for each read, never held open.

    Mapping per read keeps it safe between threads and cheap to send to a worker.
    """

    path: Path
    """The file."""

    offset_bytes: int
    """Where the first voxel is."""

    shape: tuple[int, ...]
    """Voxels along each axis."""

    dtype: np.dtype[Any]
    """Type on disk, byte order included."""

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Read a block."""
        mapped = np.memmap(self.path, self.dtype, "r", self.offset_bytes, self.shape)
        return np.array(mapped[key])


class PagedStack:
    """A stack whose pages are stored in compressed or scattered pieces.

    A read decodes the strips or tiles it touches and no others.  The file is opened for
    each read, so that threads share nothing; a copy sent to a worker reads the table of
    pages again.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], pages: list[Any]) -> None:
        self.path, self.shape = path, shape
        self.dtype: np.dtype[Any] = np.dtype(pages[0].dtype)
        self._keyframe = pages[0].keyframe
        self._where = [(page.dataoffsets, page.databytecounts) for page in pages]

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the path, not the table of pages."""
        return (_paged_stack, (self.path,))

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Read a block: a slice or whole number per axis."""
        *leading, rows, columns = key
        chosen = np.arange(len(self._where)).reshape(self.shape[:-2])[tuple(leading)]
        height, width = (
            len(range(*s.indices(n))) for s, n in zip((rows, columns), self.shape[-2:], strict=True)
        )
        out = np.empty((chosen.size, height, width), dtype=self.dtype)
        with tifffile.FileHandle(self.path) as handle:
            for plane, page in enumerate(chosen.ravel()):
                out[plane] = read_window(
                    self._keyframe, handle, *self._where[page], rows=rows, columns=columns
                )
        return out.reshape((*chosen.shape, height, width))


def read_window(
    page: Any, handle: Any, offsets: Any, counts: Any, *, rows: slice, columns: slice
) -> NDArray[Any]:
    """Decode the part of one page that a window touches.

    Parameters
    ----------
    page
        tifffile's page that describes the layout.
    handle
        Open file.
    offsets, counts
        Where the strips or tiles of this page are.
    rows, columns
        The window.
    """
    strip_rows, strip_columns = page.chunks[:2]
    per_row = page.chunked[1]
    height, width = page.shape[:2]
    row_range, column_range = range(*rows.indices(height)), range(*columns.indices(width))
    if not row_range or not column_range:
        return np.empty((len(row_range), len(column_range)), dtype=page.dtype)
    top, left = row_range[0] // strip_rows, column_range[0] // strip_columns
    bottom, right = row_range[-1] // strip_rows, column_range[-1] // strip_columns
    window = np.zeros(
        ((bottom - top + 1) * strip_rows, (right - left + 1) * strip_columns), dtype=page.dtype
    )
    indices = [i * per_row + j for i in range(top, bottom + 1) for j in range(left, right + 1)]
    for data, index in handle.read_segments(
        [offsets[k] for k in indices], [counts[k] for k in indices], indices
    ):
        piece = _decoded(page, data, index, handle)
        if piece is None:  # a piece left out of a sparse file is zero
            continue
        i, j = divmod(index, per_row)
        piece = piece.reshape(piece.shape[1:3])
        y, x = (i - top) * strip_rows, (j - left) * strip_columns
        window[y : y + piece.shape[0], x : x + piece.shape[1]] = piece
    dy, dx = top * strip_rows, left * strip_columns
    return window[
        row_range.start - dy : row_range[-1] + 1 - dy : row_range.step,
        column_range.start - dx : column_range[-1] + 1 - dx : column_range.step,
    ]


def _decoded(page: Any, data: Any, index: int, handle: Any) -> Any:
    try:
        return page.decode(data, index, jpegtables=page.jpegtables)[0]
    except (RuntimeError, ValueError, tifffile.TiffFileError) as error:  # what codecs raise
        msg = f"{handle.path} is damaged: a part of a plane cannot be decoded ({error}). Copy it again."
        raise ImageError(msg) from error


def open_tiff(path: Path) -> StoredImage:
    """Describe a TIFF stack without reading its voxels.

    Classic and BigTIFF, any compression imagecodecs knows, ImageJ and OME metadata.

    Raises
    ------
    MissingInputError
        If there is no such file.
    ImageError
        If it is no TIFF, a single plane, in colour, or holds images of several shapes.
    """
    if not path.is_file():
        msg = f"{path} is not there. Check the path."
        raise MissingInputError(msg)
    with opened(path) as tif:
        require_whole(tif, list(tif.pages), path)
        series = _only_series(tif, path)
        axes = _axes(series, path)
        require_real(np.dtype(series.dtype), str(path))
        shape = series.shape
        spacing = stated_spacing_um(tif)
        n_channels = shape[axes.index("c")] if "c" in axes else 0
        z, y, x = (int(shape[axes.index(axis)]) for axis in "zyx")
        return StoredImage(
            path=str(path),
            format=_format(tif),
            data=_blocks(path, series),
            axes=axes,
            spacing_um=spacing,
            channels=tuple(f"channel {k}" for k in range(n_channels)),
            levels=(Level(shape=(z, y, x), spacing_um=spacing),),
            block_shape=(1, *_page_block(series.keyframe)),
        )


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a TIFF file with tifffile.

    Raises
    ------
    ImageError
        If it is not one.
    """
    log = logging.getLogger("tifffile")
    if not log.handlers:  # what it would print about damage is raised as an error here
        log.addHandler(logging.NullHandler())
    try:
        tif = tifffile.TiffFile(path)
    except (tifffile.TiffFileError, ValueError) as error:
        msg = f"{path} cannot be read as TIFF ({error}). Is it complete, and a TIFF file?"
        raise ImageError(msg) from error
    with tif:
        yield tif


def require_whole(tif: Any, pages: list[Any], path: Path) -> None:
    """Refuse a file that was cut short: it would look like a shorter stack.

    Raises
    ------
    ImageError
        If the list of pages does not end properly, or voxels lie beyond the file's end.
    """
    handle = tif.filehandle
    handle.seek(tif.pages.next_page_offset)
    pointer = handle.read(tif.tiff.offsetsize)
    ends = [
        offset + count
        for page in pages
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
    ]
    if any(pointer) or max(ends, default=0) > handle.size:
        msg = f"{path} was cut short: planes are missing at its end. Copy or export it again."
        raise ImageError(msg)


def stated_spacing_um(tif: Any) -> Zyx[float] | None:
    """Return the spacing a file states with units, from OME or ImageJ metadata."""
    if tif.is_ome and tif.ome_metadata:
        values = _ome_spacing_um(tif.ome_metadata)
    elif tif.is_imagej:
        values = _imagej_spacing_um(tif)
    else:
        return None
    if any(um is None or not np.isfinite(um) or um <= 0 for um in values):
        return None
    z, y, x = (float(um) for um in values if um is not None)
    return (z, y, x)


def _only_series(tif: Any, path: Path) -> Any:
    if not tif.series:
        msg = f"{path} holds no image."
        raise ImageError(msg)
    if len(tif.series) > 1:
        shapes = " and ".join(str(one.shape) for one in tif.series[:3])
        msg = (
            f"{path} holds {len(tif.series)} images, of shapes {shapes}. A volume is one image "
            f"whose planes all have the same shape; save it as a file of its own."
        )
        raise ImageError(msg)
    series = tif.series[0]
    if series.is_multifile:
        msg = (
            f"{path} is one of several files of an OME-TIFF set. Give the folder that holds "
            f"its planes (one channel), or join them in one file."
        )
        raise ImageError(msg)
    return series


def _axes(series: Any, path: Path) -> str:
    """Name the axes of a series: letters of z, y, x, c and t, each once."""
    keyframe = series.keyframe
    if "S" in series.axes or keyframe.samplesperpixel > 1:
        msg = (
            f"{path} is a colour image ({keyframe.samplesperpixel} samples per pixel). "
            f"Intensities are needed: save one channel as a grey 16-bit stack."
        )
        raise ImageError(msg)
    if keyframe.imagedepth > 1:
        msg = f"{path} stores several planes per TIFF page. Save it again with one plane a page."
        raise ImageError(msg)
    axes = "".join(_PLANE_AXES.get(letter, "?") for letter in series.axes)
    if "z" not in axes:
        if "t" in axes:
            remedy = "Its planes are labelled as time points; label them as z (slices)."
        else:
            remedy = "A volume is needed: a stack with several planes, or a folder of planes."
        msg = f"{path} is a 2D image of axes {axes} and shape {series.shape}. {remedy}"
        raise ImageError(msg)
    if "?" in axes or len(set(axes)) != len(axes):
        msg = (
            f"{path} has axes {series.axes} of shape {series.shape}, which cannot be told apart. "
            f"Save it with axes (z, y, x), or as OME-TIFF."
        )
        raise ImageError(msg)
    return axes


def _blocks(path: Path, series: Any) -> RawStack | PagedStack:
    if series.dataoffset is not None:
        dtype = np.dtype(series.parent.byteorder + np.dtype(series.dtype).char)
        return RawStack(path, int(series.dataoffset), tuple(series.shape), dtype)
    return PagedStack(path, tuple(series.shape), list(series.pages))


def _paged_stack(path: Path) -> Any:
    return open_tiff(path).data


def _page_block(page: Any) -> tuple[int, int]:
    """Return the shape of a strip or tile; whole rows where strips are thin."""
    height, width = (int(n) for n in page.shape[:2])
    rows, columns = (int(n) for n in page.chunks[:2])
    return (min(rows, height), min(columns, width)) if page.is_tiled else (height, width)


def _format(tif: Any) -> str:
    kind = "OME-TIFF" if tif.is_ome else "ImageJ TIFF" if tif.is_imagej else "TIFF"
    big = " (BigTIFF)" if tif.is_bigtiff else ""
    compression = tif.pages[0].compression
    packed = "" if compression == tifffile.COMPRESSION.NONE else f", {compression.name.lower()}"
    return f"{kind} stack{big}{packed}"


def _ome_spacing_um(xml: str) -> tuple[float | None, ...]:
    """Read PhysicalSizeZ, Y, X; the OME schema's default unit is the micrometre."""
    pixels = next((e for e in ET.fromstring(xml).iter() if e.tag.endswith("}Pixels")), None)
    if pixels is None:
        return (None, None, None)
    return tuple(
        _scaled(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        for axis in "ZYX"
    )


def _imagej_spacing_um(tif: Any) -> tuple[float | None, ...]:
    """Read ImageJ's spacing of planes, and pixels per unit from the resolution tags."""
    metadata = tif.imagej_metadata or {}
    unit = str(metadata.get("unit", ""))
    tags = tif.pages[0].tags
    sizes: list[float | None] = [_scaled(metadata.get("spacing"), unit)]
    for name in ("YResolution", "XResolution"):
        pixels, units = tags[name].value if name in tags else (0, 0)
        sizes.append(_scaled(units / pixels, unit) if pixels else None)
    return tuple(sizes)


def _scaled(value: Any, unit: str) -> float | None:
    """Return a length in um, or None where it or its unit is not known."""
    factor = um_per(unit)
    return None if value is None or factor is None else float(value) * factor
