"""ketamap.workflow.simulate and what it is made of: runs, summaries, studies, the scorecard."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from ketamap.core.dosing import Dose, DosingPlan, Subject, repeat
from ketamap.core.errors import InputError, MissingInputError
from ketamap.core.progress import silent
from ketamap.report.simulation_contents import COURSE_COLUMNS, LABELS
from ketamap.simulate.engine import SolveError, units
from ketamap.workflow import simulation_runs
from ketamap.workflow.simulate import export_sbml, scorecard, simulate
from ketamap.workflow.simulation_clinic import clinic_courses, off_target
from ketamap.workflow.simulation_runs import DrawsFailedError, draw_courses, other_members
from ketamap.workflow.simulation_summary import label_frame, regimen_in_words
from ketamap.workflow.simulation_views import layers_for, quantities_of

MOUSE = """
regimen: Two doses
species: mouse
doses:
  - {time: 1 h, amount: 30 mg/kg, route: ip, every: 24 h, additional: 1}
end: 3 d
"""
COLUMNS = ("plasma_ketamine_ng_per_ml", "glutamate", "th_DR")
TIMES_H = np.array([0.0, 1.2, 2.0, 30.0])


@pytest.fixture(scope="module")
def regimen(tmp_path_factory):
    path = tmp_path_factory.mktemp("regimen") / "mouse.yaml"
    path.write_text(MOUSE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def result(regimen, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "results"
    return simulate(regimen, out=out, draws=4, workers=1), out


def plan(species="mouse", **changes):
    first = Dose(time_h=1.0, amount=30.0, unit="mg/kg", route="ip")
    values = {"name": "p", "subject": Subject(species=species), "doses": repeat(first, 24.0, 1)}
    return DosingPlan(**(values | {"end_h": 72.0} | changes))


def drawn(draws, seed=1):
    return draw_courses(
        plan(), COLUMNS, TIMES_H, seed=seed, draws=draws, executor=None, progress=silent
    )


def test_quantiles_are_ordered_and_labels_are_among_the_four(result):
    done, _ = result
    courses = pd.read_parquet(done.courses)
    assert set(COURSE_COLUMNS) <= set(courses.columns)
    reference = courses[courses["member"] == "reference"]
    bands = reference[["q025", "q25", "median", "q75", "q975"]].to_numpy()
    assert (np.diff(bands, axis=1) >= -1e-6 * np.abs(bands[:, 1:])).all()
    assert set(courses["label"]) <= set(LABELS)


def test_members_are_kept_apart_and_without_bands(result):
    courses = pd.read_parquet(result[0].courses)
    names = {m.name for m in other_members("mouse")}
    assert set(courses["member"]) == names | {"reference", "nominal"}
    assert courses.loc[courses["member"] != "reference", "q025"].isna().all()


def test_the_nominal_course_is_that_of_the_engine(result):
    courses = pd.read_parquet(result[0].courses)
    mine = courses[(courses["member"] == "nominal") & (courses["quantity"] == "glutamate")]
    from ketamap.simulate import simulate as solve

    truth = solve(plan(), times_h=mine["time_h"].to_numpy())["glutamate"]
    np.testing.assert_allclose(mine["median"], truth, rtol=1e-4)


def test_encoded_signs_reach_the_map_with_their_label(result):
    cells = pd.read_csv(result[1] / "dose_day_region.csv")
    late = cells[(cells["day"] == 10.0) & (cells["dose"] == "100 mg/kg")].set_index("region")
    for region, sign in (("DR", -1), ("DMH", -1), ("MPN", -1), ("ZI", 1), ("SNr", 1)):
        assert late.loc[region, "label"] == "encoded"
        assert np.sign(late.loc[region, "value_log2"]) == sign
    assert set(late.loc[["PFC", "ACB", "CP"], "label"]) == {"compatible"}


def test_the_reference_has_the_width_of_its_peak_and_area_over_draws(result):
    exposure = pd.read_csv(result[1] / "exposure.csv")
    for row in exposure.to_dict("records"):
        if row["member"] != "reference":
            assert pd.isna(row["Cmax, 95 %"])
            continue
        for width in ("Cmax, 95 %", "AUC, 95 %"):
            low, high = (float(x.replace(",", "")) for x in row[width].split("\xa0to\xa0"))
            assert 0.0 < low < high


def test_all_four_pathways_are_there_and_say_what_they_are(result):
    pathways = pd.read_csv(result[1] / "pathways.csv").set_index("pathway")
    assert list(pathways.index) == [
        "mesolimbic", "mesocortical", "nigrostriatal", "tuberoinfundibular",
    ]  # fmt: skip
    assert pathways.loc["tuberoinfundibular", "label"] == "encoded"
    held = pathways.drop(index="tuberoinfundibular")
    assert (held["low_percent"] <= held["peak_percent"]).all()
    assert (held["peak_percent"] <= held["high_percent"]).all()


def test_the_manifest_says_seed_draws_versions_and_input(result):
    manifest = json.loads((result[1] / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["settings"]["seed"] == 1
    assert manifest["settings"]["draws"] == 4
    assert {"ketamap", "libroadrunner"} <= set(manifest["versions"])
    assert len(manifest["inputs"]) == 1


def test_nothing_half_written_is_left(result):
    assert not [p for p in result[1].iterdir() if ".partial." in p.name]


def test_the_page_holds_the_final_courses_and_the_research_line(result):
    page = result[0].report.read_text(encoding="utf-8")
    assert "First picture: nominal" not in page
    assert "For research, not for dosing." in page
    assert len(re.findall('<figure class="panel"', page)) == len(quantities_of(layers_for(plan())))


def test_a_draw_does_not_depend_on_how_many_there_are():
    np.testing.assert_array_equal(drawn(7).values[:3], drawn(3).values)


def test_another_seed_gives_other_draws():
    assert not np.allclose(drawn(2).values, drawn(2, seed=2).values)


def failing(*, every):
    def solve(task_plan, columns, times_h, parameters, count=iter(range(1000))):  # noqa: B008
        if next(count) % every == 0:
            raise SolveError(task_plan.name, 1.0, "glutamate", "too stiff")
        return pd.DataFrame(np.ones((len(times_h), len(columns))), columns=list(columns))

    return solve


def test_a_failed_draw_is_left_out_and_named(monkeypatch):
    monkeypatch.setattr(simulation_runs, "_solve", failing(every=30))
    found = drawn(30)
    assert len(found.values) == 29
    assert "too stiff" in found.failures[0]


def test_many_failed_draws_refuse_the_result(monkeypatch):
    monkeypatch.setattr(simulation_runs, "_solve", failing(every=2))
    with pytest.raises(DrawsFailedError, match="15 of 30 draws"):
        drawn(30)


@pytest.mark.parametrize("draws", [-1, 1])
def test_an_impossible_number_of_draws_is_refused_before_anything_is_written(
    regimen, tmp_path, draws
):
    with pytest.raises(InputError, match="--draws"):
        simulate(regimen, out=tmp_path / "o", draws=draws)
    assert not (tmp_path / "o").exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"no\.yaml"):
        simulate(tmp_path / "no.yaml", out=tmp_path / "o")


@pytest.mark.parametrize("species", ["mouse", "rat", "human"])
def test_everything_a_page_shows_is_in_the_model_and_has_a_label(species):
    shown = quantities_of(layers_for(plan(species)))
    assert set(shown) <= set(units())
    assert set(label_frame(plan(species), shown)["label"]) <= set(LABELS)


def test_symptoms_are_for_people_and_regions_for_rodents():
    human, mouse = (set(quantities_of(layers_for(plan(s)))) for s in ("human", "mouse"))
    assert "dissociation_cadss" in human - mouse
    assert "th_DR" in mouse - human
    assert all(
        layer.clinical
        for layer in layers_for(plan("human"))
        if "dissociation_cadss" in quantities_of((layer,))
    )


def test_a_regimen_is_told_in_words():
    text = " ".join(regimen_in_words(plan()))
    assert "30 mg/kg racemic ketamine, intraperitoneal, 2 times, every 24 h" in text
    assert "25 g" in text


def test_sbml_carries_the_doses_of_a_regimen(regimen, tmp_path):
    bare = export_sbml(tmp_path / "bare.xml").read_text(encoding="utf-8")
    dosed = export_sbml(tmp_path / "dosed.xml", regimen=regimen).read_text(encoding="utf-8")
    assert bare.count("<event ") == 0
    assert dosed.count("<event ") >= 2


def test_the_scorecard_is_written_with_every_row(tmp_path):
    scores = scorecard(out=tmp_path / "s", draws=0, workers=1)
    written = pd.read_csv(tmp_path / "s" / "scorecard.csv")
    assert list(written["id"]) == list(scores["id"])
    text = (tmp_path / "s" / "scorecard.md").read_text(encoding="utf-8")
    assert all(f"{one}" in text for one in scores["id"])


def test_response_keeps_the_routes_to_mood_apart():
    infusion = Dose(time_h=0.0, amount=0.5, unit="mg/kg", route="iv", duration_h=0.5)
    patient = plan(subject=Subject(species="human", stress="cms"), doses=(infusion,))
    courses, labels = clinic_courses(
        patient, np.array([0.0, 24.0, 72.0]), draws=2, seed=1, workers=1
    )
    assert set(courses["member"]) == {"reference", "habenula", "spines"}
    day = courses[(courses["time_h"] == 24.0) & (courses["quantity"] == "response_percent")]
    np.testing.assert_allclose(day["median"], day["median"].iloc[0], atol=3.0)
    assert dict(labels[["quantity", "label"]].to_numpy())["remission_percent"] == "known failure"


def test_targeted_delivery_has_an_off_target_index_and_systemic_has_none():
    assert off_target(plan())[0].empty
    table, text = off_target(plan(targets=("LHb",)), draws=2)
    assert "Off-target index" in text
    assert "in 95 % of 2 draws" in text
    assert set(table["label"]) == {"encoded"}
    assert set(table["inside"]) == {"target", "outside"}
