"""Many subjects: between-subject variability, kept apart from what we do not know.

`simulate_cohort` varies subjects around one set of parameters (variability);
`simulate_ensemble` varies parameters of the typical subject within each member of the
conflicts (uncertainty).  Neither is ever mixed into the other's band.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from multiprocessing import get_context
from typing import TypeVar

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ketamap.core.dosing import DosingPlan
from ketamap.core.errors import InputError
from ketamap.core.progress import Progress, silent
from ketamap.core.space import FloatArray
from ketamap.simulate.draws import draw_parameters, uniform_of
from ketamap.simulate.engine import SolveError, default_times, shared_engine
from ketamap.simulate.members import World, world
from ketamap.simulate.parameters import parameter_table, parameters_for
from ketamap.simulate.streaming import StreamingQuantiles

QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.975)
"""Median and the 50 and 95 % bands."""

QUANTILE_NAMES = ("low_95", "low_50", "median", "high_50", "high_95")
"""Columns they are returned in."""

VARIABILITY = "between subjects"
UNCERTAINTY = "parameters"

_TOLERANCE = 1e-7
"""Of the solver: curves agree within 1e-5 with those at 1e-10, as two tools must."""

_SUBJECTS_PER_TASK = 20
_TASKS_AHEAD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Variability:
    """How subjects differ; coefficients of variation of log-normal factors.

    The first three were estimated in 820 people (A037); rodents get the same, having none
    of their own.  The last two are guesses.

    Raises
    ------
    InputError
        If a coefficient is negative or not finite.
    """

    volume_cv: float = 0.275
    """Of the volumes of distribution (central volume of A037)."""

    flow_cv: float = 0.232
    """Of clearances and flows between compartments (hepatic flow of A037)."""

    absorption_cv: float = 0.615
    """Of absorption rates (nasal rate of A037)."""

    weight_cv: float = 0.1
    """Of body weight; volumes follow with power 1, flows with 0.75."""

    plasticity_cv: float = 0.5
    """Of the gains from glutamate to spines."""

    def __post_init__(self) -> None:
        for name in ("volume_cv", "flow_cv", "absorption_cv", "weight_cv", "plasticity_cv"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                msg = f"{name} must be 0 or more, got {getattr(self, name):g}."
                raise InputError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """Who is simulated."""

    variability: Variability = Variability()
    """How subjects differ."""

    members: World = field(default_factory=world)
    """Sides of the conflicts; the default ones unless said otherwise."""


VARIED: dict[str, tuple[str, ...]] = {
    "volume_cv": ("V1", "V2", "V3", "V_nk1", "V_nk2", "V_hnk1", "V_hnk2"),
    "flow_cv": ("CL", "Q2", "Q3", "CL_nk", "Q_nk", "CL_hnk", "Q_hnk"),
    "absorption_cv": ("ka_ip", "ka_sc", "ka_im", "ka_nose", "ka_swallowed", "ka_oral"),
    "plasticity_cv": ("gain_bdnf", "gain_formation"),
}
"""Parameters each coefficient varies: all of one kind by the same factor in a subject."""


def log_normal_factor(cv: float, uniform: float) -> float:
    """Return the quantile of a log-normal with median 1 and this coefficient of variation."""
    sd_ln = np.sqrt(np.log1p(cv * cv))
    return float(np.exp(sd_ln * ndtri(uniform)))


def vary_subject(
    plan: DosingPlan,
    parameters: Mapping[str, float],
    *,
    subject: int,
    seed: int,
    variability: Variability,
) -> tuple[DosingPlan, dict[str, float]]:
    """Make one subject of a cohort: its weight, and its own parameters.

    Depends on the seed and the subject's number alone.
    """
    values = parameters_for(plan.subject.species, parameters)
    bounds = _bounds(plan.subject.species)
    own = dict(parameters)
    for kind, names in VARIED.items():
        factor = log_normal_factor(getattr(variability, kind), uniform_of(seed, subject, kind))
        for name in names:
            own[name] = float(np.clip(values[name] * factor, *bounds[name]))
    heavier = log_normal_factor(variability.weight_cv, uniform_of(seed, subject, "weight_cv"))
    person = replace(plan.subject, weight_kg=plan.subject.kg * heavier)
    return replace(plan, subject=person), own


@lru_cache(maxsize=4)
def _bounds(species: str) -> dict[str, tuple[float, float]]:
    table = parameter_table()
    ours = table[table["species"].isin(["any", species])]
    return {
        name: (low, high)
        for name, low, high in zip(
            ours["name"].tolist(), ours["lower"].tolist(), ours["upper"].tolist(), strict=True
        )
    }


def simulate_cohort(  # noqa: PLR0913 (what is simulated, how, and who listens)
    plan: DosingPlan,
    n: int,
    *,
    columns: Sequence[str],
    seed: int = 0,
    times_h: Sequence[float] | FloatArray | None = None,
    population: Population | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Simulate many subjects and return bands, in bounded memory.

    Parameters
    ----------
    plan
        What everybody gets; a dose per kg follows each one's weight.
    n
        Subjects.
    columns
        States and readouts to keep.
    seed
        Of the subjects; the number of workers changes nothing.
    times_h
        Output times, hours; left out: the engine's.
    population
        How subjects differ, and the sides of the conflicts taken.
    workers
        Processes, one engine each.
    progress
        Told how many subjects are done.

    Returns
    -------
    DataFrame
        Long: ``members, quantity, time_h, mean, low_95, low_50, median, high_50, high_95,
        n, spread`` (``between subjects``).

    Raises
    ------
    InputError
        If ``n`` or ``workers`` is less than 1 or a column is not in the model.
    SolveError
        If a subject cannot be solved.
    """
    population = population or Population()
    members = population.members
    one = partial(
        _one_subject, members.parameters(plan.subject.species), population.variability, seed
    )
    bands = _bands(
        plan, n, one, columns=columns, times_h=times_h, workers=workers, progress=progress
    )
    return bands.assign(members=members.name, spread=VARIABILITY)


def simulate_ensemble(  # noqa: PLR0913 (what is simulated, how, and who listens)
    plan: DosingPlan,
    n_draws: int,
    *,
    columns: Sequence[str],
    worlds: Sequence[World],
    seed: int = 0,
    times_h: Sequence[float] | FloatArray | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Simulate the typical subject with drawn parameters, apart for each member.

    Parameters and result are those of `simulate_cohort`, with ``n_draws`` draws from the
    priors in each of ``worlds``, one set of bands per member and ``spread`` =
    ``parameters``.  A draw that cannot be solved is left out; ``n`` counts those solved.
    """
    parts = []
    for k, one_world in enumerate(worlds):
        centre = one_world.parameters(plan.subject.species)
        one = partial(_one_draw, centre, seed)
        bands = _bands(
            plan, n_draws, one, columns=columns, times_h=times_h, workers=workers,
            progress=_part_of(progress, k, len(worlds)), lenient=True,
        )  # fmt: skip
        parts.append(bands.assign(members=one_world.name, spread=UNCERTAINTY))
    return pd.concat(parts, ignore_index=True)


def _part_of(progress: Progress, k: int, parts: int) -> Progress:
    """Return what the ``k``-th of equal parts of a whole tells."""
    return lambda done, total: progress(k * total + done, parts * total)


Changed = tuple[DosingPlan, dict[str, float]]


def _one_subject(
    centre: Mapping[str, float], variability: Variability, seed: int, plan: DosingPlan, k: int
) -> Changed:
    return vary_subject(plan, centre, subject=k, seed=seed, variability=variability)


def _one_draw(centre: Mapping[str, float], seed: int, plan: DosingPlan, k: int) -> Changed:
    return plan, draw_parameters(plan.subject.species, seed=seed, draw=k, centre=centre)


def _bands(  # noqa: PLR0913 (what is simulated, how, and who listens)
    plan: DosingPlan,
    n: int,
    one: Callable[[DosingPlan, int], Changed],
    *,
    columns: Sequence[str],
    times_h: Sequence[float] | FloatArray | None,
    workers: int,
    progress: Progress,
    lenient: bool = False,
) -> pd.DataFrame:
    if n < 1 or workers < 1:
        msg = f"there must be 1 subject or more and 1 worker or more, got {n} and {workers}."
        raise InputError(msg)
    times = default_times(plan) if times_h is None else np.asarray(times_h, dtype=np.float64)
    task = partial(_curves, plan, one, tuple(columns), times, lenient)
    chunks = tasks_of(n)
    seen = StreamingQuantiles((len(times), len(columns)))
    done = 0
    for chunk, curves in zip(chunks, in_order(task, chunks, workers), strict=True):
        for curve in curves:
            seen.add(curve)
        done += len(chunk)
        progress(done, n)
    return _long(seen, times, columns)


def tasks_of(n: int) -> list[range]:
    """Cut ``n`` subjects or draws into tasks, the same for every number of workers."""
    return [range(k, min(k + _SUBJECTS_PER_TASK, n)) for k in range(0, n, _SUBJECTS_PER_TASK)]


Chunk = TypeVar("Chunk")
Part = TypeVar("Part")


def in_order(
    task: Callable[[Chunk], Part], chunks: Sequence[Chunk], workers: int
) -> Generator[Part]:
    """Yield the results of chunks in their order, with few waiting in memory."""
    if workers == 1 or len(chunks) < 2:
        yield from map(task, chunks)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        ahead = workers * _TASKS_AHEAD
        waiting = [pool.submit(task, chunk) for chunk in chunks[:ahead]]
        for k in range(len(chunks)):
            yield waiting.pop(0).result()
            if k + ahead < len(chunks):
                waiting.append(pool.submit(task, chunks[k + ahead]))


def _curves(
    plan: DosingPlan,
    one: Callable[[DosingPlan, int], Changed],
    columns: tuple[str, ...],
    times_h: FloatArray,
    lenient: bool,  # noqa: FBT001 (bound by name in a partial)
    numbers: range,
) -> list[FloatArray]:
    engine = shared_engine(columns, _TOLERANCE)
    found = []
    for k in numbers:
        own_plan, parameters = one(plan, k)
        try:
            frame = engine.simulate(own_plan, parameters=parameters, times_h=times_h)
        except SolveError:
            if not lenient:
                raise
            continue  # the caller sees it in n
        found.append(frame[list(columns)].to_numpy(dtype=np.float64))
    return found


def _long(seen: StreamingQuantiles, times_h: FloatArray, columns: Sequence[str]) -> pd.DataFrame:
    bands = seen.quantiles(QUANTILES)
    mean = seen.mean()
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "quantity": column,
                    "time_h": times_h,
                    "mean": mean[:, k],
                    **{name: bands[q, :, k] for q, name in enumerate(QUANTILE_NAMES)},
                    "n": seen.count,
                }
            )
            for k, column in enumerate(columns)
        ],
        ignore_index=True,
    )
