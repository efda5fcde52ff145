"""Fibres so dense that their masks merge: the length that is missed, as measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

SATURATED_OCCUPANCY = 0.10
"""Labelled part of the volume above which a length is flagged as saturated."""

_OCCUPANCY = (0.15, 0.20, 0.25, 0.30, 0.35)
_FACTOR = (1.0, 1.03, 1.10, 1.16, 1.37)
"""True length over traced length of made-up fibres, 2,000 to 14,000 mm per mm3, four to ten
times the noise, voxels of 2 and of 4 x 1.8 x 1.8 um (``benchmarks/tracing.py saturation``). Single
volumes lie up to a fifth to either side."""


def corrected_length(length_um: ArrayLike, occupancy: ArrayLike) -> NDArray[np.float64]:
    """Correct lengths for the fibres that merge where they are dense.

    Parameters
    ----------
    length_um
        Length as measured, any unit, any shape.
    occupancy
        Labelled part of the volume, 0 to 1, same shape or one value.

    Returns
    -------
    numpy.ndarray
        Lengths times a factor that rises with the occupancy, linear between measured points
        and constant beyond the last. To be shown beside the length itself.
    """
    factor = np.interp(np.asarray(occupancy, dtype=np.float64), _OCCUPANCY, _FACTOR)
    return np.asarray(np.asarray(length_um, dtype=np.float64) * factor)
