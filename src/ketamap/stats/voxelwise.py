"""Voxel by voxel: where in the brain a contrast of the design shows, without normality.

The statistic is a moderated t of log density, enhanced (`ketamap.stats.tfce`); the largest
score of the brain, either sign, under permuted residuals gives every voxel a familywise p.

References
----------
Freedman D, Lane D (1983) Journal of Business & Economic Statistics 1:292 (permuting the
residuals of the model without the effect).
Winkler AM, Ridgway GR, Webster MA, Smith SM, Nichols TE (2014) Permutation inference for the
general linear model. NeuroImage 92:381 (blocks, the distribution of the maximum).
Smith SM, Nichols TE (2009) NeuroImage 44:83 (the score).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.errors import DesignError, InputError
from ketamap.core.progress import Progress, silent
from ketamap.stats.moderation import moderate
from ketamap.stats.permutation import arrangements, require_reachable
from ketamap.stats.tfce import Enhancement, Lattice, enhance_one_sign, powers, tfce
from ketamap.stats.variances import GroupVariances, group_variances

TIES = 1e-5
"""Relative difference within which a permuted score equals the observed one: scores carry the
rounding of single-precision statistics."""

MOST_WORTH = 1e6
"""Degrees of freedom that stand for infinitely many of the prior variance."""

VARIANCE_VOXELS = 4000
"""Voxels, evenly spread, on which the variances of groups are compared."""

STRATA = 8
"""Strata of mean density in which groups of unequal variance have a scale of their own."""

_TILE = 1024
"""Voxels worked on together: their sums fit the first cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoxelTesting:
    """How voxels are tested."""

    permutations: int = 1000
    """Random permutations; the observed order counts as one more.  Where the design allows
    no more arrangements than that, each is used once instead."""

    alpha: float = 0.05
    """Familywise level, which must be within reach."""

    seed: int = 0
    """Of the permutations."""

    enhancement: Enhancement = field(default_factory=Enhancement)
    """Powers and connectivity of the score."""

    workers: int = 1
    """Threads; they change nothing but the time."""

    def __post_init__(self) -> None:
        if self.permutations < 1 or self.workers < 1:
            msg = (
                f"permutations and workers must be at least 1, got {self.permutations} and "
                f"{self.workers}."
            )
            raise InputError(msg)


@dataclass(frozen=True, eq=False, kw_only=True)
class VoxelTest:
    """One contrast at every tested voxel."""

    effect_ln: NDArray[np.float32]
    """Estimated change of log density, shape ``(voxel,)``."""

    t: NDArray[np.float32]
    """Moderated t, same shape."""

    tfce: NDArray[np.float32]
    """Score with the sign of t, voxel counts for extents, same shape."""

    p_fwe: NDArray[np.float32]
    """Two-sided p, familywise over the brain, same shape."""

    critical_tfce: float
    """Size of the score at which `p_fwe` reaches alpha."""

    relabelings: int
    """Arrangements behind `p_fwe`, the observed one included."""

    exhaustive: bool
    """Whether these are all that there are."""

    df: float
    """Degrees of freedom of t, prior included."""


def animal_levels(log_density: NDArray[np.floating]) -> NDArray[np.float64]:
    """Brain-wide level of each animal: the median over voxels of its log ratio to the mean animal.

    Parameters
    ----------
    log_density
        Shape ``(animal, voxel)``, nothing missing.
    """
    centre = log_density.mean(axis=0, dtype=np.float64)
    return np.array([np.median(row - centre) for row in log_density])


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighting:
    """Standard deviations that animals' residuals are divided by, where groups differ in them."""

    stratum: NDArray[np.int64]
    """Stratum of mean density of each voxel, shape ``(voxel,)``."""

    scale: NDArray[np.float64]
    """Relative standard deviation of each animal in each stratum, ``(stratum, animal)``."""

    compared: GroupVariances | None = None
    """What they come from."""

    @classmethod
    def equal(cls, animals: int, voxels: int) -> Weighting:
        """Give all animals the same weight."""
        return cls(stratum=np.zeros(voxels, dtype=np.int64), scale=np.ones((1, animals)))


def weighting_of(
    log_density: NDArray[np.floating], design: NDArray[np.float64], groups: Sequence[str]
) -> Weighting:
    """Compare the variances of groups over voxels, and allow for them where they differ.

    Parameters
    ----------
    log_density
        Shape ``(animal, voxel)``, nothing missing; the brain-wide levels are taken off first.
    design
        Shape ``(animal, coefficient)``, full rank.
    groups
        Group of each animal.

    Returns
    -------
    Weighting
        Equal where `GroupVariances.matters` is false.  Else groups have a scale in each of
        `STRATA` strata of mean density, since counting noise, the same in all groups, dilutes
        their ratio where there are few cells (see `ketamap.stats.variances`).
    """
    n, voxels = log_density.shape
    abundance = log_density.mean(axis=0, dtype=np.float64)
    every = max(1, voxels // VARIANCE_VOXELS)
    some = log_density[:, ::every] - animal_levels(log_density)[:, None]
    rest = some - design @ (np.linalg.pinv(design) @ some)
    compared = group_variances(rest, design, groups, abundance[::every])
    if compared is None or not compared.matters:
        return Weighting.equal(n, voxels)
    edges = np.quantile(abundance, np.linspace(0.0, 1.0, STRATA + 1)[1:-1])
    stratum = np.searchsorted(edges, abundance)
    of_group = np.array(
        [np.median(compared.scale[:, stratum[::every] == k], axis=1) for k in range(STRATA)]
    )
    member = [compared.labels.index(g) for g in groups]
    return Weighting(stratum=stratum, scale=np.sqrt(of_group[:, member]), compared=compared)


@dataclass(frozen=True, eq=False, kw_only=True)
class VoxelDesign:
    """What is compared, and how animals may be exchanged."""

    matrix: NDArray[np.float64]
    """Shape ``(animal, coefficient)``, full rank."""

    contrast: NDArray[np.float64]
    """Shape ``(coefficient,)``."""

    blocks: Sequence[str]
    """Block (batch) of each animal; residuals are permuted within."""

    weighting: Weighting | None = None
    """Of animals; None: equal."""


def require_permutations(
    design: NDArray[np.float64], blocks: Sequence[str], how: VoxelTesting
) -> None:
    """Refuse tests that cannot reach significance, with the arithmetic.

    Raises
    ------
    DesignError
        If the design has too few arrangements, or too few permutations are asked for.
    """
    require_reachable(design, blocks, how.alpha)
    least = 1.0 / (how.permutations + 1)
    if least > how.alpha and arrangements(design, blocks) > how.permutations:
        msg = (
            f"{how.permutations} permutations cannot reach p < {how.alpha:g}: the least p is "
            f"1/{how.permutations + 1} = {least:.3f}. Ask for {int(1 / how.alpha)} or more, "
            f"better 1000."
        )
        raise DesignError(msg)


def voxel_test(
    log_density: NDArray[np.float32],
    design: VoxelDesign,
    lattice: Lattice,
    how: VoxelTesting,
    progress: Progress = silent,
) -> VoxelTest:
    """Test one contrast at every voxel.

    Parameters
    ----------
    log_density
        Natural logs, shape ``(animal, voxel)``, nothing missing; voxels in raster order of
        ``lattice.mask``.
    design
        What is compared.
    lattice
        Which voxels there are.
    how
        Number, level, seed, score, threads.
    progress
        Told how many relabelings are done.

    Returns
    -------
    VoxelTest

    Raises
    ------
    DesignError
        If significance is out of reach (`require_permutations`).
    InputError
        If a value is not finite or shapes do not agree.

    Notes
    -----
    With e the residuals of the model without the contrast, Q an orthonormal basis of the
    design and u the unit vector of it that carries the contrast, a permuted e has
    t = u'e / sqrt((d0 s0^2 + |e|^2 - |Q'e|^2) / (d0 + n - p)).  Neither |e|^2 nor the prior
    (d0, s0^2; moderated from e with a trend in mean density) changes with the order.  With a
    weighting, values and design are divided by it first: weighted least squares, whose
    residuals are exchangeable between groups of different variance.
    """
    animals, voxels = len(design.matrix), lattice.places.size
    _require_values(log_density, lattice, animals)
    require_permutations(design.matrix, design.blocks, how)
    model = _Model.of(log_density, design, design.weighting or Weighting.equal(animals, voxels))
    observed = model.t(np.arange(animals))
    score = tfce(observed, lattice, how.enhancement)
    orders, exhaustive = _orders(design.matrix, design.blocks, how)
    largest = _largest_scores(model, orders, lattice, how, progress)
    if not exhaustive:
        largest = np.append(largest, np.abs(score).max(initial=0.0))
    largest.sort()
    beyond = largest.size - np.searchsorted(largest, np.abs(score) * (1.0 - TIES))
    at = largest.size - int(how.alpha * largest.size + 1e-9)
    return VoxelTest(
        effect_ln=model.gather("effect_ln"),
        t=observed,
        tfce=score.astype(np.float32),
        p_fwe=(np.maximum(beyond, 1) / largest.size).astype(np.float32),
        critical_tfce=float(largest[min(max(at, 0), largest.size - 1)]),
        relabelings=int(largest.size),
        exhaustive=exhaustive,
        df=float(np.median([part.df for part in model.parts])),
    )


def _require_values(values: NDArray[np.float32], lattice: Lattice, animals: int) -> None:
    if values.shape != (animals, lattice.places.size):
        msg = (
            f"Log densities have shape {values.shape}; {animals} animals and "
            f"{lattice.places.size} voxels need {(animals, lattice.places.size)}."
        )
        raise InputError(msg)
    if not values.size or not np.all(np.isfinite(values)):
        msg = "Log densities must be finite, at one voxel at least."
        raise InputError(msg)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Part:
    """What stays the same under permutation, of the voxels of one stratum."""

    voxels: NDArray[np.int64] | slice
    """Which these are."""

    rest: NDArray[np.float32]
    """Residuals of the model without the contrast, shape ``(animal, voxel)``."""

    base: NDArray[np.float64]
    """d0 s0^2 + |e|^2, shape ``(voxel,)``."""

    rows: NDArray[np.float64]
    """Orthonormal basis of the design, the contrast's own direction last."""

    df: float
    """d0 + n - p."""

    effect_ln: NDArray[np.float32]
    """Estimate, shape ``(voxel,)``."""

    @classmethod
    def of(
        cls,
        values: NDArray[np.float32],
        design: NDArray[np.float64],
        contrast: NDArray[np.float64],
        voxels: NDArray[np.int64] | slice,
    ) -> _Part:
        n, p = design.shape
        _, _, right = np.linalg.svd(contrast[None])
        basis = np.linalg.qr(design @ right[1:].T)[0]
        weights = contrast @ np.linalg.pinv(design)
        rest = values - (basis @ (basis.T @ values)).astype(np.float32)
        whole = np.zeros(rest.shape[1])
        for row in rest:
            whole += np.square(row, dtype=np.float64)
        free = float(n - p + 1)
        prior = moderate(
            whole / free, np.full(whole.size, free), values.mean(axis=0, dtype=np.float64)
        )
        worth = min(prior.prior_df, MOST_WORTH)
        own = weights / np.linalg.norm(weights)
        return cls(
            voxels=voxels,
            rest=np.ascontiguousarray(rest),
            base=worth * prior.prior_variance + whole,
            rows=np.ascontiguousarray(np.vstack([basis.T, own])),
            df=worth + n - p,
            effect_ln=np.asarray(weights @ values, dtype=np.float32),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Model:
    """All strata together."""

    parts: tuple[_Part, ...]
    size: int

    @classmethod
    def of(cls, values: NDArray[np.float32], design: VoxelDesign, weights: Weighting) -> _Model:
        parts = []
        for k, scale in enumerate(weights.scale):
            whole = len(weights.scale) == 1
            voxels = slice(None) if whole else np.flatnonzero(weights.stratum == k)
            part = values if whole else (values[:, voxels] / scale[:, None]).astype(np.float32)
            if part.shape[1]:
                parts.append(
                    _Part.of(part, design.matrix / scale[:, None], design.contrast, voxels)
                )
        return cls(parts=tuple(parts), size=values.shape[1])

    def gather(self, name: str) -> NDArray[np.float32]:
        """Put a figure of the parts together, shape ``(voxel,)``."""
        out = np.empty(self.size, dtype=np.float32)
        for part in self.parts:
            out[part.voxels] = getattr(part, name)
        return out

    def t(self, order: NDArray[np.int64]) -> NDArray[np.float32]:
        """Statistic with the animals' rows of the design in another order."""
        out = np.empty(self.size, dtype=np.float32)
        for part in self.parts:
            found = np.empty(part.base.size, dtype=np.float32)
            rows = np.ascontiguousarray(part.rows[:, order])
            _statistic(part.rest, part.base, rows, part.df, found)
            out[part.voxels] = found
        return out


@njit(nogil=True, cache=True)
def _statistic(
    rest: NDArray[np.float32],
    base: NDArray[np.float64],
    rows: NDArray[np.float64],
    df: float,
    out: NDArray[np.float32],
) -> None:
    """Write t of every voxel; zero where nothing varies."""
    p, n = rows.shape
    seen = np.empty((p, _TILE))
    for start in range(0, base.size, _TILE):
        size = min(_TILE, base.size - start)
        seen[:] = 0.0
        for a in range(n):
            for k in range(p):
                weight = rows[k, a]
                for v in range(size):
                    seen[k, v] += weight * rest[a, start + v]
        for v in range(size):
            left = base[start + v]
            for k in range(p):
                left -= seen[k, v] * seen[k, v]
            enough = left > 1e-12 * base[start + v]
            out[start + v] = seen[p - 1, v] / np.sqrt(left / df) if enough else 0.0


def _largest_scores(
    model: _Model,
    orders: NDArray[np.int64],
    lattice: Lattice,
    how: VoxelTesting,
    progress: Progress,
) -> NDArray[np.float64]:
    """Largest score of either sign for each order, threads side by side."""
    unwanted = np.zeros(0)
    chosen = powers(how.enhancement)

    def one(order: NDArray[np.int64]) -> float:
        t = model.t(order)
        return max(
            enhance_one_sign(t, s, lattice.places, lattice.steps, lattice.size, chosen, unwanted)
            for s in (1.0, -1.0)
        )

    largest = np.empty(len(orders))
    with ThreadPoolExecutor(how.workers) as pool:
        pending: dict[Future[float], int] = {
            pool.submit(one, order): k for k, order in enumerate(orders)
        }
        try:
            for done, future in enumerate(as_completed(pending), start=1):
                largest[pending[future]] = future.result()
                progress(done, len(orders))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return largest


def _orders(
    design: NDArray[np.float64], blocks: Sequence[str], how: VoxelTesting
) -> tuple[NDArray[np.int64], bool]:
    """Orders of the animals within their blocks, and whether they are all that differ."""
    if arrangements(design, blocks) <= how.permutations + 0.5:
        return np.array(list(_all_orders(design, blocks))), True
    rng = np.random.default_rng(how.seed)
    orders = np.tile(np.arange(len(blocks)), (how.permutations, 1))
    for block in dict.fromkeys(blocks):
        mine = np.flatnonzero([b == block for b in blocks])
        orders[:, mine] = rng.permuted(np.tile(mine, (how.permutations, 1)), axis=1)
    return orders, False


def _all_orders(design: NDArray[np.float64], blocks: Sequence[str]) -> Iterator[NDArray[np.int64]]:
    """Yield one order for each different way to give animals of a block its rows of the design."""
    rows = [tuple(row) for row in np.round(design, 9)]
    members = [np.flatnonzero([b == block for b in blocks]) for block in dict.fromkeys(blocks)]
    ways = [list(_labelings(Counter(rows[m] for m in mine))) for mine in members]
    for chosen in product(*ways):
        order = np.empty(len(blocks), dtype=np.int64)
        for mine, labels in zip(members, chosen, strict=True):
            stock = {row: [m for m in mine if rows[m] == row] for row in set(labels)}
            order[mine] = [stock[row].pop() for row in labels]
        yield order


def _labelings(left: Counter[tuple[float, ...]]) -> Iterator[tuple[tuple[float, ...], ...]]:
    """Yield all different sequences with so many of each label."""
    if not left.total():
        yield ()
        return
    for label in [one for one, n in left.items() if n]:
        left[label] -= 1
        for tail in _labelings(left):
            yield (label, *tail)
        left[label] += 1
