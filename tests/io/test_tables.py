"""ketamap.io.tables"""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ketamap.core.errors import MissingInputError, TableError
from ketamap.core.tables import ANIMALS, CELLS, REGIONS
from ketamap.io.tables import read_animals, read_any_table, read_points, read_table, write_table

SUFFIXES = (".parquet", ".csv", ".csv.gz")
finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=6)


def cells(n=3):
    return pd.DataFrame(
        {
            "z_um": np.arange(n) * 0.1,
            "y_um": np.arange(n) / 3,
            "x_um": np.arange(n) * 1e5,
            "score": np.linspace(0, 1, n),
        }
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(
        st.tuples(finite, finite, finite, st.floats(0, 1), st.integers(-1, 2**53),
                  st.sampled_from(["left", "right", ""]), text), max_size=4),
)  # fmt: skip
def test_reading_gives_back_what_was_written(tmp_path, suffix, rows):
    names = ["z_um", "y_um", "x_um", "score", "region_id", "hemisphere", "note"]
    frame = pd.DataFrame(rows, columns=names)
    path = tmp_path / f"cells{suffix}"
    write_table(path, frame, CELLS)
    read = read_table(path, CELLS)
    assert list(read.columns) == names
    for name in names[:-1]:
        assert read[name].tolist() == frame[name].tolist(), name
    assert read["region_id"].dtype == np.int64
    assert read["z_um"].dtype == np.float64


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_tables_give_equal_bytes(tmp_path, suffix):
    for name in ("a", "b"):
        frame = cells()
        frame.index = frame.index + (10 if name == "b" else 0)
        write_table(tmp_path / f"{name}{suffix}", frame, CELLS)
    first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("a", "b"))
    assert first == second


def test_all_faults_are_told_at_once_with_column_and_row(tmp_path):
    frame = cells(5).drop(columns="y_um")
    frame["z_um"] = ["0", "one", "2", "3", "4"]
    frame["score"] = [0.5, 1.5, np.nan, 0.5, -1.0]
    frame["region_id"] = [1.0, 2.5, 3.0, 4.0, 5.0]
    frame["hemisphere"] = ["left", "L", "right", "", "R"]
    with pytest.raises(TableError) as caught:
        write_table(tmp_path / "cells.csv", frame, CELLS)
    message = str(caught.value)
    for part in (
        "cells.csv is not a valid cells table",
        "column y_um is not there",
        "column z_um must be a number (row 2: 'one')",
        "column region_id must be a whole number (row 2: 2.5)",
        "column score must be at most 1 (row 2: 1.5)",
        "column score must be at least 0 (row 5: -1.0)",
        "column score has missing values (row 3",
        "column hemisphere must be 'left' or 'right' or '' (row 2: 'L', row 5: 'R')",
    ):
        assert part in message
    assert list(tmp_path.iterdir()) == []


def test_infinite_positions_are_refused(tmp_path):
    frame = cells()
    frame.loc[1, "x_um"] = np.inf
    with pytest.raises(TableError, match=r"column x_um must be finite \(row 2"):
        write_table(tmp_path / "cells.parquet", frame, CELLS)


def test_only_the_first_rows_of_a_fault_are_shown(tmp_path):
    with pytest.raises(TableError, match=r"row 3.*and 7 more"):
        write_table(tmp_path / "a.csv", cells(10).assign(score=2.0), CELLS)


def test_a_repeated_key_is_refused():
    frame = pd.DataFrame({"animal": ["m1", "m2", "m1"]})
    with pytest.raises(TableError, match=r"animal must be unique \(row 3"):
        write_table("never_written.csv", frame, ANIMALS)


def test_the_key_of_a_table_may_be_several_columns(tmp_path):
    row = {
        "animal": "m1", "region_id": 997, "acronym": "root", "hemisphere": "left",
        "measure": "cells", "own": 1.0, "total": 2.0, "volume_own_mm3": 1.0, "volume_total_mm3": 1.0,
    }  # fmt: skip
    two = pd.DataFrame([row, {**row, "hemisphere": "right"}])
    write_table(tmp_path / "regions.parquet", two, REGIONS)
    with pytest.raises(TableError, match="must be unique"):
        write_table(tmp_path / "regions.parquet", pd.DataFrame([row, row]), REGIONS)
    assert len(read_table(tmp_path / "regions.parquet", REGIONS)) == 2


def test_identifiers_that_look_like_numbers_stay_text(tmp_path):
    (tmp_path / "a.csv").write_text(
        "animal,batch,dose_mg_per_kg,weight_g\n007,1,30,\n12.10,2,0,21.5\n"
    )
    frame = read_animals(tmp_path / "a.csv")
    assert frame["animal"].tolist() == ["007", "12.10"]
    assert frame["batch"].tolist() == ["1", "2"]
    assert frame["dose_mg_per_kg"].dtype == np.int64
    assert np.isnan(frame["weight_g"][0])
    assert frame["weight_g"][1] == 21.5


def test_region_ids_written_as_real_numbers_become_whole(tmp_path):
    (tmp_path / "a.csv").write_text("animal,region_id,count\nm1,997.0,3.0\nm1,8.0,2.5\n")
    frame = read_any_table(tmp_path / "a.csv")
    assert frame["region_id"].tolist() == [997, 8]
    assert frame["region_id"].dtype == np.int64
    assert frame["count"].dtype == np.float64


def test_acronyms_that_spell_missing_values_are_kept(tmp_path):
    (tmp_path / "a.csv").write_text("acronym,count\nNA,1\nnull,2\nnan,3\n")
    assert read_any_table(tmp_path / "a.csv")["acronym"].tolist() == ["NA", "null", "nan"]


def test_a_spreadsheet_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfanimal\nm1\n")
    assert list(read_animals(tmp_path / "a.csv").columns) == ["animal"]


@pytest.mark.parametrize("names", [("z_um", "y_um", "x_um"), ("ap_um", "dv_um", "ml_um")])
def test_points_may_be_in_the_sample_or_in_the_atlas(tmp_path, names):
    (tmp_path / "a.csv").write_text(",".join(names) + ",kind\n1,2,3,a\n4,5,6.5,b\n")
    frame = read_points(tmp_path / "a.csv")
    np.testing.assert_array_equal(frame[list(names)].to_numpy(), [[1, 2, 3], [4, 5, 6.5]])
    assert frame["kind"].tolist() == ["a", "b"]


def test_points_without_positions_are_refused_with_the_columns_needed(tmp_path):
    (tmp_path / "a.csv").write_text("z,y,x\n1,2,3\n")
    with pytest.raises(TableError, match="columns z, y, x; points need z_um"):
        read_points(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("z_um,y_um,x_um\n1,2,3\n1,here,3\n")
    with pytest.raises(TableError, match="column y_um, row 2: 'here'"):
        read_points(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", b""), ("a.csv.gz", b"not gzip"), ("a.csv.gz", gzip.compress(b"x,y\n1,2\n" * 99, mtime=0)[:-9]),
     ("a.parquet", b"PAR1 not really PAR1"), ("a.csv", b"a,b\n1,2\n1,2,3\n"), ("a.csv", b"a,b\n1,2,3\n4,5,6\n"), ("a.csv", b"\xff\xfe\x00")],
)  # fmt: skip
def test_a_file_that_is_no_table_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=name):
        read_any_table(tmp_path / name)


def test_missing_files_and_unknown_suffixes_are_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"a\.csv is not there"):
        read_any_table(tmp_path / "a.csv")
    with pytest.raises(TableError, match=r"\.parquet, \.csv or \.csv\.gz"):
        read_any_table(tmp_path / "a.xlsx")
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(MissingInputError, match=r"b\.csv is a folder"):
        read_any_table(tmp_path / "b.csv")


def test_a_table_with_semicolons_is_told_to_use_commas(tmp_path):
    (tmp_path / "a.csv").write_text("animal;group\nm1;saline\n", encoding="utf-8")
    with pytest.raises(TableError, match="separate columns by commas"):
        read_animals(tmp_path / "a.csv")


@pytest.mark.data
def test_the_published_tables_are_read(shared_data):
    frame = read_any_table(shared_data / "tables" / "davoudian2023_B1.csv.gz")
    assert frame["animal"].nunique() == 12
    root = frame[(frame["acronym"] == "root") & (frame["animal"] == "ket_f1")]
    assert root["count"].dtype == np.int64
    assert root["count"].tolist()[0] == 288754
