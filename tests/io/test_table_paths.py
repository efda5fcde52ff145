"""ketamap.io.tables: where a table may be written, and what lies beside it."""

from pathlib import Path

import pytest

from ketamap.core.errors import TableError
from ketamap.io.tables import beside, require_table_path


@pytest.mark.parametrize("kind", [".parquet", ".csv", ".csv.gz", ".CSV"])
def test_what_lies_beside_keeps_the_kind(kind):
    assert beside(Path(f"x/m.1{kind}"), "_cells") == Path(f"x/m.1_cells{kind}")
    assert beside(Path(f"x/m.1{kind}"), "_b", suffix=".json") == Path("x/m.1_b.json")


def test_an_input_is_not_written_over(tmp_path):
    with pytest.raises(TableError, match="would be replaced"):
        require_table_path(tmp_path / "a.csv", inputs=(tmp_path / "." / "a.csv",))


def test_a_folder_and_an_unknown_kind_are_refused(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(TableError, match="folder"):
        require_table_path(tmp_path / "a.csv")
    with pytest.raises(TableError, match=r"\.parquet"):
        require_table_path(tmp_path / "a.xlsx")
