"""The verbs `trace` and `quantify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ketamap.cli.console import ConsoleReporter
from ketamap.cli.options import (
    AtlasDir,
    Channel,
    Image,
    Memory,
    OutFolder,
    OutTable,
    Threads,
    VoxelUm,
)
from ketamap.cli.parsing import parse_bytes, parse_voxel_um


def trace(
    image: Image,
    out: OutFolder,
    voxel_um: VoxelUm = None,
    channel: Channel = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="LABELS",
            help="Labelled planes or boxes of this image, TIFF or npz: 1 background, 2 axon.",
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(metavar="TRACE.json", help="Calibration of another trace of the same study."),
    ] = None,
    cells: Annotated[
        Path | None, typer.Option(help="Table written by `ketamap detect`: somata are left out.")
    ] = None,
    fibre_sigma_um: Annotated[
        float, typer.Option(help="Width of a fibre's cross-section in the image (one sd), um.")
    ] = 2.4,
    soma_diameter_um: Annotated[
        float, typer.Option(help="Diameter of the somata that are left out, um.")
    ] = 15.0,
    vessel_diameter_um: Annotated[
        float, typer.Option(help="Tubes at least this thick are vessels, um.")
    ] = 16.0,
    threshold: Annotated[
        float | None,
        typer.Option(help="Least score of a fibre, in sd of the noise; default: calibrated."),
    ] = None,
    probability: Annotated[
        bool, typer.Option("--probability", help="Also write probability.ome.zarr.")
    ] = False,
    memory: Memory = "4GB",
    workers: Threads = 1,
) -> None:
    """Trace axons and measure their length; the threshold comes with its band."""
    from ketamap.cli.lines import trace_lines
    from ketamap.core.settings import TracingSettings
    from ketamap.workflow.tracing import trace as trace_image

    traced = trace_image(
        image,
        out=out,
        voxel_um=parse_voxel_um(voxel_um),
        channel=channel,
        calibrate=calibrate,
        calibration=calibration,
        cells=cells,
        settings=TracingSettings(
            fibre_sigma_um=fibre_sigma_um,
            soma_diameter_um=soma_diameter_um,
            vessel_diameter_um=vessel_diameter_um,
            threshold=threshold,
        ),
        probability=probability,
        memory_bytes=parse_bytes(memory),
        workers=workers,
        reporter=ConsoleReporter(),
    )
    for line in trace_lines(traced):
        typer.echo(line)
    typer.echo(f"{len(traced.axons)} rows -> {out / 'axons.parquet'}")


def quantify(
    registration: Annotated[Path, typer.Option(help="Folder written by `ketamap register`.")],
    out: OutTable,
    cells: Annotated[Path | None, typer.Option(help="Table written by `ketamap detect`.")] = None,
    axons: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder written by `ketamap trace`.")
    ] = None,
    animal: Annotated[
        str | None, typer.Option(help="Identifier in the table; default: the folder's name.")
    ] = None,
    atlas_dir: AtlasDir = None,
    accept_failed: Annotated[
        bool,
        typer.Option(
            "--accept-failed",
            help="Count although the registration failed or no cell lies in the atlas.",
        ),
    ] = False,
) -> None:
    """Count cells and sum axon length per region, with volumes in the sample's own space."""
    from ketamap.cli.lines import axon_balance_line, balance_line, placing_lines, saturation_lines
    from ketamap.workflow.quantification import quantify as count

    counted = count(
        registration=registration,
        cells=cells,
        axons=axons,
        out=out,
        animal=animal,
        atlas_dir=atlas_dir,
        accept_failed=accept_failed,
        reporter=ConsoleReporter(),
    )
    if counted.cells is not None:
        balance = counted.cells.balance.as_dict()
        typer.echo(balance_line(balance))
        for line in placing_lines(balance):
            typer.echo(line)
    if counted.axons is not None:
        typer.echo(axon_balance_line(counted.axons.balance.as_dict()))
        for line in saturation_lines(counted.saturated):
            typer.echo(line)
    typer.echo(f"{len(counted.regions)} rows -> {out}")
