"""What detection may use of a machine: nothing here changes what is found."""

from __future__ import annotations

from dataclasses import dataclass

from ketamap.core.errors import InputError
from ketamap.detect.device import Device, on_cpu

DEFAULT_MEMORY_BYTES = 4 * 2**30
"""Memory that detection may use, bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Memory, threads and device of one run.

    Raises
    ------
    InputError
        If ``workers`` is less than 1.
    """

    memory_bytes: int = DEFAULT_MEMORY_BYTES
    """What the process may use, all workers together; at least about half a GiB."""

    workers: int = 1
    """Threads; the kernels release the interpreter lock."""

    device: Device = on_cpu
    """What filters the blocks: this, or `ketamap.detect.gpu.open_device` of ``gpu``."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            msg = f"workers must be at least 1, got {self.workers}."
            raise InputError(msg)
