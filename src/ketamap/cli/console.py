"""What a person sees: bars with ETA, plain lines, and errors as one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ketamap.core.progress import Progress as Report


class ConsoleReporter:
    """Shows stages as bars on standard error, so that standard output stays clean."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    @contextmanager
    def stage(self, label: str) -> Iterator[Report]:
        """Show a bar from here to the end of the block."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task(label, total=None)

            def report(done: float, total: float, /) -> None:
                bar.update(task, completed=done, total=total)

            if not sys.stderr.isatty():
                self.say(f"{label} ...")
            yield report

    def say(self, line: str) -> None:
        """Show one line."""
        self._console.print(line, markup=False)
