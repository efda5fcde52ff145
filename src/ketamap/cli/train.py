"""The verb `train-detector`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ketamap.cli.console import ConsoleReporter
from ketamap.cli.options import Background, BackgroundChannel, Channel, Memory, Threads, VoxelUm
from ketamap.cli.parsing import parse_bytes, parse_voxel_um


def train_detector(
    image: Annotated[Path, typer.Argument(help="The image in which cells were corrected.")],
    corrections: Annotated[
        Path,
        typer.Option(
            metavar="CELLS",
            help="Table z_um,y_um,x_um,kept, or cellfinder's XML (type 1 removed, 2 kept).",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Model to write: .json.")],
    voxel_um: VoxelUm = None,
    channel: Channel = None,
    background: Background = None,
    background_channel: BackgroundChannel = None,
    soma_diameter_um: Annotated[
        float, typer.Option(help="Diameter that the cells were detected with, um.")
    ] = 15.0,
    min_score: Annotated[
        float, typer.Option(help="Score from which on cells were shown to you (0 to 1).")
    ] = 0.5,
    memory: Memory = "4GB",
    workers: Threads = 1,
) -> None:
    """Adapt the score of cells to your own corrections; use it with `detect --model`."""
    from ketamap.core.settings import DetectionSettings
    from ketamap.workflow.training import train_detector as train

    trained = train(
        image,
        corrections=corrections,
        out=out,
        voxel_um=parse_voxel_um(voxel_um),
        channel=channel,
        background=background,
        background_channel=background_channel,
        settings=DetectionSettings(soma_diameter_um=soma_diameter_um, min_score=min_score),
        memory_bytes=parse_bytes(memory),
        workers=workers,
        reporter=ConsoleReporter(),
    )
    for line in trained.lines:
        typer.echo(line)
    typer.echo(f"model -> {out}")
