"""ketamap.io.corrections"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.core.errors import MissingInputError, TableError
from ketamap.io.corrections import (
    read_corrections,
    require_cells_path,
    write_cells,
    write_corrections,
)
from ketamap.io.tables import read_points

SPACING = (5.0, 2.0, 2.5)

XML = """<?xml version="1.0" encoding="UTF-8"?>
<CellCounter_Marker_File>
  <Image_Properties><Image_Filename>placeholder.tif</Image_Filename></Image_Properties>
  <Marker_Data>
    <Current_Type>1</Current_Type>
    <Marker_Type><Type>1</Type>
      <Marker><MarkerX>4</MarkerX><MarkerY>10</MarkerY><MarkerZ>2</MarkerZ></Marker>
    </Marker_Type>
    <Marker_Type><Type>2</Type>
      <Marker><MarkerX>8</MarkerX><MarkerY>20</MarkerY><MarkerZ>3</MarkerZ></Marker>
      <Marker><MarkerX>1</MarkerX><MarkerY>0</MarkerY><MarkerZ>0</MarkerZ></Marker>
    </Marker_Type>
    <Marker_Type><Type>3</Type></Marker_Type>
  </Marker_Data>
</CellCounter_Marker_File>
"""


def table(*rows):
    return pd.DataFrame(rows, columns=["z_um", "y_um", "x_um", "kept"])


def test_cellfinder_counts_voxels_x_first_and_2_is_a_cell(tmp_path):
    (tmp_path / "cells.xml").write_text(XML)
    wanted = table((10.0, 20.0, 10.0, False), (15.0, 40.0, 20.0, True), (0.0, 0.0, 2.5, True))
    pd.testing.assert_frame_equal(
        read_corrections(tmp_path / "cells.xml", spacing_um=SPACING), wanted
    )


@settings(max_examples=20, deadline=None)
@given(
    voxels=st.lists(
        st.tuples(*[st.integers(0, 20_000)] * 3, st.booleans()), min_size=1, max_size=20
    )
)
def test_written_and_read_both_formats_are_the_same(tmp_path_factory, voxels):
    folder = tmp_path_factory.mktemp("round")
    frame = table(*sorted(voxels, key=lambda v: v[3]))
    frame = frame.astype({"kept": bool, "z_um": float, "y_um": float, "x_um": float})
    frame[["z_um", "y_um", "x_um"]] *= np.array(SPACING)
    for name in ("cells.csv", "cells.xml"):
        write_corrections(folder / name, frame, spacing_um=SPACING)
        again = read_corrections(folder / name, spacing_um=SPACING)
        pd.testing.assert_frame_equal(again, frame)


def test_between_voxels_a_position_moves_by_half_a_voxel_at_most(tmp_path):
    um = np.random.default_rng(0).uniform(0, 900, (200, 3))
    frame = pd.DataFrame(um, columns=["z_um", "y_um", "x_um"]).assign(kept=True)
    write_corrections(tmp_path / "cells.xml", frame, spacing_um=SPACING)
    again = read_corrections(tmp_path / "cells.xml", spacing_um=SPACING)
    moved = np.abs(again[["z_um", "y_um", "x_um"]].to_numpy() - um)
    assert np.all(moved <= np.array(SPACING) / 2 + 1e-9)


@pytest.mark.parametrize(("yes", "no"), [("true", "false"), ("True", "FALSE"), ("1", "0")])
def test_kept_may_be_words_or_digits(tmp_path, yes, no):
    path = tmp_path / "cells.csv"
    path.write_text(f"z_um,y_um,x_um,score,kept\n1,2,3,.9,{yes}\n4,5,6,.8,{no}\n")
    assert list(read_corrections(path, spacing_um=SPACING).kept) == [True, False]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<a><b></a>", "cannot be read as XML"),
        ("<opencv_storage/>", "XML of opencv_storage"),
        (XML.replace("<Type>1<", "<Type>7<"), "markers of type 7"),
        (XML.replace("<Type>1</Type>", ""), "markers of type unknown"),
        (XML.replace("<MarkerY>10</MarkerY>", ""), "Z, Y, X = '2', '', '4'"),
        (XML.replace("<MarkerY>10<", "<MarkerY>nan<"), "three numbers"),
    ],
)
def test_xml_that_is_not_cellfinders_is_refused(tmp_path, text, says):
    (tmp_path / "cells.xml").write_text(text)
    with pytest.raises(TableError, match=says):
        read_corrections(tmp_path / "cells.xml", spacing_um=SPACING)


def test_a_table_without_kept_or_with_other_words_is_refused(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text("z_um,y_um,x_um\n1,2,3\n")
    with pytest.raises(TableError, match="column kept is not there"):
        read_corrections(path, spacing_um=SPACING)
    path.write_text("z_um,y_um,x_um,kept\n1,2,3,perhaps\n")
    with pytest.raises(TableError, match=r"true or false.*perhaps"):
        read_corrections(path, spacing_um=SPACING)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"gone\.xml"):
        read_corrections(tmp_path / "gone.xml", spacing_um=SPACING)


def test_detected_cells_are_written_for_cellfinder_as_kept(tmp_path):
    cells = pd.DataFrame({"z_um": [10.0], "y_um": [4.0], "x_um": [5.0], "score": [0.8]})
    write_cells(tmp_path / "cells.xml", cells, spacing_um=SPACING)
    write_cells(tmp_path / "cells.csv", cells, spacing_um=SPACING)
    again = read_corrections(tmp_path / "cells.xml", spacing_um=SPACING)
    pd.testing.assert_frame_equal(again, table((10.0, 4.0, 5.0, True)))
    pd.testing.assert_frame_equal(read_points(tmp_path / "cells.csv"), cells)


@pytest.mark.parametrize("name", ["cells.txt", "input.xml", "folder.xml"])
def test_paths_that_cannot_be_written_are_refused(tmp_path, name):
    (tmp_path / "folder.xml").mkdir()
    with pytest.raises(TableError):
        require_cells_path(tmp_path / name, inputs=(tmp_path / "input.xml",))
    require_cells_path(tmp_path / "cells.xml")
