"""`ketamap simulate`: a regimen file, or one of its verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ketamap.cli.console import ConsoleReporter

DEFAULT_VERB = "regimen"
"""Verb that a first argument which is no verb belongs to."""

RESEARCH_LINE = "For research, not for dosing."


class RegimenFirst(TyperGroup):
    """A group whose first argument may be a regimen file instead of a verb."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default verb before anything that is neither a verb nor a call for help."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = [DEFAULT_VERB, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=RegimenFirst,
    no_args_is_help=True,
    help=(
        "Simulate a regimen: from the dose to blood, receptors, circuits, synapses, dopamine "
        "and mood.  `ketamap simulate REGIMEN.yaml --out DIR`, or a verb below.  "
        f"{RESEARCH_LINE}"
    ),
)

Out = Annotated[Path, typer.Option("--out", help="Folder to write.")]
Match = Annotated[
    list[str] | None,
    typer.Option(
        "--match",
        metavar="MEASURED=SIMULATED",
        help="Contrasts that belong together where their names do not say dose and days.",
    ),
]
Workers = Annotated[int | None, typer.Option(help="Processes; default: one per core.")]


@app.command()
def regimen(
    file: Annotated[Path, typer.Argument(metavar="REGIMEN.yaml", help="Who gets what and when.")],
    out: Out,
    draws: Annotated[
        int, typer.Option(help="Draws of the parameters from their priors; 0: nominal only.")
    ] = 200,
    seed: Annotated[int, typer.Option(help="Another seed, other draws.")] = 1,
    workers: Workers = None,
) -> None:
    """Simulate one regimen; a first picture comes within seconds.  The default verb."""
    from ketamap.workflow.simulate import simulate

    done = simulate(
        file, out=out, draws=draws, seed=seed, workers=workers, reporter=ConsoleReporter()
    )
    for failure in done.failures[:3]:
        typer.echo(f"left out: {failure}")
    typer.echo(f"{done.n_draws} draws. {RESEARCH_LINE}")
    typer.echo(f"Courses: {done.courses.resolve()}")
    typer.echo(f"Report: {done.report.resolve()}")


@app.command()
def study(
    out: Out,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[STUDY.yaml]", help="Doses, days, mice per group; default: the seed study."
        ),
    ] = None,
    n: Annotated[int | None, typer.Option("--n", help="Mice per group; default: 6.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other mice.")] = 1,
    effects: Annotated[
        bool, typer.Option("--effects/--no-effects", help="Whether to plant any change.")
    ] = True,
    measured: Annotated[
        Path | None,
        typer.Option("--beside", help="Folder of a measured study to set beside it."),
    ] = None,
    match: Match = None,
    power: Annotated[
        bool, typer.Option("--power", help="Tell how many mice find which change, by measure.")
    ] = False,
) -> None:
    """Simulate the animals of a study, and analyse them as if they had been imaged."""
    from ketamap.workflow.simulation_study import simulate_study

    done = simulate_study(
        file, out=out, n=n, seed=seed, effects=effects, reporter=ConsoleReporter()
    )
    typer.echo(f"{done.n_animals} simulated mice; directions were put in (encoded), not found.")
    for one in done.recovered:
        typer.echo(
            f"{one.measure}: of {one.planted} planted changes {one.same_sign} are estimated with "
            f"their direction and {one.right_sign} called; {one.called} calls in all."
        )
    typer.echo(f"Report: {done.report.resolve()}")
    if power:
        _power(out)
    if measured is not None:
        _beside(out, measured, None, match)


def _power(folder: Path) -> None:
    from ketamap.workflow.power_page import sentences
    from ketamap.workflow.simulation_power import POWER, study_power

    for measure, found in study_power(folder, reporter=ConsoleReporter()).items():
        for line in sentences(found.average):
            typer.echo(f"{measure}: {line}")
        typer.echo(f"Power: {(folder / POWER / measure / 'power.html').resolve()}")


@app.command()
def beside(
    simulated: Annotated[
        Path, typer.Argument(metavar="SIMULATED", help="Folder of `ketamap simulate study`.")
    ],
    measured: Annotated[
        Path,
        typer.Argument(metavar="MEASURED", help="Folder of `ketamap run` or `ketamap analyse`."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write; default: SIMULATED.")
    ] = None,
    match: Match = None,
) -> None:
    """Set a simulated and a measured study side by side, region by region."""
    _beside(simulated, measured, out, match)


def _beside(simulated: Path, measured: Path, out: Path | None, match: list[str] | None) -> None:
    from ketamap.workflow.simulation_beside import beside as compare
    from ketamap.workflow.simulation_beside import parse_match

    found = compare(simulated, measured, out=out, match=parse_match(match or []))
    for line in (*found.lines, *(f"not compared: {one}" for one in found.unmatched)):
        typer.echo(line)
    typer.echo(f"Side by side: {found.page.resolve()}")


@app.command()
def fit(
    file: Annotated[Path, typer.Argument(metavar="REGIMEN.yaml", help="What was given.")],
    data: Annotated[
        Path,
        typer.Option(help="Table with time_h, value and, for several, animal and weight_kg."),
    ],
    parameters: Annotated[
        str, typer.Option(help="Parameters to fit, with commas: CL,V1 (docs/simulator.md).")
    ],
    out: Out,
    column: Annotated[
        str, typer.Option(help="What was measured: a state or readout of the model.")
    ] = "plasma_ketamine_ng_per_ml",
) -> None:
    """Fit parameters to measured concentrations, of one subject or of several animals."""
    from ketamap.workflow.simulation_fit import fit as calibrate

    done = calibrate(
        file, data=data, parameters=_names(parameters), out=out, column=column,
        reporter=ConsoleReporter(),
    )  # fmt: skip
    _fit_lines(done.lines, done.page)


@app.command()
def fit_regions(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Analysis of a region table with doses and days."),
    ],
    out: Out,
    measure: Annotated[str, typer.Option(help="cells or axon_length_mm.")] = "cells",
    regions: Annotated[
        str | None, typer.Option(help="Acronyms, with commas; default: those that are encoded.")
    ] = None,
    shared: Annotated[
        str, typer.Option(help="Parameter of the trace that all regions share.")
    ] = "tau_trace",
) -> None:
    """Fit the encoded reach of regions and the trace's time constant to a region table."""
    from ketamap.workflow.simulation_fit import fit_table

    done = fit_table(
        folder, out=out, measure=measure, regions=_names(regions) if regions else None,
        shared=shared, reporter=ConsoleReporter(),
    )  # fmt: skip
    _fit_lines(done.lines, done.page)


@app.command()
def sensitivity(
    file: Annotated[Path, typer.Argument(metavar="REGIMEN.yaml", help="What is given.")],
    outcome: Annotated[str, typer.Option(help="State or readout of the model, as da_pfc.")],
    out: Out,
    time_h: Annotated[
        float | None, typer.Option(help="When it is read, hours; default: its largest value.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="local, or over the priors (extra 'sensitivity'): morris, sobol.")
    ] = "local",
    parameters: Annotated[
        str | None, typer.Option(help="Names, with commas; default: all that have a prior.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the samples of morris and sobol.")] = 0,
) -> None:
    """Rank the parameters that an outcome depends on."""
    from ketamap.simulate.sensitivity import Outcome
    from ketamap.workflow.simulation_sensitivity import sensitivity as rank

    table = rank(
        file, outcome=Outcome(column=outcome, time_h=time_h), out=out, method=method,  # type: ignore[arg-type]
        parameters=_names(parameters) if parameters else None, seed=seed,
        reporter=ConsoleReporter(),
    )  # fmt: skip
    shown = table.drop(columns="meaning").head(12)
    typer.echo(shown.to_string(index=False, float_format=lambda x: f"{x:.3g}"))
    typer.echo(f"All {len(table)}: {(out / 'sensitivity.csv').resolve()}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _fit_lines(lines: tuple[str, ...], page: Path) -> None:
    for line in lines:
        typer.echo(line)
    typer.echo(RESEARCH_LINE)
    typer.echo(f"Fit: {page.resolve()}")


@app.command()
def scorecard(
    out: Out = Path("ketamap-scorecard"),
    draws: Annotated[int, typer.Option(help="Draws; 0: nominal values only.")] = 300,
    seed: Annotated[int, typer.Option(help="Another seed, other draws.")] = 2023,
    workers: Workers = None,
) -> None:
    """Score the model against what was published: in or out, and how often over draws."""
    from ketamap.workflow.simulate import scorecard as score
    from ketamap.workflow.simulation_scorecard import scorecard_lines

    scores = score(out=out, draws=draws, seed=seed, workers=workers, reporter=ConsoleReporter())
    for line in scorecard_lines(scores):
        typer.echo(line)
    typer.echo(f"Scorecard: {out.resolve()}")


@app.command()
def sbml(
    out: Annotated[Path, typer.Option("--out", help="SBML file to write.")],
    regimen_file: Annotated[
        Path | None, typer.Option("--regimen", help="Put this regimen's doses inside.")
    ] = None,
) -> None:
    """Write the model as SBML, for COPASI, roadrunner and others."""
    from ketamap.workflow.simulate import export_sbml

    typer.echo(f"SBML: {export_sbml(out, regimen=regimen_file).resolve()}")
