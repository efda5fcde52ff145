"""ketamap.quantify.coverage: regions that are cut say so, and keep their density."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ketamap.core.registration import TissueMask
from ketamap.core.space import VoxelGrid
from ketamap.core.transform import AffineMap, Transform
from ketamap.quantify import (
    carry_annotation,
    measure_coverage,
    measuring_grid,
    quantify_axons,
    quantify_cells,
)
from ketamap.quantify.coverage import LEAST_COVERED
from tests.brains import tiny_atlas

ATLAS = tiny_atlas()  # A 400 um of ap, B and Ba behind it; tissue from 200 um off every wall
STILL = Transform.from_affine(AffineMap(np.eye(4)), ATLAS.grid)
PER_MM3 = 50_000.0


def box(*size_um, step_um=10.0):
    """A grid that fills a box from the corner of the atlas on."""
    a, b, c = (round(s / step_um) for s in size_um)
    return VoxelGrid(shape=(a, b, c), spacing_um=(step_um,) * 3, origin_um=(0.5 * step_um,) * 3)


WHOLE = box(1200.0, 1000.0, 1600.0)


def scattered(seen, seed=0):
    """Cells of one density all over a box."""
    size = np.asarray(seen.shape) * seen.spacing_um
    n = round(PER_MM3 * np.prod(size) * 1e-9)
    where = np.random.default_rng(seed).uniform(0.0, size, (n, 3))
    return pd.DataFrame(where, columns=["z_um", "y_um", "x_um"]).assign(score=1.0)


def counted(seen=WHOLE, *, registered=None, transform=STILL, atlas=ATLAS, **shown):
    """Quantify evenly scattered cells of an image that shows part of the brain."""
    lattice = measuring_grid(registered or seen, transform, atlas)
    carried = carry_annotation(transform, atlas, lattice, **shown)
    return quantify_cells(
        scattered(seen),
        animal="m1",
        transform=transform,
        atlas=atlas,
        carried=carried,
        seen=seen,
        coverage=measure_coverage(carried, transform, atlas, seen=seen),
    )


def by_region(result, side="left"):
    table = result.regions
    return table[table.hemisphere == side].set_index("acronym")


def test_an_image_of_all_covers_all():
    assert (counted().regions.covered_fraction == 1.0).all()


@pytest.mark.parametrize(("cut_um", "share"), [(500.0, 0.75), (400.0, 0.5), (300.0, 0.25)])
@pytest.mark.parametrize("registered", [None, WHOLE])
def test_a_region_that_is_cut_says_how_much_is_there_and_keeps_its_density(
    cut_um, share, registered
):
    found = by_region(counted(box(cut_um, 1000.0, 1600.0), registered=registered)).loc["A"]
    assert found.covered_fraction == pytest.approx(share)
    volume_mm3 = (cut_um - 200.0) * 600.0 * 600.0 * 1e-9
    assert found.volume_own_mm3 == pytest.approx(volume_mm3, rel=0.03)
    expected = PER_MM3 * volume_mm3
    assert found.own == pytest.approx(expected, abs=5.0 * np.sqrt(expected))


def test_what_is_beyond_the_image_is_missing_and_its_parents_are_what_is_there():
    result = counted(box(400.0, 1000.0, 1600.0))
    found = by_region(result)
    assert found.loc[["B", "Ba"], ["own", "total"]].isna().all(axis=None)
    assert (found.loc[["B", "Ba"], "covered_fraction"] == 0.0).all()
    assert found.covered_fraction["root"] == pytest.approx(0.25)
    assert found.total["root"] == found.own["A"] > 0
    assert result.regions.own.sum() == result.balance.in_regions


def test_children_sum_to_parents_where_some_are_cut():
    found = by_region(counted(box(900.0, 620.0, 1600.0)))
    assert 0.0 < found.covered_fraction["Ba"] < found.covered_fraction["B"] < 1.0
    assert found.total["B"] == found.own["B"] + found.total["Ba"]
    assert found.total["grey"] == found.total["A"] + found.total["B"]
    volumes = found.volume_total_mm3
    assert volumes["grey"] == pytest.approx(volumes["A"] + volumes["B"])


def test_a_sliver_is_missing_with_the_cells_in_it():
    """Ba is 2450 um deep, of which 60 are shown."""
    deep = tiny_atlas((24, 200, 24), resolution_um=25.0)
    still = Transform.from_affine(AffineMap(np.eye(4)), deep.grid)
    result = counted(box(600.0, 2560.0, 600.0), transform=still, atlas=deep)
    found = by_region(result)
    assert 0.0 < found.covered_fraction["Ba"] < LEAST_COVERED
    assert np.isnan(found.own["Ba"])
    assert found.volume_own_mm3["Ba"] == 0.0
    assert found.total["B"] == found.own["B"] > 0
    assert result.regions.own.sum() == result.balance.in_regions


@pytest.mark.parametrize("axis", [0, 2])
def test_a_flipped_image_covers_the_same(axis):
    """The sample is the atlas seen from the other side; the same tissue is cut off."""
    length_um = (1200.0, 1000.0, 1600.0)[axis]
    matrix = np.eye(4)
    matrix[axis, axis], matrix[axis, 3] = -1.0, length_um
    flipped = Transform.from_affine(AffineMap(matrix), ATLAS.grid)
    size = [1200.0, 1000.0, 1600.0]
    size[axis] = 0.4 * length_um
    shown = box(*size)
    origin = list(shown.origin_um)
    origin[axis] += 0.6 * length_um
    there = replace(shown, origin_um=tuple(origin))
    straight = counted(shown)
    mirrored = counted(there, transform=flipped)
    pd.testing.assert_series_equal(
        straight.regions.covered_fraction, mirrored.regions.covered_fraction
    )
    pd.testing.assert_series_equal(
        straight.regions.volume_own_mm3, mirrored.regions.volume_own_mm3, rtol=0.02
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_side_that_a_half_brain_lacks_is_not_covered(side):
    result = counted(extent=side)
    other = "right" if side == "left" else "left"
    assert (by_region(result, side).covered_fraction == 1.0).all()
    assert (by_region(result, other).covered_fraction == 0.0).all()


def test_parts_left_behind_are_not_covered():
    found = by_region(counted(missing=("Ba",)))
    assert found.covered_fraction["Ba"] == 0.0
    assert found.covered_fraction["B"] == pytest.approx(0.5)


def test_a_hole_counts_neither_cells_nor_volume():
    """The front 200 um of A are torn out."""
    present = np.ones(WHOLE.shape, dtype=bool)
    present[:40] = False
    torn = counted(tissue=TissueMask(grid=WHOLE, present=present))
    found, whole = by_region(torn).loc["A"], by_region(counted()).loc["A"]
    assert found.covered_fraction == pytest.approx(0.5)
    assert found.volume_own_mm3 == pytest.approx(0.5 * whole.volume_own_mm3, rel=0.02)
    assert found.own == pytest.approx(0.5 * whole.own, rel=0.1)
    assert found.own / found.volume_own_mm3 == pytest.approx(PER_MM3, rel=0.1)


def test_axons_are_covered_as_cells_are():
    seen = box(400.0, 1000.0, 1600.0)
    carried = carry_annotation(STILL, ATLAS, measuring_grid(seen, STILL, ATLAS))
    rows = scattered(seen).assign(
        length_um=20.0, length_low_um=15.0, length_high_um=25.0, volume_um3=50.0
    )
    result = quantify_axons(
        rows, animal="m1", transform=STILL, atlas=ATLAS, carried=carried, seen=seen,
        coverage=measure_coverage(carried, STILL, ATLAS, seen=seen),
    )  # fmt: skip
    cells = counted(seen).regions
    pd.testing.assert_series_equal(result.regions.covered_fraction, cells.covered_fraction)
    pd.testing.assert_series_equal(result.regions.own.isna(), cells.own.isna())
    pd.testing.assert_series_equal(result.regions.total / 0.02, cells.total, check_names=False)
