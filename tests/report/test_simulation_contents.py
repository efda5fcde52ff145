"""ketamap.report.simulation_contents"""

import pytest

from ketamap.core.errors import TableError
from tests.report.simulations import made_up


def test_a_frame_without_a_column_is_refused_by_name():
    whole = made_up()
    with pytest.raises(TableError, match="courses table of the simulation lacks q975"):
        made_up(courses=whole.courses.drop(columns="q975"))
    with pytest.raises(TableError, match="heat map table of the simulation lacks day"):
        made_up(heat=whole.heat.drop(columns="day"))


def test_a_panel_whose_quantity_was_not_simulated_is_refused():
    courses = made_up().courses
    with pytest.raises(TableError, match="lack th_DR"):
        made_up(courses=courses[courses["quantity"] != "th_DR"])


def test_nothing_is_shown_without_a_label():
    labels = made_up().labels
    with pytest.raises(TableError, match="No label is given for spines"):
        made_up(labels=labels[labels["quantity"] != "spines"])


def test_a_label_that_is_none_of_the_four_is_refused():
    with pytest.raises(TableError, match="'proven'"):
        made_up(labels=made_up().labels.replace({"label": {"predicted": "proven"}}))
