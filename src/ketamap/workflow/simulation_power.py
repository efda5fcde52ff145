"""Animals that a planned study needs, from the animals of a simulated one."""

from __future__ import annotations

from pathlib import Path

import yaml

from ketamap.core.errors import MissingInputError
from ketamap.io.files import replacing
from ketamap.workflow.power import PowerResult, Question, power
from ketamap.workflow.progress import Quiet, Reporter

POWER = "power"
"""Folder of the power within the study's; one folder per measure in it."""


def study_power(
    folder: Path, *, question: Question | None = None, reporter: Reporter | None = None
) -> dict[str, PowerResult]:
    """Estimate the power of studies with the noise of a simulated study's animals.

    Parameters
    ----------
    folder
        Written by `ketamap.workflow.simulation_study.simulate_study`; gets a folder
        ``power/MEASURE`` per measure, as `ketamap.workflow.power.power` writes it.
    question
        Changes and regions.
    reporter
        Shows progress.

    Returns
    -------
    dict
        Power by measure.

    Raises
    ------
    MissingInputError
        If the folder holds no simulated study.
    """
    if not (folder / "planted.csv").exists():
        msg = f"{folder} holds no simulated study. Make one with 'ketamap simulate study'."
        raise MissingInputError(msg)
    design = yaml.safe_load((folder / "design.yaml").read_text(encoding="utf-8"))
    found = {}
    with (reporter or Quiet()).stage("power") as progress:
        for measure in design["measure"]:
            out = folder / POWER / measure
            out.mkdir(parents=True, exist_ok=True)
            with replacing(out / "design.yaml") as temporary:
                temporary.write_text(yaml.safe_dump(design | {"measure": measure}), "utf-8")
            found[str(measure)] = power(
                folder / "regions.parquet",
                animals=folder / "animals.csv",
                design=out / "design.yaml",
                out=out,
                question=question,
            )
            progress(len(found), len(design["measure"]))
    return found
