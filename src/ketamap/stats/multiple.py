"""The largest of several correlated t statistics: one p for a set of contrasts.

References
----------
Genz A, Bretz F (2009) Computation of multivariate normal and t probabilities. Springer
(the separation into a radius and a direction).
Bretz F, Pinheiro JC, Branson M (2005) Biometrics 61:738 (multiple contrasts of dose shapes).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

DIRECTIONS_LOG2 = 13
"""Directions in space, as a power of two: relative error of p about 1 % at p = 0.01."""

KEPT = 512
"""Directions closest to a contrast, which decide small p; the others count in blocks."""

BLOCK = 64
"""Directions in a block: neighbours in height, of nearly the same tail."""

CHUNK = 256
"""Statistics worked on together, to bound memory (CHUNK x directions)."""

SEED = 5
"""Of the quasi-random directions: the same p for the same input, always."""


class MaximumT:
    """Distribution of max |t_k| of contrasts with a known correlation.

    Parameters
    ----------
    covariance
        Of the contrasts up to a factor, shape ``(contrast, contrast)``; may be singular.

    Notes
    -----
    With z = r u on the space that the contrasts span (dimension q), u a direction and h(u)
    the largest |correlation| of u with a contrast, max |t| > t means r^2 / (q s^2) >
    t^2 / (q h^2), of which the left side is F(q, df).  So p is the mean of that tail over
    directions.  It is exact in the tail up to the directions, takes any df, and lies
    between the p of one contrast and the Bonferroni bound, to which it is clipped.
    """

    def __init__(self, covariance: NDArray[np.float64]) -> None:
        sd = np.sqrt(np.diag(covariance))
        correlation = covariance / np.outer(sd, sd)
        values, vectors = np.linalg.eigh(correlation)
        kept = values > 1e-9 * values.max()
        self.root: NDArray[np.float64] = vectors[:, kept] * np.sqrt(values[kept])
        self.size, self.rank = self.root.shape
        self.heights, self.weights = _thin(_heights(self.root))

    def p(self, t: NDArray[np.float64], df: NDArray[np.float64]) -> NDArray[np.float64]:
        """Two-sided p of the maximum.

        Parameters
        ----------
        t
            Largest |t|, shape ``(region,)``; NaN gives NaN.
        df
            Degrees of freedom, same shape; may be infinite.
        """
        size, freedom = np.abs(np.asarray(t, dtype=np.float64)), np.asarray(df, dtype=np.float64)
        found = np.full(size.shape, np.nan)
        asked = np.flatnonzero(np.isfinite(size) & (freedom > 0))
        for start in range(0, asked.size, CHUNK):
            some = asked[start : start + CHUNK]
            found[some] = self._tail(size[some], freedom[some])
        return found

    def _tail(self, t: NDArray[np.float64], df: NDArray[np.float64]) -> NDArray[np.float64]:
        bound = np.minimum(df, 1e6)[:, None]
        with np.errstate(divide="ignore", over="ignore"):
            ratio = (t[:, None] / self.heights) ** 2
            tail = special.betainc(bound / 2, self.rank / 2, bound / (bound + ratio))
            tail = tail @ self.weights
        one = 2.0 * stats.t.sf(t, bound[:, 0])
        return np.asarray(np.clip(tail, one, np.minimum(self.size * one, 1.0)))


def _heights(root: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest |correlation| of each of many directions with a contrast, shape ``(direction,)``."""
    rank = root.shape[1]
    if rank == 1:
        return np.ones(1)
    sobol = stats.qmc.Sobol(rank, scramble=True, seed=SEED)
    normal = special.ndtri(np.clip(sobol.random_base2(DIRECTIONS_LOG2), 1e-12, 1 - 1e-12))
    direction = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    return np.asarray(np.sort(np.abs(direction @ root.T).max(axis=1)))


def _thin(heights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average the lower of sorted heights in blocks; return heights and their weights."""
    low = max(len(heights) - KEPT, 0) // BLOCK * BLOCK
    thin = np.r_[heights[:low].reshape(-1, BLOCK).mean(axis=1), heights[low:]]
    weights = np.r_[np.full(low // BLOCK, float(BLOCK)), np.ones(len(heights) - low)]
    return thin, weights / len(heights)
