"""The verb `power`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def power(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="Region table of a pilot.")],
    animals: Annotated[Path, typer.Option(help="Animals table, .csv or .parquet.")],
    design: Annotated[Path, typer.Option(metavar="DESIGN.yaml", help="What is compared.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("power"),
    counts: Annotated[
        str | None,
        typer.Option(help="own or total: whether a row includes its descendants; default: found."),
    ] = None,
    changed: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the regions expected to change.")
    ] = 0.2,
    budget: Annotated[
        int | None, typer.Option(help="Animals in all, to split over doses and days.")
    ] = None,
) -> None:
    """Tell how many animals a study needs, from the noise of a pilot table."""
    from ketamap.cli.lines import counts_of
    from ketamap.workflow.power import power as estimate

    result = estimate(
        table,
        animals=animals,
        design=design,
        out=out,
        counts=counts_of(counts),
        changed=changed,
        budget=budget,
    )
    twofold = result.average[result.average["fold"] == 2.0]
    for estimand, part in twofold.groupby("estimand", sort=False):
        each = ", ".join(
            f"{row.n_per_group}: {row.power:.2f}" for row in part.itertuples(index=False)
        )
        typer.echo(f"2-fold, {estimand}: mean power by animals per group {each}")
    if result.budget is not None:
        columns = ["doses", "days", "n_per_group", "power_any_growing", "power_pair"]
        best = result.budget.sort_values("power_any_growing", ascending=False).head(5)
        typer.echo(best[columns].round(2).to_string(index=False))
    typer.echo(f"Curves: {(out / 'power.png').resolve()}")
