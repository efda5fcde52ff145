"""ketamap.report.comparisons and groups"""

import numpy as np
import pandas as pd

from ketamap.report.comparisons import comparisons_of
from ketamap.report.contents import BrainQuality
from ketamap.report.groups import counts_per_group, groups_of, spread, wide_values
from ketamap.report.quality import balance_rows, in_group_order


def test_untestable_regions_stand_apart_from_those_not_called(report):
    for comparison in comparisons_of(report):
        assert list(comparison.untestable["region_id"]) == [111]
        assert 111 not in set(comparison.tested["region_id"])
        assert len(comparison.tested) + len(comparison.untestable) == len(comparison.regions)


def test_a_region_without_an_interval_is_never_called(make_report):
    effects = make_report().effects.assign(ci_low_log2=np.nan, q=0.0001)
    for comparison in comparisons_of(make_report(effects=effects)):
        assert comparison.called("relative").empty


def test_evidence_does_not_depend_on_the_order_of_rows(report, make_report):
    shuffled = make_report(effects=report.effects.sample(frac=1, random_state=1))

    def ranks(r):
        return {
            c.contrast: dict(zip(c.regions["region_id"], c.regions["evidence"], strict=True))
            for c in comparisons_of(r)
        }

    assert ranks(report) == ranks(shuffled)


def test_several_measures_are_told_apart_in_the_label(make_report):
    effects = make_report().effects
    both = pd.concat([effects, effects.assign(measure="axon_length_mm")])
    labels = [c.label for c in comparisons_of(make_report(effects=both))]
    assert len(set(labels)) == 4
    assert sum("(axons)" in label for label in labels) == 2


def test_groups_are_ordered_by_dose_whatever_the_order_of_animals(report, make_report):
    backwards = make_report(animals=report.animals.iloc[::-1])
    assert groups_of(backwards).names == groups_of(report).names
    assert groups_of(report).names[0].startswith("vehicle")


def test_without_doses_the_reference_group_comes_first(report, make_report):
    backwards = report.animals.iloc[::-1].drop(columns="dose_mg_per_kg")
    names = groups_of(make_report(animals=backwards)).names
    assert names[0] == "vehicle 10 d"
    assert len(names) == 3


def test_groups_of_the_analysis_win_over_a_column_of_that_name(report, make_report):
    renamed = make_report(animals=report.animals.assign(group="cage 1"))
    assert groups_of(renamed).of_animal == groups_of(report).of_animal


def test_a_missing_value_lowers_the_n_of_its_group_only(report, make_report):
    values = report.values.copy()
    values.loc[values.index[0], "log2_relative"] = np.nan
    changed = make_report(values=values)
    groups = groups_of(changed)
    counts = counts_per_group(wide_values(changed, "cells", "log2_relative", groups), groups)
    assert counts.loc[101].tolist() == [3, 4, 4]
    assert (counts.drop(101) == 4).all().all()


def test_dots_of_a_group_lie_apart_and_centred():
    for count in range(1, 12):
        places = spread(count)
        assert len(set(places)) == count
        assert abs(sum(places)) < 1e-3


def test_a_balance_sheet_that_does_not_add_up_says_by_how_much(report):
    brain = BrainQuality(
        animal="veh0",
        balance={"detected": 10, "in_regions": 6, "outside_brain": 2, "outside_atlas": 1},
    )
    (row,) = balance_rows([brain], groups_of(report))
    assert row.difference == 1
    assert balance_rows([BrainQuality(animal="veh0")], groups_of(report)) == []


def test_brains_are_shown_group_by_group_and_strangers_last(report):
    groups = groups_of(report)
    stranger = BrainQuality(animal="who")
    shown = in_group_order([stranger, *report.brains[::-1]], groups)
    order = [groups.of_animal.get(b.animal) for b in shown]
    assert order == [g for g in groups.names for _ in range(4)] + [None]
