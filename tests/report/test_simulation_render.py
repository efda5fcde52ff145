"""ketamap.report.simulation_render"""

import json
import re

import pandas as pd
import pytest

from ketamap.report.simulation_render import RESEARCH_LINE, SECTIONS, render_simulation
from tests.report.simulations import made_up


@pytest.fixture(scope="module")
def page():
    return render_simulation(made_up())


def without_scripts(page):
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_every_section_is_there(page):
    for anchor in SECTIONS:
        assert f'<section id="{anchor}">' in page


def test_the_page_asks_the_network_for_nothing(page):
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)""", without_scripts(page))
    assert "default-src 'none'" in page


def test_every_panel_carries_its_badge_with_reason_and_sources(page):
    panels = re.findall(r'<figure class="panel".*?</figure>', page, flags=re.DOTALL)
    assert len(panels) == 4
    for panel in panels:
        quantity = re.search(r'data-figure="(\w+)"', panel).group(1)
        label = re.search(r'data-label="([\w ]+)"', panel).group(1)
        assert f">{label}</span>" in panel
        assert f"why {quantity}" in panel
        assert f"source of {quantity}" in panel


def test_the_research_line_stands_on_top_at_the_clinical_layer_and_at_the_end(page):
    assert without_scripts(page).count(RESEARCH_LINE) >= 4


def test_encoded_cells_and_only_they_are_hatched(page):
    rows = re.findall(r"<tr><td><b>(\w+)</b></td><td class=\"name\">(.*?)</tr>", page, re.DOTALL)
    assert {region for region, cells in rows if 'class="cell encoded"' in cells} == {"DR"}


def test_markup_in_names_is_shown_not_run(page):
    assert "Ten &lt;doses&gt;" in page
    assert "Ten <doses>" not in page


def test_figures_are_json_with_one_entry_per_panel(page):
    text = re.search(r'id="figures-data">(.*?)</script>', page, flags=re.DOTALL).group(1)
    assert set(json.loads(text)) == {"blood", "glutamate", "th_DR", "spines"}


def test_guesses_are_counted_in_plain_sight(page):
    assert "<b>1</b> of 3 parameters" in page
    assert "<b>1 of 3 parameters</b> are guesses" in page


def test_what_is_missing_is_named_as_missing():
    empty = dict.fromkeys(
        ("heat", "pathways", "nca", "scorecard", "parameters", "doses"), pd.DataFrame()
    )
    page = render_simulation(made_up(**empty, members={}, n_draws=0))
    assert page.count('class="absent"') == 5
    assert "no draws were made" in page


def test_equal_inputs_give_equal_pages(page):
    assert render_simulation(made_up()) == page
