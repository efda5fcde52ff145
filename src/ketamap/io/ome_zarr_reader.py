"""OME-Zarr 0.4 and 0.5, read lazily.

References
----------
OME-NGFF 0.4 and 0.5, section "multiscales" metadata: https://ngff.openmicroscopy.org
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zarr
from zarr.errors import BaseZarrError

from ketamap.core.errors import ImageError, MissingInputError
from ketamap.core.space import Zyx
from ketamap.io.blocks import ZYX, Level, StoredImage, require_real
from ketamap.io.length_units import um_per

_MARKERS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
"""Files that make a folder a Zarr one."""


def is_zarr(path: Path) -> bool:
    """Whether a path is to be read as OME-Zarr: by its name or its metadata files."""
    return path.name.lower().endswith(".zarr") or has_zarr_metadata(path)


def has_zarr_metadata(path: Path) -> bool:
    """Whether a folder holds a Zarr metadata file."""
    return any((path / marker).is_file() for marker in _MARKERS)


def open_ome_zarr(path: Path) -> StoredImage:
    """Describe the full resolution of an OME-Zarr image without reading voxels.

    Axes may be (z, y, x) with c and t before them.  Spacing and translation are taken from
    the level's transformations and then the image's; they count as stated only where all
    three space axes have a unit of length.

    Raises
    ------
    MissingInputError
        If there is no such folder.
    ImageError
        If it is not an OME-Zarr image with axes z, y and x.
    """
    if not path.exists():
        msg = f"{path} is not there. Check the path."
        raise MissingInputError(msg)
    group = _group(path)
    attributes: dict[str, Any] = dict(group.attrs)
    version = str(attributes.get("ome", {}).get("version", "0.4"))
    multiscale = _multiscale(attributes, path)
    axes = _axes(multiscale, path)
    datasets = multiscale["datasets"]
    arrays = [_array(group, str(one["path"]), axes, path) for one in datasets]
    placed = [_placement(one, multiscale, len(axes), path) for one in datasets]
    units = _um_per_axis(multiscale["axes"], axes)
    data = arrays[0]
    require_real(data.dtype, str(path))
    return StoredImage(
        path=str(path),
        format=f"OME-Zarr {version if 'ome' in attributes else _old_version(multiscale)}",
        data=data,
        axes=axes,
        spacing_um=_spacing_um(placed[0], axes, units),
        origin_voxels=_origin_voxels(placed[0], axes),
        channels=_channels(attributes, data.shape, axes),
        levels=tuple(
            Level(shape=_zyx(array.shape, axes), spacing_um=_spacing_um(place, axes, units))
            for array, place in zip(arrays, placed, strict=True)
        ),
        block_shape=_zyx(data.chunks, axes),
    )


def _group(path: Path) -> zarr.Group:
    try:
        return zarr.open_group(path, mode="r")
    except (BaseZarrError, FileNotFoundError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"{path} cannot be opened as an OME-Zarr image ({error}). Give the folder that "
            f"holds zarr.json or .zattrs, not one of its levels."
        )
        raise ImageError(msg) from error


def _multiscale(attributes: Mapping[str, Any], path: Path) -> dict[str, Any]:
    found = attributes.get("ome", attributes).get("multiscales") or []
    if not found:
        described = attributes.get("ome", attributes)
        hint = " It is a plate: give one of its images." if "plate" in described else ""
        if "bioformats2raw.layout" in described:
            hint = f" It holds a series of images: give one, for instance {path / '0'}."
        msg = (
            f"{path} has no OME-Zarr image metadata (multiscales).{hint} Give the folder of "
            f"the image itself; a plain Zarr array must be saved as OME-Zarr first."
        )
        raise ImageError(msg)
    first: dict[str, Any] = found[0]
    if not first.get("datasets") or not first.get("axes"):
        msg = f"{path}: its OME-Zarr metadata names no levels or no axes (version 0.4 or 0.5 is needed)."
        raise ImageError(msg)
    return first


def _axes(multiscale: Mapping[str, Any], path: Path) -> str:
    names = [str(a["name"] if isinstance(a, Mapping) else a).lower() for a in multiscale["axes"]]
    axes = "".join(name if len(name) == 1 else "?" for name in names)
    if "z" not in axes and set(axes) <= set("ctyx"):
        msg = f"{path} is a 2D image (axes {', '.join(names)}). A volume with a z axis is needed."
        raise ImageError(msg)
    if not set(ZYX) <= set(axes) or not set(axes) <= set("ctzyx") or len(set(axes)) != len(axes):
        msg = f"{path} has axes {', '.join(names)}; z, y, x and maybe c and t are needed."
        raise ImageError(msg)
    return axes


def _array(group: zarr.Group, name: str, axes: str, path: Path) -> zarr.Array[Any]:
    try:
        array = group[name]
    except (KeyError, ValueError, BaseZarrError) as error:
        msg = f"{path}: level {name!r} of its metadata cannot be opened ({error}). Copy it again."
        raise ImageError(msg) from error
    if not isinstance(array, zarr.Array) or array.ndim != len(axes):
        msg = f"{path}: level {name!r} is not an array with the {len(axes)} axes {axes}."
        raise ImageError(msg)
    return array


def _placement(
    dataset: Mapping[str, Any], multiscale: Mapping[str, Any], n_axes: int, path: Path
) -> tuple[list[float], list[float]]:
    """Combine a level's transformations with the image's: scale and translation per axis."""
    scale, shift = [1.0] * n_axes, [0.0] * n_axes
    steps = [
        *dataset.get("coordinateTransformations", ()),
        *multiscale.get("coordinateTransformations", ()),
    ]
    for step in steps:
        kind = step.get("type")
        values = step.get(kind)
        if kind == "identity":
            continue
        if kind not in ("scale", "translation") or not isinstance(values, list):
            msg = f"{path} uses a coordinate transformation {step}, which is not supported."
            raise ImageError(msg)
        if len(values) != n_axes:
            msg = f"{path}: the {kind} {values} of its metadata needs one number per axis."
            raise ImageError(msg)
        if kind == "scale":
            scale = [s * float(v) for s, v in zip(scale, values, strict=True)]
            shift = [s * float(v) for s, v in zip(shift, values, strict=True)]
        else:
            shift = [s + float(v) for s, v in zip(shift, values, strict=True)]
    return scale, shift


def _um_per_axis(described: list[Any], axes: str) -> list[float | None]:
    """Micrometres per unit along z, y, x."""
    units = [one.get("unit", "") if isinstance(one, Mapping) else "" for one in described]
    return [um_per(str(units[axes.index(axis)])) for axis in ZYX]


def _spacing_um(
    placed: tuple[list[float], list[float]], axes: str, um: list[float | None]
) -> Zyx[float] | None:
    sizes = [placed[0][axes.index(axis)] for axis in ZYX]
    known = [size * f for size, f in zip(sizes, um, strict=True) if f is not None and size > 0]
    if len(known) < 3:
        return None
    z, y, x = known
    return (z, y, x)


def _origin_voxels(placed: tuple[list[float], list[float]], axes: str) -> Zyx[float]:
    scale, shift = placed
    z, y, x = (
        shift[axes.index(axis)] / scale[axes.index(axis)] if scale[axes.index(axis)] else 0.0
        for axis in ZYX
    )
    return (z, y, x)


def _channels(attributes: Mapping[str, Any], shape: tuple[int, ...], axes: str) -> tuple[str, ...]:
    if "c" not in axes:
        return ()
    described = attributes.get("ome", attributes).get("omero", {}).get("channels", [])
    labels = [str(one.get("label", "")) for one in described if isinstance(one, Mapping)]
    n = int(shape[axes.index("c")])
    return tuple(labels[k] if k < len(labels) and labels[k] else f"channel {k}" for k in range(n))


def _old_version(multiscale: Mapping[str, Any]) -> str:
    return str(multiscale.get("version", "0.4"))


def _zyx(values: tuple[int, ...], axes: str) -> Zyx[int]:
    z, y, x = (int(values[axes.index(axis)]) for axis in ZYX)
    return (z, y, x)
