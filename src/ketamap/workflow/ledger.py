"""What has been done: a step is repeated only if its inputs or its outputs changed."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ketamap.core.errors import ResourceError
from ketamap.io.files import hash_file
from ketamap.workflow.manifest import versions

_SCHEMA = """
create table if not exists steps (
    step text not null,
    subject text not null,
    key text not null,
    outputs text not null,
    seconds real not null,
    primary key (step, subject)
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """A finished step."""

    step: str
    """What was done: register, detect, quantify, ..."""

    subject: str
    """To which animal, or empty for the whole study."""

    key: str
    """Digest of everything the result depends on."""

    outputs: tuple[str, ...]
    """Files and folders written, relative to the study folder."""

    seconds: float
    """Wall time."""


def step_key(**parts: Any) -> str:
    """Digest of everything a step's result depends on, and of the versions it is made with."""
    text = json.dumps({**parts, "versions": versions()}, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Ledger:
    """The steps finished in one study folder, kept in ``ledger.sqlite``.

    Only the process that runs the study writes it; a step is entered after its outputs
    are in place, so that a run stopped at any point leaves no false entry.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _explained(folder):
            self._db = sqlite3.connect(folder / "ledger.sqlite")
            self._db.execute(_SCHEMA)
            self._db.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def is_done(self, step: str, subject: str, key: str) -> bool:
        """Whether a step with this key is finished and its outputs are still as written."""
        row = self._db.execute(
            "select key, outputs from steps where step = ? and subject = ?", (step, subject)
        ).fetchone()
        if row is None or row[0] != key:
            return False
        outputs: Mapping[str, str] = json.loads(row[1])
        return all(
            (self.folder / name).exists() and hash_file(self.folder / name) == digest
            for name, digest in outputs.items()
        )

    def record(self, done: StepRecord) -> None:
        """Enter a finished step."""
        outputs = {name: hash_file(self.folder / name) for name in done.outputs}
        with _explained(self.folder), self._db:
            self._db.execute(
                "insert or replace into steps values (?, ?, ?, ?, ?)",
                (done.step, done.subject, done.key, json.dumps(outputs), done.seconds),
            )

    def seconds(self) -> dict[str, dict[str, float]]:
        """Wall time of each finished step: ``{step: {subject: seconds}}``."""
        rows = self._db.execute("select step, subject, seconds from steps order by step, subject")
        out: dict[str, dict[str, float]] = {}
        for step, subject, seconds in rows:
            out.setdefault(step, {})[subject] = seconds
        return out


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        msg = (
            f"The ledger of {folder} cannot be used ({error}). If the disk is full or "
            f"read-only, mend that; if the file is damaged, delete ledger.sqlite. Then go on "
            f"with --resume."
        )
        raise ResourceError(msg) from error
