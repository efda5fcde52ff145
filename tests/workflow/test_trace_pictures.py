"""ketamap.workflow.trace_pictures: a box in a region, its brightest voxels, the trace over them."""

import numpy as np
import pytest

from ketamap.core.errors import StructureNotFoundError
from ketamap.core.space import VoxelGrid
from ketamap.io.ome_zarr import write_image
from ketamap.io.registrations import load_registration
from ketamap.io.trace_pictures import load_trace_pictures
from ketamap.workflow.trace_pictures import SIDE_UM, picture_traces
from tests.workflow.traced_brains import VOXEL_UM, make_traced_brain


@pytest.fixture(scope="module")
def brain(tmp_path_factory):
    return make_traced_brain(tmp_path_factory.mktemp("brain"))


def pictured(brain, out, regions=("CP",)):
    return picture_traces(
        brain / "image.ome.zarr",
        trace=brain / "trace",
        registration=brain / "registration",
        out=out,
        regions=regions,
    )


def test_the_trace_lies_over_the_bright_line_within_the_region(brain, tmp_path):
    (one,) = pictured(brain, tmp_path / "traces.npz")
    assert one.acronym == "CP"
    assert one.trace.any()
    assert one.outline.any()
    rows = np.flatnonzero(one.trace.any(axis=1))
    assert len(rows) == 1
    assert one.signal[rows[0]].min() > np.median(one.signal)


def test_the_box_has_its_size_in_um(brain, tmp_path):
    (one,) = pictured(brain, tmp_path / "traces.npz")
    side_um = max(n * um for n, um in zip(one.signal.shape, one.pixel_um, strict=True))
    assert side_um <= SIDE_UM[1] + 3 * VOXEL_UM
    assert one.pixel_um == (VOXEL_UM, VOXEL_UM)
    assert VOXEL_UM <= one.depth_um < side_um


def test_what_is_returned_is_what_is_written(brain, tmp_path):
    made = pictured(brain, tmp_path / "traces.npz", ("CP", "ACB"))
    stored = load_trace_pictures(tmp_path / "traces.npz")
    assert [one.acronym for one in stored] == [one.acronym for one in made] == ["CP", "ACB"]
    np.testing.assert_array_equal(stored[0].signal, made[0].signal)


def test_without_a_choice_the_longest_regions_are_shown(brain, tmp_path):
    made = pictured(brain, tmp_path / "traces.npz", ())
    assert "CP" in [one.acronym for one in made]
    assert len(made) <= 4


def test_a_region_that_the_atlas_lacks_is_named(brain, tmp_path):
    with pytest.raises(StructureNotFoundError, match="CPU"):
        pictured(brain, tmp_path / "traces.npz", ("CP", "CPU"))
    assert not (tmp_path / "traces.npz").exists()


def test_a_region_beyond_the_image_is_left_out(brain, tmp_path):
    """The image ends before the region's middle."""
    result = load_registration(brain / "registration")
    cut = VoxelGrid(shape=(4, 4, 4), spacing_um=result.sample_grid.spacing_um)
    write_image(tmp_path / "cut.ome.zarr", np.zeros(cut.shape, np.uint16), cut)
    made = picture_traces(
        tmp_path / "cut.ome.zarr",
        trace=brain / "trace",
        registration=brain / "registration",
        out=tmp_path / "traces.npz",
        regions=("CP",),
    )
    assert made == ()
