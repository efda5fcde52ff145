"""The verb `voxelwise`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ketamap.cli.console import ConsoleReporter
from ketamap.cli.options import AtlasDir, Memory, OutFolder
from ketamap.cli.parsing import parse_bytes


def voxelwise(
    folder: Annotated[
        Path, typer.Argument(metavar="STUDY_FOLDER", help="Folder written by `ketamap run`.")
    ],
    out: OutFolder,
    design: Annotated[
        Path | None,
        typer.Option(metavar="DESIGN.yaml", help="What is compared; default: as in the study."),
    ] = None,
    measure: Annotated[str, typer.Option(help="cells or axon_length_mm.")] = "cells",
    kernel_um: Annotated[
        float, typer.Option(help="Standard deviation of the Gaussian kernel, um.")
    ] = 150.0,
    resolution_um: Annotated[float, typer.Option(help="Voxel size of the maps, um.")] = 100.0,
    permutations: Annotated[int, typer.Option(help="Relabelings of the animals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Another seed, other relabelings.")] = 0,
    connectivity: Annotated[int, typer.Option(help="Neighbours of a voxel: 6 or 26.")] = 6,
    workers: Annotated[int | None, typer.Option(help="Threads; default: one per core.")] = None,
    memory: Memory = "4GB",
    atlas_dir: AtlasDir = None,
    accept_failed: Annotated[
        bool, typer.Option("--accept-failed", help="Use brains whose registration failed.")
    ] = False,
) -> None:
    """Map density voxel by voxel and test it: TFCE, permutations, clusters, a page."""
    from ketamap.workflow.voxel_inputs import Mapping
    from ketamap.workflow.voxelwise import voxelwise as compare

    result = compare(
        folder,
        out=out,
        design=design,
        mapping=Mapping(measure=measure, kernel_um=kernel_um, resolution_um=resolution_um),
        permutations=permutations,
        seed=seed,
        connectivity=connectivity,
        workers=workers,
        memory_bytes=parse_bytes(memory),
        atlas_dir=atlas_dir,
        accept_failed=accept_failed,
        reporter=ConsoleReporter(),
    )
    for line in result.warnings:
        typer.echo(line)
    for one in result.maps:
        found = one.clusters.table
        names = ", ".join(
            f"{r.peak_acronym} {r.direction} in {r.size_mm3:.2g} mm3"
            for r in found.head(6).itertuples(index=False)
        )
        typer.echo(
            f"{one.contrast}, {one.estimand}: {len(found)} clusters, familywise over "
            f"{one.test.relabelings} relabelings" + (f": {names}" if names else "")
        )
    typer.echo(f"Page: {result.page.resolve()}")
