"""ketamap.report.brain_maps"""

import re

import numpy as np
import pytest

from ketamap.report.brain_maps import (
    HATCHED,
    MORE_SLICES,
    SLICES,
    UM_PER_UNIT,
    choose_slices,
    colour_limit,
    draw_brain,
    fill_slices,
    nearest_analysed,
)
from ketamap.report.comparisons import comparisons_of
from ketamap.report.palette import DOWN, UP, effect_fill

IDS = tuple(range(101, 113))


def extent(path):
    """Least and greatest x of a path written in steps."""
    ends = []
    for part in re.findall(r"M(-?\d+) (-?\d+)l([^z]*)z", path):
        steps = np.array(part[2].split(), dtype=int).reshape(-1, 2)[:, 0]
        xs = int(part[0]) + np.concatenate([[0], np.cumsum(steps)])
        ends += [xs.min(), xs.max()]
    return min(ends), max(ends)


@pytest.fixture(scope="module")
def drawing(atlas):
    return draw_brain(atlas, IDS, (101, 112))


def test_places_belong_to_the_nearest_analysed_structure_at_or_above(atlas):
    nearest = dict(zip(atlas.structures.ids.tolist(), nearest_analysed(atlas, IDS), strict=True))
    assert nearest[1031] == 103
    assert nearest[105] == 105
    assert nearest[1] == nearest[10] == 0


def test_the_finer_structure_wins_where_both_are_analysed(atlas):
    nearest = dict(
        zip(atlas.structures.ids.tolist(), nearest_analysed(atlas, (103, 1031)), strict=True)
    )
    assert (nearest[103], nearest[1031]) == (103, 1031)


def test_slices_run_from_front_to_back_and_show_what_was_called(drawing):
    ap = [s.ap_mm for s in drawing.slices]
    assert SLICES <= len(ap) <= SLICES + MORE_SLICES
    assert ap == sorted(set(ap))
    seen = {shape.region_id for s in drawing.slices for shape in s.shapes}
    assert {101, 112} <= seen
    assert drawing.hidden == ()


def test_a_region_that_only_one_plane_shows_gets_that_plane():
    labels = np.ones((80, 6, 6), dtype=np.int64)
    labels[11, 2:4, 2:4] = 7
    assert 11 in choose_slices(labels, (7,))
    assert 11 not in choose_slices(labels, ())


def test_drawings_keep_the_size_of_the_atlas(atlas, drawing):
    planes = np.any(atlas.annotation > 0, axis=1)
    width_um = max(np.flatnonzero(row).size for row in planes) * atlas.grid.spacing_um[2]
    drawn = max(np.diff(extent(s.outline.path))[0] for s in drawing.slices) * UM_PER_UNIT
    assert abs(drawn - width_um) <= 1.5 * atlas.grid.spacing_um[2]
    left, _, width, _ = drawing.view_box
    for s in drawing.slices:
        low, high = extent(s.outline.path)
        assert left <= low
        assert high <= left + width


def test_paths_have_names_of_their_own(drawing):
    names = [x.path_id for s in drawing.slices for x in (s.outline, *s.shapes)]
    assert len(names) == len(set(names))


def test_fills_follow_direction_q_and_testability(report, drawing):
    for comparison in comparisons_of(report):
        rows = comparison.regions.set_index("region_id")
        limit = colour_limit([comparison])
        for _, shapes in fill_slices(drawing, comparison, limit):
            for shape in shapes:
                row = rows.loc[shape.region_id]
                if not row["testable"]:
                    assert shape.fill == HATCHED
                    assert row["reason"] in shape.title
                elif row["relative_called"]:
                    assert shape.fill == effect_fill(row["relative_estimate"], limit)
                    assert "95" in shape.title or "[" in shape.title


def test_an_atlas_without_the_regions_gives_no_drawing(atlas):
    assert draw_brain(atlas, (999_999,), ()) is None


def test_colours_saturate_at_the_limit_on_both_sides():
    assert effect_fill(9.0, 1.0) == effect_fill(1.0, 1.0) == UP[-1]
    assert effect_fill(-9.0, 1.0) == DOWN[-1]


def test_an_atlas_of_unequal_spacing_is_drawn_to_scale():
    from ketamap.core.atlas import Atlas, Structures, atlas_grid

    annotation = np.zeros((20, 30, 60), dtype=np.int64)
    annotation[2:18, 5:25, 10:50] = 7
    tree = Structures(
        ids=np.array([7]), acronyms=("box",), names=("Box",), parent_ids=np.array([0]),
        colors=np.zeros((1, 3), np.uint8),
    )  # fmt: skip
    brain = Atlas(
        name="box", grid=atlas_grid(annotation.shape, (100, 100, 50)), annotation=annotation,
        template=annotation.astype(np.float32), structures=tree,
    )  # fmt: skip
    shape = draw_brain(brain, (7,), ()).slices[0].shapes[0]
    low, high = extent(shape.path)
    assert abs((high - low) * UM_PER_UNIT - 40 * 50) <= 100
