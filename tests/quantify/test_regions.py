"""ketamap.quantify"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import BalanceError, InputError, RegistrationError, TableError
from ketamap.core.space import VoxelGrid
from ketamap.core.tables import REGIONS
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.quantify import (
    Balance,
    CarriedAnnotation,
    carry_annotation,
    measuring_grid,
    place_cells,
    quantify_cells,
)
from ketamap.quantify.volumes import own_volumes_mm3
from tests.brains import tiny_atlas

ATLAS = tiny_atlas()
SAMPLE = VoxelGrid(shape=(40, 40, 40), spacing_um=(50.0, 50.0, 50.0))


def transform(scale=1.25):
    """Sample = scaled atlas, mirrored along ml, moved, and gently bent."""
    matrix = np.diag([scale, 1.0, -1.0, 1.0])
    matrix[:3, 3] = (100.0, 150.0, 1800.0)
    centres = ATLAS.grid.to_um(np.indices(ATLAS.grid.shape).reshape(3, -1).T)
    bend = np.zeros((3, *ATLAS.grid.shape), dtype=np.float32)
    bend[1] = (20 * np.sin(centres[:, 0] / 300)).reshape(ATLAS.grid.shape)
    return Transform(
        affine=AffineMap(matrix),
        outward=DisplacementField(ATLAS.grid, bend),
        inward=DisplacementField(ATLAS.grid, -bend),
    )


def carried(scale=1.25, spacing_um=None):
    warp = transform(scale)
    grid = measuring_grid(SAMPLE, warp, ATLAS, spacing_um=spacing_um)
    return carry_annotation(warp, ATLAS, grid)


def cells(n=400, seed=0):
    sample_um = np.random.default_rng(seed).uniform(0, 1950, size=(n, 3))
    frame = pd.DataFrame(sample_um, columns=["z_um", "y_um", "x_um"])
    return frame.assign(score=1.0)


def quantified(frame=None):
    frame = cells() if frame is None else frame
    return quantify_cells(frame, animal="m1", transform=transform(), atlas=ATLAS, carried=carried())


def test_every_cell_is_accounted_for():
    result = quantified()
    assert result.balance.detected == 400
    root = result.regions[result.regions.acronym == "root"]
    assert root.total.sum() == result.balance.in_regions > 0
    assert result.regions.own.sum() == result.balance.in_regions


def test_a_balance_that_does_not_add_up_is_an_error():
    with pytest.raises(BalanceError, match="report this fault"):
        Balance(detected=10, in_regions=5, outside_brain=2, outside_atlas=2)


def test_cells_get_the_structure_of_the_annotation_carried_into_the_sample():
    lattice = VoxelGrid(shape=(80, 80, 80), spacing_um=(25.0,) * 3, origin_um=(-12.5,) * 3)
    labels = carry_annotation(transform(), ATLAS, lattice).region_id
    sample_um = lattice.to_um(np.argwhere(labels >= 0))
    frame = pd.DataFrame(sample_um, columns=["z_um", "y_um", "x_um"])
    placed = place_cells(frame, transform(), ATLAS).region_id.to_numpy()
    np.testing.assert_array_equal(np.where(placed < 0, 0, placed), labels.ravel())


def test_volumes_are_those_of_the_sample_not_of_the_atlas():
    volumes = own_volumes_mm3(carried(scale=1.25, spacing_um=20.0), ATLAS)
    in_atlas = np.array([(ATLAS.annotation == i).sum() * 1e-3 for i in ATLAS.structures.ids])
    np.testing.assert_allclose(volumes.sum(axis=1), 1.25 * in_atlas, rtol=0.02, atol=1e-9)
    np.testing.assert_allclose(volumes[:, 0], volumes[:, 1], rtol=0.05, atol=1e-9)


def test_density_of_an_even_scatter_is_even():
    """Count and volume come from the same space, so density does not know the warp."""
    result = quantified(cells(n=40_000, seed=3))
    table = result.regions[result.regions.own > 0]
    density = table.own / table.volume_own_mm3
    expected = 40_000 / 1.95**3
    assert np.all(np.abs(density / expected - 1) < 0.12)


def test_sides_are_those_of_the_animal():
    frame = cells()
    placed = place_cells(frame, transform(), ATLAS)
    inside = placed.hemisphere != ""
    left = placed.hemisphere[inside] == "left"
    assert ((frame.x_um[inside] < 1000) == left).all()


def test_the_volume_seen_is_the_volume_of_a_smaller_image():
    warp = transform()
    part = VoxelGrid(shape=(20, 40, 40), spacing_um=(50.0,) * 3)
    all_seen = own_volumes_mm3(carried(spacing_um=20.0), ATLAS, seen=part)
    cropped = carry_annotation(warp, ATLAS, measuring_grid(part, warp, ATLAS, spacing_um=20.0))
    np.testing.assert_allclose(all_seen, own_volumes_mm3(cropped, ATLAS), atol=0.02, rtol=0.05)


def test_annotations_of_unlike_shape_are_refused():
    good = carried()
    with pytest.raises(InputError, match="one shape"):
        CarriedAnnotation(grid=good.grid, region_id=good.region_id, hemisphere=good.hemisphere[1:])


def test_children_sum_to_parents_per_side():
    table = quantified().regions
    for side in ("left", "right"):
        one = table[table.hemisphere == side].set_index("acronym")
        assert one.total["B"] == one.own["B"] + one.total["Ba"]
        assert one.total["grey"] == one.total["A"] + one.total["B"]
        assert one.volume_total_mm3["grey"] == pytest.approx(one.volume_own_mm3.sum())


def test_the_table_has_the_columns_of_the_contract_and_one_row_per_key():
    table = quantified().regions
    assert tuple(table.columns) == REGIONS.required
    assert not table.duplicated(list(REGIONS.key)).any()


def test_what_the_image_does_not_show_is_missing_and_never_zero():
    half = VoxelGrid(shape=(40, 40, 17), spacing_um=(50.0, 50.0, 50.0))
    shown = cells()[cells().x_um < 17 * 50 - 25]
    table = quantify_cells(
        shown, animal="m1", transform=transform(), atlas=ATLAS, carried=carried(), seen=half
    ).regions
    right = table[table.hemisphere == "right"]
    assert right.total.isna().all()
    assert (right.volume_total_mm3 == 0).all()
    assert table[table.hemisphere == "left"].total.notna().all()


@pytest.mark.parametrize(("extent", "other"), [("left", "right"), ("right", "left")])
def test_the_empty_side_of_a_half_brain_is_missing_and_its_cells_are_accounted_for(extent, other):
    warp = transform()
    grid = measuring_grid(SAMPLE, warp, ATLAS)
    result = quantify_cells(
        cells(),
        animal="m1",
        transform=warp,
        atlas=ATLAS,
        carried=carry_annotation(warp, ATLAS, grid, extent=extent),
    )
    table = result.regions.set_index("hemisphere")
    assert table.total[other].isna().all()
    assert (table.volume_total_mm3[other] == 0).all()
    assert table.total[extent].notna().all()
    whole = quantified()
    assert result.balance.in_regions + result.balance.outside_brain == (
        whole.balance.in_regions + whole.balance.outside_brain
    )


def test_parts_left_behind_at_dissection_are_missing_and_never_zero():
    tree = ATLAS.structures
    part = tree.acronyms[tree.position(int(np.unique(ATLAS.annotation[ATLAS.brain_mask])[0]))]
    warp = transform()
    grid = measuring_grid(SAMPLE, warp, ATLAS)
    shown = carry_annotation(warp, ATLAS, grid, missing=(part,))
    result = quantify_cells(cells(), animal="m1", transform=warp, atlas=ATLAS, carried=shown)
    rows = result.regions[result.regions.acronym == part]
    assert len(rows) == 2
    assert rows[["own", "total"]].isna().all(axis=None)
    assert (rows.volume_total_mm3 == 0).all()
    complete = quantified()
    gone = complete.regions[complete.regions.acronym == part].own.sum()
    assert gone > 0
    assert complete.balance.in_regions - result.balance.in_regions == gone
    assert result.balance.outside_brain - complete.balance.outside_brain == gone


def test_cells_in_a_structure_too_small_for_the_lattice_are_kept():
    warp = transform()
    coarse = VoxelGrid(shape=(1, 1, 1), spacing_um=(900.0,) * 3, origin_um=(900.0,) * 3)
    result = quantify_cells(
        cells(), animal="m1", transform=warp, atlas=ATLAS,
        carried=carry_annotation(warp, ATLAS, coarse),
    )  # fmt: skip
    assert result.regions.own.sum() == result.balance.in_regions > 0


def test_an_annotation_of_another_atlas_is_refused():
    labels = carried()
    strange = CarriedAnnotation(
        grid=labels.grid,
        region_id=np.where(labels.region_id == 1, 4711, labels.region_id).astype(np.uint32),
        hemisphere=labels.hemisphere,
    )
    with pytest.raises(RegistrationError, match="4711"):
        own_volumes_mm3(strange, ATLAS)


def test_no_cells_gives_zero_counts_where_there_is_tissue():
    empty = cells(0)
    result = quantified(empty)
    assert result.balance.detected == 0
    assert (result.regions.total == 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_position_that_is_not_a_number_is_refused(bad):
    frame = cells(5)
    frame.loc[3, "y_um"] = bad
    with pytest.raises(TableError, match="Cell 3"):
        place_cells(frame, transform(), ATLAS)


def test_a_missing_position_column_is_named():
    with pytest.raises(TableError, match="lacks x_um"):
        place_cells(cells(3).drop(columns="x_um"), transform(), ATLAS)
