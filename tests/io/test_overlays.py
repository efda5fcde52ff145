"""ketamap.io.overlays"""

import imagecodecs
import numpy as np

from ketamap.io.overlays import load_overlays, save_overlays


def planes():
    rng = np.random.default_rng(3)
    return [
        (name, rng.integers(0, 255, shape, dtype=np.uint8), rng.random(shape) < 0.1)
        for name, shape in (("coronal", (20, 30)), ("sagittal", (25, 20)))
    ]


def test_overlays_come_back_as_they_were(tmp_path):
    save_overlays(tmp_path, planes())
    for (name, grey, edge), (name2, grey2, edge2) in zip(
        planes(), load_overlays(tmp_path), strict=True
    ):
        assert name == name2
        np.testing.assert_array_equal(grey, grey2)
        np.testing.assert_array_equal(edge, edge2)


def test_each_plane_is_also_a_picture_with_coloured_boundaries(tmp_path):
    save_overlays(tmp_path, planes())
    for name, grey, edge in planes():
        picture = imagecodecs.png_decode((tmp_path / f"overlay_{name}.png").read_bytes())
        assert picture.shape == (*grey.shape, 3)
        np.testing.assert_array_equal(picture[~edge][:, 0], grey[~edge])
        assert len(np.unique(picture[edge], axis=0)) == 1


def test_equal_overlays_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_overlays(tmp_path / name, planes())
    first, second = ((tmp_path / n / "overlays.npz").read_bytes() for n in ("a", "b"))
    assert first == second


def test_a_folder_without_overlays_has_none(tmp_path):
    assert load_overlays(tmp_path) == ()
