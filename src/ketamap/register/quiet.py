"""Keep what a C++ library prints off the terminal, and have it at hand for errors."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_STDOUT, _STDERR = 1, 2


@contextmanager
def captured_output() -> Iterator[list[str]]:
    """Divert the process's stdout and stderr, at file-descriptor level.

    Greedy's optimiser prints from C, past every stream Python could replace.  Other
    threads that print meanwhile are diverted too; greedy holds the interpreter lock, so
    there is hardly a moment for that.

    Yields
    ------
    list of str
        Empty while inside; holds the text once the context is left.
    """
    text: list[str] = []
    with tempfile.TemporaryFile() as sink:
        _flush()
        saved = {fd: os.dup(fd) for fd in (_STDOUT, _STDERR)}
        try:
            for fd in saved:
                os.dup2(sink.fileno(), fd)
            yield text
        finally:
            _flush()
            for fd, copy in saved.items():
                os.dup2(copy, fd)
                os.close(copy)
            sink.seek(0)
            text.append(sink.read().decode(errors="replace"))


def _flush() -> None:
    """Empty Python's and C's buffers, so that each text goes where it was meant to."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
    library.fflush(None)
