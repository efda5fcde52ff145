"""Runs steps in the order of their needs, side by side, skipping what the ledger has."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ketamap.core.errors import ResourceError
from ketamap.core.progress import Progress, silent
from ketamap.workflow.ledger import Ledger, StepRecord, step_key

TaskName: TypeAlias = tuple[str, str]
"""Step and subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One step for one subject, ready to be sent to a worker."""

    step: str
    """Name of the step."""

    subject: str
    """Animal, or empty for the whole study."""

    call: Callable[..., None]
    """Module-level function that does the work and writes `outputs`."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Its keyword arguments."""

    inputs: Callable[[], Mapping[str, Any]] = dict
    """Gives what the result depends on; called when everything needed is there."""

    needs: tuple[TaskName, ...] = ()
    """Tasks that must be finished before."""

    outputs: tuple[str, ...] = ()
    """What it writes, relative to the study folder."""

    weight: float = 1.0
    """Expected share of the work, for the progress bar."""

    @property
    def name(self) -> TaskName:
        """Step and subject."""
        return (self.step, self.subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Which tasks were done and which were found done."""

    done: tuple[TaskName, ...]
    skipped: tuple[TaskName, ...]


def run_tasks(
    tasks: Sequence[Task],
    *,
    ledger: Ledger,
    executor: Executor,
    progress: Progress = silent,
) -> Outcome:
    """Run tasks side by side.

    The result does not depend on the number of workers: tasks only communicate through
    their outputs.  Each finished task enters the ledger at once.

    Parameters
    ----------
    tasks
        In any order that has no loop.
    ledger
        Of the study folder.
    executor
        Gives the workers.
    progress
        Told the weight of finished tasks and of all.

    Raises
    ------
    Exception
        The first error of a task, with a note that names it; tasks under way are
        finished and entered first, tasks not begun are left.
    """
    waiting = {task.name: task for task in tasks}
    running: dict[Future[float], tuple[Task, str]] = {}
    finished: set[TaskName] = set()
    done: list[TaskName] = []
    skipped: list[TaskName] = []
    total = sum(task.weight for task in tasks)
    failure: BaseException | None = None
    while waiting or running:
        ready = [t for t in waiting.values() if set(t.needs) <= finished] if not failure else []
        for task in ready:
            del waiting[task.name]
            key = step_key(step=task.step, subject=task.subject, **task.inputs())
            if ledger.is_done(task.step, task.subject, key):
                skipped.append(task.name)
                finished.add(task.name)
            else:
                running[executor.submit(_timed, task.call, dict(task.arguments))] = (task, key)
        if not running:
            if failure or not ready:
                break
            continue
        progress(_weight(tasks, finished), total)
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            task, key = running.pop(future)
            error = _explained(future.exception())
            if error is not None:
                error.add_note(f"while doing: {task.step} {task.subject}".rstrip())
                failure = failure or error
                continue
            _enter(ledger, task, key, future.result())
            done.append(task.name)
            finished.add(task.name)
    progress(_weight(tasks, finished), total)
    if failure:
        raise failure
    return Outcome(done=tuple(sorted(done)), skipped=tuple(sorted(skipped)))


def _weight(tasks: Sequence[Task], finished: set[TaskName]) -> float:
    return sum(task.weight for task in tasks if task.name in finished)


def _enter(ledger: Ledger, task: Task, key: str, seconds: float) -> None:
    ledger.record(
        StepRecord(
            step=task.step, subject=task.subject, key=key, outputs=task.outputs, seconds=seconds
        )
    )


def _explained(error: BaseException | None) -> BaseException | None:
    """Say what a lost worker most likely means."""
    if not isinstance(error, BrokenExecutor):
        return error
    msg = (
        "A worker process ended abruptly, most likely because memory ran out. Use fewer "
        "--workers or give more --memory, and go on with --resume."
    )
    return ResourceError(msg)


def _timed(call: Callable[..., None], arguments: dict[str, Any]) -> float:
    began = time.perf_counter()
    call(**arguments)
    return time.perf_counter() - began
