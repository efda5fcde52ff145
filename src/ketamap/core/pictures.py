"""Pictures of what was counted, for a person to judge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class TracePicture:
    """A box of an image seen along z: its brightest voxels, and the trace over them."""

    acronym: str
    """Region in whose middle the box lies."""

    signal: NDArray[np.uint8]
    """Maximum along z, shape ``(y, x)``, scaled for display."""

    trace: NDArray[np.bool_]
    """Where a centre line of any plane lies, same shape."""

    outline: NDArray[np.bool_]
    """Border of the region in the middle plane, same shape."""

    pixel_um: tuple[float, float]
    """Height and width of a pixel, um."""

    depth_um: float
    """Thickness of the box, um."""
