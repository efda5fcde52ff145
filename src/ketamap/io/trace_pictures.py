"""Pictures of traces in a file, beside an animal's tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ketamap.core.pictures import TracePicture
from ketamap.io.files import replacing

TRACE_PICTURES = "trace_pictures.npz"
"""Name of the file among an animal's in a study."""


def save_trace_pictures(path: Path, pictures: Sequence[TracePicture]) -> None:
    """Write pictures to an ``.npz``; none is an empty file of its kind."""
    arrays: dict[str, NDArray[np.generic]] = {
        "acronyms": np.array([one.acronym for one in pictures], dtype=np.str_)
    }
    for number, one in enumerate(pictures):
        arrays[f"signal_{number}"] = one.signal
        arrays[f"trace_{number}"] = np.packbits(one.trace)
        arrays[f"outline_{number}"] = np.packbits(one.outline)
        arrays[f"um_{number}"] = np.array([*one.pixel_um, one.depth_um])
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def load_trace_pictures(path: Path) -> tuple[TracePicture, ...]:
    """Read pictures; none if there is no such file."""
    if not path.exists():
        return ()
    with np.load(path, allow_pickle=False) as stored:
        return tuple(
            TracePicture(
                acronym=str(acronym),
                signal=stored[f"signal_{number}"],
                trace=_unpacked(stored[f"trace_{number}"], stored[f"signal_{number}"]),
                outline=_unpacked(stored[f"outline_{number}"], stored[f"signal_{number}"]),
                pixel_um=(float(stored[f"um_{number}"][0]), float(stored[f"um_{number}"][1])),
                depth_um=float(stored[f"um_{number}"][2]),
            )
            for number, acronym in enumerate(stored["acronyms"])
        )


def _unpacked(bits: NDArray[np.uint8], like: NDArray[np.uint8]) -> NDArray[np.bool_]:
    flat = np.unpackbits(bits, count=like.size).astype(np.bool_)
    return np.asarray(flat.reshape(like.shape))
