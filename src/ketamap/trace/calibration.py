"""From a score to the probability of a fibre, and to a threshold with its band."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import expit, logit

from ketamap.core.errors import ImageError, InputError
from ketamap.core.settings import TracingSettings
from ketamap.core.space import Zyx
from ketamap.core.volume import Blocks, Volume
from ketamap.trace.filters import F32
from ketamap.trace.scale import RidgePlan, plan_ridges, triple
from ketamap.trace.scores import score_block
from ketamap.trace.survey import BrainLevels, Survey, survey

BACKGROUND, AXON, ARTEFACT, EDGE = 1, 2, 3, 4
"""Values of a label image; 0 is not labelled, artefacts count as background, edges as nothing."""

FEWEST_LABELS = 50
"""Voxels of either kind that a calibration needs."""

BRICK_VOXELS = 16
"""Labels are drawn again brick by brick to see how sure the threshold is: neighbouring voxels
are not independent."""

DRAWS = 200
"""Times that the bricks are drawn."""

MODEL_SD = 0.15
"""Standard deviation of ln(best threshold / chosen threshold) between brains: .11 over five
variants of the labelled volume (darker, sparser), more for other stainings."""

BAND_SD = 1.2816
"""The band holds 80 % of a normal distribution."""

LEAST_SCORE = 1.5
"""Scores below this are alike. Of 0.5, 1, 1.5 and 2 it brings the chosen threshold nearest to
the best on those variants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How scores become probabilities; numbers only, so that it can be kept as JSON.

    The probability of a fibre at score z, in a volume of which the share ``prevalence`` is
    fibre, is logistic: ``logit p = intercept + slope * ln z``.
    """

    slope: float
    """Rise of the log odds with ln z."""

    intercept: float
    """Log odds at z = 1 and the prevalence of the labels."""

    prevalence: float
    """Share of fibre among the labelled voxels."""

    correction: float = 1.0
    """Factor on the threshold of highest expected F1: what the labels say beyond the map."""

    sd: float = MODEL_SD
    """Standard deviation of the logarithm of the threshold: the width of the band."""

    threshold: float | None = None
    """Score of the best F1 in the labels themselves; for the record."""

    f1: float = float("nan")
    """F1 in the labelled voxels, edges left out."""

    n_axon: int = 0
    """Labelled voxels of fibre."""

    n_background: int = 0
    """Labelled voxels of background."""

    def to_dict(self) -> dict[str, float | int | None]:
        """Return plain numbers by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """Return the calibration that `to_dict` made.

        Raises
        ------
        InputError
            If a name is missing or unknown.
        """
        known = {f.name for f in fields(cls)}
        needed = {"slope", "intercept", "prevalence"}
        if not needed <= set(values) <= known:
            msg = (
                f"A calibration of axons has the values {sorted(known)}, at least "
                f"{sorted(needed)}; got {sorted(values)}. Calibrate again."
            )
            raise InputError(msg)
        return cls(**values)

    def probability(
        self, score: NDArray[np.floating], prevalence: float | None = None
    ) -> NDArray[np.float64]:
        """Probability of a fibre at scores of any shape, for a prevalence (the labels')."""
        shift = 0.0
        if prevalence is not None:
            shift = float(logit(prevalence) - logit(self.prevalence))
        z = np.maximum(np.asarray(score, dtype=np.float64), LEAST_SCORE)
        return np.asarray(expit(self.intercept + shift + self.slope * np.log(z)))

    def byte_probability(self, score: NDArray[np.floating], prevalence: float) -> NDArray[np.uint8]:
        """Probability as a whole number of 255ths."""
        shift = float(logit(prevalence) - logit(self.prevalence))
        out = np.empty(score.shape, dtype=np.uint8)
        _bytes_of(score, self.slope, self.intercept + shift, out)
        return out

    def score_of(self, probability: float, prevalence: float) -> float:
        """Return the score at which a fibre has a probability, the inverse of `probability`."""
        shift = float(logit(prevalence) - logit(self.prevalence))
        return float(np.exp((logit(probability) - self.intercept - shift) / self.slope))


@njit(nogil=True, cache=True)
def _bytes_of(score: F32, slope: float, intercept: float, out: NDArray[np.uint8]) -> None:
    least = np.log(LEAST_SCORE)
    floor = np.uint8(np.rint(255.0 / (1.0 + np.exp(-intercept - slope * least))))
    for z in range(score.shape[0]):
        for y in range(score.shape[1]):
            for x in range(score.shape[2]):
                out[z, y, x] = floor
                if score[z, y, x] > LEAST_SCORE:
                    odds = intercept + slope * np.log(float(score[z, y, x]))
                    out[z, y, x] = np.uint8(np.rint(255.0 / (1.0 + np.exp(-odds))))


DEFAULT = Calibration(slope=3.43, intercept=-4.47, prevalence=0.2117)
"""Fitted to the three labelled planes of TRAILMAP's training volume (serotonergic axons,
iDISCO, light sheet; Friedmann et al. 2020, Proc Natl Acad Sci 117:11068), edges left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Thresholds for one brain."""

    prevalence: float
    """Share of fibre that the scores tell of."""

    threshold: float
    """Score from which a voxel is fibre."""

    low: float
    """Lenient end of the band: a lower score, more fibre."""

    high: float
    """Strict end of the band."""


def decide(calibration: Calibration, seen: Survey, settings: TracingSettings) -> Decision:
    """Choose the threshold for one brain, unless the settings state it.

    The share of fibre is estimated from the brain's own scores; the threshold is the one of
    the highest expected F1, times the correction that labels gave.

    Parameters
    ----------
    calibration
        The map from scores to probabilities.
    seen
        A sample of the brain's scores, and of its decoys.
    settings
        May state the threshold.
    """
    prevalence = estimate_prevalence(calibration, seen.scores)
    best = settings.threshold
    if best is None:
        best = calibration.correction * expected_best(calibration, seen.scores, prevalence)
        best = min(best, cleanly_above(seen))
    factor = float(np.exp(BAND_SD * calibration.sd))
    return Decision(prevalence=prevalence, threshold=best, low=best / factor, high=best * factor)


ROUNDS = 200
"""Rounds of the estimate of the prevalence at most."""

PREVALENCE_LIMITS = (0.001, 0.5)
"""A share of fibre beyond these is not believed."""


def estimate_prevalence(calibration: Calibration, scores: NDArray[np.float64]) -> float:
    """Estimate the share of fibre in a volume whose share differs from the labels'.

    References
    ----------
    Saerens, Latinne and Decaestecker 2002, Neural Comput 14:21, eq. 2.8: the mean of the
    probabilities is the new share, with which the probabilities are computed again.
    """
    share = calibration.prevalence
    above, alike = _split(scores)
    for _ in range(ROUNDS if len(scores) else 0):
        total = calibration.probability(above, share).sum()
        total += alike * float(calibration.probability(np.array(LEAST_SCORE), share))
        new = float(np.clip(total / len(scores), *PREVALENCE_LIMITS))
        if abs(new - share) < 1e-4 * share:
            break
        share = new
    return share


def _split(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Scores above `LEAST_SCORE`, and how many are not and so are alike."""
    above = scores[scores > LEAST_SCORE]
    return above, len(scores) - len(above)


def expected_best(
    calibration: Calibration, scores: NDArray[np.float64], prevalence: float
) -> float:
    """Threshold that maximises the F1 that the probabilities promise."""
    if not len(scores):
        return calibration.score_of(0.5, prevalence)
    above, alike = _split(scores)
    if not len(above):
        return LEAST_SCORE
    z = np.sort(above)[::-1]
    hits = np.cumsum(calibration.probability(z, prevalence))
    rest = alike * float(calibration.probability(np.array(LEAST_SCORE), prevalence))
    f1 = 2.0 * hits / (np.arange(1, len(z) + 1) + hits[-1] + rest)
    return float(z[int(np.argmax(f1))])


FALSE_SHARE = 0.02
"""Decoys per voxel above a threshold that needs no further rise. Of .1 to .002 this one leaves
the labelled brains as they are and still finds thin fibres in smooth noise. It counts
background far from fibres only; beside them there is more."""

FEWEST_SCORES = 50
"""Scores of the sample above a threshold from which its share of background can be told."""

DECOY_TAIL = 3e-4
"""Scores that fewer decoys than this reach need no further rise either: what is left of them
are specks, which are too small to be fibres."""

FEWEST_IN_TAIL = 10
"""Decoys in the tail from which its score can be told."""


def cleanly_above(seen: Survey) -> float:
    """Lowest score above which few decoys lie, at least `LEAST_SCORE`; infinite where there is none.

    In tissue smoother than that of the default calibration, fibres stand out at a lower
    score than there. In images without noise decoys are rounding, far below any fibre.
    """
    if len(seen.decoys) * DECOY_TAIL < FEWEST_IN_TAIL:
        tail = float("inf")
    else:
        tail = max(LEAST_SCORE, float(np.quantile(seen.decoys, 1.0 - DECOY_TAIL)))
    if not len(seen.decoys):
        return tail
    grid = THRESHOLDS[THRESHOLDS >= LEAST_SCORE]
    called = len(seen.scores) - np.searchsorted(seen.scores, grid)
    decoys = (len(seen.decoys) - np.searchsorted(seen.decoys, grid)) / seen.clear
    found = np.flatnonzero((decoys <= FALSE_SHARE * called) & (called >= FEWEST_SCORES))
    return min(tail, float(grid[found[0]]) if len(found) else tail)


def calibrate(
    volume: Volume, labels: Blocks, settings: TracingSettings | None = None
) -> Calibration:
    """Fit the map from scores to probabilities, and the threshold, to a few labels.

    Parameters
    ----------
    volume
        Axes (z, y, x).
    labels
        Same shape, whole numbers: 0 not labelled, 1 background, 2 axon, 3 artefact (counts
        as background), 4 edge of an axon (left out). A few planes or boxes will do.
    settings
        As for tracing.

    Returns
    -------
    Calibration
        For this volume and others of the same staining: scores are relative to each
        brain's noise, and the share of fibre is estimated for each brain.

    Raises
    ------
    ImageError
        If the labels have another shape than the volume or other values.
    InputError
        If there are fewer than `FEWEST_LABELS` voxels of axon or of background.
    """
    settings = settings or TracingSettings()
    if tuple(labels.shape) != tuple(volume.grid.shape):
        msg = (
            f"The labels have shape {tuple(labels.shape)} but {volume.name} has "
            f"{volume.grid.shape}. Paint them on the volume itself, 0 where nothing is labelled."
        )
        raise ImageError(msg)
    plan = plan_ridges(volume.grid, settings)
    seen = survey(volume, plan)
    parts = [
        _labelled(volume, labels, plan, seen.levels, start, stop)
        for start, stop in _bricks_of(volume.grid.shape)
    ]
    score, truth, brick = (np.concatenate(part) for part in zip(*parts, strict=True))
    _check_enough(int(truth.sum()), int((~truth).sum()))
    return fit(score, truth, brick, seen.scores)


def _check_enough(n_axon: int, n_background: int) -> None:
    if min(n_axon, n_background) < FEWEST_LABELS:
        msg = (
            f"The labels hold {n_axon} voxels of axon (2) and {n_background} of background (1); "
            f"at least {FEWEST_LABELS} of both are needed. Label a whole plane or a box."
        )
        raise InputError(msg)


READ_VOXELS = 128
"""Labels are looked through in cubes of this edge."""


def _bricks_of(shape: Zyx[int]) -> Iterator[tuple[Zyx[int], Zyx[int]]]:
    for spot in product(*(range(0, n, READ_VOXELS) for n in shape)):
        stop = triple(min(a + READ_VOXELS, n) for a, n in zip(spot, shape, strict=True))
        yield triple(spot), stop


def _labelled(
    volume: Volume,
    labels: Blocks,
    plan: RidgePlan,
    levels: BrainLevels,
    start: Zyx[int],
    stop: Zyx[int],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Scores, truth and brick number of the labelled voxels in a cube."""
    key = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    label = np.asarray(labels[key])
    if label.size and (label.min() < 0 or label.max() > EDGE):
        msg = (
            f"The labels hold the value {label.max() if label.max() > EDGE else label.min()}; "
            f"0 not labelled, 1 background, 2 axon, 3 artefact and 4 edge are known."
        )
        raise ImageError(msg)
    use = (label == BACKGROUND) | (label == AXON) | (label == ARTEFACT)
    if not use.any():
        return np.empty(0), np.empty(0, dtype=bool), np.empty(0, dtype=np.int64)
    score = score_block(volume, plan, levels, start, stop)[use].astype(np.float64)
    index = np.argwhere(use) + np.asarray(start)
    brick = (index // BRICK_VOXELS) @ np.array([1_000_003, 1009, 1])
    return score, label[use] == AXON, brick


def fit(
    score: NDArray[np.float64],
    truth: NDArray[np.bool_],
    brick: NDArray[np.int64],
    sample: NDArray[np.float64],
) -> Calibration:
    """Fit a logistic curve in ln z, and how far the labels' best threshold is from its own.

    The labels' threshold and the one that the curve expects for the volume are averaged by
    their precisions: the first is known as well as redrawn bricks of labels agree, the second
    to `MODEL_SD`.

    Parameters
    ----------
    score, truth, brick
        Shape ``(n,)``: score, whether it is fibre, and which neighbourhood it belongs to.
    sample
        Scores of the whole volume, any number.
    """
    slope, intercept = _logistic(np.log(np.maximum(score, LEAST_SCORE)), truth)
    best, f1 = _best_threshold(score, truth, np.ones(len(score)))
    own = max(_redrawn_sd(score, truth, brick), LEAST_SD)
    weight = own**-2 / (own**-2 + MODEL_SD**-2)
    plain = Calibration(slope=slope, intercept=intercept, prevalence=float(truth.mean()))
    expected = expected_best(plain, sample, estimate_prevalence(plain, sample))
    return replace(
        plain,
        correction=float((best / expected) ** weight),
        sd=float((own**-2 + MODEL_SD**-2) ** -0.5),
        threshold=best,
        f1=f1,
        n_axon=int(truth.sum()),
        n_background=int((~truth).sum()),
    )


LEAST_SD = 0.12
"""No labels fix the logarithm of a threshold better than this: what the best thresholds of
three planes of one volume differ by."""


def _redrawn_sd(
    score: NDArray[np.float64], truth: NDArray[np.bool_], brick: NDArray[np.int64]
) -> float:
    """Tell how much the log threshold varies over bootstrap draws of whole bricks."""
    _, member = np.unique(brick, return_inverse=True)
    n = int(member.max()) + 1
    rng = np.random.default_rng(0)
    drawn = [
        _best_threshold(score, truth, rng.multinomial(n, np.full(n, 1.0 / n))[member])[0]
        for _ in range(DRAWS)
    ]
    return float(np.std(np.log(drawn)))


THRESHOLDS = np.geomspace(0.5, 60.0, 241)
"""Scores tried as thresholds, 2 % apart."""

NEARLY_BEST = 0.003
"""F1 is flat near its best: the middle of the thresholds that come this close is taken."""


def _best_threshold(
    score: NDArray[np.float64], truth: NDArray[np.bool_], weight: NDArray[np.number]
) -> tuple[float, float]:
    place = np.searchsorted(THRESHOLDS, score, side="left")
    n = len(THRESHOLDS) + 1
    called = np.cumsum(np.bincount(place, weight, n)[::-1])[::-1][1:]
    hit = np.cumsum(np.bincount(place, weight * truth, n)[::-1])[::-1][1:]
    f1 = 2.0 * hit / np.maximum(called + float(weight @ truth), 1e-12)
    near = np.flatnonzero(f1 >= f1.max() - NEARLY_BEST)
    return float(np.exp(np.log(THRESHOLDS[near]).mean())), float(f1.max())


SLOPE_PULL = 20.0
"""Strength of the draw, as of some hundred labelled voxels near the threshold."""


def _logistic(x: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept by Newton's method, the slope drawn a little to the default's."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    centre = np.array([DEFAULT.slope, DEFAULT.intercept])
    beta = centre.copy()
    pull = np.array([SLOPE_PULL, 0.0])
    for _ in range(50):
        p = expit(design @ beta)
        gradient = design.T @ (truth - p) - pull * (beta - centre)
        curvature = (design * (p * (1.0 - p))[:, None]).T @ design + np.diag(pull)
        step = np.linalg.solve(curvature, gradient)
        beta = beta + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-9:
            break
    return float(max(beta[0], 0.2)), float(beta[1])
