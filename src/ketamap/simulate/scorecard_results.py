"""What the rows of the scorecard are computed from: all experiments of one draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from ketamap.core.errors import InputError
from ketamap.core.space import FloatArray
from ketamap.simulate.response import ResponseLink, calibrate_response
from ketamap.simulate.scorecard_scenarios import INFUSION_H

Made = TypeVar("Made")


class WhenAsked(Mapping[str, Made]):
    """Things by name, each made when it is first asked for.

    Parameters
    ----------
    names
        Names of all.
    make
        Makes one.
    """

    def __init__(self, names: tuple[str, ...], make: Callable[[str], Made]) -> None:
        self._names, self._make = names, make
        self._done: dict[str, Made] = {}

    def __getitem__(self, name: str) -> Made:
        if name not in self._done:
            self._done[name] = self._make(name)
        return self._done[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True, eq=False, kw_only=True)
class Results:
    """Every experiment of the scorecard, with one set of parameters."""

    frames: Mapping[str, pd.DataFrame]
    """Simulations by experiment."""

    parameters: Mapping[str, Mapping[str, float]]
    """Parameters of the draw, by species."""

    blind_threshold: float
    """A threshold of the dose trace placed blindly, log-uniform over 0.02 to 2 of the
    response after ten days."""

    @property
    def human(self) -> Mapping[str, float]:
        """Parameters of the human."""
        return self.parameters["human"]

    @property
    def mouse(self) -> Mapping[str, float]:
        """Parameters of the mouse."""
        return self.parameters["mouse"]

    @property
    def rat(self) -> Mapping[str, float]:
        """Parameters of the rat."""
        return self.parameters["rat"]

    def series(self, experiment: str, column: str) -> FloatArray:
        """Return one column of an experiment."""
        return np.asarray(self.frames[experiment][column], dtype=np.float64)

    def times_h(self, experiment: str) -> FloatArray:
        """Return its times, hours."""
        return self.series(experiment, "time_h")

    def at(self, experiment: str, column: str, time_h: float) -> float:
        """Return a column at an output time.

        Raises
        ------
        InputError
            If the experiment has no output within 1e-6 h of that time.
        """
        times = self.times_h(experiment)
        row = int(np.argmin(np.abs(times - time_h)))
        if abs(times[row] - time_h) > 1e-6:
            msg = f"Experiment {experiment} has no output at {time_h:g} h; nearest {times[row]:g}."
            raise InputError(msg)
        return float(self.series(experiment, column)[row])

    def peak(self, experiment: str, column: str) -> float:
        """Return the largest value of a column."""
        return float(self.series(experiment, column).max())

    def peak_time_h(self, experiment: str, column: str) -> float:
        """Return when a column is largest, hours."""
        return float(self.times_h(experiment)[self.series(experiment, column).argmax()])

    def mean(self, experiment: str, column: str, first_h: float, last_h: float) -> float:
        """Return the mean of the outputs from ``first_h`` to ``last_h``."""
        times = self.times_h(experiment)
        inside = (times >= first_h - 1e-9) & (times <= last_h + 1e-9)
        return float(self.series(experiment, column)[inside].mean())

    def end_of_infusion(self, column: str, experiment: str = "infusion") -> float:
        """Return a column at the end of the antidepressant infusion."""
        return self.at(experiment, column, INFUSION_H)

    def link(self, experiment: str = "infusion") -> ResponseLink:
        """Return the response link calibrated on an experiment's mood at 24 h."""
        return calibrate_response(self.at(experiment, "mood_effect", 24.0))

    def response_percent(self, time_h: float, experiment: str = "infusion") -> float:
        """Return responders after one infusion, percent; calibrated in the same member."""
        mood = self.at(experiment, "mood_effect", time_h)
        return 100.0 * float(self.link(experiment).response(mood))
