"""ketamap.report.render: the page as a whole."""

import base64
import gzip
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import TableError
from ketamap.core.tables import EFFECTS
from ketamap.report import StudyReport, render_report
from ketamap.report.render import SECTIONS, flat_settings, script_json

CONTRASTS = ("30 mg/kg 10 d vs vehicle 10 d", "100 mg/kg 10 d vs vehicle 10 d")
UNTESTABLE = 111
PLOTLY = re.compile(r"<script>/\*\*\n\* plotly\.js.*?</script>", re.DOTALL)
ASKED = {"dose", "opinions", "axons"}
"""Sections that only some designs have."""

EVIL = "<script>alert('x')</script>\"&"


class Page(HTMLParser):
    """Collects what the tests ask for, without the plotting library."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.data, self.scripts = [], {}, 0
        self._open = None
        self.html = PLOTLY.sub("", html)
        self.feed(self.html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = dict(attrs).get("id") if tag == "script" else None
        self.scripts += tag == "script"

    def handle_data(self, text):
        if self._open:
            self.data[self._open] = json.loads(text)
            self._open = None

    def having(self, name, **wanted):
        return [a for t, a in self.tags if t == name and wanted.items() <= a.items()]


@pytest.fixture(scope="module")
def html(report):
    return render_report(report)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def table_rows(html):
    rows = re.findall(r'<tr data-comparison="(\w+)".*?data-region="(\d+)".*?>(.*?)</tr>', html)
    return {(k, int(r)): re.findall(r'data-v="([^"]*)"', cells) for k, r, cells in rows}


def test_every_section_is_there_and_in_the_contents(page):
    sections = [a["id"] for a in page.having("section")]
    assert sections == [name for name in SECTIONS if name not in ASKED]
    links = [a["href"] for a in page.having("a") if a.get("href", "").startswith("#")]
    assert links == [f"#{name}" for name in sections]


def test_no_address_leaves_the_file(page):
    addresses = [
        value
        for _, attrs in page.tags
        for name, value in attrs.items()
        if name in {"src", "href", "xlink:href", "data", "action", "poster"}
    ]
    assert addresses
    assert all(a.startswith(("#", "data:")) for a in addresses)
    assert not re.search(r"url\((?!#)", page.html)
    assert "@import" not in page.html


def test_the_browser_is_told_to_refuse_the_network(page):
    (policy,) = [a["content"] for a in page.having("meta") if "Content-Security" in str(a)]
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_the_plotting_library_is_embedded_once(html):
    assert len(PLOTLY.findall(html)) == 1


def test_a_small_study_is_a_small_file(html):
    assert len(html.encode()) < 8e6


def test_equal_inputs_give_equal_text(make_report, html):
    assert render_report(make_report()) == html


def test_numbers_of_the_table_are_those_of_the_frame(report, html):
    shown = table_rows(html)
    effects = report.effects.set_index(["contrast", "region_id", "estimand"])
    regions = report.effects.query("estimand == 'relative'")["region_id"].unique()
    assert set(shown) == {(f"c{k}", r) for k in range(len(CONTRASTS)) for r in regions}
    for (key, region), cells in shown.items():
        for at, estimand in enumerate(("relative", "absolute")):
            row = effects.loc[(CONTRASTS[int(key[1])], region, estimand)]
            width = row["ci_high_log2"] - row["ci_low_log2"]
            wanted = (row["estimate_log2"], width, row["q"])
            got = [float(v) if v else np.nan for v in cells[3 * at : 3 * at + 3]]
            np.testing.assert_allclose(got, np.array(wanted, dtype=float), rtol=1e-5)


def test_the_download_is_the_frame_in_full(report, page):
    text = gzip.decompress(base64.b64decode(page.data["csv-data"])).decode()
    back = pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])
    assert list(back.columns) == list(report.effects.columns)
    np.testing.assert_allclose(back["q"], report.effects["q"], rtol=1e-14)
    np.testing.assert_array_equal(back["region_id"], report.effects["region_id"])


def test_untestable_regions_are_hatched_and_never_called_not_different(page, html):
    fills = {a["fill"] for a in page.having("use", **{"data-region": str(UNTESTABLE)})}
    assert fills == {"url(#hatch)"}
    assert page.having("pattern", id="hatch")
    statuses = re.findall(rf'data-status="([^"]+)" data-region="{UNTESTABLE}"', html)
    assert statuses == ["not testable"] * len(CONTRASTS)


def test_map_colours_are_masked_by_q(report, page):
    from ketamap.report.palette import NO_CALL_FILL

    relative = report.effects.query("estimand == 'relative' and testable")
    quiet = relative.groupby("region_id")["q"].min() >= report.alpha
    for region in quiet.index[quiet]:
        fills = {a["fill"] for a in page.having("use", **{"data-region": str(region)})}
        assert fills <= {NO_CALL_FILL}
    loud = relative.groupby("region_id")["q"].min() < report.alpha
    coloured = {a["fill"] for a in page.having("use") if a.get("fill", "").startswith("#")}
    assert loud.any()
    assert len(coloured) > 2


def test_every_plot_has_its_place_and_every_place_its_plot(page):
    places = [a["data-figure"] for a in page.having("div") if "data-figure" in a]
    assert sorted(places) == sorted(page.data["figures-data"])


def test_animals_of_every_region_are_in_the_page(report, page):
    payload = page.data["regions-data"]
    values = report.values.set_index(["region_id", "animal"])["log2_relative"]
    for region, shown in payload["values"]["cells"].items():
        wanted = [values[(int(region), animal)] for animal in payload["animals"]]
        np.testing.assert_allclose(shown["relative"], wanted, atol=5.1e-4)


def test_text_of_users_cannot_become_markup(make_report):
    plain = make_report()
    report = replace(
        plain,
        title=EVIL,
        note=EVIL,
        warnings=(EVIL,),
        design_text=(EVIL,),
        image_notes=(EVIL,),
        partition=EVIL,
        versions={EVIL: EVIL},
        settings={EVIL: {EVIL: EVIL}},
        effects=plain.effects.replace({CONTRASTS[0]: EVIL, "R101": EVIL}),
        animals=plain.animals.replace({"veh0": EVIL, "vehicle 10 d": EVIL}),
        values=plain.values.replace({"veh0": EVIL}),
        truth=plain.truth.replace({CONTRASTS[0]: EVIL}),
    )
    html = render_report(report)
    assert "<script>alert" not in html
    assert Page(html).scripts == Page(render_report(plain)).scripts


def test_hover_text_of_plots_is_escaped(make_report):
    plain = make_report()
    animals = plain.animals.replace({"veh0": EVIL})
    factors = plain.animal_factors.replace({"veh0": EVIL})
    page = Page(render_report(replace(plain, animals=animals, animal_factors=factors)))
    text = json.dumps(page.data["figures-data"])
    assert "&lt;script&gt;" in text
    assert "<script" not in text


def test_a_shifted_brain_carries_the_composition_warning(make_report, html):
    shifted = render_report(make_report(shift=(0.0, 3.0)))
    assert "Composition." in shifted
    assert "Composition." not in html


@pytest.mark.parametrize(
    ("part", "empty", "says"),
    [
        ("atlas", None, "No atlas was given"),
        ("brains", (), "No brains were processed here"),
        ("values", pd.DataFrame(), "Values of single animals were not given"),
        ("warnings", (), "None."),
        ("versions", {}, "Not stated."),
    ],
)
def test_what_is_missing_is_said_to_be_missing(make_report, html, part, empty, says):
    without = PLOTLY.sub("", render_report(make_report(**{part: empty})))
    assert says in without
    assert says not in PLOTLY.sub("", html)


def test_a_bare_table_gives_a_report_without_truth(make_report):
    full = make_report()
    bare = StudyReport(title="bare", effects=full.effects, animals=full.animals[["animal"]])
    page = Page(render_report(bare))
    assert [a["id"] for a in page.having("section")] == [
        s for s in SECTIONS if s not in ASKED | {"truth"}
    ]
    assert "all animals, n = 12" in page.html


def test_an_empty_table_gives_a_report_that_says_so():
    empty = pd.DataFrame(columns=[c.name for c in EFFECTS.columns])
    html = render_report(
        StudyReport(title="none", effects=empty, animals=pd.DataFrame({"animal": []}))
    )
    assert "nothing was compared" in html


def test_effects_without_relative_rows_still_give_a_report(make_report):
    full = make_report()
    html = render_report(replace(full, effects=full.effects.query("estimand == 'absolute'")))
    assert "could not be estimated" in html


def test_a_frame_without_its_columns_is_refused_by_name(make_report):
    full = make_report()
    with pytest.raises(TableError, match=r"effects table of the report lacks q"):
        replace(full, effects=full.effects.drop(columns="q"))


def test_json_in_the_page_cannot_end_its_element():
    text = script_json({"a": "</script><!--\u2028"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--\u2028"}


def test_nested_settings_are_flattened_with_their_path():
    assert flat_settings({"a": {"b": 1.0, "c": (1, 2)}, "d": "x"}) == [
        ("a.b", "1"),
        ("a.c", "1, 2"),
        ("d", "x"),
    ]


def test_a_position_error_that_was_not_estimated_is_said_to_be(html):
    figures = re.findall(r"Estimated position error, median</\w+>\s*<\w+[^>]*>([^<]*)<", html)
    assert figures
    assert set(figures) == {"not estimated"}
