"""ketamap.phantom.atlas"""

import csv
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketamap.core.errors import InputError
from ketamap.phantom.atlas import phantom_atlas
from ketamap.phantom.pieces import load_pieces


def dice(a, b):
    return 2.0 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_the_atlas_lies_on_the_ccf_box(atlas):
    assert atlas.name == "phantom_mouse_100um"
    assert atlas.is_phantom
    assert atlas.grid.shape == (132, 80, 114)
    assert atlas.grid.spacing_um == (100.0,) * 3
    assert atlas.grid.origin_um == (50.0,) * 3
    assert atlas.midline_um == 5700.0


def test_every_call_gives_the_same_atlas(atlas):
    again = phantom_atlas(100.0)
    np.testing.assert_array_equal(again.annotation, atlas.annotation)
    np.testing.assert_array_equal(again.template, atlas.template)


@settings(deadline=None, max_examples=8)
@given(resolution_um=st.sampled_from([200.0, 190.0, 170.0, 150.0, 133.0, 120.0]))
def test_both_hemispheres_are_mirror_images_at_any_resolution(resolution_um):
    made = phantom_atlas(resolution_um)
    np.testing.assert_array_equal(made.annotation, made.annotation[..., ::-1])
    np.testing.assert_allclose(made.template, made.template[..., ::-1], rtol=1e-5, atol=1e-3)
    assert made.midline_um == pytest.approx(made.grid.shape[2] * resolution_um / 2)


def test_positions_mean_the_same_region_at_every_resolution(atlas):
    fine, coarse = phantom_atlas(50.0), phantom_atlas(200.0)
    points_um = fine.grid.to_um(np.argwhere(fine.annotation[::7, ::7, ::7] > 0) * 7)
    at_fine = fine.regions_at(points_um)
    assert np.mean(atlas.regions_at(points_um) == at_fine) > 0.85
    assert np.mean(coarse.regions_at(points_um) == at_fine) > 0.70


def test_every_region_of_the_table_is_drawn(atlas):
    assert set(np.unique(atlas.annotation)) - {0} <= set(load_pieces().region_ids)
    missing = set(load_pieces().region_ids) - set(np.unique(atlas.annotation))
    assert len(missing) <= 5, sorted(atlas.structures.acronym_of(i) for i in missing)


@pytest.mark.parametrize("resolution_um", [10.0, 24.9, 201.0, float("nan")])
def test_a_resolution_out_of_range_is_refused_with_the_range(resolution_um):
    with pytest.raises(InputError, match="from 25 to 200 um"):
        phantom_atlas(resolution_um)


@pytest.mark.slow
@pytest.mark.parametrize(("resolution_um", "most_cpu_s"), [(100.0, 2.0), (50.0, 10.0)])
def test_the_atlas_is_made_fast(resolution_um, most_cpu_s):
    phantom_atlas(200.0)
    start = time.process_time()
    phantom_atlas(resolution_um)
    assert time.process_time() - start < most_cpu_s


@pytest.fixture(scope="module")
def real_annotation_100um(shared_data):
    """The CCFv3 annotation, majority in 4 x 4 x 4 voxels, rolled up to the table's regions."""
    with np.load(shared_data / "ccf" / "annotation_25um.npz") as stored:
        index, ids = stored["index"], stored["region_id"].astype(np.int64)
    with (shared_data / "ccf" / "structure_tree_2017.csv").open(encoding="utf-8") as file:
        parent = {
            int(row["id"]): int(row["parent_structure_id"] or 0) for row in csv.DictReader(file)
        }
    wanted = set(load_pieces().region_ids.tolist())

    def kept(region):
        while region and region not in wanted:
            region = parent[region]
        return region

    rolled, label = np.unique([kept(int(i)) for i in ids], return_inverse=True)
    blocks = label.astype(np.int16)[index].reshape(132, 4, 80, 4, 114, 4)
    blocks = np.sort(blocks.transpose(0, 2, 4, 1, 3, 5).reshape(-1, 64), axis=1)
    run = np.ones(len(blocks), dtype=np.int64)
    longest, winner = run.copy(), blocks[:, 0].copy()
    for k in range(1, 64):
        run = np.where(blocks[:, k] == blocks[:, k - 1], run + 1, 1)
        better = run > longest
        longest[better], winner[better] = run[better], blocks[better, k]
    return rolled[winner].reshape(132, 80, 114)


@pytest.mark.data
@pytest.mark.slow
def test_it_overlaps_the_real_brain(atlas, real_annotation_100um):
    real, made = real_annotation_100um, atlas.annotation
    assert dice(real > 0, made > 0) >= 0.92
    per_region = [dice(real == i, made == i) for i in np.unique(load_pieces().region_ids)]
    assert np.median(per_region) >= 0.75


@pytest.mark.data
@pytest.mark.slow
def test_the_outside_threshold_is_near_its_best(real_annotation_100um, monkeypatch):
    real = real_annotation_100um > 0

    def overlap(threshold):
        monkeypatch.setattr("ketamap.phantom.atlas.BRAIN_THRESHOLD", threshold)
        return dice(real, phantom_atlas(100.0).annotation > 0)

    best, lower, higher = (overlap(t) for t in (5.0, 4.5, 5.5))
    assert best > lower
    assert best > higher
