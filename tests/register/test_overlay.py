"""ketamap.register.overlay"""

import numpy as np

from ketamap.core.space import VoxelGrid
from ketamap.core.transform import AffineMap, Transform
from ketamap.register.overlay import boundaries, overlay_slices
from tests.register.scenes import toy_atlas


def test_three_named_planes_of_the_atlas_with_boundaries():
    atlas = toy_atlas(200.0)
    identity = Transform.from_affine(AffineMap(np.eye(4)), atlas.grid)
    slices = overlay_slices(atlas.template, atlas.grid, identity, atlas)
    a, b, c = atlas.grid.shape
    assert [(name, grey.shape) for name, grey, _ in slices] == [
        ("coronal", (b, c)),
        ("horizontal", (c, a)),
        ("sagittal", (b, a)),
    ]
    for _, grey, edge in slices:
        assert grey.dtype == np.uint8
        assert edge.dtype == bool
        assert edge.shape == grey.shape
        assert edge.any()
        assert grey.max() > 200


def test_the_grey_image_is_the_carried_sample():
    atlas = toy_atlas(200.0)
    shift = np.eye(4)
    shift[:3, 3] = (1000.0, -400.0, 600.0)
    moved = Transform.from_affine(AffineMap(shift), atlas.grid)
    grid = VoxelGrid(
        shape=atlas.grid.shape,
        spacing_um=atlas.grid.spacing_um,
        origin_um=tuple(np.add(atlas.grid.origin_um, shift[:3, 3])),
    )
    identity = Transform.from_affine(AffineMap(np.eye(4)), atlas.grid)
    here = overlay_slices(atlas.template, atlas.grid, identity, atlas)
    there = overlay_slices(atlas.template, grid, moved, atlas)
    for (_, first, _), (_, second, _) in zip(here, there, strict=True):
        assert np.abs(first.astype(int) - second).max() <= 1


def test_boundaries_part_labels_and_only_them():
    labels = np.zeros((5, 6), dtype=int)
    labels[2:, 3:] = 4
    edge = boundaries(labels)
    assert edge[1, 3:].all()
    assert edge[2:, 2].all()
    assert edge.sum() == 3 + 3


def test_a_sample_that_misses_the_atlas_gives_black_pictures():
    atlas = toy_atlas(200.0)
    far = VoxelGrid(shape=(4, 4, 4), spacing_um=(200.0,) * 3, origin_um=(1e6,) * 3)
    identity = Transform.from_affine(AffineMap(np.eye(4)), atlas.grid)
    for _, grey, _ in overlay_slices(np.ones((4, 4, 4)), far, identity, atlas):
        assert not grey.any()


def test_front_is_left_and_dorsal_is_up():
    """The front of the sample is the brighter, and its upper half brighter still."""
    atlas = toy_atlas(200.0)
    identity = Transform.from_affine(AffineMap(np.eye(4)), atlas.grid)
    index = np.indices(atlas.grid.shape)
    front, up = (index[k] < atlas.grid.shape[k] // 2 for k in (0, 1))
    for sample, towards in ((front, "left"), (up, "up")):
        for name, grey, _ in overlay_slices(sample * 100.0 + 1, atlas.grid, identity, atlas):
            rows, columns = (n // 2 for n in grey.shape)
            if towards == "left" and name != "coronal":
                assert grey[:, : columns - 1].mean() > 2 * grey[:, columns + 1 :].mean(), name
            if towards == "up" and name != "horizontal":
                assert grey[: rows - 1].mean() > 2 * grey[rows + 1 :].mean(), name
