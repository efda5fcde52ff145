"""ketamap.simulate.study"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.atlas import Structures
from ketamap.core.errors import InputError
from ketamap.core.tables import REGIONS
from ketamap.simulate.study import (
    STUDY_GROUPS,
    StudyGroup,
    StudySettings,
    encoded_regions,
    planted_effects,
    simulated_study,
)

ACRONYMS = (
    "root", "MB", "HY", "CTX", "DR", "VTA", "DMH", "MPN", "ZI", "SNr", "ARH", "ACA", "ACAd",
    "ACAv", "AUD", "TH",
)  # fmt: skip
PARENTS = (0, 1, 1, 1, 2, 2, 3, 3, 3, 2, 3, 4, 12, 12, 4, 1)
QUIET = StudySettings(animal_sd_ln=0.0, region_sd_ln=0.0)
DAY_10 = [StudyGroup(dose_mg_per_kg=d, days=10) for d in (0.0, 30.0, 100.0)]


@pytest.fixture(scope="module")
def structures():
    n = len(ACRONYMS)
    return Structures(
        ids=np.arange(1, n + 1),
        acronyms=ACRONYMS,
        names=ACRONYMS,
        parent_ids=np.array(PARENTS),
        colors=np.zeros((n, 3), dtype=np.uint8),
    )


@pytest.fixture(scope="module")
def volumes(structures):
    return np.full((len(structures), 2), 50.0)


def log2_change(regions, animals, measure, dose):
    table = regions[regions["measure"] == measure].merge(animals, on="animal")
    table["density"] = table["own"] / table["volume_own_mm3"]
    mean = table.groupby(["acronym", "dose_mg_per_kg"])["density"].mean().unstack()
    return np.log2(mean[dose] / mean[0.0])


def test_the_table_has_the_columns_of_an_imaging_study(structures, volumes):
    regions, animals = simulated_study(
        DAY_10, 2, 1, structures=structures, volumes_mm3=volumes, settings=QUIET
    )
    assert list(regions.columns) == list(REGIONS.required)
    assert not regions.duplicated(list(REGIONS.key)).any()
    assert len(animals) == 6
    assert set(animals["label"]) == {"simulated"}


def test_totals_are_the_sum_of_the_parts(structures, volumes):
    regions, _ = simulated_study(DAY_10[:1], 1, 1, structures=structures, volumes_mm3=volumes)
    one = regions[(regions["measure"] == "cells") & (regions["hemisphere"] == "left")]
    root = one.set_index("acronym").loc["root"]
    assert root["total"] == one["own"].sum()
    assert root["volume_total_mm3"] == pytest.approx(one["volume_own_mm3"].sum())


def test_planted_signs_are_in_the_counts_and_nowhere_else(structures, volumes):
    planted = planted_effects(DAY_10, structures=structures, settings=QUIET)
    regions, animals = simulated_study(
        DAY_10, 4, 3, structures=structures, volumes_mm3=volumes, settings=QUIET
    )
    for dose in (30.0, 100.0):
        change = log2_change(regions, animals, "cells", dose)
        here = planted[
            (planted["measure"] == "cells") & planted["group"].str.startswith(f"{dose:g} ")
        ]
        expected = here.set_index("acronym")["planted_log2"].reindex(change.index).fillna(0.0)
        np.testing.assert_allclose(change, expected, atol=0.12)


def test_axons_change_at_the_high_dose_alone_and_in_all_parts(structures, volumes):
    regions, animals = simulated_study(
        DAY_10, 1, 3, structures=structures, volumes_mm3=volumes, settings=QUIET
    )
    low = log2_change(regions, animals, "axon_length_mm", 30.0)
    high = log2_change(regions, animals, "axon_length_mm", 100.0)
    np.testing.assert_allclose(low, 0.0, atol=1e-12)
    assert (high[["ACA", "ACAd", "ACAv"]] > 0.5).all()
    assert high["AUD"] < -0.5
    assert high["TH"] == pytest.approx(0.0, abs=1e-12)


def test_nothing_is_planted_before_day_ten_or_where_effects_are_off(structures):
    early = [g for g in STUDY_GROUPS if g.days < 10]
    assert planted_effects(early, structures=structures).empty
    assert planted_effects(STUDY_GROUPS, structures=structures, effects=False).empty


def test_a_dose_the_study_did_not_give_has_no_effects(structures):
    group = StudyGroup(dose_mg_per_kg=60.0, days=10)
    assert planted_effects([group], structures=structures).empty


def test_every_planted_row_is_labelled_encoded_with_its_source(structures):
    planted = planted_effects(STUDY_GROUPS, structures=structures)
    assert set(planted["label"]) == {"encoded"}
    assert planted["source_rows"].str.len().min() >= 4
    at_100 = planted[(planted["group"] == "100 mg/kg 10 d") & (planted["measure"] == "cells")]
    assert at_100["basis"].str.startswith("class").all()


def test_signs_at_30_mg_per_kg_are_the_five_of_the_caption():
    table = encoded_regions()
    at_30 = table[table["dose_mg_per_kg"] == 30.0].set_index("acronym")["sign"].to_dict()
    assert at_30 == {"DR": -1, "DMH": -1, "MPN": -1, "ZI": 1, "SNr": 1}


def test_the_noise_between_animals_is_the_one_asked_for(structures, volumes):
    wide = StudySettings(animal_sd_ln=0.36, region_sd_ln=0.28)
    regions, _ = simulated_study(
        DAY_10[:1], 60, 5, structures=structures, volumes_mm3=100 * volumes, settings=wide
    )
    cells = regions[(regions["measure"] == "cells") & (regions["hemisphere"] == "left")]
    logs = np.log(cells.pivot(index="animal", columns="acronym", values="own"))
    residual = logs.sub(logs.mean(axis=1), axis=0)
    assert residual.std().median() == pytest.approx(0.28, rel=0.15)
    assert logs.mean(axis=1).std() == pytest.approx(0.36, rel=0.3)


def test_more_animals_do_not_change_the_first_ones(structures, volumes):
    few, _ = simulated_study(DAY_10, 1, 9, structures=structures, volumes_mm3=volumes)
    many, _ = simulated_study(DAY_10, 3, 9, structures=structures, volumes_mm3=volumes)
    same = many[many["animal"].isin(few["animal"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(few, same)


def test_counts_fall_without_loss_of_cells_when_th_falls_below_the_threshold():
    change = StudySettings().detected_change_ln(np.array([-1.0, 0.0, 1.0, 20.0]))
    assert change[0] < 0.0 < change[2]
    assert change[1] == pytest.approx(0.0, abs=1e-12)
    assert change[3] == pytest.approx(np.log(2.0))


def test_bad_studies_are_refused(structures, volumes):
    with pytest.raises(InputError, match="at least one day"):
        StudyGroup(dose_mg_per_kg=-1.0, days=1)
    with pytest.raises(InputError, match="different groups"):
        simulated_study(DAY_10[:1] * 2, 2, 1, structures=structures, volumes_mm3=volumes)
    with pytest.raises(InputError, match="volumes_mm3"):
        simulated_study(DAY_10, 2, 1, structures=structures, volumes_mm3=volumes[:3])
    with pytest.raises(InputError, match="detected"):
        StudySettings(detected=0.0)
