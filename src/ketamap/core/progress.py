"""How a step tells its caller how far it is, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called by a step as work is done; the command line draws a bar with ETA."""

    def __call__(self, done: float, total: float, /) -> None:
        """Report that ``done`` of ``total`` units of work are finished."""


def silent(done: float, total: float, /) -> None:
    """Report nothing: the default of every step."""
