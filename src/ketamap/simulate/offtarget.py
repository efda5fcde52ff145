"""Targeted delivery: how much of the effect falls outside the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.dosing import DosingPlan
from ketamap.core.errors import InputError
from ketamap.core.space import FloatArray
from ketamap.simulate.draws import draw_parameters
from ketamap.simulate.engine import SolveError, shared_engine

SITES: dict[str, tuple[tuple[str, ...], str]] = {
    "glutamate": (("PFC", "PV", "PYR"), "cortical glutamate"),
    "rate_md": (("MD",), "mediodorsal thalamus"),
    "lhb_relative": (("LHb",), "habenula bursts"),
    "da_acb": (("VTA", "VTA_GABA", "ACB"), "accumbens dopamine"),
    "da_cp": (("CP",), "striatal dopamine"),
    "systolic_change_mmhg": ((), "blood pressure"),
    "dissociation_cadss": (("PFC", "PYR"), "dissociation"),
}
"""Readout, the targets it belongs to (none: the body), and its name."""

LABEL = "encoded"
"""The split follows from how the model is wired: a what-if, not evidence."""


_TOLERANCE = 1e-6


def off_target_index(plan: DosingPlan, *, draws: int = 0, seed: int = 0) -> pd.DataFrame:
    """Compare a targeted plan with the same doses to the whole body.

    Parameters
    ----------
    plan
        With ``targets``.
    draws
        Draws from the priors for the ranges; 0: nominal values alone.
    seed
        Of the draws; one that cannot be solved is left out.

    Returns
    -------
    DataFrame
        One row per readout: ``readout, name, inside`` (whether it belongs to a target),
        ``targeted`` and ``systemic`` (largest change from the level before the drug),
        ``share`` (targeted over systemic), ``share_low_95`` and ``share_high_95`` (of draws;
        NaN without), ``label``; and in ``attrs``: ``off_target_index``, the mean share outside
        over the mean share inside, beside 1 for systemic dosing, ``range_95`` of it over
        draws, and ``label``.  The index is NaN where no readout of the table belongs to a
        target.

    Raises
    ------
    InputError
        If the plan has no targets or no dose.
    """
    if not plan.targets or not plan.treated:
        msg = f"Plan {plan.name!r} needs targets and a dose for an off-target index."
        raise InputError(msg)
    wanted = {target.lower() for target in plan.targets}
    inside = np.array([bool(wanted & {t.lower() for t in at}) for at, _ in SITES.values()])
    targeted, systemic = _changes(plan, None)
    share = _shares(targeted, systemic)
    drawn = np.array(list(_drawn_shares(plan, draws, seed))).reshape(-1, len(SITES))
    index = [_index(one, inside) for one in drawn]
    low, high = _range(drawn)
    table = pd.DataFrame(
        {
            "readout": list(SITES),
            "name": [name for _, name in SITES.values()],
            "inside": inside,
            "targeted": targeted,
            "systemic": systemic,
            "share": share,
            "share_low_95": low,
            "share_high_95": high,
            "label": LABEL,
        }
    )
    table.attrs["off_target_index"] = _index(share, inside)
    table.attrs["range_95"] = tuple(float(end) for end in _range(np.array(index)))
    table.attrs["label"] = LABEL
    return table


def _changes(
    plan: DosingPlan, parameters: Mapping[str, float] | None
) -> tuple[FloatArray, FloatArray]:
    """Return the largest change of each readout, with the targets and without."""
    engine = shared_engine(tuple(SITES), _TOLERANCE)
    found = []
    for one in (plan, replace(plan, targets=())):
        frame = engine.simulate(one, parameters=parameters)[list(SITES)].to_numpy(dtype=np.float64)
        found.append(np.abs(frame - frame[0]).max(axis=0))
    return found[0], found[1]


def _drawn_shares(plan: DosingPlan, draws: int, seed: int) -> Iterator[FloatArray]:
    species = plan.subject.species
    for draw in range(draws):
        try:
            yield _shares(*_changes(plan, draw_parameters(species, seed=seed, draw=draw)))
        except SolveError:
            continue  # left out, as said


def _shares(targeted: FloatArray, systemic: FloatArray) -> FloatArray:
    """Divide; 0 where systemic dosing changes nothing."""
    return np.divide(targeted, systemic, out=np.zeros_like(targeted), where=systemic > 0.0)


def _index(share: FloatArray, inside: NDArray[np.bool_]) -> float:
    within = float(share[inside].mean()) if inside.any() else 0.0
    outside = float(share[~inside].mean()) if (~inside).any() else 0.0
    return outside / within if within else float("nan")


def _range(values: FloatArray) -> FloatArray:
    """Return the ends of the middle 95 % along the first axis; NaN of nothing."""
    if not len(values):
        return np.full((2, *values.shape[1:]), np.nan)
    return np.asarray(np.quantile(values, (0.025, 0.975), axis=0))
