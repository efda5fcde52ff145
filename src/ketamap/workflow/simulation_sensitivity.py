"""Which parameters an outcome of a regimen depends on, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from ketamap.core.errors import InputError
from ketamap.io.files import hash_file, replacing
from ketamap.io.manifests import write_json
from ketamap.io.regimens import read_regimen
from ketamap.simulate.engine import units
from ketamap.simulate.parameters import parameter_table
from ketamap.simulate.sensitivity import (
    Outcome,
    local_sensitivities,
    morris_screen,
    sobol_indices,
)
from ketamap.workflow.manifest import MANIFEST, versions
from ketamap.workflow.progress import Quiet, Reporter

Method = Literal["local", "morris", "sobol"]
"""Elasticities at the table's values; screening and shares of variance over the priors."""


def sensitivity(
    regimen: Path,
    *,
    outcome: Outcome,
    out: Path,
    method: Method = "local",
    parameters: Sequence[str] | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> pd.DataFrame:
    """Rank parameters by what an outcome of a regimen depends on.

    Parameters
    ----------
    regimen
        Regimen, as YAML.
    outcome
        Column of the model and time; without a time the largest value.
    out
        Folder to write: ``sensitivity.csv`` and ``manifest.json``.
    method
        ``local`` (elasticities and their share over the prior spreads), ``morris`` or
        ``sobol``.
    parameters
        Names; left out: all that have a prior.  ``sobol`` needs some.
    seed
        Of the samples of ``morris`` and ``sobol``.
    reporter
        Shows progress.

    Returns
    -------
    DataFrame
        What the method returns, with the ``certainty`` and ``meaning`` of each parameter,
        most influential first.

    Raises
    ------
    InputError
        If the method, the outcome, its time or a parameter does not exist.
    """
    plan = read_regimen(regimen)
    _check(method, outcome, plan.end_h, parameters)
    with (reporter or Quiet()).stage(f"{method} sensitivities of {outcome.column}") as progress:
        if method == "local":
            table = local_sensitivities(plan, outcome, names=parameters, progress=progress)
        elif method == "morris":
            table = morris_screen(plan, outcome, names=parameters, seed=seed, progress=progress)
        else:
            table = sobol_indices(
                plan, outcome, names=parameters or (), seed=seed, progress=progress
            ).sort_values("total", ascending=False, ignore_index=True)
    known = parameter_table().drop_duplicates("name").set_index("name")
    table = table.assign(
        certainty=table["parameter"].map(known["certainty"]),
        meaning=table["parameter"].map(known["meaning"]),
    )
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "sensitivity.csv") as temporary:
        table.to_csv(temporary, index=False)
    settings = {"method": method, "column": outcome.column, "time_h": outcome.time_h, "seed": seed}
    write_json(
        out / MANIFEST,
        {"versions": versions(), "settings": settings,
         "inputs": {str(regimen): hash_file(regimen)}},
    )  # fmt: skip
    return table


def _check(method: str, outcome: Outcome, end_h: float, parameters: Sequence[str] | None) -> None:
    faults = []
    if method not in get_args(Method):
        faults.append(f"--method is one of {', '.join(get_args(Method))}, got {method!r}")
    if outcome.column not in units():
        faults.append(f"--outcome {outcome.column!r} is nothing that the model tells")
    if outcome.time_h is not None and not 0.0 <= outcome.time_h <= end_h:
        faults.append(f"--time-h must be within the regimen, 0 to {end_h:g}, got {outcome.time_h}")
    if method == "sobol" and not parameters:
        faults.append("--method sobol needs --parameters; choose them by --method morris")
    if faults:
        msg = f"{'; '.join(faults)}."
        raise InputError(msg)
