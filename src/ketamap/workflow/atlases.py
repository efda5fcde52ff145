"""One door to every atlas: the phantom made in code, or BrainGlobe's by name."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from ketamap.core.atlas import Atlas
from ketamap.core.errors import AtlasNotFoundError
from ketamap.core.progress import Progress, silent

DEFAULT_ATLAS = "phantom_mouse_100um"
"""The atlas that needs no download."""

_PHANTOM_NAME = re.compile(r"phantom_mouse(?:_(\d+(?:\.\d+)?)um)?")


def open_atlas(name: str, *, atlas_dir: Path | None = None, progress: Progress = silent) -> Atlas:
    """Open an atlas by name.

    Parameters
    ----------
    name
        ``phantom_mouse_<n>um`` (25 to 200; ``phantom_mouse`` alone means 100), or one of
        BrainGlobe's names, for instance ``allen_mouse_25um``.
    atlas_dir
        Folder with atlases in BrainGlobe's layout; left out: the user's BrainGlobe cache,
        then a download.
    progress
        Told how far a download is.

    Raises
    ------
    AtlasNotFoundError
        If there is no such atlas.
    """
    phantom = _PHANTOM_NAME.fullmatch(name)
    if phantom:
        return _phantom(float(phantom.group(1) or 100))
    if name.startswith("phantom"):
        msg = f"There is no atlas {name!r}; phantoms are called phantom_mouse_<25 to 200>um."
        raise AtlasNotFoundError(msg)
    from ketamap.io.atlases import open_brainglobe_atlas

    return open_brainglobe_atlas(name, atlas_dir=atlas_dir, progress=progress)


@lru_cache(maxsize=1)  # a worker handles many animals of one study; an atlas is never changed
def _phantom(resolution_um: float) -> Atlas:
    from ketamap.phantom.atlas import phantom_atlas

    return phantom_atlas(resolution_um)
