"""ketamap.io.trace_pictures"""

import numpy as np
import pytest

from ketamap.core.pictures import TracePicture
from ketamap.io.trace_pictures import load_trace_pictures, save_trace_pictures


def picture(acronym, shape):
    rng = np.random.default_rng(sum(shape))
    return TracePicture(
        acronym=acronym,
        signal=rng.integers(0, 256, shape, dtype=np.uint8),
        trace=rng.random(shape) < 0.2,
        outline=rng.random(shape) < 0.1,
        pixel_um=(2.0, 1.8),
        depth_um=62.5,
    )


@pytest.mark.parametrize("shapes", [[], [(5, 7)], [(1, 1), (13, 240), (90, 90)]])
def test_write_then_read_is_the_identity(tmp_path, shapes):
    made = [picture(f"R{n}", shape) for n, shape in enumerate(shapes)]
    save_trace_pictures(tmp_path / "traces.npz", made)
    read = load_trace_pictures(tmp_path / "traces.npz")
    assert [one.acronym for one in read] == [one.acronym for one in made]
    for one, same in zip(made, read, strict=True):
        for name in ("signal", "trace", "outline"):
            np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
        assert (one.pixel_um, one.depth_um) == (same.pixel_um, same.depth_um)


def test_the_same_pictures_give_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        save_trace_pictures(tmp_path / name, [picture("PL", (30, 40))])
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_no_file_is_no_picture(tmp_path):
    assert load_trace_pictures(tmp_path / "none.npz") == ()
