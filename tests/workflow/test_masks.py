"""ketamap.workflow.masks: a mask of the tissue is that of its image, or it is refused."""

import numpy as np
import pytest
import tifffile

from ketamap.core.errors import ImageError
from ketamap.core.space import VoxelGrid
from ketamap.core.volume import Volume
from ketamap.io.ome_zarr import write_image
from ketamap.workflow.masks import read_tissue

SHAPE, SPACING_UM = (24, 30, 36), (20.0, 10.0, 10.0)
GRID = VoxelGrid(shape=SHAPE, spacing_um=SPACING_UM, origin_um=(5.0, 0.0, 0.0))
IMAGE = Volume(data=np.zeros(SHAPE, np.uint16), grid=GRID, name="auto.tif")


def stack(folder, array):
    path = folder / "mask.tif"
    tifffile.imwrite(path, array)
    return path


@pytest.mark.parametrize(("dtype", "yes"), [(np.uint8, 1), (np.uint8, 255), (np.uint16, 7)])
def test_what_is_not_zero_is_tissue_at_the_places_of_the_image(tmp_path, dtype, yes):
    array = np.full(SHAPE, yes, dtype)
    array[12:] = 0
    tissue = read_tissue(stack(tmp_path, array), IMAGE)
    rng = np.random.default_rng(0)
    points = GRID.to_um(rng.uniform(0, np.array(SHAPE) - 1, (500, 3)))
    far = np.abs(points[:, 0] - (5.0 + 11.5 * 20.0)) > 30.0  # half a voxel of the kept mask
    expected = points[:, 0] < 5.0 + 11.5 * 20.0
    np.testing.assert_array_equal(tissue.at(points)[far], expected[far])


def test_beyond_the_mask_nothing_is_known_to_be_missing(tmp_path):
    array = np.zeros(SHAPE, np.uint8)
    array[0, 0, 0:20] = array[:4] = 1
    tissue = read_tissue(stack(tmp_path, array), IMAGE)
    assert tissue.at([[-4000.0, 0.0, 0.0], [9000.0, 100.0, 100.0]]).all()


def test_a_coarser_mask_of_the_same_box_is_taken(tmp_path):
    grid = VoxelGrid(shape=(12, 10, 12), spacing_um=(40.0, 30.0, 30.0))
    array = np.ones(grid.shape, np.uint8)
    array[:, :5] = 0
    write_image(tmp_path / "mask.ome.zarr", array, grid, labels=True)
    tissue = read_tissue(tmp_path / "mask.ome.zarr", IMAGE)
    assert not tissue.at([[200.0, 60.0, 200.0]])[0]
    assert tissue.at([[200.0, 240.0, 200.0]])[0]


@pytest.mark.parametrize("shape", [(24, 30, 35), (30, 24, 36), (12, 15, 18)])
def test_a_mask_of_another_shape_is_refused_with_both_shapes(tmp_path, shape):
    with pytest.raises(
        ImageError, match=r"mask\.tif is .* voxels .* but auto\.tif is 24 x 30 x 36"
    ):
        read_tissue(stack(tmp_path, np.ones(shape, np.uint8)), IMAGE)


def test_a_coarser_mask_of_another_box_is_refused(tmp_path):
    grid = VoxelGrid(shape=(12, 10, 12), spacing_um=(60.0, 30.0, 30.0))
    write_image(tmp_path / "mask.ome.zarr", np.ones(grid.shape, np.uint8), grid, labels=True)
    with pytest.raises(ImageError, match="fills the same box"):
        read_tissue(tmp_path / "mask.ome.zarr", IMAGE)


def test_an_empty_mask_is_refused(tmp_path):
    with pytest.raises(ImageError, match="0 everywhere"):
        read_tissue(stack(tmp_path, np.zeros(SHAPE, np.uint8)), IMAGE)
