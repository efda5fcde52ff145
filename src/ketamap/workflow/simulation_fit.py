"""Fits of the model to a user's concentrations or region table: tables and a page."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2

from ketamap.core.dosing import DosingPlan
from ketamap.core.errors import InputError, MissingInputError
from ketamap.core.progress import Progress
from ketamap.core.tables import ANIMALS, VALUES
from ketamap.io.files import hash_file, replacing
from ketamap.io.manifests import read_json, write_json
from ketamap.io.regimens import read_regimen
from ketamap.io.tables import read_any_table, read_table
from ketamap.report.simulation_figures import short_number
from ketamap.report.simulation_fit import (
    MOST_PICTURES,
    FitReport,
    bounds,
    concentration_figure,
    profile_figure,
    region_figure,
    render_fit,
)
from ketamap.report.simulation_tables import unit_text
from ketamap.simulate.engine import shared_engine, units
from ketamap.simulate.fitting import Fit, fit_parameters
from ketamap.simulate.fitting_population import PopulationFit, animal_plans, fit_population
from ketamap.simulate.fitting_regions import RegionFit, fit_regions
from ketamap.simulate.parameters import parameter_table
from ketamap.simulate.study import encoded_regions
from ketamap.workflow.analysis import ANALYSIS
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.manifest import MANIFEST, versions
from ketamap.workflow.progress import Quiet, Reporter
from ketamap.workflow.simulation_study import RESULT

PAGE = "fit.html"
"""The page, in the folder of a fit."""

CURVE_POINTS = 160
"""Points of a drawn curve."""

CHI2_95 = float(chi2.ppf(0.95, 1))
"""Deviance at which a value leaves its 95 % interval."""

LACK_OF_FIT = 0.01
"""p of the lack of fit below which a region is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """What a fit left behind."""

    page: Path
    """The page."""

    estimates: Path
    """Estimates with intervals, CSV."""

    lines: tuple[str, ...]
    """One line per estimate, and what is not identifiable."""


def fit(
    regimen: Path,
    *,
    data: Path,
    parameters: Sequence[str],
    out: Path,
    column: str = "plasma_ketamine_ng_per_ml",
    reporter: Reporter | None = None,
) -> FitResult:
    """Fit parameters to concentrations of one subject or of several animals.

    Parameters
    ----------
    regimen
        What was given, as YAML; doses per kg follow each animal's weight.
    data
        Table with ``time_h`` and ``value`` in the unit of ``column``; with ``animal`` (and,
        where animals differ, ``weight_kg``) the animals are fitted together, each with its
        own values around a typical one.
    parameters
        Names from the parameter table.
    out
        Folder to write: ``fit.html``, ``estimates.csv``, ``profiles.csv`` or ``animals.csv``,
        ``manifest.json``.
    column
        State or readout that was measured.
    reporter
        Shows progress.

    Raises
    ------
    InputError
        If a file or parameter is not possible.
    """
    show = reporter or Quiet()
    plan, table = read_regimen(regimen), read_any_table(data)
    if column not in units():
        near = ", ".join(name for name in units() if name.startswith(("plasma", "brain")))
        msg = f"--column {column!r} is nothing that the model tells; for instance {near}."
        raise InputError(msg)
    several = "animal" in table.columns and table["animal"].nunique() > 1
    with show.stage(f"fit {', '.join(parameters)}") as progress:
        if several:
            report, tables, lines = _several(plan, table, parameters, column, progress)
        else:
            report, tables, lines = _single(plan, table, parameters, column, progress)
    settings = {"parameters": list(parameters), "column": column, "regimen": plan.name}
    return _write(out, report, tables, lines, settings, [regimen, data])


def fit_table(
    folder: Path,
    *,
    out: Path,
    measure: str = "cells",
    regions: Sequence[str] | None = None,
    shared: str = "tau_trace",
    reporter: Reporter | None = None,
) -> FitResult:
    """Fit encoded reaches and a parameter of the trace to an analysed region table.

    Parameters
    ----------
    folder
        Written by `ketamap analyse`, `ketamap run` or `simulate_study`.
    out
        Folder to write: ``fit.html``, ``estimates.csv``, ``shared.csv``, ``changes.csv``,
        ``manifest.json``.
    measure
        ``cells`` or ``axon_length_mm``.
    regions
        Acronyms; left out: those with an encoded direction, and their parts.
    shared
        Parameter of the trace that all regions share.
    reporter
        Shows progress.

    Raises
    ------
    MissingInputError
        If the folder holds no analysis.
    InputError
        If the table has no doses and days, or a region is not in it.
    """
    show = reporter or Quiet()
    inner = folder / RESULT if (folder / RESULT / ANALYSIS).exists() else folder
    if not (inner / ANALYSIS).exists():
        msg = f"{folder} holds no analysis. Give a folder written by 'ketamap analyse'."
        raise MissingInputError(msg)
    values = read_table(inner / "values.parquet", VALUES)
    animals = read_table(inner / "animals.csv", ANIMALS)
    about = read_json(inner / ANALYSIS)
    chosen = regions or _encoded_in(values, measure, str(about["atlas"]))
    with show.stage(f"fit {len(chosen)} regions") as progress:
        found = fit_regions(
            values, animals, measure=measure, acronyms=chosen, shared=shared, progress=progress
        )
    lines = _region_lines(found)
    tables = {"estimates": found.regions, "shared": found.shared, "profile": found.profile,
              "changes": found.curves.merge(found.cells, how="left")}  # fmt: skip
    report = _region_report(found, str(about["title"]))
    settings = {"folder": str(folder), "measure": measure, "shared": shared}
    return _write(out, report, tables, lines, settings, [inner / "values.parquet"])


def _single(
    plan: DosingPlan, table: pd.DataFrame, names: Sequence[str], column: str, progress: Progress
) -> tuple[FitReport, dict[str, pd.DataFrame], tuple[str, ...]]:
    found = fit_parameters(plan, table, names, column=column, progress=progress)
    data = table.assign(animal="")
    curve = _curve(plan, found.parameters, column, table["time_h"].max())
    figures = {
        f"{plan.name}: {column}, data and fit": concentration_figure(
            data, curve.assign(animal=""), unit_text(units()[column])
        )
    }
    for name, rows in found.profiles.groupby("parameter", sort=False):
        figures[f"Profile of {name}; below the dotted line: the 95 % interval"] = profile_figure(
            rows, str(name), CHI2_95
        )
    report = FitReport(
        title=f"{plan.name}: fit of {', '.join(names)}",
        what=(
            f"{len(table)} values of {column}, least squares of logarithms; residual standard "
            f"deviation {100 * found.residual_sd_ln:.0f} %.",
            "Intervals are profile likelihoods (Raue et al. 2009, Bioinformatics 25:1923): each "
            "parameter is moved and all others are fitted again.",
        ),
        estimates=_shown(found.estimates),
        not_identified=tuple(_why(row) for row in _open(found.estimates)),
        figures=figures,
        versions=versions(),
    )
    return report, {"estimates": found.estimates, "profiles": found.profiles}, _lines(found)


def _several(
    plan: DosingPlan, table: pd.DataFrame, names: Sequence[str], column: str, progress: Progress
) -> tuple[FitReport, dict[str, pd.DataFrame], tuple[str, ...]]:
    plans = animal_plans(plan, table)
    found = fit_population(plans, table, names, column=column, progress=progress)
    end = float(table["time_h"].max())
    own = found.animals.pivot(index="animal", columns="parameter", values="value")
    curves = [
        _curve(plans[str(name)], {k: float(row[k]) for k in names}, column, end).assign(
            animal=str(name)
        )
        for name, row in own.iterrows()
    ]
    curves.append(_curve(plan, found.parameters, column, end).assign(animal=""))
    data = table.assign(animal=table["animal"].astype(str))
    spread = found.estimates[~found.estimates["spread_identified"]]
    notes = () if found.converged else ("The fit did not come to rest: do not rely on it.",)
    report = FitReport(
        title=f"{plan.name}: fit of {', '.join(names)} in {len(plans)} animals",
        what=(
            f"{len(table)} values of {column} in {len(plans)} animals; parameters log-normal "
            f"between animals, errors constant on the log scale ({100 * found.residual_sd_ln:.0f} %"
            f").",
            "First-order conditional estimation as Lindstrom and Bates (1990, Biometrics 46:673), "
            "spreads by restricted likelihood. Typical values: t intervals with animals less one "
            "degrees of freedom; spreads: profile likelihood. A shrinkage near 1 means that the "
            "animals' own values say little.",
        ),
        estimates=_shown(found.estimates),
        further=own.reset_index(),
        further_title="Most likely values of each animal",
        not_identified=(
            *(_why(row) for row in _open(found.estimates)),
            *(f"spread of {name} between animals" for name in spread["parameter"]),
        ),
        notes=notes,
        figures={
            f"{column}: each animal with its own fit; black: the typical one": (
                concentration_figure(data, pd.concat(curves), unit_text(units()[column]))
            )
        },
        versions=versions(),
    )
    return report, {"estimates": found.estimates, "animals": found.animals}, _lines(found)


def _region_report(found: RegionFit, title: str) -> FitReport:
    dose, days = found.reference
    strength = found.regions["reach_log2"].abs() / found.regions["residual_sd_log2"]
    order = found.regions.loc[strength.sort_values(ascending=False).index, "acronym"]
    shown = found.regions.sort_values("reach_log2")
    shared = found.shared.iloc[0]
    figures = {
        f"Profile of {shared['parameter']}, which all regions share": profile_figure(
            found.profile, str(shared["parameter"]), CHI2_95
        )
    }
    for acronym in order.head(MOST_PICTURES):
        figures[str(acronym)] = region_figure(
            found.cells[found.cells["acronym"] == acronym],
            found.curves[found.curves["acronym"] == acronym],
        )
    bad = found.regions[found.regions["lack_of_fit_p"] < LACK_OF_FIT]
    expected = LACK_OF_FIT * len(found.regions)
    notes = (
        ()
        if bad.empty
        else (
            f"The trace does not describe {len(bad)} of {len(found.regions)} regions (lack of fit, "
            f"p < {LACK_OF_FIT:g}; {expected:.1f} by chance): {', '.join(bad['acronym'])}.",
        )
    )
    return FitReport(
        title=f"{title}: reach of regions ({found.measure})",
        what=(
            f"Reach: change of what the trace drives (log2 of TH per cell, or of axon density) at "
            f"{dose:g} mg/kg for {days} days; {len(found.regions)} regions, levels of each duration "
            "free, animals as units.",
            f"Shared by all regions: {shared['parameter']} = {short_number(shared['value'])} "
            f"({bounds(shared['low_95'], shared['high_95'])}; table value "
            f"{short_number(shared['start'])}). Points: measured changes with standard errors; "
            "dashed: the fit.",
        ),
        estimates=pd.DataFrame(
            {
                "region": shown["acronym"],
                "reach, log2": shown["reach_log2"],
                "95 % interval": [
                    bounds(low, high)
                    for low, high in zip(shown["low_95"], shown["high_95"], strict=True)
                ],
                "identified": shown["identified"].map({True: "yes", False: "no"}),
                "residual SD, log2": shown["residual_sd_log2"],
                "lack of fit, p": shown["lack_of_fit_p"],
                "label": shown["label"],
            }
        ),
        not_identified=_regions_open(found),
        notes=notes,
        figures=figures,
        encoded=True,
        versions=versions(),
    )


def _regions_open(found: RegionFit) -> tuple[str, ...]:
    shared = [
        f"{row['parameter']} ({bounds(row['low_95'], row['high_95'])})"
        for row in _open(found.shared)
    ]
    return (*shared, *(f"reach of {row['acronym']}" for row in _open(found.regions)))


def _region_lines(found: RegionFit) -> tuple[str, ...]:
    shared = found.shared.iloc[0]
    lines = [
        f"{shared['parameter']} = {short_number(shared['value'])} "
        f"({bounds(shared['low_95'], shared['high_95'])}), shared by all regions"
    ]
    lines += [
        f"{row['acronym']}: reach {row['reach_log2']:+.2f} log2 "
        f"({bounds(row['low_95'], row['high_95'])}), encoded"
        for row in found.regions.to_dict("records")
    ]
    unknown = _regions_open(found)
    return (*lines, *([f"not identifiable: {'; '.join(unknown)}"] if unknown else []))


def _encoded_in(values: pd.DataFrame, measure: str, atlas: str) -> list[str]:
    """Return the analysed regions that are encoded, or parts of such."""
    tree = open_atlas(atlas).structures
    table = encoded_regions()
    heads = {str(a) for a in table.loc[table["measure"] == measure, "acronym"]}
    mine = values.loc[values["measure"] == measure, ["region_id", "acronym"]].drop_duplicates()
    chosen = []
    for region, acronym in mine.itertuples(index=False, name=None):
        above = tree.ancestors(int(region)) if int(region) in tree else ()
        if str(acronym) in heads or heads & {tree.acronym_of(i) for i in above}:
            chosen.append(str(acronym))
    if not chosen:
        msg = f"The table holds no {measure} of an encoded region; name some with --regions."
        raise InputError(msg)
    return chosen


def _curve(
    plan: DosingPlan, parameters: Mapping[str, float], column: str, end_h: float
) -> pd.DataFrame:
    """Return a smooth curve, from the start to the last value."""
    longer = replace(plan, end_h=max(plan.end_h, end_h))
    edges = [edge for dose in plan.doses for edge in (dose.time_h, dose.stop_h) if edge < end_h]
    near = np.geomspace(1e-3, 1.0, CURVE_POINTS // 2) * end_h
    times = np.unique(np.concatenate([[0.0], edges, *(edge + near for edge in edges[-2:] or [0.0]),
                                      np.linspace(0.0, end_h, CURVE_POINTS)]))  # fmt: skip
    times = times[times <= end_h]
    frame = shared_engine((column,), 1e-8).simulate(longer, parameters=parameters, times_h=times)
    values = frame[column].to_numpy(dtype=float)
    there = values > 1e-6 * values.max()
    return pd.DataFrame({"time_h": times[there], "value": values[there]})


def _shown(estimates: pd.DataFrame) -> pd.DataFrame:
    shown = {
        "parameter": estimates["parameter"],
        "unit": estimates["parameter"].map(_parameter_units()),
        "table value": estimates["start"],
        "estimate": estimates["value"],
        "95 % interval": [
            bounds(low, high)
            for low, high in zip(estimates["low_95"], estimates["high_95"], strict=True)
        ],
        "identified": estimates["identified"].map({True: "yes", False: "no"}),
    }
    if "spread_sd_ln" in estimates:
        shown |= {
            "spread between animals (SD of ln)": estimates["spread_sd_ln"],
            "its 95 % interval": [
                bounds(low, high)
                for low, high in zip(
                    estimates["spread_low_95"], estimates["spread_high_95"], strict=True
                )
            ],
            "shrinkage": estimates["shrinkage"],
        }
    return pd.DataFrame(shown)


def _parameter_units() -> dict[str, str]:
    table = parameter_table()
    return {
        name: unit_text(unit)
        for name, unit in table[["name", "unit"]].itertuples(index=False, name=None)
    }


def _open(estimates: pd.DataFrame) -> list[dict[str, float]]:
    return [
        {str(k): v for k, v in row.items()}
        for row in estimates[~estimates["identified"].astype(bool)].to_dict("records")
    ]


def _why(row: Mapping[str, object]) -> str:
    return f"{row['parameter']} ({bounds(float(str(row['low_95'])), float(str(row['high_95'])))})"


def _spread(row: Mapping[Hashable, Any]) -> str:
    if "spread_sd_ln" not in row:
        return ""
    if not row["spread_identified"]:
        return ", spread between animals not identifiable"
    return f", spread between animals {row['spread_sd_ln']:.2f} (SD of ln)"


def _lines(found: Fit | PopulationFit) -> tuple[str, ...]:
    table = found.estimates
    units = _parameter_units()
    lines = [
        f"{row['parameter']} = {short_number(row['value'])} {units.get(str(row['parameter']), '')} "
        f"({bounds(row['low_95'], row['high_95'])})" + _spread(row)
        for row in table.to_dict("records")
    ]
    unknown = [_why(row) for row in _open(table)]
    return (*lines, *([f"not identifiable: {'; '.join(unknown)}"] if unknown else []))


def _write(
    out: Path,
    report: FitReport,
    tables: Mapping[str, pd.DataFrame],
    lines: tuple[str, ...],
    settings: Mapping[str, object],
    inputs: Sequence[Path],
) -> FitResult:
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        with replacing(out / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
    with replacing(out / PAGE) as temporary:
        temporary.write_text(render_fit(report), encoding="utf-8")
    write_json(
        out / MANIFEST,
        {"versions": versions(), "settings": dict(settings),
         "inputs": {str(path): hash_file(path) for path in inputs}},
    )  # fmt: skip
    return FitResult(page=out / PAGE, estimates=out / "estimates.csv", lines=lines)
