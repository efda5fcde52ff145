"""ketamap.phantom.brain"""

import pickle
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import cKDTree

from ketamap.core.errors import InputError
from ketamap.core.tables import ATLAS_POSITION, SAMPLE_POSITION
from ketamap.phantom import BrainSettings, base_densities, plan_brain
from ketamap.phantom.planting import most_cells_per_mm3


@pytest.fixture(scope="module")
def signal(brain):
    return brain.signal_block((0, 0, 0), brain.signal_grid.shape)


@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_any_block_equals_the_same_part_of_the_whole(brain, signal, data):
    start, stop = [], []
    for n in brain.signal_grid.shape:
        first = data.draw(st.integers(0, n - 1))
        start.append(first)
        stop.append(min(n, first + data.draw(st.integers(1, 90))))
    block = brain.signal_block(tuple(start), tuple(stop))
    cut = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    np.testing.assert_array_equal(block, signal[cut])


def test_background_blocks_equal_the_same_part_of_the_whole(brain):
    shape = brain.background_grid.shape
    whole = brain.background_block((0, 0, 0), shape)
    parts = [
        brain.background_block((z, 0, 0), (min(z + 37, shape[0]), *shape[1:]))
        for z in range(0, shape[0], 37)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_same_seed_gives_the_same_brain(atlas, brain, signal, small_settings):
    again = plan_brain(atlas, 11, settings=small_settings)
    pd.testing.assert_frame_equal(again.cells, brain.cells)
    pd.testing.assert_frame_equal(again.counts, brain.counts)
    block = again.signal_block((60, 60, 60), (80, 80, 80))
    np.testing.assert_array_equal(block, signal[60:80, 60:80, 60:80])


def test_a_brain_survives_the_trip_to_a_worker(brain):
    twin = pickle.loads(pickle.dumps(brain))
    block = ((60, 60, 60), (70, 70, 70))
    np.testing.assert_array_equal(twin.signal_block(*block), brain.signal_block(*block))


def test_the_cells_table_agrees_with_transform_and_atlas(atlas, brain):
    cells = brain.cells
    sample_um = cells[list(SAMPLE_POSITION)].to_numpy()
    atlas_um = cells[list(ATLAS_POSITION)].to_numpy()
    np.testing.assert_allclose(brain.transform.to_atlas(sample_um), atlas_um)
    np.testing.assert_array_equal(atlas.regions_at(atlas_um), cells["region_id"])
    np.testing.assert_array_equal(atlas.is_left(atlas_um), cells["hemisphere"] == "left")
    gaps, _ = cKDTree(sample_um).query(sample_um, k=2)
    assert gaps[:, 1].min() >= brain.settings.min_distance_um


def test_the_counts_table_counts_the_cells_table(brain):
    counted = brain.cells.groupby(["region_id", "hemisphere"]).size()
    planted = brain.counts.set_index(["region_id", "hemisphere"])["planted"]
    pd.testing.assert_series_equal(
        planted[planted > 0].sort_index(), counted.sort_index(), check_names=False
    )
    assert brain.counts["planted"].sum() >= 0.98 * brain.counts["asked"].sum()


def test_counts_are_density_times_volume_up_to_the_cap(brain):
    counts = brain.counts
    cap = most_cells_per_mm3(brain.settings.min_distance_um)
    wanted = np.minimum(counts["density_per_mm3"], cap) * counts["volume_mm3"]
    assert np.all(np.abs(counts["asked"] - wanted) <= 1.0)
    assert (counts["asked"] - wanted).mean() == pytest.approx(0.0, abs=0.1)


def test_somata_are_seen_where_cells_are_planted(brain, signal):
    index, _ = brain.signal_grid.nearest_index(brain.cells[list(SAMPLE_POSITION)])
    at_cells = signal[tuple(index.T)].astype(float)
    tissue = np.median(signal[signal > 1.2 * brain.settings.offset_counts])
    assert np.mean(at_cells > tissue + 0.25 * brain.settings.soma_counts) > 0.98


def test_there_are_no_bright_spots_without_a_cell(brain, signal):
    bright = np.argwhere(signal > brain.settings.offset_counts + 0.7 * brain.settings.soma_counts)
    tree = cKDTree(brain.cells[list(SAMPLE_POSITION)])
    gap, _ = tree.query(brain.signal_grid.to_um(bright))
    assert len(bright) > 100
    assert gap.max() < brain.settings.soma_diameter_um


def test_the_background_image_is_the_deformed_template(atlas, brain):
    image = brain.background_block((0, 0, 0), brain.background_grid.shape).astype(np.float32)
    carried = brain.transform.image_to_atlas(image, brain.background_grid, atlas.grid)
    inside = ndimage.binary_erosion(atlas.brain_mask, iterations=2)
    assert np.corrcoef(carried[inside], atlas.template[inside])[0, 1] > 0.9


def test_an_effect_changes_the_cells_of_its_region_only(atlas, brain, small_settings):
    base = base_densities(atlas)
    change = np.zeros(len(base))
    change[atlas.structures.position(atlas.structures.id_of("ZI"))] = -1.0
    changed = plan_brain(
        atlas, 11, densities_per_mm3=base * 2**change, effects_log2=change, settings=small_settings
    )
    after, before = (one.counts.set_index(["acronym", "hemisphere"]) for one in (changed, brain))
    halved = 0.5 * before.loc["ZI", "asked"].sum()
    assert after.loc["ZI", "asked"].sum() == pytest.approx(halved, abs=3)
    others = before.index.get_level_values("acronym") != "ZI"
    pd.testing.assert_series_equal(before["asked"][others], after["asked"][others])
    assert set(after.loc[after["effect_log2"] != 0.0].index.get_level_values(0)) == {"ZI"}


def test_another_seed_gives_another_brain(atlas, brain, small_settings):
    other = plan_brain(atlas, 12, settings=small_settings)
    assert other.signal_grid.shape != brain.signal_grid.shape
    assert not np.array_equal(other.counts["planted"][:50], brain.counts["planted"][:50])


def test_densities_that_do_not_match_the_atlas_are_refused(atlas):
    with pytest.raises(InputError, match="one finite number per structure"):
        plan_brain(atlas, 1, densities_per_mm3=np.ones(3))


def test_a_negative_density_is_refused_by_name(atlas):
    density = base_densities(atlas)
    density[atlas.structures.position(atlas.structures.id_of("DR"))] = -1.0
    with pytest.raises(InputError, match="got -1 for DR"):
        plan_brain(atlas, 1, densities_per_mm3=density)


@pytest.mark.slow
def test_brains_as_displaced_as_real_ones_can_be_made(atlas, small_settings):
    settings = replace(small_settings, displacement_um=325.0)
    brain = plan_brain(atlas, 5, settings=settings)
    points_um = atlas.grid.to_um(np.argwhere(atlas.brain_mask)[::101])
    moved = brain.transform.outward.move(points_um) - points_um
    assert 310.0 < np.sqrt(np.mean(np.sum(moved**2, axis=1))) < 335.0
    assert np.percentile(brain.transform.inverse_error_um(points_um), 95) <= 5.0


def test_a_block_beyond_the_image_is_refused(brain):
    with pytest.raises(InputError, match="does not lie in an image"):
        brain.signal_block((0, 0, 0), (10_000, 1, 1))


@pytest.mark.slow
def test_a_whole_brain_at_25_um_costs_little(atlas):
    plan_brain(atlas, 3).signal_block((0, 0, 0), (9, 9, 9))  # compile
    start = time.process_time()
    brain = plan_brain(atlas, 4, settings=BrainSettings())
    nz, ny, nx = brain.signal_grid.shape
    for z in range(0, nz, 64):
        brain.signal_block((z, 0, 0), (min(z + 64, nz), ny, nx))
    brain.background_block((0, 0, 0), brain.background_grid.shape)
    assert time.process_time() - start < 8.0
