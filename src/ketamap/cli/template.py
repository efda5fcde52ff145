"""The verb `template`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ketamap.cli.console import ConsoleReporter
from ketamap.cli.options import OutFolder


def template(
    study: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="The study.")],
    out: OutFolder,
    rounds: Annotated[int, typer.Option(help="Averages made: the first affine.")] = 3,
) -> None:
    """Average a study's own brains, and align every brain to the atlas through the average."""
    from ketamap.cli.lines import quality_lines
    from ketamap.workflow.cohort_template import template as make_template

    found = make_template(study, out=out, rounds=rounds, reporter=ConsoleReporter())
    for animal, result in found.items():
        for line in quality_lines(result.quality):
            typer.echo(f"{animal}: {line}")
    typer.echo(f"Template and {len(found)} registrations -> {out}")
