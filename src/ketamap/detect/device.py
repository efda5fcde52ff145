"""What filters a block: the processor, or anything else that gives the same answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ketamap.core.errors import ImageError
from ketamap.detect.filters import bin_block, difference_of_gaussians
from ketamap.detect.scale import FilterPlan

F32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Tops:
    """Maxima of a block however low, above 0; flat indices into its response, rising."""

    plain: NDArray[np.int64]
    """Maxima of the response."""

    sharp: NDArray[np.int64]
    """Maxima of the sharpened response that are not beside one of those."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Filtered:
    """A block, binned and filtered; arrays of shape ``ceil(block / bins)``."""

    image: F32
    """Brightness of each bin."""

    response: F32
    """Its difference of Gaussians."""

    tops: Tops | None = None
    """Its maxima, where they have been looked for."""


Device: TypeAlias = Callable[[NDArray[Any], FilterPlan], Filtered]
"""Filters a block ``(z, y, x)`` of any real dtype that begins on a bin; may be called from several
threads. An `ImageError` says that a voxel is NaN or infinite."""


def on_cpu(block: NDArray[Any], plan: FilterPlan) -> Filtered:
    """Filter a block in this thread, a `Device`."""
    image = bin_block(block, plan.bins)
    if is_flat(image):
        return Filtered(image=image, response=np.zeros_like(image))
    return Filtered(image=image, response=difference_of_gaussians(image, plan.narrow, plan.wide))


def is_flat(image: F32) -> bool:
    """Tell whether all voxels have one value.

    Raises
    ------
    ImageError
        If one is NaN or infinite.
    """
    low, high = float(image.min()), float(image.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        msg = "contains NaN or infinite voxels. Replace them (0 where there is no tissue)."
        raise ImageError(msg)
    return low == high
