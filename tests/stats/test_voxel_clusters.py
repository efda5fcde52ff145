"""ketamap.stats.voxel_clusters"""

import numpy as np
import pytest

from ketamap.core.space import VoxelGrid
from ketamap.stats.tfce import Lattice
from ketamap.stats.voxel_clusters import (
    CLUSTER_COLUMNS,
    SHARE_COLUMNS,
    BrainVoxels,
    cluster_change,
    clusters_of,
)
from ketamap.stats.voxelwise import VoxelTest
from tests.brains import tiny_structures

GRID = VoxelGrid(shape=(6, 5, 8), spacing_um=(200.0,) * 3, origin_um=(100.0,) * 3)


def brain_and_test(score, mask=None, connectivity=6):
    """A brain whose front half is A (1) and back half B (2); voxels of size > 10 are called."""
    mask = np.ones(GRID.shape, dtype=bool) if mask is None else mask
    region = np.where(np.indices(GRID.shape)[0] < 3, 1, 2)
    brain = BrainVoxels(
        grid=GRID,
        lattice=Lattice.of(mask, connectivity),
        region_id=region[mask],
        structures=tiny_structures(),
    )
    values = score[mask].astype(np.float32)
    test = VoxelTest(
        effect_ln=values / 20,
        t=values / 5,
        tfce=values,
        p_fwe=np.where(np.abs(values) > 10, 0.01, 0.5).astype(np.float32),
        critical_tfce=10.0,
        relabelings=100,
        exhaustive=False,
        df=6.0,
    )
    return test, brain


def unchanged(inside):
    return 0.0, -1.0, 1.0


def test_clusters_of_each_sign_are_told_apart_and_numbered_by_their_score():
    score = np.zeros(GRID.shape)
    score[1:3, 2, 2] = 20.0
    score[3:5, 2, 2] = -30.0  # touches the other
    score[5, 0, 7] = 15.0
    test, brain = brain_and_test(score)
    found = clusters_of(test, brain, 0.05, unchanged)
    assert tuple(found.table.columns) == CLUSTER_COLUMNS
    assert found.table["direction"].tolist() == ["down", "up", "up"]
    assert found.table["voxels"].tolist() == [2, 2, 1]
    assert sorted(np.unique(found.labels)) == [0, 1, 2, 3]
    assert np.count_nonzero(found.labels) == 5


def test_a_peak_has_its_place_in_um_and_its_region():
    score = np.zeros(GRID.shape)
    score[4, 1, 6] = 25.0
    mask = np.ones(GRID.shape, dtype=bool)
    mask[0] = mask[:, :, 0] = False  # places are found whatever the mask
    test, brain = brain_and_test(score, mask)
    row = clusters_of(test, brain, 0.05, lambda _: (np.log(2.0), 0.0, np.log(4.0))).table.iloc[0]
    assert (row.peak_ap_um, row.peak_dv_um, row.peak_ml_um) == (900.0, 300.0, 1300.0)
    assert (row.peak_acronym, row.peak_region_id) == ("B", 2)
    assert row.size_mm3 == pytest.approx(0.008)
    assert (row.mean_log2, row.ci_low_log2, row.ci_high_log2) == pytest.approx((1.0, 0.0, 2.0))
    assert row.p_fwe == pytest.approx(0.01)


def test_shares_of_a_cluster_add_up_and_those_of_regions_are_of_what_was_tested():
    score = np.zeros(GRID.shape)
    score[2:4] = 20.0  # the last plane of A, the first of B
    test, brain = brain_and_test(score)
    found = clusters_of(test, brain, 0.05, unchanged)
    assert tuple(found.shares.columns) == SHARE_COLUMNS
    assert found.shares["share_of_cluster"].sum() == pytest.approx(1.0)
    np.testing.assert_allclose(found.shares["share_of_region"], 1 / 3)
    assert found.table["regions"].iloc[0] == "A 50 %, B 50 %"


def test_corners_join_with_26_neighbours_only():
    score = np.zeros(GRID.shape)
    score[1, 1, 1] = score[2, 2, 2] = 20.0
    for connectivity, n in ((6, 2), (26, 1)):
        test, brain = brain_and_test(score, connectivity=connectivity)
        assert len(clusters_of(test, brain, 0.05, unchanged).table) == n


def test_nothing_called_is_an_empty_table():
    test, brain = brain_and_test(np.zeros(GRID.shape))
    found = clusters_of(test, brain, 0.05, unchanged)
    assert found.table.empty
    assert found.shares.empty
    assert tuple(found.table.columns) == CLUSTER_COLUMNS
    assert not found.labels.any()


def test_the_change_of_a_cluster_is_that_of_its_mean_over_voxels():
    rng = np.random.default_rng(0)
    group = np.repeat([0.0, 1.0], 5)
    log = rng.normal(size=(10, 6)).astype(np.float32)
    inside = np.array([True, True, False, True, False, False])
    design = np.c_[np.ones(10), group]
    value, low, high = cluster_change(log, design, np.array([0.0, 1.0]), inside)
    mean = log[:, inside].mean(axis=1)
    assert value == pytest.approx(mean[5:].mean() - mean[:5].mean(), abs=1e-6)
    assert low < value < high
