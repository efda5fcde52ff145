"""ketamap.io.files"""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ketamap.core.errors import MissingInputError, ResourceError
from ketamap.io import files
from ketamap.io.files import hash_file, replacing, replacing_folder, size_on_disk_bytes


def names_in(folder):
    return sorted(item.name for item in folder.iterdir())


def write_half_and_fail(target, failure):
    with replacing(target) as temporary:
        temporary.write_text("half")
        raise failure


def write_half_a_folder_and_fail(target, failure):
    with replacing_folder(target) as temporary:
        (temporary / "b").write_text("half")
        raise failure


def write_to_a_full_disk(target):
    with replacing(target) as temporary:
        temporary.symlink_to("/dev/full")  # the kernel answers ENOSPC to every write
        with temporary.open("wb", buffering=0) as stream:
            stream.write(b"x")


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "table.csv"
    with replacing(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert temporary.parent == target.parent
    assert target.read_text() == "half"
    assert names_in(target.parent) == ["table.csv"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_any_failure_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(failure):
        write_half_and_fail(target, failure)
    assert target.read_text() == "old"
    assert names_in(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_any_failure_leaves_the_old_folder_and_nothing_else(tmp_path, failure):
    target = tmp_path / "result"
    target.mkdir()
    (target / "a").write_text("old")
    with pytest.raises(failure):
        write_half_a_folder_and_fail(target, failure)
    assert names_in(tmp_path) == ["result"]
    assert names_in(target) == ["a"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "result"
    target.mkdir()
    (target / "a").write_text("old")
    with replacing_folder(target) as temporary:
        (temporary / "b").write_text("new")
    assert names_in(tmp_path) == ["result"]
    assert names_in(target) == ["b"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_full_disk_is_explained_and_leaves_nothing(tmp_path):
    target = tmp_path / "table.csv"
    with pytest.raises(ResourceError, match=r"disk is full.*table\.csv.*Free some space"):
        write_to_a_full_disk(target)
    assert names_in(tmp_path) == []


def test_other_system_errors_are_passed_on_unchanged(tmp_path):
    with pytest.raises(PermissionError), replacing(tmp_path / "a"):
        raise PermissionError


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(min_size=1, max_size=200), data=st.data())
def test_one_changed_byte_changes_the_hash(tmp_path, content, data):
    place = data.draw(st.integers(0, len(content) - 1))
    path = tmp_path / "a"
    path.write_bytes(content)
    before = hash_file(path)
    assert hash_file(path) == before
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    assert hash_file(path) != before


def test_a_copied_folder_has_the_same_hash_whatever_its_times(tmp_path):
    for name in ("here", "there"):
        (tmp_path / name / "0").mkdir(parents=True)
        (tmp_path / name / "0" / "c").write_bytes(b"voxels")
        (tmp_path / name / "zarr.json").write_text("{}")
    os.utime(tmp_path / "there" / "zarr.json", (0, 0))
    assert hash_file(tmp_path / "here") == hash_file(tmp_path / "there")
    (tmp_path / "there" / "0" / "c").rename(tmp_path / "there" / "0" / "d")
    assert hash_file(tmp_path / "here") != hash_file(tmp_path / "there")


def test_large_inputs_are_sampled_over_their_whole_length(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_HASHED_WHOLE_BYTES", 2**17)
    path = tmp_path / "big"
    size = 2**20
    path.write_bytes(bytes(size))
    before = hash_file(path)
    for start in (0, size // 2, size - 1):
        content = bytearray(size)
        content[start : start + 2**18] = b"x" * min(2**18, size - start)
        path.write_bytes(bytes(content))
        assert hash_file(path) != before


def test_what_is_not_there_is_said_by_name(tmp_path):
    with pytest.raises(MissingInputError, match=r"nothing\.tif is not there"):
        hash_file(tmp_path / "nothing.tif")


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(bytes(10))
    (tmp_path / "c").write_bytes(bytes(5))
    assert size_on_disk_bytes(tmp_path) == 15
