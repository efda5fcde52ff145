"""ketamap.stats.coverage: cut regions are named, those that are missing or whole are not."""

import numpy as np
import pandas as pd
import pytest

from ketamap.stats.coverage import coverage_warnings


def table(**changed):
    """Two animals, two regions and sides, all shown; ``changed`` sets (animal, region, side)."""
    rows = [
        {"animal": animal, "region_id": i, "acronym": name, "hemisphere": side,
         "measure": "cells", "own": 5.0, "total": 5.0, "covered_fraction": 1.0}
        for animal in ("m1", "m2") for i, name in ((1, "A"), (2, "B")) for side in ("left", "right")
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    for where, share in changed.items():
        animal, name, side = where.split("_")
        at = (frame.animal == animal) & (frame.acronym == name) & (frame.hemisphere == side)
        frame.loc[at, "covered_fraction"] = share
    return frame


IDS = np.array([1, 2])


def test_regions_that_are_half_there_or_more_need_no_warning():
    assert coverage_warnings(table(), IDS, "cells") == []
    assert coverage_warnings(table(m1_A_left=0.5), IDS, "cells") == []


def test_a_cut_region_is_named_with_its_animal_side_and_share():
    (text,) = coverage_warnings(table(m2_B_right=0.2, m1_A_left=0.34), IDS, "cells")
    assert text.startswith("Less than half of 2 regions")
    assert text.index("B right in m2 (20%)") < text.index("A left in m1 (34%)")


def test_what_is_missing_altogether_is_said_elsewhere():
    frame = table(m1_A_left=0.0)
    frame.loc[frame.covered_fraction == 0.0, ["own", "total"]] = np.nan
    assert coverage_warnings(frame, IDS, "cells") == []


@pytest.mark.parametrize(("ids", "measure"), [([2], "cells"), ([1, 2], "axon_length_mm")])
def test_only_what_is_analysed_counts(ids, measure):
    assert coverage_warnings(table(m1_A_left=0.1), np.array(ids), measure) == []


def test_a_table_from_elsewhere_says_nothing():
    frame = table(m1_A_left=0.1).drop(columns="covered_fraction")
    assert coverage_warnings(frame, IDS, "cells") == []
