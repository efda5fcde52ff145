"""The command line: parse, call one workflow function, print."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ketamap import __version__
from ketamap.cli.console import ConsoleReporter
from ketamap.cli.options import (
    AtlasDir,
    AtlasName,
    Background,
    BackgroundChannel,
    Channel,
    Device,
    Image,
    Memory,
    OutFolder,
    OutTable,
    Threads,
    VoxelUm,
)
from ketamap.cli.parsing import parse_bytes, parse_iterations, parse_voxel_um
from ketamap.cli.power import power as estimate_power
from ketamap.cli.simulate import app as simulate_app
from ketamap.cli.template import template as make_template
from ketamap.cli.trace import quantify as quantify_brain
from ketamap.cli.trace import trace as trace_image
from ketamap.cli.train import train_detector as train_score
from ketamap.cli.voxelwise import voxelwise as compare_voxels
from ketamap.core.errors import KetamapError

INTERRUPTED = 130
"""Exit code after Ctrl-C (128 + the signal's number)."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Map what a drug does to a whole brain, region by region, by dose and by duration.",
)

app.add_typer(simulate_app, name="simulate")


def main() -> None:
    """Run the command line; a user's error is one line and exit code 1."""
    try:
        app()
    except KetamapError as error:
        _fail(str(error), error)
    except MemoryError as error:
        _fail("Memory ran out. Give less with --memory, or use fewer --workers.", error)
    except OSError as error:  # what the system says about a path: full, read-only, a folder
        _fail(f"{error.filename or ''}: {error.strerror or error}".removeprefix(": "), error)


def _fail(text: str, error: BaseException) -> None:
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    typer.echo(f"Error: {text}{notes}", err=True)
    sys.exit(1)


@contextmanager
def _stoppable(hint: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\nInterrupted. {hint}", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"ketamap {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version.",
            is_eager=True,
            callback=lambda wanted: _version(wanted=wanted),
        ),
    ] = False,
) -> None:
    del version


@app.command()
def demo(
    out: OutFolder = Path("ketamap-demo"),
    animals_per_group: Annotated[int, typer.Option(help="Mice in each of three groups.")] = 4,
    seed: Annotated[int, typer.Option(help="Another seed, another cohort.")] = 1,
    workers: Annotated[
        int | None, typer.Option(help="Brains side by side; default: what cores and memory allow.")
    ] = None,
    memory: Memory = "4GB",
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
) -> None:
    """Make a phantom cohort, run the whole study on it, and show truth beside answer."""
    from ketamap.cli.lines import truth_lines
    from ketamap.workflow.demonstration import demo as make_demo

    show = ConsoleReporter()
    with _stoppable(f"Go on with: ketamap demo --out {out} --resume"):
        score = make_demo(
            out,
            animals_per_group=animals_per_group,
            seed=seed,
            workers=workers,
            memory_bytes=parse_bytes(memory),
            resume=resume,
            reporter=show,
        )
    for line in truth_lines(score):
        typer.echo(line)
    typer.echo(f"Report: {(out / 'run' / 'report.html').resolve()}")


@app.command()
def run(
    study: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="The study.")],
    out: OutFolder,
    resume: Annotated[bool, typer.Option("--resume", help="Do only what is missing.")] = False,
    workers: Annotated[
        int | None, typer.Option(help="Brains side by side; default: what cores and memory allow.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="URL", help="Dask scheduler to use instead.")
    ] = None,
    memory: Memory = "4GB",
    accept_failed: Annotated[
        bool, typer.Option("--accept-failed", help="Go on with brains whose registration failed.")
    ] = False,
    device: Device = "cpu",
) -> None:
    """Run a study: register, detect, trace, quantify, analyse, report."""
    from ketamap.cli.lines import balance_lines
    from ketamap.workflow.study_run import run as run_study

    show = ConsoleReporter()
    with _stoppable(f"Go on with: ketamap run {study} --out {out} --resume"):
        done = run_study(
            study,
            out=out,
            resume=resume,
            workers=workers,
            scheduler=scheduler,
            memory_bytes=parse_bytes(memory),
            accept_failed=accept_failed,
            device=device,
            reporter=show,
        )
    for line in balance_lines(out):
        typer.echo(line)
    typer.echo(
        f"{len(done.outcome.done)} steps done, {len(done.outcome.skipped)} were there already."
    )
    typer.echo(f"Report: {(out / 'report.html').resolve()}")


@app.command()
def inspect(image: Image) -> None:
    """Tell what an image is: axes, voxel size, channels, pyramid, and what to do with it."""
    from ketamap.cli.lines import image_lines
    from ketamap.io.images import describe_image

    for line in image_lines(describe_image(image)):
        typer.echo(line)


@app.command()
def register(
    image: Image,
    orientation: Annotated[
        str,
        typer.Option(help="Sides at which z, y and x start: one of a/p, s/i, l/r each; e.g. psl."),
    ],
    atlas: AtlasName,
    out: OutFolder,
    voxel_um: VoxelUm = None,
    channel: Channel = None,
    atlas_dir: AtlasDir = None,
    extent: Annotated[str, typer.Option(help="What the image shows: whole, left or right.")] = (
        "whole"
    ),
    mask: Annotated[
        Path | None,
        typer.Option(
            help="Image of the same shape, 0 where tissue is missing; default: looked for."
        ),
    ] = None,
    resolution_um: Annotated[float, typer.Option(help="Voxel size compared, um.")] = 100.0,
    iterations: Annotated[
        str, typer.Option(metavar="AxBxC", help="Iterations at 4x, 2x, 1x of the resolution.")
    ] = "100x60x60",
    refits: Annotated[
        int, typer.Option(help="Repeated fits that the position error is estimated from; 0: none.")
    ] = 4,
    threads: Threads = 1,
) -> None:
    """Align a brain to an atlas; exit code 1 if the result must not be used."""
    from ketamap.cli.lines import extent_of, hole_lines, quality_lines
    from ketamap.core.settings import RegistrationSettings
    from ketamap.workflow.brain import register as align_brain

    result = align_brain(
        image,
        orientation=orientation,
        atlas=atlas,
        out=out,
        voxel_um=parse_voxel_um(voxel_um),
        channel=channel,
        atlas_dir=atlas_dir,
        extent=extent_of(extent),
        mask=mask,
        settings=RegistrationSettings(
            resolution_um=resolution_um,
            iterations=parse_iterations(iterations),
            refits=refits,
            threads=threads,
        ),
        reporter=ConsoleReporter(),
    )
    for line in (*quality_lines(result.quality), *hole_lines(None if mask else result.tissue)):
        typer.echo(line)
    if result.quality.verdict == "fail":
        reasons = " ".join(result.quality.reasons)
        typer.echo(f"Error: the registration of {image} failed: {reasons} See {out}.", err=True)
        raise typer.Exit(1)


@app.command()
def transform(
    points: Annotated[Path, typer.Argument(metavar="POINTS", help="Table of positions in um.")],
    registration: Annotated[Path, typer.Option(help="Folder written by `ketamap register`.")],
    to: Annotated[str, typer.Option(help="atlas or sample.")],
    out: OutTable,
    atlas_dir: AtlasDir = None,
) -> None:
    """Carry points between the sample (z_um, y_um, x_um) and the atlas (ap_um, dv_um, ml_um)."""
    from ketamap.workflow.brain import transform as carry

    frame, outside = carry(points, registration=registration, to=to, out=out, atlas_dir=atlas_dir)
    typer.echo(
        f"{len(frame)} points carried to the {to}, {outside} of them outside the atlas -> {out}"
    )


@app.command()
def detect(
    image: Image,
    out: Annotated[
        Path, typer.Option("--out", help="Table to write: .parquet or .csv; .xml: for cellfinder.")
    ],
    voxel_um: VoxelUm = None,
    channel: Channel = None,
    background: Background = None,
    background_channel: BackgroundChannel = None,
    soma_diameter_um: Annotated[float, typer.Option(help="Diameter of a soma, um.")] = 15.0,
    min_score: Annotated[float, typer.Option(help="Leave out cells scored below (0 to 1).")] = 0.5,
    model: Annotated[
        Path | None,
        typer.Option(metavar="MODEL.json", help="Score by `ketamap train-detector`."),
    ] = None,
    spike_in: Annotated[
        int,
        typer.Option(min=0, help="Somata to plant, each alone, to tell how many are missed."),
    ] = 0,
    memory: Memory = "4GB",
    workers: Threads = 1,
    device: Device = "cpu",
) -> None:
    """Find cells; the threshold calibrates itself on the image."""
    from ketamap.core.settings import DetectionSettings
    from ketamap.workflow.brain import detect as find
    from ketamap.workflow.spike_check import saved_spike_lines

    settings = DetectionSettings(
        soma_diameter_um=soma_diameter_um, min_score=min_score, spike_ins=spike_in
    )
    cells = find(
        image,
        out=out,
        voxel_um=parse_voxel_um(voxel_um),
        channel=channel,
        background=background,
        background_channel=background_channel,
        settings=settings,
        model=model,
        memory_bytes=parse_bytes(memory),
        workers=workers,
        device=device,
        reporter=ConsoleReporter(),
    )
    typer.echo(f"{len(cells)} cells -> {out}")
    if not len(cells):
        typer.echo(
            "Warning: no cell was found. Is it the channel with the label, are --voxel-um and "
            "--soma-diameter-um right, and is --min-score not too high?"
        )
    if spike_in:
        typer.echo("\n".join(saved_spike_lines(out)))


app.command(name="template")(make_template)
app.command(name="train-detector")(train_score)
app.command(name="trace")(trace_image)
app.command(name="quantify")(quantify_brain)


@app.command()
def analyse(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="Region table, .parquet or .csv.")],
    animals: Annotated[Path, typer.Option(help="Animals table, .csv or .parquet.")],
    design: Annotated[Path, typer.Option(metavar="DESIGN.yaml", help="What is compared.")],
    out: OutFolder,
    counts: Annotated[
        str | None,
        typer.Option(help="own or total: whether a row includes its descendants; default: found."),
    ] = None,
    atlas: Annotated[
        str | None, typer.Option(help="Atlas for the structure tree and the maps.")
    ] = None,
    atlas_dir: AtlasDir = None,
    title: Annotated[str | None, typer.Option(help="Title of the report.")] = None,
    permutations: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Permutations of the second opinion; default: the design's, else 2000; 0: none.",
        ),
    ] = None,
    shrink: Annotated[
        bool,
        typer.Option(
            "--shrink",
            help="Also show effects drawn towards their division, for ranking (the extra `bayes`).",
        ),
    ] = False,
) -> None:
    """Estimate and test effects per region, brain-wide shift first, and write a report."""
    from ketamap.cli.lines import counts_of, effect_lines
    from ketamap.io.studies import read_design
    from ketamap.workflow.analysis import analyse as estimate

    result = estimate(
        table,
        animals=animals,
        design=design,
        out=out,
        counts=counts_of(counts),
        atlas=atlas,
        atlas_dir=atlas_dir,
        title=title,
        permutations=permutations,
        shrink=shrink,
        reporter=ConsoleReporter(),
    )
    for line in effect_lines(result, read_design(design).alpha):
        typer.echo(line)
    typer.echo(f"Report: {(out / 'report.html').resolve()}")


app.command(name="power")(estimate_power)
app.command(name="voxelwise")(compare_voxels)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run or an analysis.")],
    atlas_dir: AtlasDir = None,
) -> None:
    """Write report.html again from what lies in a folder."""
    from ketamap.workflow.analysis import report as write_report

    typer.echo(f"Report: {write_report(folder, atlas_dir=atlas_dir).resolve()}")


@app.command()
def doctor() -> None:
    """Tell what is installed and what is missing: packages, cores, memory, GPU, atlases."""
    from ketamap.workflow.checkup import doctor as examine

    for line in examine():
        typer.echo(line)
