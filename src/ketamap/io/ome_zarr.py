"""OME-Zarr 0.5, written block by block: sharded, compressed, with a pyramid.

References
----------
OME-NGFF 0.5, section "multiscales" metadata: https://ngff.openmicroscopy.org/0.5
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import zarr
from numpy.typing import DTypeLike, NDArray
from zarr.codecs import BloscCodec

from ketamap.core.errors import InputError
from ketamap.core.progress import Progress, silent
from ketamap.core.space import VoxelGrid, Zyx
from ketamap.io.blocks import ZYX, require_real
from ketamap.io.files import explaining_full_disk, put_folder, temporary_beside
from ketamap.io.ome_zarr_reader import has_zarr_metadata
from ketamap.io.pyramid import check_can_average, halve, level_grids

CHUNK: Zyx[int] = (64, 128, 128)
"""Voxels decoded together.  Chunks of 64 cubed write a quarter slower, of 128 cubed make a
reader with overlap decode twice what it needs."""

SHARD: Zyx[int] = (256, 256, 256)
"""Voxels in one file, 32 MiB at 16 bits: a brain at 2 um is then some ten thousand files."""


def create_image(
    path: Path,
    grid: VoxelGrid,
    dtype: DTypeLike,
    *,
    name: str = "",
    labels: bool = False,
    chunk: Zyx[int] = CHUNK,
    shard: Zyx[int] = SHARD,
) -> ImageWriter:
    """Start an OME-Zarr 0.5 image; see `ImageWriter`.

    Parameters
    ----------
    path
        The folder to make, by custom ending in ``.ome.zarr``.  An older OME-Zarr there is
        replaced when the image is finished.
    grid
        Where the voxels are; its origin becomes the translation.
    dtype
        Type of one voxel.
    name
        Name in the metadata; left out, that of the folder.
    labels
        Whether voxels are identifiers: coarser levels then take one voxel of eight instead
        of their mean.
    chunk
        Voxels decoded together, along z, y, x; cut to the image.
    shard
        Voxels in one file, a multiple of ``chunk``; cut to the image.

    Raises
    ------
    InputError
        If ``path`` holds something else, or ``shard`` is not a multiple of ``chunk``.
    ImageError
        If the type is not real, or 64-bit intensities would have to be averaged.
    """
    return ImageWriter(
        Path(path), grid, np.dtype(dtype), name=name, labels=labels, layout=(chunk, shard)
    )


def write_image(
    path: Path,
    array: NDArray[Any],
    grid: VoxelGrid,
    *,
    name: str = "",
    labels: bool = False,
    chunk: Zyx[int] = CHUNK,
    shard: Zyx[int] = SHARD,
) -> None:
    """Write an array of shape ``grid.shape`` as OME-Zarr 0.5; see `create_image`."""
    if tuple(array.shape) != tuple(grid.shape):
        msg = f"{path}: the array has shape {array.shape} but its grid {grid.shape}."
        raise InputError(msg)
    with create_image(
        path, grid, array.dtype, name=name, labels=labels, chunk=chunk, shard=shard
    ) as writer:
        for start, stop in block_bounds(grid.shape, writer.block_shape):
            writer.write(start, array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))])
        writer.finish()


class ImageWriter:
    """Writes an image in blocks; nothing is at its path until it is finished.

    As a context manager it removes everything on any failure, Ctrl-C included, and also
    where `finish` was not called.  Several threads may write different blocks at a time.

    Parameters
    ----------
    path, grid, dtype, name, labels
        See `create_image`.
    layout
        Shapes of a chunk and a shard.
    """

    def __init__(
        self,
        path: Path,
        grid: VoxelGrid,
        dtype: np.dtype[Any],
        *,
        name: str,
        labels: bool,
        layout: tuple[Zyx[int], Zyx[int]],
    ) -> None:
        _require_replaceable(path)
        require_real(dtype, str(path))
        if not labels:
            check_can_average(dtype, str(path))
        self.path, self.grid, self.dtype = path, grid, dtype
        self._name, self._labels, self._layout = name or path.name, labels, layout
        self._temporary = temporary_beside(path)
        _fitted(grid.shape, *layout)  # refuses a bad layout before anything is made
        with _all_or_nothing(self):
            self._group = zarr.open_group(self._temporary, mode="w", zarr_format=3)
            self._array = self._new_level(0, grid)

    @property
    def block_shape(self) -> Zyx[int]:
        """Voxels in one file: blocks start at its multiples."""
        return _unit(self._array)

    def write(self, start: Zyx[int], block: NDArray[Any]) -> None:
        """Write voxels ``[start, start + block.shape)``.

        Raises
        ------
        InputError
            If the block does not start and end at multiples of `block_shape` (or at the
            image's end): two writers in one shard would destroy each other's voxels.
        ResourceError
            If the disk is full; the image is then removed.
        """
        stop = tuple(a + n for a, n in zip(start, block.shape, strict=True))
        for axis, a, b, unit, n in zip(
            ZYX, start, stop, self.block_shape, self.grid.shape, strict=True
        ):
            if not 0 <= a < b <= n or a % unit or (b % unit and b != n):
                msg = (
                    f"{self.path}: a block from {a} to {b} along {axis} cannot be written: "
                    f"blocks start and end at multiples of {unit}, or at the end, {n}."
                )
                raise InputError(msg)
        with _all_or_nothing(self):
            self._array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = block

    def write_unaligned(self, start: Zyx[int], block: NDArray[Any]) -> None:
        """Write voxels ``[start, start + block.shape)`` wherever they lie: slower than `write`.

        Only one thread may write at a time: what a shard already holds is read and written
        again.  Give `create_image` small shards for it.

        Raises
        ------
        ResourceError
            If the disk is full; the image is then removed.
        """
        stop = np.add(start, block.shape)
        with _all_or_nothing(self):
            self._array[tuple(slice(a, int(b)) for a, b in zip(start, stop, strict=True))] = block

    def finish(self, progress: Progress = silent) -> None:
        """Make the pyramid and the metadata, and put the image at its path.

        Memory stays within about three shards, whatever the size of the image.

        Raises
        ------
        ResourceError
            If the disk is full; the image is then removed.
        """
        grids = level_grids(self.grid)
        with _all_or_nothing(self):
            self._group.attrs["ome"] = _metadata(self._name, grids, labels=self._labels)
            fine, done = self._array, 0
            total = sum(grid.n_voxels for grid in grids[1:])
            for number, grid in enumerate(grids[1:], start=1):
                coarse = self._new_level(number, grid)
                for start, stop in block_bounds(grid.shape, _unit(coarse)):
                    self._fill(fine, coarse, start, stop)
                    done += int(np.prod(np.subtract(stop, start)))
                    progress(done, total)
                fine = coarse
            put_folder(self._temporary, self.path)

    def discard(self) -> None:
        """Remove what was written, unless it is finished."""
        shutil.rmtree(self._temporary, ignore_errors=True)

    def __enter__(self) -> ImageWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.discard()

    def _new_level(self, number: int, grid: VoxelGrid) -> zarr.Array[Any]:
        chunk, shard = _fitted(grid.shape, *self._layout)
        return self._group.create_array(
            str(number),
            shape=grid.shape,
            dtype=self.dtype.newbyteorder("="),
            chunks=chunk,
            shards=shard,
            compressors=_compressor(self.dtype),
            dimension_names=ZYX,
            fill_value=0,
        )

    def _fill(
        self, fine: zarr.Array[Any], coarse: zarr.Array[Any], start: Zyx[int], stop: Zyx[int]
    ) -> None:
        """Make one block of a coarser level, an eighth at a time."""
        factors = [2 if n > 1 else 1 for n in fine.shape]
        block = np.empty(np.subtract(stop, start), dtype=self.dtype)
        z, y, x = (-(-n // 2) for n in block.shape)
        for a, b in block_bounds(block.shape, (z, y, x)):
            source = tuple(
                slice((s + i) * f, min((s + j) * f, n))
                for s, i, j, f, n in zip(start, a, b, factors, fine.shape, strict=True)
            )
            block[tuple(slice(i, j) for i, j in zip(a, b, strict=True))] = halve(
                np.asarray(fine[source]), labels=self._labels
            )
        coarse[tuple(slice(s, t) for s, t in zip(start, stop, strict=True))] = block


@contextmanager
def _all_or_nothing(writer: ImageWriter) -> Iterator[None]:
    with explaining_full_disk(writer.path):
        try:
            yield
        except BaseException:
            writer.discard()
            raise


def block_bounds(shape: Zyx[int], block_shape: Zyx[int]) -> Iterator[tuple[Zyx[int], Zyx[int]]]:
    """Yield start and stop of each block of an image, in raster order."""
    for z, y, x in product(
        *(range(0, n, unit) for n, unit in zip(shape, block_shape, strict=True))
    ):
        c, b, a = (
            min(s + unit, n) for s, unit, n in zip((z, y, x), block_shape, shape, strict=True)
        )
        yield (z, y, x), (c, b, a)


def _unit(array: zarr.Array[Any]) -> Zyx[int]:
    """Shape of what is written at a time."""
    z, y, x = array.shards or array.chunks
    return (z, y, x)


def _fitted(shape: Zyx[int], chunk: Zyx[int], shard: Zyx[int]) -> tuple[Zyx[int], Zyx[int]]:
    """Cut chunk and shard to the image: no axis is padded by more than a chunk."""
    if any(c < 1 or s < 1 or s % c for c, s in zip(chunk, shard, strict=True)):
        msg = f"A shard ({shard}) must be a whole multiple of a chunk ({chunk}) along each axis."
        raise InputError(msg)
    cut = [min(c, n) for c, n in zip(chunk, shape, strict=True)]
    fits = [
        min(s // c * k, -(-n // k) * k) for s, c, k, n in zip(shard, chunk, cut, shape, strict=True)
    ]
    return (cut[0], cut[1], cut[2]), (fits[0], fits[1], fits[2])


def _compressor(dtype: np.dtype[Any]) -> BloscCodec:
    """LZ4 after sorting bits by weight: the fastest that halves noisy 12-bit intensities."""
    return BloscCodec(typesize=dtype.itemsize, cname="lz4", clevel=1, shuffle="bitshuffle")


def _metadata(name: str, grids: list[VoxelGrid], *, labels: bool) -> dict[str, Any]:
    datasets = [
        {
            "path": str(number),
            "coordinateTransformations": [
                {"type": "scale", "scale": list(grid.spacing_um)},
                {"type": "translation", "translation": list(grid.origin_um)},
            ],
        }
        for number, grid in enumerate(grids)
    ]
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in ZYX]
    method = "first voxel of 2x2x2" if labels else "mean of 2x2x2"
    image = {"name": name, "axes": axes, "datasets": datasets, "type": method}
    return {"version": "0.5", "multiscales": [image]}


def _require_replaceable(path: Path) -> None:
    if path.exists() and not (
        path.is_dir() and (has_zarr_metadata(path) or not any(path.iterdir()))
    ):
        msg = f"{path} is there and is no OME-Zarr image. Choose another name, or remove it."
        raise InputError(msg)
