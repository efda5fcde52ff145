"""ketamap.io.labels"""

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.core.errors import InputError, MissingInputError
from ketamap.io.labels import LabelledBox, read_labels

SHAPE = (8, 10, 12)


def painted():
    """Labels in two planes of an image."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[2, 3:8, 2:9] = 1
    labels[2, 4, 3:8] = 2
    labels[5, 5, 5] = 4
    return labels


def whole(box):
    return box[tuple(slice(0, n) for n in box.shape)]


def test_every_way_of_storing_labels_reads_the_same(tmp_path):
    labels = painted()
    tifffile.imwrite(tmp_path / "stack.tif", labels)
    tifffile.imwrite(tmp_path / "packed.tiff", labels.astype(np.uint16), compression="zlib")
    np.savez(tmp_path / "all.npz", labels=labels)
    np.savez(tmp_path / "box.npz", labels=labels[1:6, 2:9], start=(1, 2, 0))
    np.savez(tmp_path / "planes.npz", labels=labels[[2, 5]], planes=[2, 5])
    for name in ("stack.tif", "packed.tiff", "all.npz", "box.npz", "planes.npz"):
        box = read_labels(tmp_path / name, SHAPE)
        assert box.shape == SHAPE
        assert box.labels.size < 0.3 * labels.size
        np.testing.assert_array_equal(whole(box), labels)


def test_one_plane_needs_no_axis_of_planes(tmp_path):
    np.savez(tmp_path / "plane.npz", labels=painted()[2], planes=2)
    np.testing.assert_array_equal(
        whole(read_labels(tmp_path / "plane.npz", SHAPE))[2], painted()[2]
    )


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_block_is_that_of_the_whole(data):
    labels = painted()
    box = LabelledBox((2, 3, 2), labels[2:6, 3:8, 2:9], SHAPE)
    cut = []
    for n in SHAPE:
        first = data.draw(st.integers(0, n))
        cut.append(slice(first, data.draw(st.integers(first, n))))
    np.testing.assert_array_equal(box[tuple(cut)], labels[tuple(cut)])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"no\.npz"):
        read_labels(tmp_path / "no.npz", SHAPE)


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"labels": painted()[:4]}, r"shape \(4, 10, 12\) but the image \(8, 10, 12\)"),
        ({"labels": painted(), "start": (1, 0, 0)}, "does not lie in the image"),
        ({"labels": painted()[[2]], "planes": [99]}, "do not fit"),
        ({"other": painted()}, "An npz holds `labels`"),
        ({"labels": painted() * 3}, r"holds the labels \[6, 12\]"),
        ({"labels": painted().astype(float)}, "whole numbers"),
        ({"labels": np.minimum(painted(), 1)}, "no axon"),
        ({"labels": np.where(painted() == 1, 0, painted())}, "no background"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, arrays, words):
    with pytest.raises(InputError, match=words):
        read_labels(save(tmp_path / "labels.npz", **arrays), SHAPE)


def test_files_that_are_no_labels_are_refused(tmp_path):
    for name in ("labels.npz", "labels.tif"):
        (tmp_path / name).write_bytes(b"not an image")
        with pytest.raises(InputError, match="labels"):
            read_labels(tmp_path / name, SHAPE)
    (tmp_path / "labels.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"neither \.tif"):
        read_labels(tmp_path / "labels.png", SHAPE)


def test_a_stack_of_another_shape_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "small.tif", painted()[:, :5])
    with pytest.raises(
        InputError, match=r"^\S*small\.tif has shape .* A TIFF of labels has the image's shape"
    ):
        read_labels(tmp_path / "small.tif", SHAPE)
