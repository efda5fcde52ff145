"""Fetch an atlas from BrainGlobe: whole, or not at all."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from ketamap.core.progress import Progress
from ketamap.io.files import explaining_full_disk, temporary_beside

_AFTER_METADATA, _AFTER_ANNOTATION = 0.1, 0.55
"""Rough shares of a download that are done after its first and second part."""


def download_atlas(name: str, folder: Path, progress: Progress) -> None:
    """Download an atlas into a folder in BrainGlobe's layout.

    Everything is fetched to a temporary folder first, since the library would take a
    half-fetched annotation for a whole one whose missing blocks are zero.

    Parameters
    ----------
    name
        BrainGlobe's name.
    folder
        Receives ``brainglobe-atlasapi/``.
    progress
        Told the share that is done, of 1.

    Raises
    ------
    OSError
        If there is no connection, or no atlas of that name.
    ResourceError
        If the disk is full.
    """
    from brainglobe_atlasapi import bg_atlas  # takes two seconds to import

    root = folder / "brainglobe-atlasapi"
    with explaining_full_disk(root), quiet():
        bg_atlas.check_s3_status()
        temporary = temporary_beside(root)
        temporary.mkdir(parents=True)
        try:
            progress(0.0, 1.0)
            atlas = bg_atlas.BrainGlobeAtlas(
                name,
                brainglobe_dir=temporary,
                config_dir=temporary / "settings.conf",
                check_latest=False,
            )
            _fetch_voxels(atlas, progress)
            merge_folders(temporary / "brainglobe-atlasapi", root)
            progress(1.0, 1.0)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def merge_folders(source: Path, target: Path) -> None:
    """Move what ``target`` lacks from ``source``, manifests last: they say it is all there."""
    missing = [item for item in _missing(source, target) if item.name != "atlases"]
    manifests = list(_missing(source / "atlases", target / "atlases"))
    for item in [*missing, *manifests]:
        goal = target / item.relative_to(source)
        goal.parent.mkdir(parents=True, exist_ok=True)
        item.rename(goal)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the atlas library's prints and bars off the console."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


def _missing(source: Path, target: Path) -> Iterator[Path]:
    """Yield the topmost files and folders of ``source`` that ``target`` lacks."""
    if not source.is_dir():
        return
    for item in sorted(source.iterdir()):
        goal = target / item.name
        if not goal.exists():
            yield item
        elif item.is_dir():
            yield from _missing(item, goal)


def _fetch_voxels(atlas: Any, progress: Progress) -> None:
    """Make the library fetch the voxels, which it leaves for later."""
    remote = atlas.fs
    atlas.fs = _Reporting(remote, progress, _AFTER_METADATA, _AFTER_ANNOTATION)
    _ = atlas.annotation
    atlas.fs = _Reporting(remote, progress, _AFTER_ANNOTATION, 1.0)
    _ = atlas.template
    _ = atlas.hemispheres


class _Reporting:
    """A remote file system whose fetches report how far they are."""

    def __init__(self, remote: Any, progress: Progress, start: float, stop: float) -> None:
        self._remote, self._progress = remote, progress
        self._start, self._stop = start, stop

    def get(self, source: Any, goal: Any, **options: Any) -> Any:
        """Fetch, telling the share of files that have come."""
        from fsspec.callbacks import Callback  # type: ignore[import-untyped]

        def tell(size: int | None, value: int, **_: Any) -> None:
            share = min(value / size, 1.0) if size else 0.0
            self._progress(self._start + share * (self._stop - self._start), 1.0)

        options["callback"] = Callback(hooks={"progress": tell})
        return self._remote.get(source, goal, **options)
