"""ketamap.workflow.answers: several measures in one analysis."""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import DesignError, TableError
from ketamap.core.settings import Design
from ketamap.phantom import animals_frame, cohort_table, default_cohort
from ketamap.stats import analyse
from ketamap.workflow.answers import answer
from ketamap.workflow.atlases import open_atlas

ATLAS = open_atlas("phantom_mouse_200um")
PLAN = default_cohort(seed=3, animals_per_group=3)
ANIMALS = animals_frame(PLAN)
DESIGN = Design(factor="group", control="vehicle 10 d", permutations=0)


@pytest.fixture(scope="module")
def cells():
    return cohort_table(PLAN, ATLAS, 3)


@pytest.fixture(scope="module")
def both(cells):
    """Cells, and another cohort's counts as lengths of axon: nothing in common."""
    axons = cohort_table(PLAN, ATLAS, 4, effects=False).assign(measure="axon_length_mm")
    return pd.concat([axons, cells], ignore_index=True)


def answered(table, design=DESIGN, animals=ANIMALS):
    return answer(
        table, animals, design, structures=ATLAS.structures, counts=None, atlas_volumes=None
    )


def test_all_measures_of_a_table_are_analysed_cells_first(both):
    found = answered(both)
    assert found.measures == ("cells", "axon_length_mm")
    assert list(found.effects.measure.unique()) == ["cells", "axon_length_mm"]
    assert len(found.animal_factors) == 2 * len(ANIMALS)


def test_a_measure_has_the_same_answers_alone_and_beside_another(both, cells):
    alone = analyse(cells, ANIMALS, DESIGN, structures=ATLAS.structures).effects
    beside = answered(both).effects
    beside = beside[beside.measure == "cells"].reset_index(drop=True)
    pd.testing.assert_frame_equal(beside, alone)


def test_measures_that_are_named_are_analysed_in_their_order(both):
    for named in (("axon_length_mm",), ("axon_length_mm", "cells")):
        found = answered(both, Design(factor="group", control="vehicle 10 d", measures=named))
        assert found.measures == named


def test_a_table_that_names_no_measure_holds_cells(cells):
    found = answered(cells.drop(columns="measure"))
    assert found.measures == ("cells",)
    assert set(found.effects.measure) == {"cells"}


def test_a_named_measure_that_is_not_there_is_refused(cells):
    with pytest.raises(TableError, match="no measure 'axon_length_mm'"):
        answered(
            cells, Design(factor="group", control="vehicle 10 d", measures=("axon_length_mm",))
        )


def test_a_further_measure_that_cannot_be_analysed_is_left_out_and_named(both):
    poor = both[(both.measure == "cells") | (both.animal != ANIMALS.animal[0])]
    found = answered(poor)
    assert found.measures == ("cells",)
    assert "length density of axons was not analysed" in found.warnings[0]
    named = Design(factor="group", control="vehicle 10 d", measures=("cells", "axon_length_mm"))
    with pytest.raises(DesignError, match="no rows"):
        answered(poor, named)


def test_a_warning_says_its_measure_unless_it_holds_for_all(both):
    table = both.copy()
    lopsided = (table.measure == "axon_length_mm") & (table.hemisphere == "left")
    table.loc[lopsided & (table.animal == ANIMALS.animal[0]), ["own", "total"]] *= 5.0
    extra = table[table.animal == ANIMALS.animal[0]].assign(animal="stranger")
    warnings = answered(pd.concat([table, extra])).warnings
    (sides,) = [w for w in warnings if "on the left" in w]
    assert sides.startswith("Axons: ")
    (left_out,) = [w for w in warnings if "stranger" in w]
    assert not left_out.startswith(("Axons", "Cells"))


def test_permutations_are_made_where_they_can_decide_unless_forbidden(cells):
    plan = Design(factor="group", control="vehicle 10 d")
    assert answered(cells, plan).further("permutation") is not None
    assert answered(cells).further("permutation") is None


def test_no_permutations_where_they_cannot_decide_and_the_reason_is_told(cells):
    two = ANIMALS[ANIMALS.group.isin(ANIMALS.group.unique()[:2])].reset_index(drop=True)
    found = answered(cells, Design(factor="group", control="vehicle 10 d"), two)
    assert found.further("permutation") is None
    assert any("20 ways" in w for w in found.warnings)
    asked = Design(factor="group", control="vehicle 10 d", permutations=100)
    with pytest.raises(DesignError, match="20 ways"):
        answered(cells, asked, two)


def test_numbers_of_each_model_are_kept(both):
    models = answered(both).models
    assert [m["measure"] for m in models] == ["cells", "axon_length_mm"]
    assert all(np.isfinite(m["variance_ratio"]) for m in models)


def test_the_measures_own_interval_is_summed_over_the_same_regions(cells):
    table = cells.copy()
    for part in ("own", "total"):
        table[f"{part}_low"], table[f"{part}_high"] = 0.5 * table[part], 2.0 * table[part]
    values = answered(table).values
    known = values["count"].notna()
    np.testing.assert_allclose(values.count_low[known], 0.5 * values["count"][known])
    np.testing.assert_allclose(values.count_high[known], 2.0 * values["count"][known])
    assert "count_low" not in answered(cells).values


def test_doses_and_days_of_each_contrast_are_kept(cells):
    animals = ANIMALS.assign(days=[1] * 3 + [5] * 6, dose=[0.0] * 3 + [3.0] * 3 + [0.0] * 3)
    design = Design(dose="dose", duration="days", control=0.0, permutations=0)
    assert answered(cells, design, animals).cells == (
        {"contrast": "dose 3 vs vehicle, 5 d", "dose": 3.0, "day": 5.0},
    )
    assert answered(cells).cells == ()
