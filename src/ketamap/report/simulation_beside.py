"""A simulated and a measured cohort side by side: what is shown, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ketamap.core.errors import TableError

ENCODED = "encoded"
"""Label of a region whose change was put into the simulation."""

NOTHING = "nothing planted"
"""What stands for a region whose density the simulation leaves alone."""

PARTLY = "encoded in part"
"""Label of a region of which only a part was changed."""

COHORTS = ("simulated", "measured")
"""The two sides, in the order of the columns."""

NUMBERS = ("estimate", "low", "high", "se", "q")
"""What each side says of a region; columns are ``simulated_relative_low`` and so on."""

ROW_COLUMNS = ("key", "region_id", "acronym", "name", "label", "planted_log2", "sources")
"""Columns of `BesideReport.rows` that are not numbers of a side."""

Z_95 = 1.959964
"""Normal quantile of a 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One contrast of one measure that both cohorts have."""

    key: str
    """Name for use in the page: ``b0``, ``b1``, ..."""

    measure: str
    """What was measured."""

    simulated: str
    """Contrast of the simulated cohort."""

    measured: str
    """Contrast of the measured cohort; the same words unless a person matched them."""

    how: str
    """Why the two are set side by side."""


@dataclass(frozen=True, eq=False, kw_only=True)
class BesideReport:
    """All that the page of two cohorts shows.

    Raises
    ------
    TableError
        If the rows lack a column.
    """

    title: str
    """Name of the page."""

    pairs: tuple[Pair, ...]
    """Contrasts that both cohorts have."""

    rows: pd.DataFrame
    """One row per pair and region that both cohorts have: `ROW_COLUMNS`, and for each side
    and estimand (``relative``, ``absolute``) the `NUMBERS` and ``_testable``."""

    shifts: pd.DataFrame
    """Brain-wide shift of each pair: ``key``, and for each side ``_estimate, _low, _high``."""

    only: pd.DataFrame
    """Regions that one cohort lacks: ``measure, side, acronym, label``."""

    unmatched: tuple[str, ...]
    """Contrasts that stand alone, each with the reason."""

    about: Mapping[str, tuple[str, ...]]
    """Side to what it is, one sentence per line."""

    alpha: float = 0.05
    """False discovery rate at which a region is called different."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """Package to version."""

    def __post_init__(self) -> None:
        wanted = [*ROW_COLUMNS]
        for side in COHORTS:
            wanted += [f"{side}_{e}_{n}" for e in ("relative", "absolute") for n in NUMBERS]
            wanted.append(f"{side}_testable")
        missing = [name for name in wanted if name not in self.rows.columns]
        if missing:
            msg = f"The rows of two cohorts lack {', '.join(missing)}."
            raise TableError(msg)

    def of(self, pair: Pair) -> pd.DataFrame:
        """Return the regions of a pair that were tested in both cohorts."""
        mine = self.rows[self.rows["key"] == pair.key]
        return mine[mine["simulated_testable"] & mine["measured_testable"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far two cohorts agree in one pair, relative effects."""

    tested: int
    """Regions that were tested in both."""

    encoded: int
    """Of them, regions whose direction was put into the simulation."""

    same_sign: int
    """Of the encoded ones, those whose measured estimate has the planted direction."""

    called: int
    """Encoded regions that the measured cohort calls different."""

    called_same: int
    """Of them, with the planted direction."""

    called_elsewhere: int
    """Regions called in the measured cohort where the simulation plants nothing."""

    apart: int
    """Regions whose two estimates differ: the 95 % interval of the difference excludes 0."""

    expected_apart: float
    """As many of them by chance alone if the cohorts agreed everywhere."""


def agreement(rows: pd.DataFrame, alpha: float) -> Agreement:
    """Count agreement in the rows of one pair.

    Parameters
    ----------
    rows
        What `BesideReport.of` returns.
    alpha
        False discovery rate of a call.
    """
    planted = np.sign(rows["planted_log2"].fillna(0.0).to_numpy(dtype=float))
    measured = np.sign(rows["measured_relative_estimate"].to_numpy(dtype=float))
    called = (rows["measured_relative_q"] < alpha).to_numpy()
    encoded = (rows["label"] == ENCODED).to_numpy()
    same = planted * measured > 0.0
    return Agreement(
        tested=len(rows),
        encoded=int(encoded.sum()),
        same_sign=int((encoded & same).sum()),
        called=int((encoded & called).sum()),
        called_same=int((encoded & called & same).sum()),
        called_elsewhere=int(((rows["label"] == NOTHING).to_numpy() & called).sum()),
        apart=int(differences(rows)["apart"].sum()),
        expected_apart=0.05 * len(rows),
    )


def differences(rows: pd.DataFrame) -> pd.DataFrame:
    """Return simulated minus measured, log2, with its 95 % interval.

    The cohorts share no animals, so their variances add; the normal quantile is used.

    Returns
    -------
    DataFrame
        Columns ``difference, low, high, apart``, index of ``rows``.
    """
    gap = rows["simulated_relative_estimate"] - rows["measured_relative_estimate"]
    se = np.hypot(rows["simulated_relative_se"], rows["measured_relative_se"])
    low, high = gap - Z_95 * se, gap + Z_95 * se
    return pd.DataFrame(
        {"difference": gap, "low": low, "high": high, "apart": (low > 0.0) | (high < 0.0)}
    )


def verdict(label: str, planted: float, measured: float, *, called: bool) -> str:
    """Say of one region what the measured cohort says to what was put in."""
    if label == NOTHING:
        return "called where nothing was put in" if called else "nothing in either"
    if label == PARTLY:
        return "called; encoded in part" if called else "not called; encoded in part"
    same = planted * measured > 0.0
    if called:
        return "as put in" if same else "against what was put in"
    return "as put in, not called" if same else "against it, not called"
