"""What must be refused, and what a reader must be warned of."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.errors import DesignError
from ketamap.core.units import LN2
from ketamap.stats.magnitude import COUNTS, Magnitude
from ketamap.stats.model import Estimates
from ketamap.stats.rows import listed
from ketamap.stats.variances import GroupVariances

SIDE_SUFFIX = re.compile(r"^(?P<stem>.+?)[ _.\-]?(?P<side>lh?|left|rh?|right)$", re.IGNORECASE)
"""Identifiers that end in a side."""

PLAIN_SIDE = re.compile(r"[ _.\-](lh|left|rh|right)$|(left|right)$", re.IGNORECASE)
"""Endings that say a side and nothing else (a single letter may be an ear mark)."""

PIECE_SUFFIX = re.compile(
    r"^(?P<stem>.+?)[ _.\-]*(section|sec|slice|slide|image|img|scene|plane|tile|fov|roi|stack|"
    r"(?<=[ _.\-])s)[ _.\-]*\d+$",
    re.IGNORECASE,
)
"""Identifiers that end in a numbered piece of a brain (``M1_section2``, ``M1_s02``)."""

SIDE_RATIO = 2.0
"""Ratio of the counts of the two sides from which a brain is called lopsided."""

OUTLIER_SCORE = 3.5
"""Robust z score from which an animal factor is an outlier (Iglewicz and Hoaglin 1993)."""

OUTLIER_LN = 0.5 * LN2
"""An outlier also differs by this much: small cohorts have chance scores."""

BATCH_RATIO = 5.0
"""Ratio of batch means from which a batch is reported."""


def require_whole_animals(names: Iterable[str], animals: pd.DataFrame) -> None:
    """Refuse identifiers that are hemispheres, sections or images of the same animals.

    Parameters
    ----------
    names
        Identifiers of the region table.
    animals
        The animals table: two hemispheres of one animal agree in all its columns.

    Raises
    ------
    DesignError
        If identifiers pair up as left and right of one stem, alike in every column (all of
        them, where the side is a single letter), or several are numbered pieces of one stem.
    """
    names = list(names)
    pieces: dict[str, list[str]] = defaultdict(list)
    sides: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        piece, side = PIECE_SUFFIX.match(name), SIDE_SUFFIX.match(name)
        if piece:
            pieces[piece["stem"]].append(name)
        if side:
            sides[side["stem"]][side["side"][0].lower()] = name
    several = {stem: found for stem, found in pieces.items() if len(found) > 1}
    if several and _finer_than_groups(several, animals):
        stem, found = next(iter(several.items()))
        msg = (
            f"{len(several)} animals come as several sections or images, for instance {stem} as "
            f"{listed(found)}. They are not independent: add them up to one row per animal."
        )
        raise DesignError(msg)
    pairs = {stem: pair for stem, pair in sides.items() if len(pair) == 2}
    said = all(PLAIN_SIDE.search(name) for pair in pairs.values() for name in pair.values())
    if not pairs or not (said or 2 * len(pairs) == len(names)):
        return
    if all(_alike(animals, pair.values()) for pair in pairs.values()):
        stem, pair = next(iter(pairs.items()))
        msg = (
            f"{2 * len(pairs)} of {len(names)} identifiers are the hemispheres of {len(pairs)} "
            f"animals, for instance {stem} as {listed(list(pair.values()))}. Hemispheres are not "
            f"animals: name the animal in 'animal' and the side in 'hemisphere'. If they really "
            f"are different animals, give them identifiers that do not end in a side."
        )
        raise DesignError(msg)


def _finer_than_groups(several: Mapping[str, Sequence[str]], animals: pd.DataFrame) -> bool:
    """Whether stems divide animals that the table does not: stems may be names of groups."""
    rows = animals.assign(animal=animals["animal"].astype(str)).set_index("animal")
    kinds = [
        tuple(map(str, rows.loc[found[0]])) if found[0] in rows.index else (stem,)
        for stem, found in several.items()
    ]
    return len(several) == 1 or len(set(kinds)) < len(kinds)


def _alike(animals: pd.DataFrame, names: Iterable[str]) -> bool:
    rows = animals[animals["animal"].astype(str).isin(list(names))].drop(columns="animal")
    return len(rows.drop_duplicates()) <= 1


def require_rows_for_all(table: Sequence[str], animals: Sequence[str]) -> None:
    """Refuse animals that are to be compared but have no rows in the region table.

    Raises
    ------
    DesignError
        With the names.
    """
    absent = [a for a in animals if a not in set(table)]
    if absent:
        msg = (
            f"The animals table names {listed(absent)}, which have no rows in the region table; "
            f"that has {listed(sorted(set(table)))}. Take them out, or correct the identifiers."
        )
        raise DesignError(msg)


def left_out_warnings(table: Sequence[str], animals: Sequence[str]) -> list[str]:
    """Name animals of the region table that the animals table does not name."""
    unknown = sorted(set(table) - set(animals))
    if not unknown:
        return []
    return [
        f"{len(unknown)} animals of the region table are not in the animals table and were "
        f"left out: {listed(unknown)}."
    ]


def side_warnings(
    side_counts: NDArray[np.float64], animals: Sequence[str], size: Magnitude = COUNTS
) -> list[str]:
    """Warn of brains with more counts on one side.

    Parameters
    ----------
    side_counts
        Shape ``(2, animal, region)``: left, right; regions without both sides are left out.
    animals
        Identifiers.
    size
        What is small in the measure.
    """
    both = ~np.isnan(side_counts).any(axis=0)
    left, right = np.where(both, side_counts, 0.0).sum(axis=2)
    warnings = []
    for animal, a, b in zip(animals, left, right, strict=True):
        if a + b < size.least_sides or max(a, b) < SIDE_RATIO * min(a, b):
            continue
        more, less = ("left", "right") if a > b else ("right", "left")
        ratio = max(a, b) / max(min(a, b), 2.0 * size.offset)
        many = "many counts" if size.is_count else "much"
        warnings.append(
            f"{animal}: {ratio:.1f} times as {many} on the {more} as on the {less}. "
            f"Illumination or staining is the likely cause."
        )
    return warnings


def factor_warnings(
    factor_ln: NDArray[np.float64], groups: Sequence[str], animals: Sequence[str]
) -> list[str]:
    """Warn of animals whose whole brain lies far from the middle of its group.

    Parameters
    ----------
    factor_ln
        Animal factors, shape ``(animal,)``.
    groups, animals
        Group and identifier of each.
    """
    middle = {g: np.median(factor_ln[[h == g for h in groups]]) for g in set(groups)}
    rest = factor_ln - np.array([middle[g] for g in groups])
    spread = 1.4826 * float(np.median(np.abs(rest - np.median(rest))))
    warnings = []
    for k, animal in enumerate(animals):
        if abs(rest[k]) > max(OUTLIER_SCORE * spread, OUTLIER_LN):
            warnings.append(
                f"{animal}: its whole brain is {np.exp(abs(rest[k])):.1f} times "
                f"{'above' if rest[k] > 0 else 'below'} its group (factor "
                f"{factor_ln[k] / LN2:+.2f} log2); look at its images."
            )
    return warnings


def shift_warnings(shift: Estimates, contrasts: Sequence[str]) -> list[str]:
    """Label relative results where the whole brain shifts."""
    low, high = shift.interval()
    return [
        f"{name}: the whole brain shifts by {shift.estimate[k] / LN2:+.2f} log2 "
        f"[{low[k] / LN2:.2f}, {high[k] / LN2:.2f}]. Relative effects are relative to that "
        f"shift; a relative decrease is no decrease of density."
        for k, name in enumerate(contrasts)
        if low[k] > 0 or high[k] < 0
    ]


def variance_warnings(compared: GroupVariances | None) -> list[str]:
    """Say where the variances of groups differ so much that they were not pooled.

    Parameters
    ----------
    compared
        `TwoComponentFit.groups`.
    """
    if compared is None or not compared.matters:
        return []
    low, high = int(np.argmin(compared.medians)), int(np.argmax(compared.medians))
    return [
        f"Groups have unequal variances: {compared.labels[high]} (n = {compared.sizes[high]}) "
        f"{compared.ratio:.1f} times {compared.labels[low]} (n = {compared.sizes[low]}), median "
        f"over regions. Each group has a variance of its own in all tests and intervals. Look "
        f"at the animals of {compared.labels[high]}: one poor brain is enough."
    ]


def batch_warnings(
    factor_ln: NDArray[np.float64], batches: Sequence[str] | None, size: Magnitude = COUNTS
) -> list[str]:
    """Warn of batches whose brains differ several-fold."""
    if batches is None or len(set(batches)) < 2:
        return []
    means = {
        b: float(np.mean(factor_ln[[x == b for x in batches]])) for b in dict.fromkeys(batches)
    }
    low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    ratio = float(np.exp(means[high] - means[low]))
    if ratio < BATCH_RATIO:
        return []
    many = "counts" if size.is_count else "measures"
    what = "as many" if size.is_count else "as much"
    return [
        f"Batch {high} {many} {ratio:.1f} times {what} as batch {low}; staining or imaging is "
        f"the likely cause. The model takes the difference out, but look at its images."
    ]
