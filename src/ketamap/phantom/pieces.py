"""The phantom brain as a mixture of 3D Gaussian pieces, and the rule that draws it.

One piece is a compact part of an Allen region in one hemisphere.  A voxel belongs to the
piece with the greatest::

    log(volume) - log(det(covariance)) / 2 - m2 / 2      (m2 = squared Mahalanobis distance)

and is outside the brain where even the least m2 exceeds a threshold.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ketamap.core.space import FloatArray, Zyx

CCF_BOX_UM: Zyx[float] = (13200.0, 8000.0, 11400.0)
"""Size of the Allen CCFv3 volume along (ap, dv, ml), um (Wang et al. 2020)."""

CCF_MIDLINE_UM = 5700.0
"""Position of the midsagittal plane of the CCFv3 along ml, um."""


@dataclass(frozen=True, eq=False, slots=True)
class Pieces:
    """Gaussian pieces of the hemisphere with ml below `CCF_MIDLINE_UM`; mirror for the other.

    Measured from the CCFv3 annotation and average template (Wang et al. 2020) at 50 um.
    """

    region_ids: NDArray[np.int64]
    """Allen id of the region each piece is part of, shape ``(n,)``."""

    volumes_mm3: FloatArray
    """Shape ``(n,)``."""

    centres_um: FloatArray
    """Centroids (ap, dv, ml), shape ``(n, 3)``."""

    covariances_um2: FloatArray
    """Shape ``(n, 3, 3)``, axes (ap, dv, ml)."""

    intensities: FloatArray
    """Mean template intensity, arbitrary units, shape ``(n,)``."""

    @property
    def log_weights(self) -> FloatArray:
        """The part of the score that does not depend on place, shape ``(n,)``."""
        log_det = np.linalg.slogdet(self.covariances_um2)[1]
        return np.asarray(np.log(self.volumes_mm3) - 0.5 * log_det)

    def m2_limits(self, threshold: float) -> FloatArray:
        """Largest m2 at which a piece can still win a voxel of the brain, shape ``(n,)``.

        Some piece has m2 <= threshold there and a weight of at least the least one, so a
        winner's m2 is at most threshold + 2 (its weight - the least weight).
        """
        weights = self.log_weights
        return np.asarray(threshold + 2.0 * (weights - weights.min()))


def load_pieces() -> Pieces:
    """Read the 657 pieces of 351 regions that ship with the package."""
    text = files("ketamap.phantom").joinpath("region_pieces.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))

    def columns(*names: str) -> FloatArray:
        return np.array([[float(row[n]) for n in names] for row in rows])

    upper = columns("cov_apap", "cov_apdv", "cov_apml", "cov_dvdv", "cov_dvml", "cov_mlml")
    return Pieces(
        region_ids=np.array([int(row["region_id"]) for row in rows], dtype=np.int64),
        volumes_mm3=columns("volume_mm3")[:, 0],
        centres_um=columns("ap_um", "dv_um", "ml_um"),
        covariances_um2=upper[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3),
        intensities=columns("mean_template")[:, 0],
    )


def draw_half(
    pieces: Pieces, shape: Zyx[int], resolution_um: float, ml_start_um: float, threshold: float
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Decide the piece of every voxel of the half brain that the pieces describe.

    Parameters
    ----------
    pieces
        The mixture.
    shape
        Of the half, axes (ap, dv, ml).
    resolution_um
        Edge of a voxel; along ap and dv the first voxel starts at 0 um.
    ml_start_um
        Position of the outer face of the first voxel along ml.
    threshold
        Least m2 above which a voxel is outside the brain.

    Returns
    -------
    labels
        Row of the winning piece, -1 outside the brain; of two equal scores the first row
        wins.
    least_m2
        Squared Mahalanobis distance to the nearest piece, infinite far from all.
    """
    labels = np.full(shape, -1, dtype=np.int16)
    least = np.full(shape, np.inf, dtype=np.float32)
    start_um = np.array([0.0, 0.0, ml_start_um]) + 0.5 * resolution_um
    mixture = _Mixture(
        centres=(pieces.centres_um - start_um) / resolution_um,
        precisions=np.asarray(np.linalg.inv(pieces.covariances_um2), np.float64) * resolution_um**2,
        covariances=pieces.covariances_um2 / resolution_um**2,
        weights=pieces.log_weights,
        limits=pieces.m2_limits(threshold),
    )
    _draw(labels, least, mixture, threshold)
    return labels, least


class _Mixture(NamedTuple):
    """The pieces in voxel units, as the kernel wants them."""

    centres: FloatArray
    precisions: FloatArray
    covariances: FloatArray
    weights: FloatArray
    limits: FloatArray


@njit(nogil=True, cache=True)
def _draw(
    labels: NDArray[np.int16], least: NDArray[np.float32], mixture: _Mixture, threshold: float
) -> None:
    """Draw plane by plane (little memory)."""
    _, ny, nx = labels.shape
    for z in range(labels.shape[0]):
        best = np.full((ny, nx), -np.inf)
        for k in range(len(mixture.weights)):
            dz = z - mixture.centres[k, 0]
            if dz * dz <= mixture.limits[k] * mixture.covariances[k, 0, 0]:
                _draw_plane(labels[z], least[z], best, mixture, k, dz)
        for y in range(ny):
            for x in range(nx):
                if least[z, y, x] > threshold:
                    labels[z, y, x] = -1


@njit(nogil=True, cache=True)
def _draw_plane(
    labels: NDArray[np.int16],
    least: NDArray[np.float32],
    best: FloatArray,
    mixture: _Mixture,
    k: int,
    dz: float,
) -> None:
    """Draw the ellipse in which piece ``k`` meets one plane, row by row."""
    ny, nx = labels.shape
    centre, limit, p = mixture.centres[k], mixture.limits[k], mixture.precisions[k]
    reach = np.sqrt(limit * mixture.covariances[k, 1, 1])
    first = max(0, int(np.ceil(centre[1] - reach)))
    last = min(ny - 1, int(np.floor(centre[1] + reach)))
    for y in range(first, last + 1):
        dy = y - centre[1]
        # m2 = a dx^2 + 2 b dx + c along the row
        a = p[2, 2]
        b = p[0, 2] * dz + p[1, 2] * dy
        c = p[0, 0] * dz * dz + 2.0 * p[0, 1] * dz * dy + p[1, 1] * dy * dy
        inside = b * b - a * (c - limit)
        if inside < 0.0:
            continue
        root = np.sqrt(inside)
        left = max(0, int(np.ceil(centre[2] + (-b - root) / a)))
        right = min(nx - 1, int(np.floor(centre[2] + (-b + root) / a)))
        for x in range(left, right + 1):
            dx = x - centre[2]
            m2 = (a * dx + 2.0 * b) * dx + c
            score = mixture.weights[k] - 0.5 * m2
            if score > best[y, x]:
                best[y, x] = score
                labels[y, x] = k
            if m2 < least[y, x]:
                least[y, x] = m2
