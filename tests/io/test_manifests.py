"""ketamap.io.manifests"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ketamap.core.errors import InputError, MissingInputError
from ketamap.core.space import VoxelGrid
from ketamap.io.manifests import read_json, write_json

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcé"), inner, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(mapping=st.dictionaries(st.text("abcé", min_size=1), values, max_size=4))
def test_reading_gives_back_what_was_written(tmp_path, mapping):
    path = tmp_path / "a.json"
    write_json(path, mapping)
    assert read_json(path) == mapping


def test_equal_mappings_give_equal_bytes_whatever_their_order(tmp_path):
    write_json(tmp_path / "a", {"x": 1, "y": {"b": 2, "a": 3}})
    write_json(tmp_path / "b", {"y": {"a": 3, "b": 2}, "x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_types_of_the_program_become_plain_json(tmp_path):
    grid = VoxelGrid(shape=(1, 2, 3), spacing_um=(1.0, 2.0, 3.0))
    write_json(
        tmp_path / "a",
        {"grid": grid, "n": np.int64(3), "v": np.arange(2), "p": Path("a/b"), "nan": np.nan},
    )
    assert read_json(tmp_path / "a") == {
        "grid": {"shape": [1, 2, 3], "spacing_um": [1.0, 2.0, 3.0], "origin_um": [0.0, 0.0, 0.0]},
        "n": 3,
        "v": [0, 1],
        "p": "a/b",
        "nan": None,
    }


def test_what_has_no_json_form_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "a", {"x": object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b'{"a": ', b"[1]", b"\xff\xfe"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"a\.json is not there"):
        read_json(tmp_path / "a.json")
