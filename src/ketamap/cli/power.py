"""The verb `power`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def power(
    table: Annotated[
        Path | None, typer.Argument(metavar="[TABLE]", help="Region table of a pilot.")
    ] = None,
    animals: Annotated[Path | None, typer.Option(help="Animals table, .csv or .parquet.")] = None,
    design: Annotated[
        Path | None, typer.Option(metavar="DESIGN.yaml", help="What is compared.")
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(
            help="Without a pilot: published noise, by name or part of it (Davoudian, MDMA, "
            "Dimmock, ...)."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("power"),
    region: Annotated[
        list[str] | None,
        typer.Option(help="Acronym: how many animals this region needs. Repeat for more."),
    ] = None,
    fold: Annotated[
        list[float] | None,
        typer.Option(help="Change to find, 2 for twofold. Repeat for more."),
    ] = None,
    counts: Annotated[
        str | None,
        typer.Option(help="own or total: whether a row includes its descendants; default: found."),
    ] = None,
    atlas: Annotated[
        str | None, typer.Option(help="Atlas of the table; default: the tree it tells itself.")
    ] = None,
    changed: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the regions expected to change.")
    ] = 0.2,
    budget: Annotated[
        int | None, typer.Option(help="Animals in all, to split over doses and days.")
    ] = None,
) -> None:
    """Tell how many animals a study needs, from the noise of a pilot table or a published one."""
    from ketamap.cli.lines import counts_of
    from ketamap.workflow.power import Question
    from ketamap.workflow.power import power as estimate
    from ketamap.workflow.power_page import grid, sentences

    folds = {"folds": tuple(fold)} if fold else {}
    result = estimate(
        table,
        animals=animals,
        design=design,
        noise=noise,
        out=out,
        counts=counts_of(counts),
        atlas=atlas,
        question=Question(regions=tuple(region or ()), changed=changed, budget=budget, **folds),
    )
    typer.echo(f"Noise of {result.average['noise'].iloc[0]}")
    for text in sentences(result.average):
        typer.echo(text)
    for estimand in result.average["estimand"].unique():
        typer.echo(f"\nMean power, {estimand} effects:")
        typer.echo(grid(result.average, estimand).round(2).to_string(index=False))
    if result.asked is not None:
        typer.echo("\nAnimals per group for 80 % power (NaN: more than 60):")
        typer.echo(result.asked.round(2).to_string(index=False))
    if result.budget is not None:
        columns = ["doses", "days", "n_per_group", "power_any_growing", "power_pair"]
        best = result.budget.sort_values("power_any_growing", ascending=False).head(5)
        typer.echo(f"\nBest splits of {budget} animals:")
        typer.echo(best[columns].round(2).to_string(index=False))
    typer.echo(f"\nAll of it: {(out / 'power.html').resolve()}")
