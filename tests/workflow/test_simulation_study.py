"""ketamap.workflow.simulation_study: simulated mice through the same statistics and report."""

import pandas as pd
import pytest
import yaml

from ketamap.core.errors import InputError, MissingInputError
from ketamap.core.settings import Design
from ketamap.phantom.density import own_volumes_mm3
from ketamap.simulate.study import StudyGroup, simulated_study
from ketamap.stats import analyse
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.power import Question
from ketamap.workflow.simulation_power import study_power
from ketamap.workflow.simulation_study import STUDY_ATLAS, read_study_plan, simulate_study

ONE_DAY = "doses_mg_per_kg: [0, 100]\ndays: [10]\n"


def study_file(folder, text):
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_study_file_is_read_and_its_faults_are_named(tmp_path):
    plan = read_study_plan(
        study_file(tmp_path, "doses_mg_per_kg: [0, 30]\ndays: [10]\nn_per_group: 4\n")
    )
    assert [g.label for g in plan.groups] == ["vehicle 10 d", "30 mg/kg 10 d"]
    with pytest.raises(InputError, match="must hold 0"):
        read_study_plan(study_file(tmp_path, "doses_mg_per_kg: [10, 30]\ndays: [10]\n"))
    with pytest.raises(InputError, match=r"(?s)(?=.*doses_mg_per_kg)(?=.*days)(?=.*dosess)"):
        read_study_plan(study_file(tmp_path, "doses_mg_per_kg: [0, -30]\ndays: [0]\ndosess: 1\n"))


def test_both_measures_are_analysed_unless_the_file_names_one(tmp_path):
    both = read_study_plan(study_file(tmp_path, ONE_DAY))
    assert both.measures == ("cells", "axon_length_mm")
    one = read_study_plan(study_file(tmp_path, ONE_DAY + "measure: axon_length_mm\n"))
    assert one.measures == ("axon_length_mm",)
    with pytest.raises(InputError, match="measure"):
        read_study_plan(study_file(tmp_path, ONE_DAY + "measure: [spines]\n"))


def test_too_few_mice_are_refused(tmp_path):
    with pytest.raises(InputError, match="at least 3"):
        simulate_study(out=tmp_path, n=2)


@pytest.fixture(scope="module")
def planted_study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return simulate_study(study_file(folder, ONE_DAY), out=folder / "o", n=16), folder / "o"


@pytest.mark.slow
def test_encoded_signs_of_both_measures_come_back_in_one_report(planted_study):
    done, _ = planted_study
    assert [one.measure for one in done.recovered] == ["cells", "axon_length_mm"]
    for one in done.recovered:
        assert one.right_sign >= 0.8 * one.planted > 0
        assert one.right_sign <= one.same_sign <= one.planted
    page = done.report.read_text(encoding="utf-8")
    assert "encoded" in page
    assert "Simulated animals." in page


@pytest.mark.slow
def test_power_is_taken_from_the_animals_of_each_measure_and_grows_with_them(planted_study):
    _, out = planted_study
    found = study_power(out, question=Question(folds=(2.0,)))
    assert list(found) == ["cells", "axon_length_mm"]
    for measure, one in found.items():
        relative = one.average[one.average["estimand"] == "relative"].sort_values("n_per_group")
        assert relative["power"].is_monotonic_increasing
        assert relative["power"].iloc[-1] > relative["power"].iloc[0]
        assert (out / "power" / measure / "power.html").exists()
    assert not found["cells"].average.equals(found["axon_length_mm"].average)


def test_power_of_a_folder_without_a_simulated_study_is_refused(tmp_path):
    with pytest.raises(MissingInputError, match="holds no simulated study"):
        study_power(tmp_path)


@pytest.mark.slow
def test_one_table_and_one_analysis_hold_both_measures(planted_study):
    _, out = planted_study
    wanted = {"cells", "axon_length_mm"}
    for path in ("regions.parquet", "analysis/effects.parquet", "analysis/truth.parquet"):
        assert set(pd.read_parquet(out / path)["measure"]) == wanted
    design = yaml.safe_load((out / "design.yaml").read_text(encoding="utf-8"))
    assert set(design["measure"]) == wanted


@pytest.mark.slow
def test_each_measure_has_its_own_truth(planted_study):
    _, out = planted_study
    truth = pd.read_parquet(out / "analysis/truth.parquet").set_index(["measure", "acronym"])
    assert truth.loc[("cells", "VTA"), "planted_log2"] < 0.0
    assert truth.loc[("axon_length_mm", "VTA"), "planted_log2"] == 0.0
    assert truth.loc[("axon_length_mm", "ACAd"), "planted_log2"] > 0.0


@pytest.mark.slow
def test_with_effects_off_neither_measure_finds_anything_in_nine_of_ten_cohorts():
    atlas = open_atlas(STUDY_ATLAS)
    volumes = own_volumes_mm3(atlas)
    groups = [StudyGroup(dose_mg_per_kg=dose, days=10) for dose in (0.0, 100.0)]
    quiet = 0
    for seed in range(10):
        regions, animals = simulated_study(
            groups, 6, seed, effects=False, structures=atlas.structures, volumes_mm3=volumes
        )
        quiet += not any(
            (
                analyse(
                    regions,
                    animals,
                    Design(dose="dose_mg_per_kg", control=0.0, measures=(measure,), permutations=0),
                    structures=atlas.structures,
                ).effects["q"]
                < 0.05
            ).any()
            for measure in ("cells", "axon_length_mm")
        )
    assert quiet >= 9
