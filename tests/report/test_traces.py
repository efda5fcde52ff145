"""ketamap.report.traces: figures and pictures of the trace."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ketamap.core.pictures import TracePicture
from ketamap.report.contents import BrainQuality
from ketamap.report.render import render_report
from ketamap.report.traces import OUTLINE_RGB, TRACE_RGB, axon_rows, traced_regions

BALANCE = {
    "traced_mm": 40.0,
    "in_regions_mm": 30.0,
    "outside_brain_mm": 6.0,
    "outside_atlas_mm": 4.0,
}
TRACING = {
    "threshold": 5.0,
    "threshold_low": 4.0,
    "threshold_high": 6.5,
    "length_low_mm": 31.0,
    "length_high_mm": 52.0,
}


class TwoGroups:
    """Enough of `ketamap.report.groups.Groups`: b belongs to the first group, a to the second."""

    names = ("vehicle", "treated")
    of_animal = {"b": "vehicle", "a": "treated"}  # noqa: RUF012 (nothing changes it)


def picture(acronym="PL", shape=(40, 60), pixel_um=(2.0, 3.0), depth_um=300.0):
    """A picture with a diagonal trace and a border along one row."""
    rng = np.random.default_rng(len(acronym))
    trace, outline = np.zeros(shape, bool), np.zeros(shape, bool)
    np.fill_diagonal(trace[5:25, 10:30], val=True)
    outline[30, 5:-5] = True
    return TracePicture(
        acronym=acronym,
        signal=rng.integers(0, 256, shape, dtype=np.uint8),
        trace=trace,
        outline=outline,
        pixel_um=pixel_um,
        depth_um=depth_um,
    )


def brain(animal, *, traces=(), balance=BALANCE, saturated=()):
    return BrainQuality(
        animal=animal, axon_balance=balance, tracing=TRACING, traces=traces, saturated=saturated
    )


def decoded(uri):
    head, body = uri.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))).convert("RGBA"))


def figure_of(one):
    (region,) = traced_regions([brain("b", traces=(one,))], TwoGroups, {})
    return region.figures[0]


def test_animals_come_by_group_and_regions_once_each():
    brains = [
        brain("a", traces=(picture("PL"), picture("CP"))),
        brain("b", traces=(picture("PL"),)),
    ]
    regions = traced_regions(brains, TwoGroups, {"PL": "Prelimbic area"})
    assert [(r.acronym, r.name) for r in regions] == [("PL", "Prelimbic area"), ("CP", "")]
    assert [f.animal for f in regions[0].figures] == ["b", "a"]
    assert [f.group for f in regions[0].figures] == ["vehicle", "treated"]


def test_the_raw_image_keeps_its_greys_and_shows_no_line():
    one = picture()
    shown = decoded(figure_of(one).signal)
    assert np.all(shown[..., 3] == 255)
    assert np.all(shown[..., 0] == shown[..., 1])
    assert np.abs(shown[..., 0].astype(int) - one.signal).max() <= 255 / 63


def test_lines_lie_where_trace_and_border_do_and_nowhere_else():
    one = picture()
    shown = decoded(figure_of(one).trace)
    scale = shown.shape[0] // one.trace.shape[0]
    assert shown.shape[:2] == tuple(n * scale for n in one.trace.shape)

    def cells_of(rgb):
        rows, columns = np.nonzero((shown[..., :3] == rgb).all(axis=2) & (shown[..., 3] == 255))
        return set(zip(rows // scale, columns // scale, strict=True))

    traced, border = cells_of(TRACE_RGB), cells_of(OUTLINE_RGB)
    assert traced >= set(map(tuple, np.argwhere(one.trace).tolist()))
    assert border == set(map(tuple, np.argwhere(one.outline).tolist()))
    beside = {
        (y + dy, x + dx)
        for y, x in np.argwhere(one.trace)
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    }
    assert traced <= beside
    clear = np.ones(shown.shape[:2], bool)
    for y, x in traced | border:
        clear[y * scale : (y + 1) * scale, x * scale : (x + 1) * scale] = False
    assert np.all(shown[clear][:, 3] == 0)


def test_a_lone_traced_pixel_is_seen():
    one = picture()
    trace = np.zeros_like(one.trace)
    trace[7, 9] = True
    lone = decoded(figure_of(replace(one, trace=trace, outline=np.zeros_like(trace))).trace)
    assert np.count_nonzero(lone[..., 3]) > 0


@pytest.mark.parametrize(("pixel_um", "width_um"), [((2.0, 3.0), 180.0), ((25.0, 25.0), 1500.0)])
def test_the_scale_bar_has_the_length_that_it_states(pixel_um, width_um):
    one = figure_of(picture(pixel_um=pixel_um))
    stated = float(one.bar.split()[0]) * (1000.0 if one.bar.endswith("mm") else 1.0)
    assert one.bar_share == pytest.approx(100 * stated / width_um, abs=0.01)
    assert one.ratio == pytest.approx(60 * pixel_um[1] / (40 * pixel_um[0]), abs=1e-3)


def test_the_balance_sheet_states_lengths_band_and_threshold():
    (row,) = axon_rows([brain("b", saturated=("CP", "ACB"))], TwoGroups)
    assert row.lengths == ("40.0", "30.0", "6.0", "4.0")
    assert row.share_in_regions.startswith("75")
    assert row.band == "31.0 to 52.0"
    assert row.threshold == "5.0 (4.0 to 6.5)"
    assert "CP" in row.saturated
    assert "ACB" in row.saturated


def test_brains_without_axons_have_no_row():
    assert axon_rows([BrainQuality(animal="a"), BrainQuality(animal="b")], TwoGroups) == []


def test_the_section_is_there_only_where_axons_were_traced(report):
    assert 'id="axons"' not in render_report(report)
    traced = replace(
        report,
        brains=tuple(
            replace(one, axon_balance=BALANCE, tracing=TRACING, traces=(picture("R101"),))
            for one in report.brains
        ),
    )
    page = render_report(traced)
    assert '<a href="#axons">' in page
    assert page.count('class="layers" style') == len(report.brains)
    assert "31.0 to 52.0" in page
