"""ketamap.phantom.fibres and fibre_walk"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ketamap.core.errors import InputError
from ketamap.core.space import VoxelGrid
from ketamap.phantom import FibreSettings, PlannedAxons, base_lengths, own_volumes_mm3, plan_brain
from ketamap.phantom.fibres import (
    Fibres,
    grow_fibres,
    labels_away_from,
    most_length_per_mm3,
)
from ketamap.phantom.imaging import BrainSettings, fibre_spots
from ketamap.phantom.render import Channel, paint_block

GRID = VoxelGrid(shape=(40, 40, 60), spacing_um=(50.0,) * 3)
SETTINGS = FibreSettings()


def two_halves():
    """A box of tissue with unit 0 at small x and unit 1 at large x, and nothing around."""
    labels = np.full(GRID.shape, -1, dtype=np.int16)
    labels[2:-2, 2:-2, 2:30] = 0
    labels[2:-2, 2:-2, 30:-2] = 1
    return labels


def grown(wanted=(20.0, 5.0), seed=1, headings=None, settings=SETTINGS, labels=None):
    """Fibres in the box: points (um) and the fibre of each."""
    return grow_fibres(
        two_halves() if labels is None else labels,
        GRID,
        np.array(wanted),
        seed,
        settings=settings,
        headings=np.zeros((2, 3)) if headings is None else headings,
    )


def lengths_mm(points_um, fibre):
    """Length by tracing each fibre from point to point."""
    same = fibre[1:] == fibre[:-1]
    return np.linalg.norm(np.diff(points_um, axis=0), axis=1)[same].sum() / 1000.0


def labels_at(points_um):
    index, inside = GRID.nearest_index(points_um)
    assert inside.all()
    return two_halves()[tuple(index.T)]


def test_each_unit_holds_the_length_wanted():
    points, _ = grown()
    found = np.bincount(labels_at(points), minlength=2) * SETTINGS.step_um / 1000.0
    np.testing.assert_allclose(found, [20.0, 5.0], rtol=0.03)


def test_points_are_one_step_apart_and_fibres_as_long_as_said():
    points, fibre = grown()
    assert np.all(np.diff(fibre)[np.diff(fibre) != 0] > 0)
    same = fibre[1:] == fibre[:-1]
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)[same]
    np.testing.assert_allclose(steps, SETTINGS.step_um, rtol=1e-6)
    counts = np.bincount(fibre)
    counts = counts[counts > 0] * SETTINGS.step_um
    assert counts.min() >= SETTINGS.least_length_um
    assert counts.max() <= 1.5 * SETTINGS.length_um


def test_fibres_stay_in_the_tissue_and_apart():
    points, fibre = grown(wanted=(60.0, 60.0))
    assert labels_at(points).min() >= 0
    pairs = cKDTree(points).query_pairs(GRID.spacing_um[0], output_type="ndarray")
    assert np.all(fibre[pairs[:, 0]] == fibre[pairs[:, 1]])


def test_structures_too_small_for_a_fibre_have_none(atlas):
    held = base_lengths(atlas) * own_volumes_mm3(atlas).sum(axis=1)
    assert held[held > 0].min() >= 1.0
    assert np.count_nonzero(held) > 50
    larger = base_lengths(atlas, 10.0 * own_volumes_mm3(atlas))
    assert np.count_nonzero(larger) > np.count_nonzero(held)


def test_fibres_stay_away_from_somata():
    rng = np.random.default_rng(4)
    somata = rng.uniform(150.0, 1800.0, (60, 3))
    clear = labels_away_from(somata, two_halves(), GRID, 100.0)
    distance, _ = cKDTree(somata).query(GRID.to_um(np.argwhere(two_halves() >= 0)))
    np.testing.assert_array_equal(clear[two_halves() >= 0] < 0, distance < 100.0)
    assert np.all(clear[two_halves() < 0] == -1)
    points, _ = grown(labels=clear)
    half_diagonal_um = np.sqrt(3) / 2 * GRID.spacing_um[0]
    assert cKDTree(somata).query(points)[0].min() >= 100.0 - half_diagonal_um - 1e-6


def test_the_densest_planting_finds_its_place():
    most = most_length_per_mm3(GRID.spacing_um[0])
    volumes = np.bincount(two_halves()[two_halves() >= 0]) * GRID.voxel_volume_mm3
    points, _ = grown(wanted=most * volumes)
    found = np.bincount(labels_at(points), minlength=2) * SETTINGS.step_um / 1000.0
    assert np.all(found >= 0.9 * most * volumes)


def test_fibres_run_along_their_headings():
    along_y = np.tile([0.0, 1.0, 0.0], (2, 1))
    shares = []
    straight = replace(SETTINGS, bend_radius_um=5000.0, length_um=600.0)
    for alignment in (0.0, 0.9):
        points, fibre = grown(headings=along_y, settings=replace(straight, alignment=alignment))
        steps = np.diff(points, axis=0)[fibre[1:] == fibre[:-1]]
        shares.append((steps**2).mean(axis=0) / (steps**2).mean(axis=0).sum())
    assert shares[0].max() < 0.5
    assert shares[1][1] > 0.6


def test_fibres_bend_as_much_as_asked_for():
    turns = []
    for radius in (200.0, 2000.0):
        points, fibre = grown(settings=replace(SETTINGS, bend_radius_um=radius))
        steps = np.diff(points, axis=0) / SETTINGS.step_um
        inner = (fibre[2:] == fibre[1:-1]) & (fibre[1:-1] == fibre[:-2])
        turns.append(np.median(np.linalg.norm(np.diff(steps, axis=0)[inner], axis=1)))
    assert turns[0] > 5 * turns[1]


def test_the_same_seed_gives_the_same_fibres_and_another_others():
    one, again, other = grown(seed=4), grown(seed=4), grown(seed=5)
    np.testing.assert_array_equal(one[0], again[0])
    assert len(other[0]) != len(one[0]) or not np.array_equal(one[0], other[0])


def test_nothing_wanted_gives_no_fibres():
    points, fibre = grown(wanted=(0.0, 0.0))
    assert points.shape == (0, 3)
    assert fibre.shape == (0,)


def test_a_painted_fibre_has_the_brightness_and_the_light_asked_for():
    """The light of a fibre is its length times its brightness times its profile's area."""
    look = FibreSettings(sd_ln=0.0, bead_depth=0.0)
    settings = BrainSettings(fibres=look)
    x = np.arange(40) * look.step_um + 300.0
    points = np.column_stack([np.full(40, 500.0), np.full(40, 475.0), x])
    fibres = make_fibres(points, look.step_um)
    grid = VoxelGrid(shape=(40, 40, 60), spacing_um=(25.0,) * 3)
    spots = fibre_spots(fibres, grid, settings, np.random.default_rng(0))
    ones = tuple(np.ones(n, dtype=np.float32) for n in grid.shape)
    dark = Channel(
        np.zeros((9, 9, 9), np.float32), np.full(3, 0.1), ones, 0.0, 0.0, 0.0, 1, grid.shape
    )
    image = paint_block(dark, [replace_peaks(spots, 100.0)], (0, 0, 0), grid.shape).astype(float)
    assert image[:, :, 20].max() == pytest.approx(100.0 * look.counts, rel=0.05)
    area_um2 = 2 * np.pi * (spots.sigma[0] * 25.0) ** 2
    expected = 100.0 * look.counts * area_um2 * 40 * look.step_um / 25.0**3
    assert image.sum() == pytest.approx(expected, rel=0.02)


def make_fibres(points, step_um):
    n = len(points)
    return Fibres(points, np.ones(n, np.int32), np.zeros(n, np.int64), np.zeros((n, 3)), step_um)


def replace_peaks(spots, factor):
    return spots._replace(peaks=(spots.peaks * factor).astype(np.float32))


@pytest.fixture(scope="module")
def brain(atlas, small_settings):
    wanted = base_lengths(atlas)
    planned = PlannedAxons(lengths_per_mm3=wanted, effects_log2=np.zeros(len(wanted)))
    return plan_brain(atlas, 11, axons=planned, settings=small_settings)


def test_the_table_of_lengths_holds_every_point_in_the_brain(brain):
    fibres, table = brain.fibres, brain.lengths
    inside = fibres.units >= 0
    assert table["length_mm"].sum() == pytest.approx(inside.sum() * fibres.step_um / 1000.0)
    assert inside.mean() > 0.97
    along = table.loc[table["length_mm"] > 0, ["along_z", "along_y", "along_x"]].sum(axis=1)
    np.testing.assert_allclose(along, 1.0, atol=0.05)


def test_large_structures_hold_the_length_asked_for(brain):
    both = brain.lengths.groupby("acronym")[["length_mm", "asked_mm", "volume_mm3"]].sum()
    large = both.loc[["CP", "ACB", "VISp"]]
    np.testing.assert_allclose(large["length_mm"], large["asked_mm"], rtol=0.1)
    assert both["length_mm"].sum() > 0.9 * both["asked_mm"].sum()


def test_fibres_do_not_move_the_cells(brain, atlas, small_settings):
    bare = plan_brain(atlas, 11, settings=small_settings)
    assert bare.cells.equals(brain.cells)
    assert bare.lengths["length_mm"].sum() == 0.0
    assert len(bare.fibres.points_um) == 0


def test_blocks_with_fibres_equal_the_same_part_of_the_whole(brain):
    start, stop = (80, 60, 70), (140, 110, 130)
    whole = brain.signal_block(start, stop)
    parts = [brain.signal_block((z, *start[1:]), (z + 12, *stop[1:])) for z in range(80, 140, 12)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"diameter_um": 0.0}, "diameter_um of fibres"), ({"alignment": 1.5}, "alignment of fibres")],
)
def test_impossible_fibres_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        FibreSettings(**wrong)


def test_negative_lengths_are_refused_by_name(atlas):
    lengths = base_lengths(atlas)
    lengths[atlas.structures.position(atlas.structures.id_of("PL"))] = -1.0
    planned = PlannedAxons(lengths_per_mm3=lengths, effects_log2=np.zeros(len(lengths)))
    with pytest.raises(InputError, match="lengths_per_mm3 must be 0 or more, got -1 for PL"):
        plan_brain(atlas, 1, axons=planned)
