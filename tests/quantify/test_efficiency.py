"""ketamap.quantify.efficiency"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.transform import AffineMap, Transform
from ketamap.quantify.cells import place_cells
from ketamap.quantify.efficiency import add_detection_efficiency, detection_efficiencies
from tests.brains import tiny_atlas


def placed(atlas, n=4000, seed=0, **columns):
    rng = np.random.default_rng(seed)
    size = np.array(atlas.grid.shape) * np.array(atlas.grid.spacing_um)
    frame = pd.DataFrame(rng.uniform(0, size, (n, 3)), columns=["z_um", "y_um", "x_um"])
    frame = frame.assign(score=1.0, **columns)
    return place_cells(frame, Transform.from_affine(AffineMap(np.eye(4)), atlas.grid), atlas)


def test_cells_of_one_kind_have_their_share_everywhere():
    atlas = tiny_atlas()
    shares = detection_efficiencies(placed(atlas, efficiency=0.7), atlas)
    np.testing.assert_allclose(shares[np.isfinite(shares)], 0.7)
    assert np.isfinite(shares).sum() >= 8


def test_the_share_is_recovered_where_cells_of_two_kinds_were_lost():
    atlas = tiny_atlas()
    rng = np.random.default_rng(1)
    every = placed(atlas, n=20_000)
    kind = np.where(rng.random(len(every)) < 0.5, 0.9, 0.4)
    found = rng.random(len(every)) < kind
    shares = detection_efficiencies(every.assign(efficiency=kind)[found], atlas)
    root = atlas.structures.position(int(atlas.structures.ids[0]))
    np.testing.assert_allclose(shares[root], 0.65, atol=0.02)


def test_a_parent_counts_the_cells_of_its_parts():
    atlas = tiny_atlas()
    cells = placed(atlas)
    tree = atlas.structures
    cells["efficiency"] = np.where(cells.region_id == tree.ids[-1], 0.25, 0.5)
    shares = detection_efficiencies(cells, atlas)
    child = len(tree) - 1
    parent = tree.position(int(tree.ancestors(int(tree.ids[child]))[0]))
    np.testing.assert_allclose(shares[child], 0.25)
    assert np.all((shares[parent] > 0.25) & (shares[parent] < 0.5))


def test_without_an_estimate_there_is_none_and_counts_stay():
    atlas = tiny_atlas()
    regions = pd.DataFrame(
        {"region_id": atlas.structures.ids, "hemisphere": "left", "own": 3.0, "total": 5.0}
    )
    pd.testing.assert_frame_equal(add_detection_efficiency(regions, placed(atlas), atlas), regions)
    unknown = add_detection_efficiency(regions, placed(atlas, efficiency=np.nan), atlas)
    assert unknown.detection_efficiency.isna().all()
    pd.testing.assert_frame_equal(unknown[regions.columns], regions)
    half = placed(atlas, efficiency=np.nan)
    half.loc[::2, "efficiency"] = 0.5
    known = add_detection_efficiency(regions, half, atlas)
    assert known.detection_efficiency.dropna().to_numpy() == pytest.approx(0.5)
