"""Tell whether this machine is ready."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import psutil

from ketamap.core.errors import MissingExtraError, ResourceError
from ketamap.core.units import gib_from_bytes
from ketamap.workflow.manifest import versions
from ketamap.workflow.workers import cores

_EXTRAS = {
    "numpyro": "analyse --shrink; the extra bayes",
    "SALib": "simulate sensitivity; the extra sensitivity",
    "napari": "looking at images",
}
"""Optional packages and what they are for."""

_GIB_WANTED = 4.0
"""Memory a run is given by default."""


def doctor() -> list[str]:
    """Describe the machine and the installation, one line each; problems begin with ``!``."""
    lines = [f"{name} {number}" for name, number in versions().items()]
    lines += [f"! {line}" for line in lines if line.endswith("not installed")]
    free = gib_from_bytes(psutil.virtual_memory().available)
    mark = "" if free >= _GIB_WANTED else "! "
    lines.append(f"cores: {cores()}")
    lines.append(f"{mark}memory free: {free:.1f} GiB (a run uses up to 4 GB unless told --memory)")
    lines.append(f"disk free here: {gib_from_bytes(shutil.disk_usage(Path.cwd()).free):.0f} GiB")
    lines.append(f"GPU: {_gpu()}")
    for name, purpose in _EXTRAS.items():
        there = importlib.util.find_spec(name) is not None
        lines.append(f"optional {name} ({purpose}): {'installed' if there else 'not installed'}")
    lines += _atlases()
    return lines


def _gpu() -> str:
    """Say what `ketamap detect --device gpu` would use, or why nothing."""
    from ketamap.detect.gpu import describe_gpu

    try:
        return f"{describe_gpu()} (for --device gpu)"
    except (MissingExtraError, ResourceError) as error:
        driver = "found" if shutil.which("nvidia-smi") else "not found"
        return f"none is used, NVIDIA driver {driver}. {error}"


def _atlases() -> list[str]:
    cache = Path.home() / ".brainglobe"
    found = (
        sorted({p.parent.name for p in cache.glob("**/manifest.json")} | set())
        if cache.is_dir()
        else []
    )
    lines = ["atlas phantom_mouse_<25 to 200>um: built in (a made-up brain, for trying out)"]
    lines.append(f"BrainGlobe cache {cache}: {', '.join(found) or 'empty'}")
    return lines
