"""Courses of a plan: nominal ones of each member, and draws of the parameters in processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.dosing import DosingPlan
from ketamap.core.errors import InputError, KetamapError
from ketamap.core.progress import Progress
from ketamap.simulate.draws import draw_parameters
from ketamap.simulate.engine import TIME, SolveError, default_times, shared_engine
from ketamap.simulate.members import CONFLICTS, Member, world
from ketamap.workflow.workers import open_workers

REFERENCE = "reference"
"""Name of the world in which every conflict is at its first member."""

NOMINAL = "nominal"
"""Name under which the reference's course with nominal parameters is kept."""

QUANTILES = (0.5, 0.025, 0.25, 0.75, 0.975)
"""Quantiles of a course, in the order of `QUANTILE_COLUMNS`."""

QUANTILE_COLUMNS = ("median", "q025", "q25", "q75", "q975")
"""Columns of a summary."""

FINE_H = np.array([2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 18.0, 21.0, 24.0, 36.0, 48.0])
"""Further output after the first and the last dose, hours."""

BATCH = 5
"""Draws a worker solves before it reports."""

MOST_FAILURES = 0.05
"""Share of draws that may fail to solve; above it the result is refused."""

RELATIVE_TOLERANCE = 1e-6
"""Of the solver, for draws: far below the spread of the priors."""


class DrawsFailedError(KetamapError, RuntimeError):
    """Too many draws could not be solved."""


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """What one worker solves at a time."""

    plan: DosingPlan
    columns: tuple[str, ...]
    times_h: NDArray[np.float64]
    seed: int
    draws: tuple[int, ...]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Drawn:
    """Solved draws of one plan."""

    times_h: NDArray[np.float64]
    """Shape ``(t,)``."""

    columns: tuple[str, ...]
    """Quantities."""

    values: NDArray[np.float32]
    """Shape ``(draw, t, quantity)``."""

    failures: tuple[str, ...]
    """Why draws could not be solved, one line each."""

    def of(self, quantity: str) -> NDArray[np.float32]:
        """Return the courses of one quantity, shape ``(draw, t)``."""
        return self.values[:, :, self.columns.index(quantity)]


def other_members(species: str) -> tuple[Member, ...]:
    """Return the members beside the reference that change something for a species."""
    return tuple(
        member
        for members in CONFLICTS.values()
        for member in members[1:]
        if species in member.species and member.parameters
    )


def nominal(
    plan: DosingPlan,
    columns: Sequence[str],
    times_h: NDArray[np.float64],
    member: str | None = None,
) -> NDArray[np.float64]:
    """Solve with nominal parameters, of the reference or of one other member.

    Returns
    -------
    array
        Shape ``(t, quantity)``.
    """
    changed = world(*([member] if member else [])).parameters(plan.subject.species)
    solved = _solve(plan, tuple(columns), times_h, changed)
    return solved.to_numpy(dtype=np.float64)


def output_times(plan: DosingPlan) -> NDArray[np.float64]:
    """Return the engine's own output times, finer on the first and the last day of dosing."""
    starts = [dose.time_h for dose in plan.doses] or [0.0]
    fine = np.concatenate([one + FINE_H for one in (min(starts), max(starts))])
    times = np.union1d(default_times(plan), fine.round(9))
    return times[times <= plan.end_h]


@contextmanager
def workers_for(workers: int) -> Iterator[Executor | None]:
    """Provide processes, or nothing for a single worker: then this process does the work."""
    if workers < 1:
        msg = f"--workers must be at least 1, got {workers}."
        raise InputError(msg)
    if workers == 1:
        yield None
        return
    with open_workers(workers=workers) as executor:
        yield executor


def draw_courses(
    plan: DosingPlan,
    columns: Sequence[str],
    times_h: NDArray[np.float64],
    *,
    seed: int,
    draws: int,
    executor: Executor | None,
    progress: Progress,
) -> Drawn:
    """Solve a plan for draws 0 to ``draws - 1`` of the parameters.

    The result depends on the seed alone, not on the workers.

    Raises
    ------
    DrawsFailedError
        If more than `MOST_FAILURES` of the draws cannot be solved.
    """
    tasks = [
        Task(plan, tuple(columns), times_h, seed, tuple(range(k, min(k + BATCH, draws))))
        for k in range(0, draws, BATCH)
    ]
    solved: dict[int, NDArray[np.float32]] = {}
    failures: dict[int, str] = {}
    for courses, failed in _results(tasks, executor):
        solved |= courses
        failures |= failed
        progress(len(solved) + len(failures), draws)
    if len(failures) > MOST_FAILURES * draws:
        msg = (
            f"{len(failures)} of {draws} draws of {plan.name!r} could not be solved; the first: "
            f"{failures[min(failures)]} Report this with the regimen file and --seed {seed}."
        )
        raise DrawsFailedError(msg)
    return Drawn(
        times_h=times_h,
        columns=tuple(columns),
        values=np.stack([solved[k] for k in sorted(solved)]),
        failures=tuple(failures[k] for k in sorted(failures)),
    )


def solve_task(task: Task) -> tuple[dict[int, NDArray[np.float32]], dict[int, str]]:
    """Solve the draws of a task: courses, and reasons of failures, by draw."""
    solved, failures = {}, {}
    for draw in task.draws:
        values = draw_parameters(task.plan.subject.species, seed=task.seed, draw=draw)
        try:
            frame = _solve(task.plan, task.columns, task.times_h, values)
        except SolveError as error:
            failures[draw] = str(error)
        else:
            solved[draw] = frame.to_numpy(dtype=np.float32)
    return solved, failures


def quantiles_of(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return `QUANTILES` over draws: ``(draw, ...)`` to ``(5, ...)``."""
    return np.asarray(np.quantile(values.astype(np.float64), QUANTILES, axis=0))


def course_rows(
    times_h: NDArray[np.float64], columns: Sequence[str], summary: NDArray[np.float64], member: str
) -> pd.DataFrame:
    """Lay out a summary as rows of a tidy table.

    Parameters
    ----------
    times_h
        Shape ``(t,)``.
    columns
        Quantities.
    summary
        Shape ``(5, t, quantity)`` in the order of `QUANTILE_COLUMNS`, or ``(1, t, quantity)``
        for a nominal course, whose quantiles become NaN.
    member
        Whose courses these are.
    """
    full = np.full((len(QUANTILE_COLUMNS), *summary.shape[1:]), np.nan)
    full[: len(summary)] = summary
    rows = {"time_h": np.tile(times_h, len(columns)), "quantity": np.repeat(columns, len(times_h))}
    rows |= {name: full[k].T.ravel() for k, name in enumerate(QUANTILE_COLUMNS)}
    return pd.DataFrame(rows).assign(member=member)


def _solve(
    plan: DosingPlan,
    columns: tuple[str, ...],
    times_h: NDArray[np.float64],
    parameters: dict[str, float],
) -> pd.DataFrame:
    engine = shared_engine(columns, RELATIVE_TOLERANCE)
    return engine.simulate(plan, parameters=parameters, times_h=times_h).drop(columns=TIME)


def _results(
    tasks: Sequence[Task],
    executor: Executor | None,
    work: Callable[[Task], tuple[dict[int, NDArray[np.float32]], dict[int, str]]] = solve_task,
) -> Iterator[tuple[dict[int, NDArray[np.float32]], dict[int, str]]]:
    if executor is None:
        yield from map(work, tasks)
        return
    for future in as_completed([executor.submit(work, task) for task in tasks]):
        yield future.result()
