"""How a workflow tells a person what it is doing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from ketamap.core.progress import Progress, silent


class Reporter(Protocol):
    """Shows stages with a bar and an ETA; the command line brings one."""

    def stage(self, label: str, /) -> AbstractContextManager[Progress]:
        """Begin a stage; the progress it gives moves its bar."""

    def say(self, line: str, /) -> None:
        """Show one line."""


class Quiet:
    """Shows nothing: the default for use from Python."""

    @contextmanager
    def stage(self, label: str, /) -> Iterator[Progress]:
        """Begin a stage that nobody watches."""
        del label
        yield silent

    def say(self, line: str, /) -> None:
        """Keep the line."""
        del line
