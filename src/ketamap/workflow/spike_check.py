"""Plant somata into a user's image and write how many come back, beside the cells."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ketamap.core.settings import DetectionSettings
from ketamap.core.space import Zyx
from ketamap.core.tables import POINTS
from ketamap.io.corrections import is_xml
from ketamap.io.images import open_image
from ketamap.io.tables import beside, write_table
from ketamap.workflow.brain import DEFAULT_MEMORY_BYTES
from ketamap.workflow.progress import Quiet, Reporter
from ketamap.workflow.training import read_model

ENDING = "_spikes"
"""What the file's name adds to that of the cells."""


def check_by_spikes(
    image: Path,
    *,
    cells: Path,
    n: int,
    voxel_um: Zyx[float] | None = None,
    channel: int | None = None,
    settings: DetectionSettings | None = None,
    model: Path | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    workers: int = 1,
    reporter: Reporter | None = None,
) -> tuple[Path, list[str]]:
    """Plant ``n`` somata, detect, write one row per soma; return the file and lines to show.

    Arguments as in `ketamap.workflow.brain.detect`; ``cells`` is the table beside which the
    answer is written. The background channel is not used.
    """
    from ketamap.detect.spike_check import spike_in

    volume = open_image(image, voxel_um=voxel_um, channel=channel)
    with (reporter or Quiet()).stage("plant and detect again") as progress:
        table = spike_in(
            volume,
            settings or DetectionSettings(),
            n=n,
            model=None if model is None else read_model(model),
            memory_bytes=memory_bytes,
            workers=workers,
        )
        progress(1, 1)
    path = beside(cells.with_suffix(".csv") if is_xml(cells) else cells, ENDING)
    write_table(path, table, POINTS)
    return path, spike_lines(table)


def spike_lines(table: pd.DataFrame) -> list[str]:
    """Say the recall of planted somata: in all, by contrast and by crowding."""
    from ketamap.detect.spike_check import recall_by_thirds

    if table.empty:
        return ["no somata planted: no cells were detected to plant beside"]
    lines = [f"{len(table)} somata planted, {table.found.mean():.1%} found"]
    for column, name in (
        ("contrast", "contrast (grey levels above the tissue)"),
        ("neighbours", "detected cells nearby"),
    ):
        lines += [
            f"  {name} {row.least:.4g} to {row.most:.4g}: {row.recall:.1%} of {row.planted}"
            for row in recall_by_thirds(table, column).itertuples()
        ]
    return lines
