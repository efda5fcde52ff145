"""ketamap.io.tracings"""

import pandas as pd
import pytest

from ketamap.core.errors import InputError, MissingInputError, TableError
from ketamap.io.manifests import write_json
from ketamap.io.tracings import RECORD, fill_tracing, load_tracing, require_trace_folder


def axons():
    return pd.DataFrame(
        {
            "z_um": [1.0, 2.0], "y_um": [3.0, 4.0], "x_um": [5.0, 6.0],
            "length_um": [10.0, 20.0], "length_low_um": [9.0, 19.0],
            "length_high_um": [11.0, 21.0], "volume_um3": [100.0, 200.0],
        }
    )  # fmt: skip


RECORD_OF = {"threshold": 3.5, "threshold_low": 3.0, "threshold_high": 4.0, "quality": {"left": 3}}


def test_write_then_read_is_the_identity(tmp_path):
    fill_tracing(tmp_path, axons(), RECORD_OF)
    stored = load_tracing(tmp_path)
    pd.testing.assert_frame_equal(stored.axons, axons())
    assert {k: stored.record[k] for k in RECORD_OF} == RECORD_OF


def test_a_table_without_lengths_is_refused(tmp_path):
    with pytest.raises(TableError, match="length_um"):
        fill_tracing(tmp_path, axons().drop(columns="length_um"), RECORD_OF)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingInputError, match="no folder"):
        load_tracing(tmp_path / "nowhere")
    with pytest.raises(MissingInputError, match=r"axons\.parquet"):
        load_tracing(tmp_path)


def test_another_format_is_refused(tmp_path):
    fill_tracing(tmp_path, axons(), RECORD_OF)
    write_json(tmp_path / RECORD, {"format": "something else"})
    with pytest.raises(InputError, match="ketamap trace 1"):
        load_tracing(tmp_path)


def test_only_an_earlier_trace_may_be_replaced(tmp_path):
    require_trace_folder(tmp_path / "new")
    require_trace_folder(tmp_path)
    fill_tracing(tmp_path, axons(), RECORD_OF)
    require_trace_folder(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="other files"):
        require_trace_folder(tmp_path / "other")
    with pytest.raises(InputError, match="other files"):
        require_trace_folder(tmp_path / "other" / "notes.txt")
