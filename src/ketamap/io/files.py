"""Whole files or none: replacing files and folders, and telling contents apart."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ketamap.core.errors import MissingInputError, ResourceError

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
"""Error numbers of a full disk and of a used-up quota."""

_HASHED_WHOLE_BYTES = 256 * 2**20
"""Inputs up to this size are hashed completely (about a third of a second)."""

_PIECE_BYTES = 16 * 2**10
"""Bytes per sample of a larger input."""

_LEAST_PIECES = 3
"""Samples of each file of a larger input: its start, middle and end."""


def no_file(path: Path) -> MissingInputError:
    """Return the error that says why a path is no file: nothing there, or a folder."""
    if path.is_dir():
        return MissingInputError(f"{path} is a folder. Give the file in it that is meant.")
    return MissingInputError(f"{path} is not there. Check the path.")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it over ``path`` when all went well.

    Readers see the old file or the new one, never a part: a rename within a folder is
    atomic.  On any failure, Ctrl-C included, the temporary file is removed and ``path`` is
    as it was.  Missing parent folders are made.

    Raises
    ------
    ResourceError
        If the disk is full or the quota used up.
    """
    path = Path(path)
    with explaining_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(path)
        try:
            yield temporary
            _flush_to_disk(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder beside ``path``; it becomes ``path`` when all went well.

    An older folder at ``path`` is replaced as a whole.  On any failure, Ctrl-C included,
    the temporary folder is removed and ``path`` is as it was.

    Raises
    ------
    ResourceError
        If the disk is full or the quota used up.
    """
    path = Path(path)
    with explaining_full_disk(path):
        temporary = temporary_beside(path)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            put_folder(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def temporary_beside(path: Path) -> Path:
    """Return an unused hidden name in the folder of ``path``, with its suffix."""
    return path.with_name(f".{uuid.uuid4().hex[:8]}.partial.{path.name}")


def remove_partial(folder: Path) -> None:
    """Remove what a killed program left half-written below a folder (see `temporary_beside`)."""
    for left in sorted(Path(folder).rglob(".*.partial.*")):
        if left.exists():  # it may have gone with the folder it was in
            _remove(left)


def put_folder(source: Path, path: Path) -> None:
    """Rename folder ``source`` to ``path``; what was there is removed afterwards."""
    if not path.exists():
        source.rename(path)
        return
    aside = temporary_beside(path)
    path.rename(aside)
    try:
        source.rename(path)
    except BaseException:
        aside.rename(path)
        raise
    _remove(aside)


def hash_file(path: Path) -> str:
    """Return a short hash of a file's or folder's content, the same on every machine.

    Names (relative to ``path``), sizes and bytes count; times and owners do not, since
    copying an image to a cluster changes them.  Up to 256 MiB everything is hashed with
    BLAKE2b.  Of larger inputs every file gives its size and evenly spaced pieces, 256 MiB
    in all and at least the start, middle and end of each file, so that a terabyte takes
    seconds.  A change that keeps every size and lies between the pieces of an
    *uncompressed* image is not seen; compressed images change size or, in a Zarr shard,
    the checksum at its end.  Files whose name starts with a dot are left out, except the
    metadata of Zarr 2.

    Raises
    ------
    MissingInputError
        If there is nothing at ``path``.
    """
    path = Path(path)
    files = _files_of(path)
    sizes = [file.stat().st_size for file in files]
    budget = None if sum(sizes) <= _HASHED_WHOLE_BYTES else _HASHED_WHOLE_BYTES // len(files)
    digest = hashlib.blake2b(digest_size=16)
    for file, size in zip(files, sizes, strict=True):
        name = file.relative_to(path).as_posix() if path.is_dir() else ""
        digest.update(f"{name}\0{size}\0".encode())
        _feed(digest, file, size, budget)
    return digest.hexdigest()


def size_on_disk_bytes(path: Path) -> int:
    """Return the bytes in a file, or in all files below a folder."""
    return sum(file.stat().st_size for file in _files_of(Path(path)))


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        msg = f"{path} is not there. Check the path."
        raise MissingInputError(msg)
    found = [
        Path(folder) / name
        for folder, _, names in os.walk(path)
        for name in names
        if not name.startswith(".") or name.startswith(".z")
    ]
    return sorted(found, key=lambda file: file.relative_to(path).as_posix())


def _feed(digest: hashlib.blake2b, file: Path, size: int, budget: int | None) -> None:
    """Add a file's bytes to ``digest``: all, or evenly spaced pieces within a budget."""
    with file.open("rb") as stream:
        if budget is None or size <= budget:
            while chunk := stream.read(2**20):
                digest.update(chunk)
            return
        pieces = max(_LEAST_PIECES, budget // _PIECE_BYTES)
        last = max(size - _PIECE_BYTES, 0)
        for k in range(pieces):
            stream.seek(last * k // (pieces - 1))
            digest.update(stream.read(_PIECE_BYTES))


@contextmanager
def explaining_full_disk(path: Path) -> Iterator[None]:
    """Turn the system's "no space left" into a `ResourceError` that names ``path``."""
    try:
        yield
    except ResourceError:
        raise
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        msg = (
            f"The disk is full: {path} could not be written, and nothing of it was kept. "
            f"Free some space, or write to another disk with --out."
        )
        raise ResourceError(msg) from error


def _flush_to_disk(path: Path) -> None:
    """Make sure the bytes are on disk before the name is: a power cut must not part them."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
