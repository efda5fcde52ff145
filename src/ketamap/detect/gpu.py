"""Filtering blocks on a GPU, through CuPy.

Each operation is a kernel of its own, so that none are contracted and all round as NumPy's; CuPy
takes float32 numbers below 1.2e-38 for 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from math import prod
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketamap.core.errors import InputError, MissingExtraError, ResourceError
from ketamap.core.space import triple
from ketamap.core.units import gib_from_bytes
from ketamap.detect.arrays import bin_array, bytes_needed, difference_of_arrays, find_tops
from ketamap.detect.device import Device, Filtered, Tops, is_flat, on_cpu
from ketamap.detect.scale import FilterPlan

DEVICES = ("cpu", "gpu")
"""What `open_device` knows."""

_REMEDY = "or leave out --device gpu: the answer is the same."


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ArrayDevice:
    """A `Device` that works with whole arrays, one block at a time.

    Threads wait for one another: the device never holds more than one block, and its memory is
    given back after each. Voxels that are not uint8, uint16 or float32 are copied to float32 first.
    """

    xp: Any
    """NumPy or a library with the same functions."""

    to_host: Callable[[Any], NDArray[Any]]
    """From an array of ``xp`` to NumPy's."""

    free_bytes: Callable[[], int]
    """Memory that the arrays of ``xp`` can still take, bytes."""

    give_back: Callable[[], None]
    """Called after every block, when its arrays are gone."""

    lock: Lock = field(default_factory=Lock)
    """Held while a block is on the device."""

    def __call__(self, block: NDArray[Any], plan: FilterPlan) -> Filtered:
        """Filter a block, and look for its maxima.

        Raises
        ------
        ImageError
            If a voxel is NaN or infinite.
        ResourceError
            If the device has too little memory free.
        """
        native = np.dtype(block.dtype) in (np.uint8, np.uint16)
        voxels = np.ascontiguousarray(block, dtype=block.dtype if native else np.float32)
        with self.lock:
            self._require_room(voxels, plan)
            try:
                return self._filter(voxels, plan)
            finally:
                self.give_back()

    def _require_room(self, voxels: NDArray[Any], plan: FilterPlan) -> None:
        shape = triple(-(-n // b) for n, b in zip(voxels.shape, plan.bins, strict=True))
        need, free = bytes_needed(voxels.itemsize, plan.bins, prod(shape)), self.free_bytes()
        if need > free:
            msg = (
                f"A block of {' x '.join(map(str, voxels.shape))} voxels needs "
                f"{gib_from_bytes(need):.2f} GiB of the GPU's memory; "
                f"{gib_from_bytes(free):.2f} GiB are free. End other programs that use it, give "
                f"less with --memory (blocks are smaller then), {_REMEDY}"
            )
            raise ResourceError(msg)

    def _filter(self, voxels: NDArray[Any], plan: FilterPlan) -> Filtered:
        xp = self.xp
        image = bin_array(xp, xp.asarray(voxels), plan.bins)
        on_host = self.to_host(image)
        if is_flat(on_host):
            return Filtered(image=on_host, response=np.zeros_like(on_host))
        response = difference_of_arrays(xp, image, plan.narrow, plan.wide)
        del image
        plain, sharp = find_tops(xp, response)
        return Filtered(
            image=on_host,
            response=self.to_host(response),
            tops=Tops(plain=self.to_host(plain), sharp=self.to_host(sharp)),
        )


def open_device(name: str) -> Device:
    """Return what filters blocks: ``cpu``, or ``gpu`` for the first GPU that CUDA shows.

    Raises
    ------
    InputError
        If there is no device of that name.
    MissingExtraError
        If CuPy cannot be imported.
    ResourceError
        If CuPy finds no GPU, or not what it compiles with.
    """
    if name not in DEVICES:
        msg = f"--device must be {' or '.join(DEVICES)}, got {name!r}."
        raise InputError(msg)
    if name == "cpu":
        return on_cpu
    cupy = _usable_cupy()
    return ArrayDevice(
        xp=cupy,
        to_host=cupy.asnumpy,
        free_bytes=lambda: int(cupy.cuda.runtime.memGetInfo()[0]),
        give_back=cupy.get_default_memory_pool().free_all_blocks,
    )


def describe_gpu() -> str:
    """Name the GPU that `open_device` would use.

    Raises
    ------
    MissingExtraError, ResourceError
        As `open_device`, if there is none that can be used.
    """
    cupy = _usable_cupy()
    try:
        name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        free, total = cupy.cuda.runtime.memGetInfo()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        msg = f"CuPy {cupy.__version__} finds a GPU but cannot use it ({error})."
        raise ResourceError(msg) from error
    return (
        f"{name}, {gib_from_bytes(free):.1f} of {gib_from_bytes(total):.1f} GiB free, "
        f"CuPy {cupy.__version__}"
    )


def _usable_cupy() -> Any:
    """Import CuPy and make sure that it has a GPU and a compiler."""
    if find_spec("cupy") is None:
        msg = (
            "A GPU needs CuPy, which is not installed. Install it (Linux or Windows, CUDA 12) with "
            f"pip install 'ketamap[gpu]', {_REMEDY}"
        )
        raise MissingExtraError(msg)
    try:
        import cupy
    except ImportError as error:
        msg = (
            f"CuPy is installed but cannot be imported ({error}). Install it again with "
            f"pip install --force-reinstall 'ketamap[gpu]', {_REMEDY}"
        )
        raise MissingExtraError(msg) from error
    _require_gpu(cupy)
    return cupy


def _require_gpu(cupy: Any) -> None:
    try:
        count, reason = cupy.cuda.runtime.getDeviceCount(), "it counts 0"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        count, reason = 0, str(error)
    if count == 0:
        msg = (
            f"CuPy {cupy.__version__} is installed but finds no GPU ({reason}). See that "
            f"nvidia-smi lists one whose driver serves CUDA 12, {_REMEDY}"
        )
        raise ResourceError(msg)
    try:
        cupy.cuda.nvrtc.getVersion()
    except RuntimeError as error:
        msg = (
            f"CuPy {cupy.__version__} finds a GPU but not the compiler that it needs ({error}). "
            f"Install it with pip install 'ketamap[gpu]', {_REMEDY}"
        )
        raise ResourceError(msg) from error
