"""Small pictures of a registered brain with the atlas drawn on it."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ketamap.core.errors import ImageError

LONGEST_PIXELS = 340
"""Longest side of a picture; larger ones are reduced, so that the page stays small."""

GREYS = 96
"""Grey levels kept: more cannot be told apart at this size and compress badly."""

BOUNDARY_RGB = (255, 176, 32)
"""Amber: seen against every grey."""


def overlay_uri(grey: NDArray[np.uint8], boundary: NDArray[np.bool_]) -> str:
    """Draw boundaries on a grey image and return it as a ``data:`` address of a PNG.

    Parameters
    ----------
    grey
        Shape ``(rows, columns)``.
    boundary
        Same shape; True is drawn in `BOUNDARY_RGB`.

    Raises
    ------
    ImageError
        If the images are not two-dimensional, empty, or differ in shape.
    """
    if grey.ndim != 2 or grey.shape != boundary.shape or grey.size == 0:
        msg = (
            "An overlay needs a grey image and a boundary of one 2D shape, got "
            f"{grey.shape} and {boundary.shape}."
        )
        raise ImageError(msg)
    step = -(-max(grey.shape) // LONGEST_PIXELS)
    levels = _reduced(grey.astype(np.float32), step) * ((GREYS - 1) / 255.0)
    lines = boundary[::step, ::step] if step == 1 else _reduced(boundary, step) > 0.34
    indices = np.where(lines, GREYS, np.rint(levels)).astype(np.uint8)
    picture = Image.frombytes("P", (indices.shape[1], indices.shape[0]), indices.tobytes())
    greys = [round(k * 255 / (GREYS - 1)) for k in range(GREYS)]
    picture.putpalette([v for g in greys for v in (g, g, g)] + list(BOUNDARY_RGB))
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _reduced(image: NDArray[np.float32] | NDArray[np.bool_], step: int) -> NDArray[np.float64]:
    """Mean over blocks of ``step`` pixels, incomplete blocks dropped."""
    rows, columns = (max(n // step, 1) for n in image.shape)
    rows_px, columns_px = min(rows * step, image.shape[0]), min(columns * step, image.shape[1])
    cut = image[:rows_px, :columns_px].astype(np.float64)
    down = np.add.reduceat(cut, np.arange(0, rows_px, step), axis=0)
    both = np.add.reduceat(down, np.arange(0, columns_px, step), axis=1)
    per_block = min(step, rows_px) * min(step, columns_px)
    return np.asarray(both / per_block)
