"""The page of a power estimate: what to read first, curves, and the regions by name."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO

import numpy as np
import pandas as pd

LISTED = 15
"""Regions named at either end of the table."""

WANTED = 0.8
"""Power that the page speaks of."""

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}th,td{padding:.15rem .7rem;text-align:right}
th:first-child,td:first-child{text-align:left}thead th{border-bottom:1px solid #888}
img{max-width:100%}.note{color:#555}
"""


def sentences(average: pd.DataFrame) -> list[str]:
    """Say what size of study each change needs on average over regions.

    Parameters
    ----------
    average
        `ketamap.stats.power.power_frames`.
    """
    told = []
    for estimand, part in average.groupby("estimand", sort=False):
        needs = []
        for fold, line in part.groupby("fold"):
            enough = line.loc[line["power"] >= WANTED, "n_per_group"]
            most = int(line["n_per_group"].max())
            needs.append(
                f"{fold:g}-fold {int(enough.min())}"
                if len(enough)
                else f"{fold:g}-fold more than {most}"
            )
        told.append(
            f"{str(estimand).capitalize()} effects: animals per group for a mean power of "
            f"{WANTED:.0%}: {', '.join(needs)}."
        )
    return told


def grid(average: pd.DataFrame, estimand: str) -> pd.DataFrame:
    """Mean power of one estimand: a row per number of animals, a column per change."""
    part = average[average["estimand"] == estimand]
    wide = part.pivot(index="n_per_group", columns="fold", values="power")
    wide.columns = pd.Index([f"{fold:g}-fold" for fold in wide.columns])
    return wide.rename_axis("animals per group").reset_index()


def regions_asked(
    needed: pd.DataFrame, regions: Sequence[str], folds: Sequence[float]
) -> pd.DataFrame:
    """Animals per group that the regions asked for need, one row per region and change."""
    rows = needed[needed["acronym"].isin(regions) & needed["fold"].isin(folds)]
    return rows[["acronym", "estimand", "fold", "sd_log2", "n_per_group", "power"]]


def page(
    average: pd.DataFrame,
    needed: pd.DataFrame,
    budget: pd.DataFrame | None,
    asked: pd.DataFrame | None,
    picture: bytes,
) -> str:
    """Write the page: one file, nothing beside it.

    Parameters
    ----------
    average, needed, budget
        Tables of a power estimate.
    asked
        Rows of `regions_asked`, or None.
    picture
        The curves as PNG.
    """
    name = escape(str(average["noise"].iloc[0]))
    twofold = needed[np.isclose(needed["fold"], 2.0) & (needed["estimand"] == "relative")]
    ranked = twofold.sort_values(["n_per_group", "sd_log2"], na_position="last")
    body = [
        f"<h1>Power at the noise of {name}</h1>",
        *(f"<p>{escape(text)}</p>" for text in sentences(average)),
        '<p class="note">Relative: a region against the brain-wide shift. Absolute: its density. '
        "False discovery rate 5 %, a fifth of the regions changed unless said otherwise. A dash "
        "means more animals than were looked at.</p>",
        f'<img alt="curves" src="data:image/png;base64,{base64.b64encode(picture).decode()}">',
    ]
    if asked is not None:
        body += ["<h2>The regions asked for</h2>", _table(asked)]
    for estimand in average["estimand"].unique():
        body += [f"<h2>Mean power, {estimand} effects</h2>", _table(grid(average, str(estimand)))]
    columns = ["acronym", "sd_log2", "n_per_group"]
    if len(ranked):
        body += [
            f"<h2>Animals per group for {WANTED:.0%} power, 2-fold, relative</h2>",
            "<h3>Regions that need fewest</h3>",
            _table(ranked.head(LISTED)[columns]),
            "<h3>Regions that need most</h3>",
            _table(ranked.tail(LISTED)[columns]),
        ]
    if budget is not None:
        best = budget.sort_values("power_any_growing", ascending=False)
        body += ["<h2>Splitting the animals over doses and days</h2>", _table(best)]
    head = f'<meta charset="utf-8"><title>Power: {name}</title><style>{STYLE}</style>'
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(body)}</body></html>\n"


def _table(frame: pd.DataFrame) -> str:
    whole = {"n_per_group", "animals per group", "doses", "days", "animals_used"}
    shown = pd.DataFrame(
        {
            column: [_cell(v, whole=str(column) in whole) for v in frame[column]]
            for column in frame.columns
        }
    )
    shown.columns = pd.Index([str(c).replace("_", " ") for c in frame.columns])
    return str(shown.to_html(index=False, border=0))


def _cell(value: object, *, whole: bool) -> str:
    if not isinstance(value, int | float | np.number):
        return str(value)
    number = float(value)
    if np.isnan(number):
        return "-"
    return f"{number:.0f}" if whole else f"{number:.2f}"


def draw(average: pd.DataFrame) -> bytes:
    """Draw mean power against animals per group, one line per change, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharey=True)
    for panel, (estimand, part) in zip(
        panels, average.groupby("estimand", sort=False), strict=True
    ):
        for fold, line in part.groupby("fold"):
            n = line["n_per_group"].to_numpy()
            (drawn,) = panel.plot(n, line["power"], marker="o", label=f"{fold:g}-fold")
            panel.fill_between(
                n, line["power_q10"], line["power_q90"], alpha=0.12, color=drawn.get_color()
            )
        panel.axhline(WANTED, color="0.6", linewidth=0.8, linestyle="--")
        panel.set_title(f"{estimand} effects")
        panel.set_xlabel("animals per group")
        panel.set_xticks(sorted(part["n_per_group"].unique()))
        panel.set_ylim(0.0, 1.0)
    panels[0].set_ylabel("power (mean over regions; band: 80 % of them)")
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(lines, names, title="change", frameon=False, loc="outside right center")
    figure.suptitle(f"Noise of {average['noise'].iloc[0]}")
    out = BytesIO()
    figure.savefig(out, format="png", dpi=150)
    return out.getvalue()
