"""Are the animals independent?  Parts of one animal under names of their own give themselves away.

Two hemispheres, or sections, of one animal share what is particular to that animal: beside
the fitted model their regions rise and fall together more than those of two animals do.

References
----------
Hurlbert SH (1984) Ecological Monographs 54:187 (pseudoreplication).
Langsrud O (2005) Statistics and Computing 15:53 (rotation tests: residuals of independent
normal rows keep their distribution, whatever the covariance of regions, under any rotation).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketamap.core.errors import DesignError
from ketamap.stats.rows import listed

ROTATIONS = 999
"""Rotations of the residuals; all must stay below what is seen: p = 0.001."""

LEAST_REGIONS = 12
"""Regions needed to compare animals."""

KNOWN_SHARE = 0.8
"""Share of animals that must have a region for it to be compared."""

LEAST_EXCESS = 0.05
"""Mean correlation with the closest animal beyond what rotations give, to be reported."""

MUTUAL = 0.75
"""Share of animals that are each other's closest from which they are pairs.

Of real animals about 0.5 to 0.74 are (12 mice each of Davoudian 2023 and Aboharb 2025, 39
rats of Dimmock 2025), of their hemispheres 0.92 (`benchmarks/group_statistics.py`).
"""

SEED = 11
"""Of the rotations: the same answer for the same table, always."""


class Likeness(NamedTuple):
    """How alike the animals of a group are beside the model."""

    correlation: float
    """Mean over animals of the correlation with the closest of the same group."""

    expected: float
    """The same under rotation: what independent animals have."""

    clustered: bool
    """Whether no rotation reaches that correlation."""

    paired: bool
    """Whether nearly all animals are each other's closest, and no rotation sets the closest
    apart from the second as far."""

    closest: tuple[int, int]
    """The pair that is most alike."""


def likeness(
    relative_ln: NDArray[np.float64], design: NDArray[np.float64], groups: Sequence[str]
) -> Likeness | None:
    """Compare the residuals of animals of one group with each other.

    Parameters
    ----------
    relative_ln
        Log density without the animal factor, shape ``(animal, region)``; NaN where missing
        or not tested.
    design
        Shape ``(animal, coefficient)``, full rank.
    groups
        Group of each animal.

    Returns
    -------
    Likeness or None
        None where regions are too few or groups have fewer than three animals.
    """
    labels = np.array(groups, dtype=object)
    same = (labels[:, None] == labels[None]) & ~np.eye(len(labels), dtype=np.bool_)
    residuals = _standard_residuals(relative_ln, design)
    if residuals.shape[1] < LEAST_REGIONS or same.sum(axis=1).min() < 2:
        return None
    space = _residual_space(design)
    inner = space.T @ residuals
    product = inner @ inner.T
    seen = _correlations(space, product, same)
    top, gap = _closeness(seen)
    rng, expected, below = np.random.default_rng(SEED), list[float](), np.ones(2, dtype=np.bool_)
    while below.any() and len(expected) < ROTATIONS:
        turn = np.linalg.qr(rng.normal(size=product.shape))[0]
        turned = _closeness(_correlations(space, turn @ product @ turn.T, same))
        below &= np.array(turned) < (top, gap)
        expected.append(turned[0])
    nearest = np.argmax(seen, axis=1)
    mutual = float(np.mean(nearest[nearest] == np.arange(len(nearest))))
    first, second = np.unravel_index(int(np.argmax(seen)), seen.shape)
    return Likeness(
        correlation=top,
        expected=float(np.mean(expected)),
        clustered=bool(below[0]),
        paired=bool(below[1]) and mutual >= MUTUAL,
        closest=(int(first), int(second)),
    )


def _closeness(correlations: NDArray[np.float64]) -> tuple[float, float]:
    """Mean correlation with the closest animal, and how far the second closest lies below."""
    last = np.partition(correlations, -2, axis=1)[:, -2:]
    return float(last[:, 1].mean()), float(np.mean(last[:, 1] - last[:, 0]))


def _standard_residuals(
    values: NDArray[np.float64], design: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Residuals of the regions that most animals have, each with a mean square of 1."""
    known = ~np.isnan(values)
    kept = known.mean(axis=0) >= KNOWN_SHARE
    block, there = values[:, kept], known[:, kept]
    mean = np.where(there, block, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    block = np.where(there, block, mean)
    rest = block - design @ (np.linalg.pinv(design) @ block)
    size = np.sqrt(np.mean(rest**2, axis=0))
    moving = size > 1e-12
    return np.asarray(rest[:, moving] / size[moving])


def _residual_space(design: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal basis of what the design leaves free, ``(animal, animal - coefficient)``."""
    left = np.linalg.svd(design, full_matrices=True)[0]
    return np.asarray(left[:, design.shape[1] :])


def _correlations(
    space: NDArray[np.float64], product: NDArray[np.float64], same: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Correlation of each animal with the others of its group; -2 elsewhere."""
    whole = space @ product @ space.T
    size = np.sqrt(np.maximum(np.diag(whole), 1e-12))
    return np.where(same, whole / np.outer(size, size), -2.0)


def require_independent(
    relative_ln: NDArray[np.float64],
    design: NDArray[np.float64],
    groups: Sequence[str],
    animals: Sequence[str],
) -> list[str]:
    """Refuse animals that come in pairs, and warn of clusters of any other kind.

    Parameters
    ----------
    relative_ln, design, groups
        As `likeness`.
    animals
        Identifiers.

    Returns
    -------
    list of str
        A warning, or nothing.

    Raises
    ------
    DesignError
        If two animals stand in the table with the same values, or nearly all animals are
        each other's closest and agree beyond chance.
    """
    _require_different(relative_ln, animals)
    found = likeness(relative_ln, design, groups)
    if found is None or not (found.clustered or found.paired):
        return []
    if found.correlation - found.expected < LEAST_EXCESS:
        return []
    a, b = (animals[k] for k in found.closest)
    agree = (
        f"beside the model, the closest of the same group correlate by {found.correlation:.2f} on "
        f"average over regions, independent animals by {found.expected:.2f} (rotation test, "
        f"p = 0.001); most of all {a} and {b}"
    )
    if found.paired:
        msg = (
            f"The {len(animals)} animals come in pairs: {agree}. Two hemispheres, or two images, "
            f"of one animal are not two animals: add them up to one row per animal. If they are "
            f"pairs of animals (a litter, a cage, a day of staining), name the pair as 'batch' in "
            f"the design."
        )
        raise DesignError(msg)
    return [
        f"Animals come in clusters: {agree}. If sections or images of one animal have names of "
        f"their own, add them up; if it is a litter, a cage or a day of staining, name it as "
        f"'batch' in the design. Otherwise p values are too small."
    ]


def _require_different(values: NDArray[np.float64], animals: Sequence[str]) -> None:
    """Refuse one animal under two names."""
    filled = np.nan_to_num(np.round(values, 9))
    if filled.shape[1] < 2:
        return
    _, first, of = np.unique(filled, axis=0, return_index=True, return_inverse=True)
    copies = [k for k in range(len(animals)) if first[of.ravel()[k]] != k]
    if copies:
        k = copies[0]
        msg = (
            f"{animals[first[of.ravel()[k]]]} and {animals[k]} have the same values in every "
            f"region ({listed([animals[c] for c in copies])}): one animal under two names. "
            f"Take one out."
        )
        raise DesignError(msg)
