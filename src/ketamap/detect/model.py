"""How likely a candidate is a soma: a logistic model with squares and a few products.

It is linear in its weights, so it can be fitted in a second, read as a table, and evaluated in
two halves: what a block knows of a candidate (its surroundings), and what only the whole volume
tells (the noise).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketamap.core.errors import InputError
from ketamap.detect.features import FEATURES

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

NOISE_FEATURES = ("z", "texture")
"""Log of the response over its noise, and of that noise over what white noise would give."""

LOCAL_FACTORS = ("bin_z", "contrast", "whole_signal", "crowd_strong")
"""Features that every other one is multiplied with, beside `NOISE_FEATURES`."""

FARTHEST = 4.0
"""Standardised features are cut off here: beyond what the model was fitted on, flat."""

RIDGE = 3.0
"""Penalty on squared weights, in candidates."""

UNSEEN_SHARE = 5.0
"""Weight of all candidates that nobody has judged over that of the corrections, at most."""

NEWTON_STEPS = 50
"""Most steps; a fit ends when no weight moves by a ten thousandth."""

HALVINGS = 30
"""How often a step that makes the fit worse is halved."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ScoreModel:
    """Weights of the score."""

    names: tuple[str, ...]
    """Features: the two of the noise, then those of the surroundings."""

    mean: F64
    """Of each feature, where the model was fitted."""

    spread: F64
    """Standard deviation of each feature there."""

    weights: F64
    """Shape ``(terms,)``: see `expand`."""

    diameter_um: float | None = None
    """Soma diameter of the cells it was made from, um; None: of many sizes."""

    coarse: bool | None = None
    """Whether it is for coarse voxels, see `default_model`; None: not said."""

    def require_fit(self, *, diameter_um: float, coarse: bool) -> None:
        """Refuse somata of another diameter, or voxels of the other kind, than it is for.

        Raises
        ------
        InputError
            If the model says what it is for, and that is something else.
        """
        if self.diameter_um is not None and abs(diameter_um / self.diameter_um - 1.0) > 0.01:
            msg = (
                f"The score model was trained on somata of {self.diameter_um:g} um, and cells of "
                f"{diameter_um:g} um are asked for. Give --soma-diameter-um {self.diameter_um:g}, "
                "or train a model for this diameter."
            )
            raise InputError(msg)
        if self.coarse is not None and self.coarse != coarse:
            kinds = {True: "two or three voxels across", False: "several voxels across"}
            msg = (
                f"The score model was trained on somata {kinds[self.coarse]}; in this image they "
                f"are {kinds[coarse]}. Train a model on an image of this voxel size."
            )
            raise InputError(msg)

    def standardised(self, rows: F32) -> F64:
        """Features ``(n, k)`` in standard deviations, within +-`FARTHEST`."""
        k = rows.shape[1]
        wanted = slice(len(self.names) - k, None)
        scaled = (rows - self.mean[wanted]) / self.spread[wanted]
        return np.clip(scaled, -FARTHEST, FARTHEST)

    def local_part(self, rows: F32) -> F32:
        """Sum up the surroundings, ``(n, 3)``: log odds, and their change per noise feature."""
        u = self.standardised(rows)
        linear, square, products = self._split()
        base = self.weights[0] + _dot(u, linear[2:]) + _dot(u * u, square[2:])
        for column, factor in zip(products[2:], _factors()[2:], strict=True):
            base += u[:, factor - 2] * _dot(u, column[2:])
        slopes = [_dot(u, column[2:]) for column in products[:2]]
        return np.stack([base, *slopes], axis=1).astype(np.float32)

    def _split(self) -> tuple[F64, F64, list[F64]]:
        """Weights of the features, of their squares, and of their products with each factor."""
        k, at, seen = len(self.names), 1 + 2 * len(self.names), set[int]()
        products = []
        for factor in _factors():
            seen.add(factor)
            others = [j for j in range(k) if j not in seen]
            products.append(np.zeros(k))
            products[-1][others] = self.weights[at : at + len(others)]
            at += len(others)
        return self.weights[1 : 1 + k], self.weights[1 + k : 1 + 2 * k], products

    def probability(self, local: F32, noise: F32) -> F64:
        """Join `local_part` ``(n, 3)`` and the noise features ``(n, 2)`` to ``(n,)``."""
        v = np.clip((noise - self.mean[:2]) / self.spread[:2], -FARTHEST, FARTHEST)
        linear, square, products = self._split()
        odds = local[:, 0] + _dot(v, linear[:2]) + _dot(v * v, square[:2])
        odds += products[0][1] * v[:, 0] * v[:, 1] + np.sum(local[:, 1:] * v, axis=1)
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -60.0, 60.0))))


def _dot(rows: F64, weights: F64) -> F64:
    """Weighted sum of each row; unlike BLAS the same bits wherever a row stands."""
    return np.asarray(np.einsum("nk,k->n", rows, weights, optimize=False))


def expand(rows: F64) -> F64:
    """Terms of the model: 1, features, squares, and products with the factors.

    Parameters
    ----------
    rows
        Standardised features, shape ``(n, 2 + len(FEATURES))``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, terms)``.
    """
    n, k = rows.shape
    parts = [np.ones((n, 1)), rows, rows**2]
    seen: list[int] = []
    for f in _factors():
        seen.append(f)
        others = [j for j in range(k) if j not in seen]
        parts.append(rows[:, [f]] * rows[:, others])
    return np.concatenate(parts, axis=1)


def _factors() -> list[int]:
    """Columns that the others are multiplied with."""
    return [0, 1, *(2 + FEATURES.index(name) for name in LOCAL_FACTORS)]


def fit_model(rows: F32, yes: NDArray[np.bool_], *, weight: F64 | None = None) -> ScoreModel:
    """Fit the score to candidates that are known to be cells or not.

    Parameters
    ----------
    rows
        Noise features and `FEATURES`, shape ``(n, 2 + len(FEATURES))``.
    yes
        Whether each is a cell.
    weight
        Of each candidate; left out: 1.

    Raises
    ------
    InputError
        If all candidates are cells, or none is.

    Notes
    -----
    Ridge-penalised maximum likelihood by Newton's method (le Cessie and van Houwelingen 1992,
    Appl Stat 41:191).
    """
    yes = np.asarray(yes, dtype=bool)
    if yes.all() or not yes.any():
        msg = f"Cells and other candidates are needed to learn from; all {len(yes)} are alike."
        raise InputError(msg)
    weight = np.ones(len(yes)) if weight is None else np.asarray(weight, dtype=np.float64)
    mean = np.asarray(np.average(rows, axis=0, weights=weight), dtype=np.float64)
    spread = np.asarray(np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=weight)))
    spread[spread < 1e-6] = 1.0
    terms = len(expand(np.zeros((1, rows.shape[1])))[0])
    empty = ScoreModel(
        names=(*NOISE_FEATURES, *FEATURES), mean=mean, spread=spread, weights=np.zeros(terms)
    )
    return replace(empty, weights=_newton(empty, rows, yes.astype(np.float64), weight))


def adapt_model(model: ScoreModel, rows: F32, yes: NDArray[np.bool_], *, unseen: F32) -> ScoreModel:
    """Move a model as far as corrected candidates ask for, and no farther.

    Parameters
    ----------
    model
        Where to start. Weights are drawn towards its own, with `RIDGE`.
    rows, yes
        Corrected candidates, as in `fit_model`.
    unseen
        Candidates that nobody has judged, shape ``(m, 2 + len(FEATURES))``. They keep the score
        that ``model`` gives them as far as possible; without them nothing holds the score of
        what is unlike every correction.

    Notes
    -----
    The score kept by ``unseen`` is the soft target of Li and Hoiem 2018 (IEEE PAMI 40:2935,
    eq. 2), without a temperature.
    """
    held = model.probability(model.local_part(unseen[:, 2:]), unseen[:, :2])
    each = UNSEEN_SHARE * len(yes) / max(len(unseen), 1)
    target = np.concatenate([yes.astype(np.float64), held])
    weight = np.concatenate([np.ones(len(yes)), np.full(len(unseen), min(1.0, each))])
    return replace(model, weights=_newton(model, np.concatenate([rows, unseen]), target, weight))


def _newton(model: ScoreModel, rows: F32, target: F64, weight: F64) -> F64:
    """Return the weights of greatest likelihood, drawn towards those of ``model``."""
    beta = model.weights.copy()
    penalty = np.full(len(beta), RIDGE)
    penalty[0] = 0.0
    least, slope, curvature = _loss(model, rows, target, weight, beta, penalty)
    for _ in range(NEWTON_STEPS):
        step = np.linalg.solve(curvature, slope)
        if float(np.abs(step).max()) < 1e-4:
            break
        for _ in range(HALVINGS):
            here = _loss(model, rows, target, weight, beta + step, penalty)
            if here[0] < least:
                break
            step = 0.5 * step
        else:
            break
        beta = beta + step
        least, slope, curvature = here
    return beta


def _loss(
    model: ScoreModel, rows: F32, target: F64, weight: F64, beta: F64, penalty: F64
) -> tuple[float, F64, F64]:
    """Negative log likelihood with its penalty; its downward slope and its curvature."""
    off = beta - model.weights
    loss, slope, curvature = 0.5 * float(penalty @ off**2), -penalty * off, np.diag(penalty + 1e-9)
    for a in range(0, len(rows), 20000):
        part = slice(a, a + 20000)
        terms = expand(model.standardised(rows[part]))
        odds = terms @ beta
        chance = 1.0 / (1.0 + np.exp(-np.clip(odds, -40.0, 40.0)))
        loss += float(weight[part] @ (np.logaddexp(0.0, odds) - target[part] * odds))
        slope += terms.T @ (weight[part] * (target[part] - chance))
        sure = np.maximum(weight[part] * chance * (1.0 - chance), 1e-6)
        curvature += terms.T @ (terms * sure[:, None])
    return loss, slope, curvature


def model_as_dict(model: ScoreModel) -> dict[str, object]:
    """Plain lists, for a JSON file."""
    return {
        "kind": "ketamap score model",
        "version": 1,
        "names": list(model.names),
        "mean": [float(f"{v:.7g}") for v in model.mean],
        "spread": [float(f"{v:.7g}") for v in model.spread],
        "weights": [float(f"{v:.7g}") for v in model.weights],
        **({} if model.diameter_um is None else {"diameter_um": model.diameter_um}),
        **({} if model.coarse is None else {"coarse": model.coarse}),
    }


def model_from_dict(data: dict[str, Any]) -> ScoreModel:
    """Check and read what `model_as_dict` wrote.

    Raises
    ------
    InputError
        If the features are others than this version measures, or numbers are missing.
    """
    names = data.get("names")
    expected = [*NOISE_FEATURES, *FEATURES]
    terms = len(expand(np.zeros((1, len(expected))))[0])
    numbers = [_numbers(data.get(key)) for key in _ARRAYS]
    diameter, coarse = data.get("diameter_um"), data.get("coarse")
    if names != expected or [len(v) for v in numbers] != [len(expected), len(expected), terms]:
        msg = (
            "The score model was made for other features than this version of ketamap measures. "
            "Make it again with the version that is installed."
        )
        raise InputError(msg)
    return ScoreModel(
        names=tuple(expected),
        mean=numbers[0],
        spread=numbers[1],
        weights=numbers[2],
        diameter_um=None if diameter is None else float(diameter),
        coarse=None if coarse is None else bool(coarse),
    )


_ARRAYS = ("mean", "spread", "weights")


def _numbers(value: Any) -> F64:
    """Read a list of finite numbers; anything else is an empty one."""
    if not isinstance(value, list) or not all(isinstance(v, int | float) for v in value):
        return np.empty(0)
    numbers = np.asarray(value, dtype=np.float64)
    return numbers if np.all(np.isfinite(numbers)) else np.empty(0)


@cache
def default_model(*, coarse: bool = False) -> ScoreModel:
    """Return a model that comes with the package: see ``benchmarks/detection_train.py``.

    Parameters
    ----------
    coarse
        Whether a soma spans so few voxels that shape says little, `FilterPlan.coarse`: such
        images have a model of their own.
    """
    text = files("ketamap.detect").joinpath("score_model.json").read_text(encoding="utf-8")
    return model_from_dict(json.loads(text)["coarse" if coarse else "fine"])
