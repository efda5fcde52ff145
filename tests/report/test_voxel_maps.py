"""ketamap.report.voxel_maps and voxel_drawings"""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ketamap.report.voxel_drawings import (
    PLANES,
    choose_series,
    colour_stops,
    cut,
    divisions_of,
    effect_image,
    frame_of,
    mask_path,
    project_any,
    project_strongest,
)
from ketamap.report.voxel_maps import VoxelPanel, VoxelReport, render_voxel_page
from tests.brains import tiny_atlas

ATLAS = tiny_atlas(shape=(24, 12, 16))


def pixels(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def report(called=True, warnings=("A < B & so on",)):
    mask = ATLAS.brain_mask
    score = np.zeros(mask.shape)
    score[10:14, 5:8, 3:6] = 50.0
    score[4:6, 5:8, 10:12] = -40.0
    p = np.where(np.abs(score) > 10, 0.01, 0.8) if called else np.full(mask.shape, 0.8)
    rows = pd.DataFrame(
        {
            "cluster": [1, 2], "direction": ["up", "down"], "size_mm3": [0.036, 0.012],
            "voxels": [36, 12], "peak_ap_um": [1050.0, 450.0], "peak_dv_um": 550.0,
            "peak_ml_um": 350.0, "peak_region_id": [1, 1], "peak_acronym": ["A", "A"],
            "peak_t": [6.0, -5.0], "peak_tfce": [50.0, -40.0], "p_fwe": [0.01, 0.02],
            "mean_log2": [1.0, -0.5], "ci_low_log2": [0.5, -0.9], "ci_high_log2": [1.5, -0.1],
            "regions": ["A 100 %", "A 60 %, B 40 %"],
        }
    )  # fmt: skip
    panels = tuple(
        VoxelPanel(
            contrast=contrast, estimand=estimand, effect_log2=score[mask] / 50, tfce=score[mask],
            p_fwe=p[mask], critical_tfce=30.0, relabelings=1001, exhaustive=False, df=9.5,
            clusters=rows if called else rows.iloc[:0],
        )
        for contrast in ("ket vs veh", "mdma vs veh")
        for estimand in ("relative", "absolute")
    )  # fmt: skip
    return VoxelReport(
        title="A <study>", note="", measure="axon_length_mm", kernel_um=150.0, atlas="tiny",
        citation="Nobody", grid=ATLAS.grid, region_id=ATLAS.annotation,
        structures=ATLAS.structures, mask=mask, groups={"veh": 4, "ket": 5},
        means={"veh": np.ones(mask.sum()), "ket": 2 * np.ones(mask.sum())}, formula="~ group",
        batch="batch", alpha=0.05, seed=3, connectivity=26, offset_per_mm3=0.1, sparse_voxels=12,
        points=pd.DataFrame([("a1", 100, 5, 440.0)],
                            columns=["animal", "used", "left_out", "volume_mm3"]),
        panels=panels, warnings=warnings, versions={"ketamap": "0.1"},
    )  # fmt: skip


def test_the_page_holds_both_estimands_of_every_contrast_and_is_escaped():
    page = render_voxel_page(report())
    assert page.count("<h3>ket vs veh</h3>") == 3  # in short, maps, clusters
    assert "A &lt;study&gt;" in page
    assert "A &lt; B &amp; so on" in page
    assert "length density of axons" in page
    assert "+1.00 [+0.50, +1.50]" in page
    for needed in ("1,000 random relabelings (seed 3)", "within each batch", "26 neighbours"):
        assert needed in page
    assert "<script" not in page
    assert "http" not in page.split("</style>")[1]


def test_equal_reports_give_equal_pages():
    assert render_voxel_page(report()) == render_voxel_page(report())


def test_nothing_called_is_said_to_be_no_evidence_of_no_change():
    page = render_voxel_page(report(called=False, warnings=()))
    assert "no voxel is called" in page
    assert "no evidence of no change" in page
    assert 'id="warnings"' not in page
    assert 'class="sig' not in page


def test_called_voxels_are_outlined_in_their_direction():
    page = render_voxel_page(report())
    assert 'class="sig up"' in page
    assert 'class="sig down"' in page


@pytest.mark.parametrize("kind", list(PLANES))
def test_planes_have_superior_or_anterior_on_top_and_right_or_anterior_on_the_left(kind):
    marked = np.zeros((4, 5, 6), dtype=bool)
    marked[0, 0, 0] = True  # front, top, right
    for plane in (cut(marked, kind, 0), project_any(marked, kind)):
        assert plane[0, 0]
        assert plane.sum() == 1
    across, rows, columns = PLANES[kind]
    assert cut(marked, kind, 0).shape == (marked.shape[rows], marked.shape[columns])
    assert sorted((across, rows, columns)) == [0, 1, 2]


def test_a_projection_takes_the_voxel_with_most_evidence():
    values = np.array([1.0, -5.0, 3.0])[:, None, None] * np.ones((3, 2, 2))
    strength = np.array([0.1, 0.2, 0.9])[:, None, None] * np.ones((3, 2, 2))
    np.testing.assert_array_equal(project_strongest(values, strength, "coronal"), 3.0)


def test_colours_say_direction_and_fade_without_evidence():
    effect = np.array([[1.0, -1.0, 1.0, 0.0]])
    evidence = np.array([[1.0, 1.0, 0.1, 1.0]])
    tested = np.array([[True, True, True, False]])
    up, down, faint, grey = pixels(
        effect_image(effect, evidence, tested, np.ones((1, 4), dtype=bool), 1.0)
    )[0].astype(int)
    assert up[0] > up[2] + 60
    assert down[2] > down[0] + 60
    assert faint.min() > 220
    assert grey.tolist() == [225, 228, 232]


def test_the_scale_is_symmetric_and_ends_at_its_limit():
    stops = colour_stops(1.5)
    assert (stops[0][1], stops[-1][1]) == ("-1.50", "+1.50")
    assert len(stops) == 21


def test_divisions_are_few_and_cover_the_brain():
    divisions = divisions_of(ATLAS.annotation, ATLAS.structures)
    assert np.array_equal(divisions > 0, ATLAS.brain_mask)
    assert set(np.unique(divisions)) <= {0, 1, 2, 3}


def test_the_series_shows_called_voxels_and_goes_from_front_to_back():
    called = np.zeros(ATLAS.grid.shape, dtype=bool)
    called[9, 5, 5] = True
    series = choose_series(ATLAS.brain_mask, called)
    assert series == sorted(series)
    assert 9 in series
    assert all(ATLAS.brain_mask[k].any() for k in series)


def test_outlines_have_the_size_of_the_plane_in_tens_of_um():
    frame = frame_of("coronal", 6, divisions_of(ATLAS.annotation, ATLAS.structures), ATLAS.grid)
    assert (frame.width, frame.height) == (160.0, 120.0)
    assert frame.caption == "AP 0.65 mm"
    assert frame.brain
    assert frame.lines
    assert mask_path(np.zeros((12, 16), dtype=bool), frame) == ""
