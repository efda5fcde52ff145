"""ketamap.quantify.axons"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import BalanceError, TableError
from ketamap.core.space import VoxelGrid
from ketamap.core.tables import AXONS, REGIONS
from ketamap.io.table_checks import check_frame
from ketamap.quantify import (
    AxonBalance,
    add_corrected,
    carry_annotation,
    measuring_grid,
    quantify_axons,
    quantify_cells,
    saturated_regions,
)
from tests.quantify.test_regions import ATLAS, SAMPLE, carried, cells, transform


def axons(n=500, seed=0, box_um3=1000.0):
    """Boxes all over the sample, each with some length; the band is a tenth to either side."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.uniform(0, 1950, size=(n, 3)), columns=["z_um", "y_um", "x_um"])
    length = rng.uniform(5.0, 50.0, n)
    return frame.assign(
        length_um=length, length_low_um=0.9 * length, length_high_um=1.1 * length,
        volume_um3=box_um3,
    )  # fmt: skip


def quantified(frame=None, **options):
    frame = axons() if frame is None else frame
    return quantify_axons(
        frame, animal="m1", transform=transform(), atlas=ATLAS,
        carried=options.pop("carried", None) or carried(), **options,
    )  # fmt: skip


def test_all_length_is_accounted_for():
    frame = axons()
    result = quantified(frame)
    balance = result.balance
    assert balance.traced_mm == pytest.approx(frame.length_um.sum() / 1000)
    parts = (balance.in_regions_mm, balance.outside_brain_mm, balance.outside_atlas_mm)
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(balance.traced_mm)
    root = result.regions[result.regions.acronym == "root"]
    assert root.total.sum() == pytest.approx(balance.in_regions_mm)
    assert result.regions.own.sum() == pytest.approx(balance.in_regions_mm)


def test_a_balance_that_does_not_add_up_is_an_error():
    with pytest.raises(BalanceError, match="report this fault"):
        AxonBalance(traced_mm=10.0, in_regions_mm=5.0, outside_brain_mm=2.0, outside_atlas_mm=2.0)


def test_rows_lie_where_cells_at_the_same_places_lie():
    frame = axons()
    counted = quantify_cells(
        frame.assign(score=1.0), animal="m1", transform=transform(), atlas=ATLAS, carried=carried()
    )
    same = frame.assign(length_um=1000.0)
    key = ["region_id", "hemisphere"]
    length = quantified(same).regions.set_index(key)
    count = counted.regions.set_index(key)
    pd.testing.assert_series_equal(length.own, count.own, check_exact=False)
    pd.testing.assert_series_equal(length.total, count.total, check_exact=False)
    pd.testing.assert_series_equal(length.volume_own_mm3, count.volume_own_mm3)


def test_the_band_goes_through_to_the_table():
    table = quantified().regions
    for part in ("own", "total"):
        np.testing.assert_allclose(table[f"{part}_low"], 0.9 * table[part])
        np.testing.assert_allclose(table[f"{part}_high"], 1.1 * table[part])


def test_occupancy_is_labelled_volume_over_volume():
    table = quantified(axons(box_um3=20_000.0)).regions
    placed = quantified().axons
    held = placed.groupby(["region_id", "hemisphere"]).size()
    for row in table[table.own > 0].itertuples():
        boxes = held[row.region_id, row.hemisphere]
        assert row.occupancy_own == pytest.approx(boxes * 20_000e-9 / row.volume_own_mm3)
    assert table.occupancy_total.max() <= 1.0


def test_the_table_has_the_columns_of_the_contract_and_one_row_per_key():
    result = quantified()
    known = [c.name for c in REGIONS.columns]
    assert set(REGIONS.required) <= set(result.regions.columns) <= set(known)
    check_frame(result.regions, REGIONS, "regions")
    check_frame(result.axons, AXONS, "axons")


def test_children_sum_to_parents_per_side():
    full = add_corrected(quantified().regions, ATLAS, lambda length, occ: length * (1 + occ))
    for side in ("left", "right"):
        one = full[full.hemisphere == side].set_index("acronym")
        for end in ("", "_low", "_high", "_corrected"):
            total, own = f"total{end}", f"own{end}"
            assert one[total]["grey"] == pytest.approx(one[total]["A"] + one[total]["B"])
            assert one[total]["B"] == pytest.approx(one[own]["B"] + one[total]["Ba"])


def test_the_correction_stands_beside_the_raw_length():
    table = quantified(axons(box_um3=3e6)).regions
    full = add_corrected(table, ATLAS, lambda length, occupancy: length * (1 + occupancy))
    pd.testing.assert_series_equal(full.own, table.own)
    some = full[full.own > 0]
    np.testing.assert_allclose(some.own_corrected, some.own * (1 + some.occupancy_own))


def test_saturated_structures_are_named():
    assert saturated_regions(quantified().regions) == []
    dense = axons(box_um3=1e5)
    in_a = quantified(dense).axons.region_id == 1
    dense.loc[in_a, "volume_um3"] = 1e7
    assert saturated_regions(quantified(dense).regions) == ["A"]


def test_what_the_image_does_not_show_is_missing_and_never_zero():
    half = VoxelGrid(shape=(40, 40, 17), spacing_um=(50.0, 50.0, 50.0))
    shown = axons()[axons().x_um < 17 * 50 - 25]
    table = add_corrected(quantified(shown, seen=half).regions, ATLAS, lambda length, _: length)
    right = table[table.hemisphere == "right"]
    for column in ("total", "total_low", "total_corrected", "occupancy_total"):
        assert right[column].isna().all()
        assert table.loc[table.hemisphere == "left", column].notna().all()


@pytest.mark.parametrize("extent", ["left", "right"])
def test_the_empty_side_of_a_half_brain_is_missing_and_its_length_accounted_for(extent):
    warp = transform()
    one_side = carry_annotation(warp, ATLAS, measuring_grid(SAMPLE, warp, ATLAS), extent=extent)
    result = quantified(carried=one_side)
    other = "left" if extent == "right" else "right"
    assert result.regions.set_index("hemisphere").total[other].isna().all()
    whole = quantified().balance
    assert result.balance.in_regions_mm + result.balance.outside_brain_mm == pytest.approx(
        whole.in_regions_mm + whole.outside_brain_mm
    )


def test_density_of_an_even_scatter_is_even():
    frame = axons(40_000, seed=3).assign(length_um=10.0)
    table = quantified(frame).regions
    table = table[table.own > 0]
    expected = 40_000 * 0.010 / 1.95**3
    assert np.all(np.abs(table.own / table.volume_own_mm3 / expected - 1) < 0.12)


def test_no_axons_give_zero_length_where_there_is_tissue():
    result = quantified(axons(0))
    assert result.balance.traced_mm == 0.0
    assert (result.regions.total == 0).all()
    assert (result.regions.occupancy_total == 0).all()


@pytest.mark.parametrize(("column", "bad"), [("length_um", np.nan), ("volume_um3", -1.0)])
def test_a_length_that_is_none_is_refused(column, bad):
    frame = axons(5)
    frame.loc[3, column] = bad
    with pytest.raises(TableError, match=f"Row 3 of the table of axons has {column}"):
        quantified(frame)


def test_missing_columns_are_named():
    with pytest.raises(TableError, match="lacks length_high_um"):
        quantified(axons(3).drop(columns="length_high_um"))
    with pytest.raises(TableError, match="row of axons lacks x_um"):
        quantified(axons(3).drop(columns="x_um"))


def test_cells_and_axons_of_an_animal_make_one_table():
    counted = quantify_cells(
        cells(), animal="m1", transform=transform(), atlas=ATLAS, carried=carried()
    )
    both = pd.concat([counted.regions, quantified().regions], ignore_index=True)
    check_frame(both, REGIONS, "regions")
