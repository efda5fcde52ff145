"""A regimen in silico: courses, summaries, a page; and the model's own papers."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.dosing import DosingPlan
from ketamap.core.errors import InputError
from ketamap.core.progress import silent
from ketamap.io.files import hash_file, replacing
from ketamap.io.manifests import write_json
from ketamap.io.regimens import read_regimen
from ketamap.report.simulation_contents import Layer, SimulationReport
from ketamap.report.simulation_render import render_simulation
from ketamap.report.simulation_tables import unit_text
from ketamap.simulate.engine import units
from ketamap.simulate.exchange import sbml_of
from ketamap.simulate.model import sbml_text
from ketamap.simulate.parameters import EVERY_SPECIES, parameter_table
from ketamap.simulate.scorecard import DEFAULT_DRAWS, DEFAULT_SEED, run_scorecard
from ketamap.simulate.scorecard_text import scorecard_markdown
from ketamap.workflow.manifest import MANIFEST, versions
from ketamap.workflow.progress import Quiet, Reporter
from ketamap.workflow.simulation_clinic import clinic_courses, clinic_layer, off_target
from ketamap.workflow.simulation_runs import (
    NOMINAL,
    REFERENCE,
    Drawn,
    course_rows,
    nominal,
    other_members,
    output_times,
    quantiles_of,
    workers_for,
)
from ketamap.workflow.simulation_scorecard import scorecard_frame, scorecard_text
from ketamap.workflow.simulation_summary import (
    TUBEROINFUNDIBULAR,
    courses,
    dose_frame,
    exposure_frame,
    heat_frame,
    label_frame,
    pathway_frame,
    regimen_in_words,
)
from ketamap.workflow.simulation_views import layers_for, quantities_of
from ketamap.workflow.workers import cores

MAP_DRAWS = 50
"""Draws behind each dose of the heat map, at most."""

CLINIC_PLACE = 5
"""Rows of pictures before response and remission: from blood to synapses."""

SIMULATOR_PACKAGES = ("libroadrunner", "antimony")
"""Packages that solve the equations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationResult:
    """What a simulated regimen left behind."""

    report: Path
    """The page."""

    courses: Path
    """The tidy table."""

    seconds_to_first_picture: float
    """From the call to the first page on disk."""

    n_draws: int
    """Draws that were solved."""

    failures: tuple[str, ...]
    """Why draws could not be solved, one line each."""


@dataclass(frozen=True, eq=False, slots=True)
class _Nominal:
    """Nominal courses of all members of one plan."""

    plan: DosingPlan
    layers: tuple[Layer, ...]
    columns: tuple[str, ...]
    times_h: NDArray[np.float64]
    members: Mapping[str, str]
    values: Mapping[str, NDArray[np.float64]]


def simulate(
    regimen: Path,
    *,
    out: Path,
    draws: int = 200,
    seed: int = 1,
    workers: int | None = None,
    reporter: Reporter | None = None,
) -> SimulationResult:
    """Simulate a regimen file and write its courses, summaries and page.

    A first page with nominal courses is there within seconds; it is replaced when the draws
    are done.

    Parameters
    ----------
    regimen
        Regimen, as YAML.
    out
        Folder to write: ``report.html``, ``courses.parquet``, ``exposure.csv``,
        ``pathways.csv``, ``dose_day_region.csv``, ``manifest.json``.
    draws
        Draws of the parameters from their priors; 0: nominal values only.
    seed
        Another seed, other draws.
    workers
        Processes; left out: one per core.  The result does not depend on it.
    reporter
        Shows progress.

    Raises
    ------
    InputError
        If the file is not a regimen, or the number of draws is not possible.
    """
    began = time.perf_counter()
    show = reporter or Quiet()
    if draws < 0 or draws == 1:
        msg = f"--draws must be 0 (nominal values only) or at least 2, got {draws}."
        raise InputError(msg)
    plan = read_regimen(regimen)
    settings = {"draws": draws, "draws_per_map_dose": min(draws, MAP_DRAWS), "seed": seed}
    with show.stage("nominal courses") as progress:
        base = _nominal_courses(plan)
        report = _write(out, base, None, settings, _nominal_map(base, seed))
        progress(1, 1)
    first = time.perf_counter() - began
    show.say(f"First picture after {first:.1f} s: {report}")
    drawn: Drawn | None = None
    if draws:
        count = min(workers or cores(), -(-draws // 10))
        with workers_for(count) as executor:
            with show.stage(f"{draws} draws") as progress:
                drawn = courses(
                    plan, base.columns, base.times_h, seed=seed, draws=draws, executor=executor,
                    progress=progress,
                )  # fmt: skip
            with show.stage("dose, day and region") as progress:
                heat = heat_frame(
                    plan, base.columns, seed=seed, draws=min(draws, MAP_DRAWS), executor=executor,
                    progress=progress,
                )  # fmt: skip
        with show.stage("scorecard") as progress:
            scores = run_scorecard(0)
            progress(1, 1)
        clinic = None
        if plan.subject.species == "human":
            with show.stage("response and remission") as progress:
                clinic = clinic_courses(
                    plan, base.times_h, draws=draws, seed=seed, workers=count, progress=progress
                )
        report = _write(out, base, drawn, settings, heat, scores, clinic)
    _write_manifest(out, regimen, settings, workers, time.perf_counter() - began)
    failures = () if drawn is None else drawn.failures
    return SimulationResult(
        report=report,
        courses=out / "courses.parquet",
        seconds_to_first_picture=first,
        n_draws=draws - len(failures),
        failures=failures,
    )


def scorecard(
    *,
    out: Path,
    draws: int = DEFAULT_DRAWS,
    seed: int = DEFAULT_SEED,
    workers: int | None = None,
    reporter: Reporter | None = None,
) -> pd.DataFrame:
    """Score the model against every validation row, and write the result.

    Parameters
    ----------
    out
        Folder to write: ``scorecard.csv``, ``scorecard.md`` and ``manifest.json``.
    draws
        Draws of the parameters; 0: nominal values alone.
    seed
        Of the draws.
    workers
        Processes; left out: one per core.
    reporter
        Shows progress.

    Returns
    -------
    DataFrame
        One row per validation row, as `ketamap.simulate.scorecard.run_scorecard` gives it.
    """
    show = reporter or Quiet()
    with show.stage(f"score {draws} draws") as progress:
        scores = run_scorecard(draws, seed=seed, workers=workers or cores(), progress=progress)
    write_csv(out / "scorecard.csv", scores.drop(columns="values"))
    with replacing(out / "scorecard.md") as temporary:
        temporary.write_text(scorecard_markdown(scores, n_draws=draws, seed=seed), encoding="utf-8")
    settings = {"draws": draws, "seed": seed}
    write_json(
        out / MANIFEST,
        {
            "versions": simulator_versions(),
            "platform": platform.platform(),
            "settings": settings,
            "workers": workers or cores(),
        },
    )
    return scores


def export_sbml(out: Path, *, regimen: Path | None = None) -> Path:
    """Write the model as SBML; with a regimen its doses, blocks and species go inside.

    Parameters
    ----------
    out
        File to write.
    regimen
        Regimen, as YAML; left out: the model without doses, with the values of a human.
    """
    text = sbml_text() if regimen is None else sbml_of(read_regimen(regimen))
    with replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return out


def simulator_versions() -> dict[str, str]:
    """Return the versions of everything that can change a simulation."""
    return versions() | {name: version(name) for name in SIMULATOR_PACKAGES}


def _nominal_courses(plan: DosingPlan) -> _Nominal:
    layers = layers_for(plan)
    columns = quantities_of(layers)
    if plan.subject.species != "human":
        columns = (*columns, TUBEROINFUNDIBULAR)
    times = output_times(plan)
    members = {
        m.name: f"{m.meaning} ({m.source_rows})" for m in other_members(plan.subject.species)
    }
    values = {REFERENCE: nominal(plan, columns, times)}
    values |= {name: nominal(plan, columns, times, name) for name in members}
    return _Nominal(plan, layers, columns, times, members, values)


def _nominal_map(base: _Nominal, seed: int) -> tuple[pd.DataFrame, str]:
    return heat_frame(base.plan, base.columns, seed=seed, draws=0, executor=None, progress=silent)


def _write(
    out: Path,
    base: _Nominal,
    drawn: Drawn | None,
    settings: Mapping[str, object],
    heat: tuple[pd.DataFrame, str],
    scores: pd.DataFrame | None = None,
    clinic: tuple[pd.DataFrame, pd.DataFrame] | None = None,
) -> Path:
    plan = base.plan
    labels = label_frame(plan, base.columns)
    frame = _course_frame(base, drawn, labels)
    layers = base.layers
    if clinic is not None:
        frame = pd.concat([frame, clinic[0]], ignore_index=True)
        labels = pd.concat([labels, clinic[1]], ignore_index=True)
        layers = (*layers[:CLINIC_PLACE], clinic_layer(), *layers[CLINIC_PLACE:])
    targeted, targeted_text = off_target(
        plan, draws=0 if drawn is None else len(drawn.values), seed=int(str(settings["seed"]))
    )
    whole = drawn or Drawn(
        times_h=base.times_h,
        columns=base.columns,
        values=base.values[REFERENCE][None].astype(np.float32),
        failures=(),
    )
    contents = SimulationReport(
        title=plan.name,
        regimen=regimen_in_words(plan),
        courses=frame,
        layers=layers,
        labels=labels,
        reference=REFERENCE,
        members=base.members,
        n_draws=0 if drawn is None else len(drawn.values),
        doses=dose_frame(plan),
        heat=heat[0],
        heat_text=heat[1],
        pathways=pathway_frame(plan, whole),
        off_target=targeted,
        off_target_text=targeted_text,
        nca=exposure_frame(plan, base.columns, base.times_h, dict(base.values), drawn),
        scorecard=pd.DataFrame() if scores is None else scorecard_frame(scores),
        scorecard_text="" if scores is None else scorecard_text(scores),
        parameters=_parameters_of(plan),
        note=_note(drawn),
        versions=simulator_versions(),
        settings=settings,
    )
    write_parquet(out / "courses.parquet", frame)
    for name, table in (
        ("exposure", contents.nca),
        ("pathways", contents.pathways),
        ("dose_day_region", contents.heat),
    ):
        write_csv(out / f"{name}.csv", table)
    with replacing(out / "report.html") as temporary:
        temporary.write_text(render_simulation(contents), encoding="utf-8")
    return out / "report.html"


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame whole or not at all."""
    with replacing(path) as temporary:
        frame.to_parquet(temporary, index=False)


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame whole or not at all."""
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False)


def _course_frame(base: _Nominal, drawn: Drawn | None, labels: pd.DataFrame) -> pd.DataFrame:
    """Return the tidy table: bands of the reference, nominal courses of the other members."""
    summary = base.values[REFERENCE][None] if drawn is None else quantiles_of(drawn.values)
    parts = [course_rows(base.times_h, base.columns, summary, REFERENCE)]
    parts += [
        course_rows(
            base.times_h, base.columns, values[None], NOMINAL if name == REFERENCE else name
        )
        for name, values in base.values.items()
    ]
    frame = pd.concat(parts, ignore_index=True)
    unit = {name: unit_text(text) for name, text in units().items()}
    frame["label"] = frame["quantity"].map(dict(labels[["quantity", "label"]].to_numpy().tolist()))
    frame["unit"] = frame["quantity"].map(unit)
    return frame


def _parameters_of(plan: DosingPlan) -> pd.DataFrame:
    table = parameter_table()
    ours = table["species"].isin([EVERY_SPECIES, plan.subject.species])
    return table[ours].reset_index(drop=True)


def _note(drawn: Drawn | None) -> str:
    if drawn is None:
        return "First picture: nominal courses only, without the uncertainty of the parameters."
    if drawn.failures:
        return f"{len(drawn.failures)} draws could not be solved and are left out."
    return ""


def _write_manifest(
    out: Path, regimen: Path, settings: Mapping[str, object], workers: int | None, seconds: float
) -> None:
    record: dict[str, Any] = {
        "versions": simulator_versions(),
        "platform": platform.platform(),
        "settings": dict(settings),
        "workers": workers or cores(),
        "inputs": {str(regimen): hash_file(regimen)},
        "seconds": {"simulate": {"all": seconds}},
    }
    write_json(out / MANIFEST, record)
