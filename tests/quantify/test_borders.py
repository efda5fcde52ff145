"""ketamap.quantify.borders"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.atlas import Atlas, Structures, atlas_grid
from ketamap.core.registration import ErrorMap
from ketamap.core.transform import AffineMap, Transform
from ketamap.quantify.borders import add_border_fraction, border_fractions
from ketamap.quantify.cells import place_cells
from tests.brains import tiny_atlas

SIZE_UM = 4000.0


def slabs():
    """A cube of tissue to its walls: front half one structure, the rear two of one parent."""
    grid = atlas_grid((40, 40, 40), (100.0,) * 3)
    annotation = np.full(grid.shape, 2)
    annotation[20:30], annotation[30:] = 4, 5
    tree = Structures(
        ids=np.arange(1, 6),
        acronyms=("root", "front", "rear", "mid", "back"),
        names=("root", "front", "rear", "mid", "back"),
        parent_ids=np.array([0, 1, 1, 3, 3]),
        colors=np.zeros((5, 3), dtype=np.uint8),
    )
    return Atlas(
        name="slabs", grid=grid, annotation=annotation,
        template=np.ones(grid.shape, np.float32), structures=tree,
    )  # fmt: skip


def placed(atlas, n=20_000, seed=0):
    """Cells far from the cube's walls, so that only the borders within count."""
    rng = np.random.default_rng(seed)
    where = rng.uniform(1000.0, 3000.0, (n, 3))
    where[:, 0] = rng.uniform(1000.0, 3600.0, n)
    frame = pd.DataFrame(where, columns=["z_um", "y_um", "x_um"]).assign(score=1.0)
    return place_cells(frame, Transform.from_affine(AffineMap(np.eye(4)), atlas.grid), atlas)


def by_name(atlas, fractions):
    return dict(zip(atlas.structures.acronyms, fractions[:, 0], strict=True))


def test_the_share_is_that_of_the_cells_within_the_error_of_a_border():
    atlas = slabs()
    cells = placed(atlas)
    share = by_name(atlas, border_fractions(cells, atlas, np.full(len(cells), 200.0)))
    assert share["front"] == pytest.approx(200 / 1000, abs=0.02)
    assert share["mid"] == pytest.approx(400 / 1000, abs=0.02)
    assert share["back"] == pytest.approx(200 / 600, abs=0.02)
    assert share["rear"] == pytest.approx(200 / 1600, abs=0.02)  # its inner border does not count
    assert share["root"] == 0.0


def test_no_error_no_doubt_and_more_error_more_doubt():
    atlas = tiny_atlas()
    rng = np.random.default_rng(1)
    size = np.asarray(atlas.grid.shape) * atlas.grid.spacing_um
    frame = pd.DataFrame(rng.uniform(0, size, (3000, 3)), columns=["z_um", "y_um", "x_um"])
    cells = place_cells(
        frame.assign(score=1.0), Transform.from_affine(AffineMap(np.eye(4)), atlas.grid), atlas
    )
    last = border_fractions(cells, atlas, np.zeros(len(cells)))
    assert np.nanmax(last) == 0.0
    for error in (50.0, 200.0, 5000.0):
        more = border_fractions(cells, atlas, np.full(len(cells), error))
        np.testing.assert_array_equal(np.isnan(more), np.isnan(last))
        assert np.nanmin(more - last) >= -0.1  # 26 points around, not a whole sphere
        assert np.nanmean(more) > np.nanmean(last)
        last = more
    assert np.nanmin(last) == 1.0


def test_the_column_has_the_error_of_the_place_and_is_missing_without_cells():
    atlas = slabs()
    cells = placed(atlas, n=4000)
    cells = cells[cells.region_id != 5]
    error = np.zeros((4, 1, 1), np.float32)
    error[1] = 300.0  # the front's rear half only
    where = ErrorMap(grid=atlas_grid((4, 1, 1), (1000.0, 4000.0, 4000.0)), error_um=error)
    table = pd.DataFrame(
        {"region_id": [2, 4, 5, 2], "hemisphere": ["left", "left", "left", "right"]}
    )
    found = add_border_fraction(table, cells, atlas, where).border_fraction
    assert found[0] == pytest.approx(0.3, abs=0.05)
    assert found[3] == pytest.approx(0.3, abs=0.05)
    assert found[1] == 0.0
    assert np.isnan(found[2])


def test_error_that_is_not_known_counts_as_none():
    atlas = slabs()
    cells = placed(atlas, n=500)
    share = border_fractions(cells, atlas, np.full(len(cells), np.nan))
    assert np.nanmax(share) == 0.0
