"""What a result was made with: versions, settings, input digests, timings."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ketamap.core.study import Study
from ketamap.io.files import hash_file
from ketamap.io.manifests import write_json

MANIFEST = "manifest.json"
"""Name of the manifest in a study folder."""

PACKAGES = (
    "ketamap",
    "numpy",
    "scipy",
    "numba",
    "pandas",
    "pyarrow",
    "zarr",
    "tifffile",
    "dask",
    "brainglobe-atlasapi",
    "picsl-greedy",
    "formulaic",
)
"""Packages whose version can change a result."""


def versions() -> dict[str, str]:
    """Return the versions of Python and of every package that can change a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def write_manifest(
    out: Path,
    *,
    study: Study,
    seconds: Mapping[str, Mapping[str, float]],
    workers: int,
    device: str,
) -> None:
    """Write ``manifest.json`` of a study folder.

    Parameters
    ----------
    out
        Study folder.
    study
        What was run.
    seconds
        Wall time by step and animal.
    workers
        Brains worked on side by side.
    device
        What detection ran on, ``cpu`` or ``gpu``; brains that were there already may have had
        another.
    """
    images = {
        animal.animal: {
            name: hash_file(path)
            for name, path in (("signal", animal.signal), ("background", animal.background))
            if path is not None
        }
        for animal in study.animals
    }
    record: dict[str, Any] = {
        "versions": versions(),
        "platform": platform.platform(),
        "workers": workers,
        "device": device,
        "settings": study_settings(study),
        "inputs": images,
        "seconds": {step: dict(by) for step, by in seconds.items()},
    }
    write_json(out / MANIFEST, record)


def _score_model(study: Study) -> dict[str, str]:
    """Name and digest of a score model of one's own."""
    model = study.score_model
    return {} if model is None else {"model": model.name, "model_digest": hash_file(model)}


def study_settings(study: Study) -> dict[str, Any]:
    """Return the settings of a study as plain values, for the manifest and the report."""
    return {
        "atlas": study.atlas,
        "orientation": study.orientation.code,
        "extent": study.extent,
        "voxel_um": study.voxel_um,
        "background_voxel_um": study.background_voxel_um,
        "detection": {
            **asdict(study.detection),
            **_score_model(study),
            "background": study.detect_with_background,
        },
        "registration": asdict(study.registration),
        **({} if study.tracing is None else {"tracing": asdict(study.tracing)}),
        "design": asdict(study.design),
    }
