"""ketamap.report.simulation_tables"""

import numpy as np
import pytest

from ketamap.report.simulation_tables import (
    certainty_counts,
    clock,
    heat_map,
    label_counts,
    label_rows,
    parameter_rows,
    pathway_cards,
    percent_change,
    unit_text,
)
from tests.report.simulations import heat, made_up, parameters


def test_the_heat_map_keeps_every_value_under_its_dose_and_day():
    shown = heat_map(made_up())
    assert shown.doses == (("30 mg/kg", 2), ("100 mg/kg", 2))
    assert shown.days == (1.0, 10.0, 1.0, 10.0)
    assert [region for region, _, _ in shown.rows] == ["PFC", "DR"]
    assert {cell.label for cell in shown.rows[1][2]} == {"encoded"}
    assert "why" in shown.rows[1][2][0].tip
    assert "E019" in shown.rows[1][2][0].tip


def test_a_cell_that_was_not_simulated_stays_empty():
    shown = heat_map(made_up(heat=heat().iloc[1:]))
    first = shown.rows[0][2]
    assert [cell.label for cell in first].count("") == 1


def test_two_rows_of_one_region_do_not_mix():
    frame = heat()
    frame.loc[frame["region"] == "DR", ["region", "name"]] = ["PFC", "spines"]
    texts = [[cell.text for cell in cells] for _, _, cells in heat_map(made_up(heat=frame)).rows]
    assert texts[0] != texts[1]


def test_a_pathway_the_model_does_not_hold_shows_no_number():
    held, missing = pathway_cards(made_up())
    assert held["known"]
    assert held["peak"] == percent_change(57.0)
    assert not missing["known"]
    assert missing["spread"] == ""


def test_every_shown_quantity_is_counted_once():
    counts = label_counts(made_up())
    assert sum(counts.values()) == len(label_rows(made_up())) == 4
    assert set(counts.values()) == {1}


def test_parameters_are_never_shown_without_their_width():
    rows = {row["name"]: row for row in parameter_rows(parameters())}
    assert rows["switch"]["width"] == "fixed"
    low, high = (float(part) for part in rows["gain_bdnf"]["width"].split(" to "))
    assert low < -1.0 < high < 0.0
    assert np.isclose(low * high, 1.0, rtol=0.02)


def test_certainty_classes_add_up():
    assert sum(n for _, _, n in certainty_counts(parameters())) == len(parameters())


@pytest.mark.parametrize(("hours", "text"), [(0.5, "30 min"), (24.0, "24 h"), (240.0, "10 days")])
def test_times_are_written_in_the_unit_people_use(hours, text):
    assert clock(hours) == text


def test_units_are_written_as_people_do():
    assert unit_text("ng_per_ml") == "ng/ml"
    assert unit_text("per_h") == "1/h"
