"""ketamap.workflow.trace_pictures: a box in a region, its brightest voxels, the trace over them."""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import StructureNotFoundError
from ketamap.core.registration import Registration, RegistrationQuality
from ketamap.core.space import Orientation, VoxelGrid
from ketamap.io.ome_zarr import write_image
from ketamap.io.registrations import load_registration, save_registration
from ketamap.io.trace_pictures import load_trace_pictures
from ketamap.io.tracings import SKELETON, fill_tracing
from ketamap.phantom import random_transform
from ketamap.phantom.deformation import sample_grid
from ketamap.quantify import carry_annotation
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.brain import ANNOTATION, HEMISPHERES_IMAGE
from ketamap.workflow.trace_pictures import SIDE_UM, picture_traces

ATLAS = "phantom_mouse_200um"
VOXEL_UM = 100.0


@pytest.fixture(scope="module")
def brain(tmp_path_factory):
    """A registered brain with one bright line, traced, through the middle of the left CP."""
    folder = tmp_path_factory.mktemp("brain")
    atlas = open_atlas(ATLAS)
    transform = random_transform(atlas, 1, displacement_um=60.0)
    grid = sample_grid(atlas, transform, (VOXEL_UM,) * 3)
    quality = RegistrationQuality(
        ncc=0.95, lncc=0.8, least_jacobian=0.5, inverse_error_p95_um=3.0, verdict="pass", reasons=()
    )
    save_registration(
        folder / "registration",
        Registration(
            transform=transform,
            quality=quality,
            sample_grid=grid,
            orientation=Orientation("psl"),
            atlas=ATLAS,
        ),
    )
    carried = carry_annotation(transform, atlas, grid)
    labels = {ANNOTATION: carried.region_id, HEMISPHERES_IMAGE: carried.hemisphere}
    for name, values in labels.items():
        write_image(folder / "registration" / name, values, carried.grid, labels=True)
    inside = atlas.annotation == atlas.structures.id_of("CP")
    places = transform.to_sample(atlas.grid.to_um(np.argwhere(inside)))
    places = places[places[:, 2] < np.median(places[:, 2])]
    z, y, _ = np.rint(grid.to_index(places.mean(axis=0)[None])[0]).astype(int)
    line = np.zeros(grid.shape, bool)
    line[z, y, :] = True
    rng = np.random.default_rng(0)
    image = (100 + rng.integers(0, 20, grid.shape) + 500 * line).astype(np.uint16)
    write_image(folder / "image.ome.zarr", image, grid)
    (folder / "trace").mkdir()
    write_image(folder / "trace" / SKELETON, line.astype(np.uint8), grid, labels=True)
    rows = pd.DataFrame(grid.to_um(np.argwhere(line)[::2]), columns=["z_um", "y_um", "x_um"])
    lengths = {"length_um": 200.0, "length_low_um": 150.0, "length_high_um": 250.0}
    fill_tracing(folder / "trace", rows.assign(**lengths, volume_um3=1e6), {"threshold": 3.0})
    return folder


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
