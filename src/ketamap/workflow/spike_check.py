"""What is written and said of planted somata: a table and a picture beside the cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ketamap.core.tables import POINTS
from ketamap.io.corrections import is_xml
from ketamap.io.files import replacing
from ketamap.io.tables import beside, read_table, write_table

ENDING = "_spikes"
"""What the file's name adds to that of the cells."""

BARS = 6
"""Groups of planted somata of about equal size in each half of the picture."""

_COLUMNS = {
    "contrast": "contrast (grey levels above the tissue)",
    "neighbours": "detected cells nearby",
}


def spikes_path(cells: Path) -> Path:
    """Tell where the planted somata of a table of cells are."""
    return beside(cells.with_suffix(".csv") if is_xml(cells) else cells, ENDING)


def write_spikes(cells: Path, spikes: pd.DataFrame) -> None:
    """Write the planted somata beside the cells, one row each, and a picture of the recall."""
    path = spikes_path(cells)
    write_table(path, spikes, POINTS)
    if len(spikes):
        draw_recall(path.with_suffix(".png"), spikes)


def spike_lines(spikes: pd.DataFrame) -> list[str]:
    """Say the recall of planted somata: in all, by contrast and by crowding.

    Parameters
    ----------
    spikes
        `ketamap.detect.spike_check.Checked.spikes`.
    """
    from ketamap.detect.spike_check import like_cells, recall_by_thirds

    if spikes.empty:
        return ["no somata planted: the image is empty"]
    table = like_cells(spikes)
    lines = [
        f"{len(table)} somata planted, each alone, {table.found.mean():.1%} found; "
        f"contrasts {_source(spikes)}"
    ]
    for column, name in _COLUMNS.items():
        lines += [
            f"  {name} {row.least:.4g} to {row.most:.4g}: {row.recall:.1%} of {row.planted}"
            for row in recall_by_thirds(table, column).itertuples()
        ]
    return lines


def saved_spike_lines(cells: Path) -> list[str]:
    """Say the recall of the planted somata beside a table of cells, and where they are."""
    path = spikes_path(cells)
    return [*spike_lines(read_table(path, POINTS)), f"planted somata -> {path}"]


def _source(spikes: pd.DataFrame) -> str:
    if (spikes["contrast_from"] == "noise").all():
        low, high = spikes["contrast_to_noise"].min(), spikes["contrast_to_noise"].max()
        return (
            f"{low:.2g} to {high:.2g} times the local noise, as too few cells were detected to "
            "draw them from"
        )
    return "drawn from the detected cells"


def draw_recall(path: Path, spikes: pd.DataFrame) -> None:
    """Draw the share found by contrast and by crowding, with 95 % intervals, as PNG.

    All planted somata are in it, the dimmed ones as well. Intervals are Wilson's (1927, J Am Stat
    Assoc 22:209).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (column, name) in zip(figure.subplots(1, 2), _COLUMNS.items(), strict=True):
        table = recall_steps(spikes, column)
        below, above = table.recall - table.low, table.high - table.recall
        axes.errorbar(table.middle, table.recall, yerr=[below, above], fmt="o-", capsize=3)
        axes.set(xlabel=name, ylabel="found", ylim=(0.0, 1.02))
        if column == "contrast":
            axes.set_xscale("log")
        axes.grid(visible=True, alpha=0.3)
    figure.suptitle(f"{len(spikes)} planted somata; contrasts {_source(spikes)}, some dimmed")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def recall_steps(spikes: pd.DataFrame, column: str) -> pd.DataFrame:
    """Recall of up to `BARS` groups of planted somata, in rising order of a column.

    Returns
    -------
    pandas.DataFrame
        Columns ``middle`` (median of the column), ``planted``, ``recall``, ``low``, ``high``.
        Somata of one value are in one group.
    """
    from scipy.stats import binomtest

    value = spikes[column].to_numpy(dtype=np.float64)
    edges = np.unique(np.quantile(value, np.linspace(0.0, 1.0, BARS + 1)[1:-1]))
    group = np.searchsorted(edges, value, side="left")
    rows = []
    for k in np.unique(group):
        some = spikes["found"].to_numpy(dtype=bool)[group == k]
        test = binomtest(int(some.sum()), len(some))
        ends = test.proportion_ci(method="wilson")
        middle = float(np.median(value[group == k]))
        rows.append((middle, test.n, test.statistic, ends.low, ends.high))
    return pd.DataFrame(rows, columns=["middle", "planted", "recall", "low", "high"])
