"""ketamap.phantom.cohort"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ketamap.core.errors import InputError, StructureNotFoundError
from ketamap.core.study import Regimen
from ketamap.core.tables import REGIONS
from ketamap.phantom.cohort import (
    AXONS,
    CELLS,
    CohortNoise,
    Effect,
    PhantomGroup,
    animal_densities,
    animals_frame,
    cohort_table,
    default_cohort,
    effects_log2,
    planted_effects,
)
from ketamap.phantom.density import base_densities, base_lengths, own_volumes_mm3

DOWN_30, UP_30 = {"DR", "DMH", "MPN"}, {"ZI", "SNr"}
FEWER_AXONS, MORE_AXONS = {"AUD", "VIS"}, {"PL", "ILA", "ACA"}
DOWN_100, UP_100 = {"VTA", "SNc", "RR", "PAG", "CLI", "DR"}, {"ARH", "PVH", "TU", "VMH"}


@pytest.fixture(scope="module")
def volumes(atlas):
    return own_volumes_mm3(atlas)


def log_density(table):
    """log2 of cells per mm3, both sides together: structures by animals, own counts."""
    table = table[table["volume_own_mm3"] > 0]
    both = table.groupby(["acronym", "animal"])[["own", "volume_own_mm3"]].sum().unstack()
    kept = both["own"].mean(axis=1) >= 10
    return np.log2((both["own"][kept] + 0.5) / both["volume_own_mm3"][kept])


def compare(table, treated, control):
    """Effects relative to the median structure, and their q values by Welch's t test."""
    y = log_density(table)
    relative = y - y.median()
    one = relative[[a for a in y if a.startswith(treated)]]
    other = relative[[a for a in y if a.startswith(control)]]
    p = stats.ttest_ind(one, other, axis=1, equal_var=False).pvalue
    return one.mean(axis=1) - other.mean(axis=1), stats.false_discovery_control(p)


def test_the_default_cohort_is_vehicle_and_two_doses_of_four():
    plan = default_cohort()
    frame = animals_frame(plan)
    assert frame["animal"].is_unique
    assert frame.groupby("dose_mg_per_kg").size().to_dict() == {0.0: 4, 30.0: 4, 100.0: 4}
    assert set(frame["days"]) == {10}
    assert len({one.seed for one in plan.animals}) == 12
    assert set(frame.groupby("group")["sex"].agg(lambda s: "".join(sorted(s)))) == {"FFMM"}


def test_planted_directions_are_those_of_the_paper(atlas):
    planted = planted_effects(default_cohort(), atlas.structures)
    planted = planted[planted["measure"] == CELLS]
    for dose, down, up in ((30.0, DOWN_30, UP_30), (100.0, DOWN_100, UP_100)):
        at_dose = planted[planted["dose_mg_per_kg"] == dose]
        assert set(at_dose.loc[at_dose["effect_log2"] < 0, "acronym"]) == down
        assert set(at_dose.loc[at_dose["effect_log2"] > 0, "acronym"]) == up
    assert planted["effect_log2"].abs().between(np.log2(1.5) - 1e-9, np.log2(2.2) + 1e-9).all()


def test_axons_fall_in_sensory_and_rise_in_prefrontal_areas_at_the_high_dose(atlas):
    planted = planted_effects(default_cohort(), atlas.structures)
    axons = planted[planted["measure"] == AXONS].set_index("acronym")
    assert set(axons["dose_mg_per_kg"]) == {100.0}
    np.testing.assert_allclose(axons.loc[sorted(FEWER_AXONS), "effect_log2"], np.log2(0.7))
    np.testing.assert_allclose(axons.loc[sorted(MORE_AXONS), "effect_log2"], np.log2(1.3))
    tree = atlas.structures
    parts = {
        tree.acronym_of(i)
        for a in FEWER_AXONS | MORE_AXONS
        for i in tree.descendants(tree.id_of(a))
    }
    assert set(axons.index) == FEWER_AXONS | MORE_AXONS | parts


def test_axons_and_cells_of_an_animal_have_their_own_noise(atlas):
    plan = default_cohort(1, 40, noise=CohortNoise(animal_sd_ln=0.3, region_sd_ln=0.2))
    ones = np.ones(len(atlas.structures))
    untreated = [one for one in plan.animals if one.group.regimen.dose_mg_per_kg == 0]
    cells, axons = (
        np.log([animal_densities(plan, a, ones, atlas.structures, measure=m) for a in untreated])
        for m in (CELLS, AXONS)
    )
    assert axons.mean(axis=1).std() == pytest.approx(0.3, rel=0.35)
    assert abs(np.corrcoef(cells.ravel(), axons.ravel())[0, 1]) < 0.3


def test_a_table_of_axon_length_is_the_same_cohort_in_another_measure(atlas, volumes):
    plan = default_cohort(noise=CohortNoise(animal_sd_ln=0.0, region_sd_ln=0.0))
    table = cohort_table(plan, atlas, 3, volumes_mm3=volumes, measure=AXONS)
    assert set(table["measure"]) == {AXONS}
    density = (table["own"] / table["volume_own_mm3"]).where(table["volume_own_mm3"] > 0)
    base = dict(zip(atlas.structures.acronyms, base_lengths(atlas), strict=True))
    high = table["animal"].str.startswith("ket100")
    for acronym, fold in (("AUDp", 0.7), ("PL", 1.3), ("CP", 1.0)):
        mine = table["acronym"] == acronym
        np.testing.assert_allclose(density[mine & ~high], base[acronym])
        np.testing.assert_allclose(density[mine & high], fold * base[acronym])


def test_an_effect_on_a_parent_reaches_all_its_parts(atlas):
    regimen = Regimen(drug="x", dose_mg_per_kg=1.0, days=1)
    group = PhantomGroup(regimen=regimen, effects=(Effect(acronym="HY", fold=0.5),))
    change = effects_log2(group, atlas.structures)
    structures = atlas.structures
    below = structures.descendants(structures.id_of("HY"))
    assert all(change[structures.position(i)] == -1.0 for i in below)
    assert np.count_nonzero(change) == len(below) + 1


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10**6), animal_sd=st.floats(0.05, 0.6), region_sd=st.floats(0.05, 0.6))
def test_noise_between_animals_has_the_spread_asked_for(atlas, seed, animal_sd, region_sd):
    plan = default_cohort(
        seed, 40, noise=CohortNoise(animal_sd_ln=animal_sd, region_sd_ln=region_sd)
    )
    base = np.ones(len(atlas.structures))
    change = [effects_log2(one.group, atlas.structures) for one in plan.animals]
    drawn = np.log(
        [animal_densities(plan, one, base, atlas.structures) for one in plan.animals]
    ) - np.log(2) * np.array(change)
    shared = drawn.mean(axis=1)
    assert shared.std() == pytest.approx(animal_sd, rel=0.35)
    assert (drawn - shared[:, None]).std() == pytest.approx(region_sd, rel=0.05)


def test_animals_without_noise_are_base_times_effect(atlas):
    plan = default_cohort(noise=CohortNoise(animal_sd_ln=0.0, region_sd_ln=0.0))
    base = base_densities(atlas)
    last = plan.animals[-1]
    expected = base * 2 ** effects_log2(last.group, atlas.structures)
    np.testing.assert_allclose(animal_densities(plan, last, base, atlas.structures), expected)


def test_the_table_has_the_columns_of_a_region_table(atlas, volumes):
    table = cohort_table(default_cohort(), atlas, 3, volumes_mm3=volumes)
    assert tuple(table.columns) == REGIONS.required
    assert not table.duplicated(list(REGIONS.key)).any()
    assert (table["own"] <= table["total"]).all()
    root = table[table["acronym"] == "root"]
    sums = table.groupby(["animal", "hemisphere"])[["own", "volume_own_mm3"]].sum()
    totals = root.set_index(["animal", "hemisphere"])
    np.testing.assert_allclose(totals["total"], sums["own"].reindex(totals.index))
    np.testing.assert_allclose(
        totals["volume_total_mm3"], sums["volume_own_mm3"].reindex(totals.index)
    )


def test_a_draw_depends_on_its_seed_alone(atlas, volumes):
    plan = default_cohort()
    one, again, other = (cohort_table(plan, atlas, s, volumes_mm3=volumes) for s in (3, 3, 4))
    assert one.equals(again)
    assert not one["own"].equals(other["own"])
    assert one.equals(cohort_table(plan, atlas, 3))


def test_null_and_planted_draws_differ_only_where_effects_are(atlas, volumes):
    plan = default_cohort()
    planted, null = (
        cohort_table(plan, atlas, 3, effects=e, volumes_mm3=volumes) for e in (True, False)
    )
    differs = planted["own"] != null["own"]
    assert set(planted.loc[differs, "acronym"]) == DOWN_30 | UP_30 | DOWN_100 | UP_100
    assert not planted.loc[differs, "animal"].str.startswith("veh").any()


@pytest.mark.slow
def test_four_mice_a_group_show_what_is_planted_at_the_high_dose(atlas, volumes):
    plan = default_cohort()
    found, signs, shifts = [], [], []
    for seed in range(20):
        table = cohort_table(plan, atlas, seed, volumes_mm3=volumes)
        effect, q = compare(table, "ket100", "veh")
        planted = effect.index.isin(DOWN_100 | UP_100)
        assert planted.sum() == len(DOWN_100 | UP_100)
        found.append(np.mean(q[planted] < 0.05))
        signs.append(np.mean((effect[planted] > 0) == effect[planted].index.isin(UP_100)))
        shifts.append(effect.median())
    assert np.mean(found) >= 0.8
    assert np.mean(signs) == 1.0
    assert abs(np.mean(shifts)) < 0.03


@pytest.mark.slow
def test_null_cohorts_rarely_show_anything(atlas, volumes):
    plan = default_cohort()
    finds = []
    for seed in range(100):
        table = cohort_table(plan, atlas, seed, effects=False, volumes_mm3=volumes)
        _, q = compare(table, "ket100", "veh")
        finds.append(bool(np.any(q < 0.05)))
    assert np.mean(finds) <= 0.1


def test_impossible_plans_are_refused(atlas):
    with pytest.raises(InputError, match="at least 1"):
        default_cohort(animals_per_group=0)
    with pytest.raises(InputError, match="fold change of DR"):
        Effect(acronym="DR", fold=0.0)
    with pytest.raises(InputError, match="region_sd_ln"):
        CohortNoise(region_sd_ln=-1.0)
    regimen = Regimen(drug="x", dose_mg_per_kg=1.0, days=1)
    nowhere = PhantomGroup(regimen=regimen, effects=(Effect(acronym="XYZ", fold=2.0),))
    with pytest.raises(StructureNotFoundError, match="'XYZ' has no place"):
        effects_log2(nowhere, atlas.structures)
