"""Where steps run: in processes on this machine, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

import psutil

from ketamap.core.errors import InputError, ResourceError
from ketamap.core.units import gib_from_bytes

WORKER_BYTES = 3 * 2**29
"""Memory one worker needs at 100 um: 1.5 GiB (libraries, an atlas, one registration, or a
detection that stays within its share)."""

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def default_workers(*, memory_bytes: int, tasks: int) -> int:
    """Count the workers that this machine's cores and ``memory_bytes`` allow."""
    by_memory = max(1, memory_bytes // WORKER_BYTES)
    return max(1, min(cores(), tasks, int(by_memory)))


def require_workers(workers: int) -> None:
    """Refuse a number of workers below one.

    Raises
    ------
    InputError
        If it is.
    """
    if workers < 1:
        msg = f"--workers must be at least 1, got {workers}."
        raise InputError(msg)


def cores() -> int:
    """Count the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def require_memory(memory_bytes: int) -> None:
    """Refuse a memory budget that the machine does not have.

    Raises
    ------
    ResourceError
        If less is free than asked for.
    """
    free = psutil.virtual_memory().available
    if memory_bytes > free:
        msg = (
            f"--memory {gib_from_bytes(memory_bytes):.1f} GiB was asked for but "
            f"{gib_from_bytes(free):.1f} GiB are free. Close other programs or give less."
        )
        raise ResourceError(msg)


@contextmanager
def open_workers(*, workers: int = 1, scheduler: str | None = None) -> Iterator[Executor]:
    """Provide workers, and end them whatever happens.

    Parameters
    ----------
    workers
        Processes on this machine.
    scheduler
        Address of a Dask scheduler, used instead; its workers must see the same files.

    Raises
    ------
    InputError
        If the number is below one or the scheduler does not answer.
    """
    require_workers(workers)
    if scheduler is None:
        with _one_thread_each():
            pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
            try:
                yield pool
            except BaseException:
                _end_now(pool)
                raise
            pool.shutdown()
        return
    from distributed import Client

    try:
        client = Client(scheduler, timeout="20s")  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError) as error:
        msg = f"No Dask scheduler answers at {scheduler} ({error}). Start one, or use --workers."
        raise InputError(msg) from error
    with client:
        yield client.get_executor(pure=False)  # type: ignore[no-untyped-call]


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let each new process use one thread: brains run side by side instead."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _end_now(pool: ProcessPoolExecutor) -> None:
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()
