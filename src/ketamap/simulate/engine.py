"""Solve the model for one plan: integration is cut at every dose, stop and block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pandas as pd
import roadrunner
from numpy.typing import ArrayLike, NDArray

from ketamap.core.dosing import TIME_STEP_H, DosingPlan
from ketamap.core.errors import InputError, KetamapError
from ketamap.simulate.events import Events, events_of, on_grid, start_of
from ketamap.simulate.model import BLOCKS, sbml_for, sbml_text, state_table
from ketamap.simulate.parameters import parameters_for

TIME = "time_h"
"""Column of the time, hours after the beginning of the plan."""

_EARLY_H = np.array([0.0, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0]) / 60.0
"""Default output after each dose, hours."""

_ABSOLUTE = 1e-3
"""Absolute over relative tolerance.  It is given per state: a single number would be scaled
by each state's present size, which nears zero long after a dose and stops the solver."""

_ABSOLUTE_UMOL = 1e-5
"""The same for amounts: a mouse's central volume is a millilitre, so amounts are small."""

_MAX_STEPS = 100_000
"""Internal steps the solver may take between two outputs."""


class SolveError(KetamapError, ArithmeticError):
    """The equations could not be solved.

    Parameters
    ----------
    plan
        Name of the plan.
    time_h
        Where it stopped, hours.
    state
        State that is worst there, or what the solver said.
    reason
        The solver's own words.
    """

    def __init__(self, plan: str, time_h: float, state: str, reason: str) -> None:
        super().__init__(plan, time_h, state, reason)
        self.plan, self.time_h, self.state, self.reason = plan, time_h, state, reason

    def __str__(self) -> str:
        return (
            f"Plan {self.plan!r} could not be solved beyond {self.time_h:g} h (state "
            f"{self.state}): {self.reason}. Check the parameters that were changed for values "
            f"far from the table's, or pass a larger relative_tolerance."
        )


class Engine:
    """A loaded model that solves one plan after another.

    Loading takes about a second, a subject some tens of milliseconds.  Only equations that
    the columns depend on are solved.  Not safe to share between threads; make one per process.

    Parameters
    ----------
    columns
        Names of the states and readouts to return; left out: all.
    relative_tolerance
        Of the solver, for every state.

    Raises
    ------
    InputError
        If a column is not in the model.
    """

    def __init__(
        self, columns: Sequence[str] | None = None, *, relative_tolerance: float = 1e-7
    ) -> None:
        self._table = state_table()
        names = list(self._table["name"])
        self.columns = names if columns is None else list(columns)
        unknown = [name for name in self.columns if name not in set(names)]
        if unknown:
            msg = f"The model has no column {', '.join(unknown)}. See units() for all."
            raise InputError(msg)
        if not 1e-14 <= relative_tolerance <= 1e-2:
            msg = f"relative_tolerance must lie between 1e-14 and 0.01, got {relative_tolerance:g}."
            raise InputError(msg)
        text = sbml_text() if columns is None else sbml_for(frozenset(self.columns))
        self._runner = roadrunner.RoadRunner(text)
        self._runner.timeCourseSelections = ["time", *self.columns]
        self._model = self._runner.getModel()
        ids = list(self._model.getGlobalParameterIds())
        states = self._table[(self._table["kind"] == "state") & self._table["name"].isin(ids)]
        self._states = dict(zip(states["name"], states["unit"], strict=True))
        self._index = {name: k for k, name in enumerate(ids)}
        self._initial = dict(zip(ids, self._model.getGlobalParameterValues(), strict=True))
        self._set_solver(relative_tolerance)

    def simulate(
        self,
        plan: DosingPlan,
        *,
        parameters: Mapping[str, float] | None = None,
        times_h: ArrayLike | None = None,
    ) -> pd.DataFrame:
        """Solve one plan.

        Parameters
        ----------
        plan
            Subject, doses and blocks.
        parameters
            Values that replace those of the species.
        times_h
            Output times, hours, increasing, within the plan; left out: about 240 points
            and more after each dose.  At the moment of a dose the state after it is given.

        Returns
        -------
        DataFrame
            ``time_h`` and one column per state and readout; `units` has their units.

        Raises
        ------
        InputError
            If a parameter, target or output time is not possible.
        SolveError
            If the solver fails; no value is ever NaN.
        """
        values = parameters_for(plan.subject.species, parameters)
        events = events_of(plan, values)
        times = default_times(plan) if times_h is None else _checked_times(times_h, plan)
        self._prepare(plan, values, parameters or {})
        table = self._run(plan, events, on_grid(times))
        table[TIME] = times
        return table

    def _set_solver(self, relative_tolerance: float) -> None:
        solver = self._runner.getIntegrator()
        solver.setValue("relative_tolerance", relative_tolerance)
        absolute = [
            relative_tolerance * (_ABSOLUTE_UMOL if unit == "umol" else _ABSOLUTE)
            for unit in self._states.values()
        ]
        solver.setValue("absolute_tolerance", absolute)
        solver.setValue("maximum_num_steps", _MAX_STEPS)
        solver.setValue("stiff", True)  # noqa: FBT003 (the library's signature)

    def _prepare(
        self, plan: DosingPlan, values: Mapping[str, float], overrides: Mapping[str, float]
    ) -> None:
        """Put states to their start and parameters to the subject's values."""
        fresh = [name for name in self._index if name.startswith("infuse_")]
        blocks = [name for name in BLOCKS if name in self._index]
        start = {name: self._initial[name] for name in (*self._states, *fresh, *blocks)}
        start.update(start_of(plan, values, overrides))
        self._runner.reset()
        self._set(start)

    def _set(self, values: Mapping[str, float]) -> None:
        """Set values; names that no column depends on are not in this engine's model."""
        known = {name: value for name, value in values.items() if name in self._index}
        if known:
            self._model.setGlobalParameterValues(
                [self._index[name] for name in known], list(known.values())
            )

    def _run(self, plan: DosingPlan, events: Events, times: NDArray[np.float64]) -> pd.DataFrame:
        cuts = events.cuts_h(plan.end_h)
        rows: list[NDArray[np.float64]] = []
        for start, stop in pairwise(cuts):
            self._apply(events, start)
            last = stop == cuts[-1]
            inside = times[(times >= start) & ((times < stop) | (last & (times == stop)))]
            solved = self._segment(plan, start, stop, inside)
            rows.append(solved[np.isin(solved[:, 0], inside)])
        return pd.DataFrame(np.concatenate(rows), columns=[TIME, *self.columns])

    def _apply(self, events: Events, time_h: float) -> None:
        self._set(events.settings_at(time_h))
        for state, umol in events.jumps_at(time_h).items():
            if state not in self._index:
                continue
            now = float(self._model.getGlobalParameterValues([self._index[state]])[0])
            self._set({state: now + umol})

    def _farthest(self) -> str:
        """Name the state that is not finite, or else farthest from its start for its size."""
        index = [self._index[name] for name in self._states]
        start = np.array([self._initial[name] for name in self._states])
        now = np.array(self._model.getGlobalParameterValues(index))
        far = np.where(np.isfinite(now), np.abs(now - start) / (1.0 + np.abs(start)), np.inf)
        return str(list(self._states)[int(np.argmax(far))])

    def _segment(
        self, plan: DosingPlan, start: float, stop: float, inside: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        grid = np.union1d(inside, [start, stop])
        try:
            solved = np.array(self._runner.simulate(times=grid.tolist()))
        except RuntimeError as error:
            time_h = float(self._model.getTime())
            raise SolveError(plan.name, time_h, self._farthest(), _first_line(error)) from error
        solved[:, 0] = grid
        if not np.isfinite(solved).all():
            row, column = np.argwhere(~np.isfinite(solved))[0]
            state = self.columns[column - 1]
            raise SolveError(plan.name, float(grid[row]), state, "the value is not finite")
        return solved


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(". ")


def default_times(plan: DosingPlan) -> NDArray[np.float64]:
    """Output times that show a plan: an even grid of 241 and more after each dose."""
    grid = [np.linspace(0.0, plan.end_h, 241)]
    grid += [dose.time_h + _EARLY_H for dose in plan.doses]
    grid += [dose.stop_h + _EARLY_H for dose in plan.doses if dose.duration_h > 0.0]
    times = np.unique(on_grid(np.concatenate(grid)))
    return times[times <= float(on_grid(plan.end_h))]


def _checked_times(times_h: ArrayLike, plan: DosingPlan) -> NDArray[np.float64]:
    times = np.asarray(times_h, dtype=np.float64)
    if times.ndim != 1 or times.size == 0 or not np.isfinite(times).all():
        msg = "times_h must be a list of finite numbers with at least one entry."
        raise InputError(msg)
    if (np.diff(on_grid(times)) <= 0.0).any():
        msg = f"times_h must increase by at least {TIME_STEP_H:g} h."
        raise InputError(msg)
    if times[0] < 0.0 or times[-1] > plan.end_h + TIME_STEP_H / 2.0:
        msg = (
            f"times_h must lie within the plan, 0 to {plan.end_h:g} h, got {times[0]:g} to "
            f"{times[-1]:g}."
        )
        raise InputError(msg)
    return times


@lru_cache(maxsize=8)
def shared_engine(
    columns: tuple[str, ...] | None = None, relative_tolerance: float = 1e-7
) -> Engine:
    """Return this process's loaded model for these columns; loading costs a second, once."""
    return Engine(columns, relative_tolerance=relative_tolerance)


def simulate(
    plan: DosingPlan,
    *,
    parameters: Mapping[str, float] | None = None,
    times_h: ArrayLike | None = None,
    relative_tolerance: float = 1e-7,
) -> pd.DataFrame:
    """Solve one plan; see `Engine.simulate`."""
    engine = shared_engine(None, relative_tolerance)
    return engine.simulate(plan, parameters=parameters, times_h=times_h)


def units() -> dict[str, str]:
    """Return the unit of every column of a simulation."""
    table = state_table()
    return {TIME: "hour", **dict(zip(table["name"], table["unit"], strict=True))}
