"""The phantom's reference image: brightness by piece, shading and texture.

Registration follows edges and local contrast.  The brightness of each piece is that of
the CCFv3 average template, so fibre tracts are dark; pieces fade towards their rims, and
a smooth texture fixed in atlas space gives large regions something to hold on to.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from ketamap.core.space import Zyx
from ketamap.phantom.noise import keyed_hash

RIM_FADE = 0.03
"""Fraction of brightness a piece loses per unit of squared Mahalanobis distance."""

TEXTURE_PERIODS_UM = (700.0, 300.0)
"""Distances between the knots of the two textures, um."""

TEXTURE_AMPLITUDE = 0.12
"""Largest change of brightness by each texture, as a fraction."""

BLUR_UM = 45.0
"""Standard deviation of the final smoothing, um: about the width of CCF borders."""

_TEXTURE_SEED = 20171
"""Fixed: the texture belongs to the atlas, not to an animal."""


def paint_half(
    labels: NDArray[np.int16],
    least_m2: NDArray[np.float32],
    intensities: NDArray[np.float64],
    resolution_um: float,
) -> NDArray[np.float32]:
    """Paint half a brain.

    Parameters
    ----------
    labels
        Piece of each voxel, -1 outside, axes (ap, dv, ml).
    least_m2
        Squared Mahalanobis distance to the nearest piece.
    intensities
        Brightness of each piece.
    resolution_um
        Edge of a voxel.

    Returns
    -------
    ndarray of float32
        Same shape, not yet smoothed; 0 outside.  The texture depends on the position in
        micrometres only, so it is the same at every resolution.
    """
    image = np.zeros(labels.shape, dtype=np.float32)
    _paint(image, labels, least_m2, intensities.astype(np.float32), resolution_um)
    return image


def smooth(image: NDArray[np.float32], resolution_um: float) -> NDArray[np.float32]:
    """Blur by `BLUR_UM`, in place; nothing beyond the faces."""
    ndimage.gaussian_filter(
        image, BLUR_UM / resolution_um, output=image, mode="constant", truncate=3.0
    )
    return image


@njit(nogil=True, cache=True)
def _paint(
    image: NDArray[np.float32],
    labels: NDArray[np.int16],
    least: NDArray[np.float32],
    intensities: NDArray[np.float32],
    resolution_um: float,
) -> None:
    nz, ny, nx = labels.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if labels[z, y, x] < 0:
                    continue
                place = (
                    (z + 0.5) * resolution_um,
                    (y + 0.5) * resolution_um,
                    (x + 0.5) * resolution_um,
                )
                texture = 1.0
                for octave in range(len(TEXTURE_PERIODS_UM)):
                    texture += TEXTURE_AMPLITUDE * _value_noise(
                        place, TEXTURE_PERIODS_UM[octave], octave
                    )
                fade = 1.0 - RIM_FADE * least[z, y, x]
                image[z, y, x] = intensities[labels[z, y, x]] * fade * texture


@njit(nogil=True, cache=True)
def _value_noise(place_um: Zyx[float], period_um: float, octave: int) -> float:
    """Smoothly interpolated random knots, between -1 and 1, at a place (ap, dv, ml) in um."""
    z, y, x = place_um[0] / period_um, place_um[1] / period_um, place_um[2] / period_um
    k, j, i = int(z), int(y), int(x)
    wz, wy, wx = _ease(z - k), _ease(y - j), _ease(x - i)
    total = 0.0
    for c in range(2):
        for b in range(2):
            for a in range(2):
                knot = (((k + c) * 1024 + j + b) * 1024 + i + a) * 8 + octave
                value = np.float64(keyed_hash(_TEXTURE_SEED, knot) >> np.uint64(11)) * 2.0**-52
                weight = (wz if c else 1 - wz) * (wy if b else 1 - wy) * (wx if a else 1 - wx)
                total += weight * (value - 1.0)
    return total


@njit(nogil=True, cache=True, inline="always")
def _ease(t: float) -> float:
    """Weight with no kink at the knots: 3 t^2 - 2 t^3."""
    return t * t * (3.0 - 2.0 * t)
