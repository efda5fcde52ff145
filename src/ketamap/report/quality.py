"""Quality of each brain as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from ketamap.core.registration import RegistrationQuality
from ketamap.report.contents import BrainQuality
from ketamap.report.groups import Groups
from ketamap.report.overlays import overlay_uri
from ketamap.report.words import NO_VALUE, number, percent

BALANCE_PARTS = ("in_regions", "outside_brain", "outside_atlas")
"""Where a detected cell can end; together they are all of them."""

VERDICT_WORDS = {"pass": "pass", "look": "look at it", "fail": "fail"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BrainCard:
    """One animal: pictures, verdict and figures."""

    animal: str
    group: str
    verdict: str
    """``pass``, ``look``, ``fail``, or empty where the brain was not registered here."""

    verdict_words: str
    reasons: tuple[str, ...]
    pictures: tuple[tuple[str, str, float], ...]
    """Name of the plane, address of the picture, its width over its height."""

    figures: tuple[tuple[str, str], ...]
    """Label and value, with units."""

    efficiency_known: bool
    """Whether the share of cells found was estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRow:
    """Cells of one animal: where all of them went."""

    animal: str
    group: str
    cells: tuple[str, ...]
    """Detected, in regions, outside the brain, outside the atlas."""

    share_in_regions: str
    difference: int | None
    """Detected minus the sum of the parts: must be 0; None if a figure is missing."""


def in_group_order(brains: Sequence[BrainQuality], groups: Groups) -> list[BrainQuality]:
    """Sort brains by group; those of no group come last."""
    place = {group: k for k, group in enumerate(groups.names)}
    last = len(place)
    return sorted(brains, key=lambda b: place.get(groups.of_animal.get(b.animal, ""), last))


def brain_cards(brains: Sequence[BrainQuality], groups: Groups) -> list[BrainCard]:
    """Prepare every animal's card."""
    return [
        BrainCard(
            animal=brain.animal,
            group=groups.of_animal.get(brain.animal, ""),
            verdict=brain.quality.verdict if brain.quality else "",
            verdict_words=VERDICT_WORDS[brain.quality.verdict] if brain.quality else "",
            reasons=brain.quality.reasons if brain.quality else (),
            pictures=tuple(_picture(*one) for one in brain.overlays),
            figures=(*_registration_figures(brain.quality), *_other_figures(brain)),
            efficiency_known=len(brain.efficiency) > 0,
        )
        for brain in in_group_order(brains, groups)
    ]


def balance_rows(brains: Sequence[BrainQuality], groups: Groups) -> list[BalanceRow]:
    """Prepare the balance sheet of the animals that have one."""
    return [
        _balance_row(brain.animal, groups.of_animal.get(brain.animal, ""), brain.balance)
        for brain in in_group_order(brains, groups)
        if brain.balance
    ]


def _picture(
    name: str, grey: NDArray[np.uint8], boundary: NDArray[np.bool_]
) -> tuple[str, str, float]:
    return name, overlay_uri(grey, boundary), round(grey.shape[1] / grey.shape[0], 3)


def _balance_row(animal: str, group: str, balance: Mapping[str, int]) -> BalanceRow:
    detected, *parts = (balance.get(key) for key in ("detected", *BALANCE_PARTS))
    there = [p for p in parts if p is not None]
    whole = detected is not None and len(there) == len(parts)
    share = parts[0] / detected if detected and parts[0] is not None else None
    return BalanceRow(
        animal=animal,
        group=group,
        cells=tuple(number(v) for v in (detected, *parts)),
        share_in_regions=NO_VALUE if share is None else percent(round(share, 3)),
        difference=detected - sum(there) if whole and detected is not None else None,
    )


def _registration_figures(quality: RegistrationQuality | None) -> tuple[tuple[str, str], ...]:
    if quality is None:
        return ()
    return (
        ("Likeness to template, whole (NCC)", number(quality.ncc, 3)),
        ("Likeness to template, local (LNCC)", number(quality.lncc, 3)),
        ("Estimated position error, median", _estimated(quality.error_median_um)),
        ("Least local volume ratio", number(quality.least_jacobian, 2)),
        ("Round trip, 95th percentile", _micrometres(quality.inverse_error_p95_um)),
    )


def _estimated(value: float) -> str:
    return _micrometres(value) if isfinite(value) else "not estimated"


def _micrometres(value: float) -> str:
    return f"{number(value, 1)} µm" if isfinite(value) else NO_VALUE


def _other_figures(brain: BrainQuality) -> tuple[tuple[str, str], ...]:
    found = []
    if brain.n_cells is not None:
        found.append(("Detected cells", number(brain.n_cells)))
    if len(brain.efficiency):
        share = float(brain.efficiency.iloc[0])
        found.append(("Estimated share of such cells found", percent(round(share, 3))))
    if brain.volume_mm3 is not None:
        found.append(("Brain volume", f"{number(brain.volume_mm3, 1)} mm³"))
    if brain.covered is not None and isfinite(brain.covered):
        found.append(("Part of the brain shown", percent(brain.covered)))
    if brain.seconds is not None:
        found.append(("Computing time", f"{number(brain.seconds, 0)} s"))
    return tuple(found)
