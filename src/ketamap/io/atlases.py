"""Atlases in BrainGlobe's format: from a folder, the user's cache, or downloaded.

brainglobe-atlasapi is imported inside the functions: it takes two seconds, and most of
this room does without it.
"""

from __future__ import annotations

import csv
import difflib
import json
from pathlib import Path

import numpy as np

from ketamap.core.atlas import NO_PARENT, Atlas, Structures, atlas_grid
from ketamap.core.errors import AtlasNotFoundError, InputError
from ketamap.core.progress import Progress, silent
from ketamap.core.space import ATLAS_ORIENTATION, Orientation
from ketamap.io.atlas_download import download_atlas, quiet

_LIBRARY = "brainglobe-atlasapi"
"""Folder that the atlas library makes in its own."""

_PHANTOM = "phantom_mouse_100um"
"""The atlas that is always there."""


def open_brainglobe_atlas(
    name: str,
    *,
    atlas_dir: Path | None = None,
    download: bool = True,
    progress: Progress = silent,
) -> Atlas:
    """Open a BrainGlobe atlas by its name, for instance ``allen_mouse_100um``.

    Parameters
    ----------
    name
        BrainGlobe's name, resolution included.
    atlas_dir
        Folder that holds ``brainglobe-atlasapi/``; left out, the user's BrainGlobe cache.
    download
        Whether an atlas that is not there may be downloaded.
    progress
        Told how much of a download is done, in pieces.

    Returns
    -------
    Atlas
        In orientation "asr", with parents as the atlas's own terminology states them.

    Raises
    ------
    AtlasNotFoundError
        If it is not there and cannot be downloaded.
    InputError
        If its files cannot be understood.
    """
    folder = _default_folder() if atlas_dir is None else Path(atlas_dir)
    manifest = find_manifest(folder, name)
    if manifest is None:
        if not download:
            raise AtlasNotFoundError(_not_found(name, folder, "and downloading is switched off"))
        try:
            download_atlas(name, folder, progress)
        except (OSError, ValueError, LookupError) as error:
            reason = f"and it could not be downloaded ({type(error).__name__}: {error})"
            raise AtlasNotFoundError(_not_found(name, folder, reason)) from error
        manifest = find_manifest(folder, name)
        if manifest is None:
            reason = "and its download left it incomplete"
            raise AtlasNotFoundError(_not_found(name, folder, reason))
    try:
        return _read_atlas(name, manifest)
    except (KeyError, ValueError, OSError) as error:
        msg = f"Atlas {name} in {manifest.parent} cannot be read ({error}). Remove it, so that it is fetched again."
        raise InputError(msg) from error


def find_manifest(folder: Path, name: str) -> Path | None:
    """Return the manifest of the newest complete version of an atlas in a folder."""
    found = sorted(
        (folder / _LIBRARY / "atlases").glob(f"{name}/*/manifest.json"),
        key=lambda path: [int(n) if n.isdigit() else -1 for n in path.parent.name.split("_")],
    )
    return next((path for path in reversed(found) if _is_complete(path)), None)


def local_atlas_names(folder: Path) -> list[str]:
    """Return the names of the atlases in a folder."""
    return sorted(
        {p.parents[1].name for p in (folder / _LIBRARY / "atlases").glob("*/*/manifest.json")}
    )


def _is_complete(manifest: Path) -> bool:
    """Whether voxels are there: the library fetches them later than the metadata."""
    root = manifest.parents[3]
    stated = json.loads(manifest.read_text(encoding="utf-8"))
    annotation = root / stated["annotation_set"]["location"].lstrip("/")
    template = root / stated["annotation_set"]["template"]["location"].lstrip("/")
    return all(
        _has_level(image, stated["resolution"])
        for image in (
            annotation / "annotations_compressed.ome.zarr",
            template / "template.ome.zarr",
        )
    )


def _has_level(image: Path, resolution_um: list[float]) -> bool:
    if not (image / "zarr.json").is_file():
        return False
    attributes = json.loads((image / "zarr.json").read_text(encoding="utf-8"))["attributes"]
    for dataset in attributes["ome"]["multiscales"][0]["datasets"]:
        scale_mm = dataset["coordinateTransformations"][0]["scale"][-3:]
        if np.allclose(np.multiply(scale_mm, 1000.0), resolution_um):
            return (image / str(dataset["path"]) / "c").is_dir()
    return False


def _default_folder() -> Path:
    from brainglobe_atlasapi import config  # slow to import

    return Path(config.get_brainglobe_dir())


def _not_found(name: str, folder: Path, reason: str) -> str:
    have = local_atlas_names(folder)
    near = difflib.get_close_matches(name, [*have, *_published_names(), _PHANTOM], n=3, cutoff=0.6)
    near = [one for one in near if one != name]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    whole = "without its voxels " if name in have else ""
    return (
        f"Atlas {name!r} is {whole or 'not '}in {folder / _LIBRARY} "
        f"(there: {', '.join(have) or 'none'}), "
        f"{reason}.{hint} Give the folder that holds it with --atlas-dir, connect to the "
        f"internet, or use --atlas {_PHANTOM}, which needs no download (a made-up brain, for "
        f"trying things out only)."
    )


def _published_names() -> list[str]:
    """Return the names the installed library knows, without asking the network."""
    from typing import get_args

    from brainglobe_atlasapi.atlas_name import AtlasName

    return [str(name) for name in get_args(AtlasName)]


def _read_atlas(name: str, manifest: Path) -> Atlas:
    from brainglobe_atlasapi.core import Atlas as BrainGlobeAtlas  # slow to import

    with quiet():
        stored = BrainGlobeAtlas(manifest)
        annotation, template = np.asarray(stored.annotation), np.asarray(stored.template)
    turn = Orientation(stored.orientation).map_to(ATLAS_ORIENTATION)
    resolution = [float(stored.resolution[axis]) for axis in turn.source_axes]
    turned = turn.array(annotation)
    where = manifest.parents[3] / stored.metadata["terminology"]["location"].lstrip("/")
    return Atlas(
        name=name,
        grid=atlas_grid(turned.shape, resolution),
        annotation=np.ascontiguousarray(turned, dtype=np.int64),
        template=np.ascontiguousarray(turn.array(template), dtype=np.float32),
        structures=read_terminology(where / "terminology.csv"),
        citation=str(stored.metadata.get("citation", "")),
    )


def read_terminology(path: Path) -> Structures:
    """Read the tree of structures.

    The library's own reader is not used: in version 3.0.2 it takes parents for 16-bit
    numbers, so that parents with larger ids turn into other structures.

    Raises
    ------
    InputError
        If the tree is broken.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return Structures(
        ids=np.array([int(row["identifier"]) for row in rows], np.int64),
        acronyms=tuple(row["abbreviation"] for row in rows),
        names=tuple(row["name"] for row in rows),
        parent_ids=np.array([_parent(row) for row in rows], np.int64),
        colors=np.array([_rgb(row["color_hex_triplet"]) for row in rows], np.uint8).reshape(-1, 3),
    )


def _parent(row: dict[str, str]) -> int:
    stated = row["parent_identifier"].strip()
    return int(float(stated)) if stated else NO_PARENT


def _rgb(triplet: str) -> list[int]:
    """Read "#RRGGBB"."""
    digits = triplet.strip().lstrip("#")
    return [int(digits[k : k + 2], 16) for k in (0, 2, 4)]
