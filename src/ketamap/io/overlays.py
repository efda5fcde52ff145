"""Pictures of a registration: planes of the brain with the atlas's boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from ketamap.io.files import replacing

Overlay: TypeAlias = tuple[str, NDArray[np.uint8], NDArray[np.bool_]]
"""Name of a plane, its grey image (2D) and where boundaries lie (same shape)."""

_ARRAYS = "overlays.npz"
_BOUNDARY_RGB = (255, 140, 40)
"""Orange: stands out from grey for colour-blind eyes too."""


def save_overlays(folder: Path, overlays: Sequence[Overlay]) -> None:
    """Write overlays into a registration's folder: as arrays, and each as a PNG to look at.

    Parameters
    ----------
    folder
        An existing folder; files are called ``overlays.npz`` and ``overlay_<plane>.png``.
    overlays
        Planes.
    """
    arrays: dict[str, NDArray[np.generic]] = {"names": np.array([o[0] for o in overlays])}
    for number, (name, grey, boundary) in enumerate(overlays):
        arrays[f"grey_{number}"], arrays[f"boundary_{number}"] = grey, boundary
        with replacing(folder / f"overlay_{name}.png") as temporary:
            temporary.write_bytes(imagecodecs.png_encode(_painted(grey, boundary)))
    with replacing(folder / _ARRAYS) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def load_overlays(folder: Path) -> tuple[Overlay, ...]:
    """Read the overlays of a registration's folder; none if it has none."""
    if not (folder / _ARRAYS).exists():
        return ()
    with np.load(folder / _ARRAYS, allow_pickle=False) as stored:
        return tuple(
            (str(name), stored[f"grey_{number}"], stored[f"boundary_{number}"])
            for number, name in enumerate(stored["names"])
        )


def _painted(grey: NDArray[np.uint8], boundary: NDArray[np.bool_]) -> NDArray[np.uint8]:
    image = np.repeat(grey[..., None], 3, axis=2)
    image[boundary] = _BOUNDARY_RGB
    return np.ascontiguousarray(image)
