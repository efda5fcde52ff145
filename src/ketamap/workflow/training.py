"""A detector of one's own: the score learns from cells that were kept and removed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ketamap.core.errors import InputError
from ketamap.core.settings import DetectionSettings
from ketamap.core.space import Zyx
from ketamap.core.tables import SAMPLE_POSITION
from ketamap.io.corrections import read_corrections, write_corrections
from ketamap.io.images import open_image
from ketamap.io.manifests import read_json, write_json
from ketamap.workflow.progress import Quiet, Reporter

if TYPE_CHECKING:
    from ketamap.detect.model import ScoreModel

DEFAULT_MEMORY_BYTES = 4 * 2**30
"""Memory that training may use unless told otherwise."""

ENDING = "_corrections.csv"
"""What the corrections beside a model are called."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Training:
    """What was learned, in words and as a table."""

    corrections: pd.DataFrame
    """Written beside the model: ``z_um, y_um, x_um, kept, score_before, score_after``; the score
    afterwards is by a model that had not seen this correction; both are empty where no candidate
    was near."""

    lines: list[str]
    """To be shown."""


def train_detector(
    image: Path,
    *,
    corrections: Path,
    out: Path,
    voxel_um: Zyx[float] | None = None,
    channel: int | None = None,
    background: Path | None = None,
    background_channel: int | None = None,
    settings: DetectionSettings | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    workers: int = 1,
    reporter: Reporter | None = None,
) -> Training:
    """Adapt the score to corrected cells and write it, with how it does, beside them.

    Parameters
    ----------
    image
        The image in which cells were corrected.
    corrections
        Table ``z_um, y_um, x_um, kept``, or cellfinder's XML (type 1 removed, 2 kept).
    out
        JSON file to write, for ``ketamap detect --model``.
    voxel_um, channel, background, background_channel, settings, memory_bytes, workers, reporter
        As in `ketamap.workflow.brain.detect`; ``settings.min_score`` is the score from which on
        cells were shown to whoever corrected them.

    Raises
    ------
    InputError
        If too few cells were kept or removed, or they do not lie at candidates.
    TableError
        If the corrections cannot be read.
    """
    from ketamap.detect import Resources
    from ketamap.detect.model import model_as_dict
    from ketamap.detect.training import learn

    if out.suffix.lower() != ".json":
        msg = f"{out}: a model is a .json file. Give a name that ends so."
        raise InputError(msg)
    volume = open_image(image, voxel_um=voxel_um, channel=channel)
    other = None
    if background is not None:
        other = open_image(background, voxel_um=voxel_um, channel=background_channel)
    table = read_corrections(corrections, spacing_um=volume.grid.spacing_um)
    table = table[[*SAMPLE_POSITION, "kept"]].reset_index(drop=True)
    with (reporter or Quiet()).stage("learn from the corrections") as progress:
        lesson = learn(
            volume,
            table,
            settings or DetectionSettings(),
            background=other,
            resources=Resources(memory_bytes=memory_bytes, workers=workers),
            progress=progress,
        )
    table["score_before"], table["score_after"] = lesson.score_before, lesson.score_after
    beside = out.with_name(out.stem + ENDING)
    write_corrections(beside, table, spacing_um=volume.grid.spacing_um)
    write_json(out, model_as_dict(lesson.model))
    return Training(corrections=table, lines=[*training_lines(table), f"corrections -> {beside}"])


def read_model(path: Path) -> ScoreModel:
    """Read a model that `train_detector` wrote.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InputError
        If it is no model of this version.
    """
    from ketamap.detect.model import model_from_dict

    return model_from_dict(read_json(path))


def training_lines(table: pd.DataFrame) -> list[str]:
    """Say how many corrections counted and how many are told rightly, before and after."""
    at = table["score_before"].notna()
    lines = [
        f"{int(table.kept.sum())} kept and {int((~table.kept).sum())} removed cells; "
        f"{int(at.sum())} lie at a candidate and were learned from"
    ]
    right = {}
    for name in ("score_before", "score_after"):
        told = (table.loc[at, name] >= 0.5) == table.loc[at, "kept"]
        right[name] = float(told.mean())
    lines.append(
        f"told rightly at a score of .5: {right['score_before']:.1%} by the shipped score, "
        f"{right['score_after']:.1%} by one trained on the other corrections"
    )
    if right["score_after"] <= right["score_before"]:
        lines.append(
            "Warning: training does not help on corrections that it has not seen. Keep the "
            "shipped score, or correct more cells."
        )
    return lines
