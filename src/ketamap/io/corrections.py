"""Cells that a person has kept or removed: a table, or cellfinder's XML.

An XML file of cellfinder (Tyson et al. 2021, PLoS Comput Biol 17:e1009074) lists markers by type,
1 for what is no cell and 2 for a cell, with positions in whole voxels from 0.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from ketamap.core.errors import MissingInputError, TableError
from ketamap.core.space import Zyx
from ketamap.core.tables import CELLS, CORRECTIONS, SAMPLE_POSITION
from ketamap.io.files import replacing
from ketamap.io.tables import read_table, require_table_path, write_table

REMOVED, KEPT = 1, 2
"""Types of marker in cellfinder's XML."""

ARTEFACT = -1
"""Type that cellfinder gives to what it threw out itself."""

_ROOT = "CellCounter_Marker_File"


def is_xml(path: Path) -> bool:
    """Tell whether a file of cells is cellfinder's XML rather than a table, by its suffix."""
    return path.suffix.lower() == ".xml"


def require_cells_path(path: Path, *, inputs: tuple[Path, ...] = ()) -> None:
    """Refuse, before any work is done, a path to which no cells can be written.

    Raises
    ------
    TableError
        As `require_table_path`, for tables and XML files.
    """
    require_table_path(path.with_suffix(".csv") if is_xml(path) else path)
    if path.is_dir() or path.resolve() in {one.resolve() for one in inputs}:
        msg = f"{path} is a folder, or is read and would be replaced. Give another name."
        raise TableError(msg)


def read_corrections(path: Path, *, spacing_um: Zyx[float]) -> pd.DataFrame:
    """Read kept and removed cells.

    Parameters
    ----------
    path
        Table with ``z_um, y_um, x_um, kept`` (true or false, 1 or 0), or cellfinder's XML.
    spacing_um
        Voxel size (z, y, x) of the image whose voxels an XML file counts, um.

    Returns
    -------
    pandas.DataFrame
        Columns of `ketamap.core.tables.CORRECTIONS`, and others that the table has.

    Raises
    ------
    MissingInputError
        If there is no such file.
    TableError
        With every fault of the table, or where the XML is none of cellfinder's.
    """
    if not is_xml(path):
        return read_table(path, CORRECTIONS)
    if not path.is_file():
        msg = f"{path} is not there. Check the path."
        raise MissingInputError(msg)
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read as XML ({error})."
        raise TableError(msg) from error
    if root.tag != _ROOT:
        msg = f"{path} is XML of {root.tag}; cellfinder's begins with {_ROOT}."
        raise TableError(msg)
    zyx, kept = _markers(root, path)
    frame = pd.DataFrame(zyx * np.asarray(spacing_um), columns=list(SAMPLE_POSITION))
    return frame.assign(kept=kept)


def write_corrections(path: Path, frame: pd.DataFrame, *, spacing_um: Zyx[float]) -> None:
    """Write kept and removed cells, atomically.

    Parameters
    ----------
    path
        Table, or ``.xml`` for cellfinder; XML rounds positions to voxels and drops all columns
        but the position and ``kept``.
    frame
        Columns of `ketamap.core.tables.CORRECTIONS`.
    spacing_um
        Voxel size (z, y, x) of the image whose voxels an XML file counts, um.

    Raises
    ------
    TableError
        With every fault of the table, or if the suffix is not known.
    ResourceError
        If the disk is full.
    """
    if not is_xml(path):
        write_table(path, frame, CORRECTIONS)
        return
    voxels = frame[list(SAMPLE_POSITION)].to_numpy(dtype=np.float64) / np.asarray(spacing_um)
    tree = _tree(np.rint(voxels).astype(np.int64), frame["kept"].to_numpy(dtype=bool))
    with replacing(path) as temporary:
        tree.write(temporary, encoding="UTF-8", xml_declaration=True)


def write_cells(path: Path, cells: pd.DataFrame, *, spacing_um: Zyx[float]) -> None:
    """Write detected cells as a table or, all of them kept, as cellfinder's XML.

    Arguments and errors as in `write_corrections`, for columns `ketamap.core.tables.CELLS`.
    """
    if is_xml(path):
        write_corrections(path, cells.assign(kept=True), spacing_um=spacing_um)
    else:
        write_table(path, cells, CELLS)


def _markers(root: ElementTree.Element, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Positions in voxels ``(n, 3)`` and whether each is a cell."""
    zyx, kept = [], []
    for group in root.iterfind("Marker_Data/Marker_Type"):
        markers = group.findall("Marker")
        kind = group.findtext("Type", "").strip()
        if markers and kind not in {str(REMOVED), str(KEPT), str(ARTEFACT)}:
            msg = (
                f"{path} has markers of type {kind or 'unknown'}; {REMOVED} (removed) and {KEPT} "
                "(kept) are understood."
            )
            raise TableError(msg)
        for marker in markers:
            zyx.append(_position(marker, path))
            kept.append(kind == str(KEPT))
    return np.array(zyx, dtype=np.float64).reshape(-1, 3), np.array(kept, dtype=bool)


def _position(marker: ElementTree.Element, path: Path) -> list[float]:
    texts = [marker.findtext(f"Marker{axis}", "") for axis in "ZYX"]
    try:
        position = [float(text) for text in texts]
    except ValueError:
        position = [np.nan]
    if not np.all(np.isfinite(position)):
        msg = f"{path} has a marker at Z, Y, X = {', '.join(map(repr, texts))}: three numbers are needed."
        raise TableError(msg)
    return position


def _tree(zyx: np.ndarray, kept: np.ndarray) -> ElementTree.ElementTree[ElementTree.Element]:
    root = ElementTree.Element(_ROOT)
    image = ElementTree.SubElement(root, "Image_Properties")
    ElementTree.SubElement(image, "Image_Filename").text = "unknown.tif"
    data = ElementTree.SubElement(root, "Marker_Data")
    ElementTree.SubElement(data, "Current_Type").text = str(REMOVED)
    for kind, here in ((REMOVED, ~kept), (KEPT, kept)):
        group = ElementTree.SubElement(data, "Marker_Type")
        ElementTree.SubElement(group, "Type").text = str(kind)
        for place in zyx[here]:
            marker = ElementTree.SubElement(group, "Marker")
            for axis, index in zip("XYZ", reversed(place), strict=True):
                ElementTree.SubElement(marker, f"Marker{axis}").text = str(int(index))
    ElementTree.indent(root)
    return ElementTree.ElementTree(root)
