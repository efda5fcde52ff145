"""ketamap.io.studies"""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ketamap.core.errors import DesignError, InputError, MissingInputError
from ketamap.core.settings import Design, DetectionSettings, RegistrationSettings
from ketamap.core.space import Orientation
from ketamap.core.study import Animal, Regimen, Study
from ketamap.io.studies import animals_table, check_groups, read_design, read_study, write_study

EXAMPLE = Path(__file__).parents[2] / "examples" / "study.yaml"


def an_entry():
    """A valid study file of four animals, as plain Python."""
    animals = [
        {"animal": f"m{k}", "signal": f"m{k}.tif", "drug": "ketamine",
         "dose_mg_per_kg": 30 * (k // 2), "days": 10, "sex": "FM"[k % 2], "weight_g": 20 + k}
        for k in range(4)
    ]  # fmt: skip
    return {
        "study": "A test", "atlas": "phantom_mouse_100um", "orientation": "psl",
        "voxel_um": [5, 2, 2], "animals": animals,
        "design": {"dose": "dose_mg_per_kg", "control": 0},
    }  # fmt: skip


def written(folder, entry, images=True):
    if images:
        for one in entry.get("animals", []):
            (folder / one.get("signal", "none")).touch()
    (folder / "study.yaml").write_text(yaml.safe_dump(entry), encoding="utf-8")
    return folder / "study.yaml"


def test_a_study_file_becomes_a_study(tmp_path):
    study = read_study(written(tmp_path, an_entry()))
    assert study.name == "A test"
    assert study.orientation == Orientation("psl")
    assert study.voxel_um == (5.0, 2.0, 2.0)
    assert study.design == Design(dose="dose_mg_per_kg", control=0.0)
    assert study.animals[2] == Animal(
        animal="m2",
        regimen=Regimen(drug="ketamine", dose_mg_per_kg=30.0, days=10),
        signal=tmp_path / "m2.tif",
        sex="F",
        covariates=(("weight_g", 22.0),),
    )


def test_writing_then_reading_is_the_identity(tmp_path):
    for name in ("1.tif", "2.tif", "auto.tif"):
        (tmp_path / name).touch()
    animals = tuple(
        Animal(
            animal=name, regimen=Regimen(drug="ketamine", dose_mg_per_kg=dose, days=3),
            signal=tmp_path / f"{1 + k % 2}.tif", background=tmp_path / "auto.tif", sex="F",
            mask=tmp_path / "1.tif" if k else None, batch="01", covariates=(("cage", "007"), ("weight_g", 20.5 + k), ("note", "")),
        )
        for k, (name, dose) in enumerate(zip(("007", "12.10", "null", "yes"), (0, 0, 2.5, 2.5), strict=True))
    )  # fmt: skip
    study = Study(
        name="true: or not # this", note="made up", atlas="phantom_mouse_100um", animals=animals,
        orientation=Orientation("asr"), design=Design(factor="group", control="vehicle 3 d"),
        atlas_dir=tmp_path / "atlases", voxel_um=(5.0, 2.0, 2.0), extent="left",
        background_voxel_um=(10.0, 4.0, 4.0), detection=DetectionSettings(soma_diameter_um=12.5),
        registration=RegistrationSettings(iterations=(1, 2, 3), refits=3, threads=2),
    )  # fmt: skip
    write_study(tmp_path / "study.yaml", study)
    assert read_study(tmp_path / "study.yaml") == study


def test_a_written_study_moves_with_its_folder(tmp_path):
    (tmp_path / "here").mkdir()
    study = read_study(written(tmp_path / "here", an_entry()))
    write_study(tmp_path / "here" / "study.yaml", study)
    (tmp_path / "here").rename(tmp_path / "there")
    moved = read_study(tmp_path / "there" / "study.yaml")
    assert moved.animals[0].signal == tmp_path / "there" / "m0.tif"


def test_the_example_is_valid_once_its_images_are_there(tmp_path):
    (tmp_path / "study.yaml").write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    for k in range(1, 7):
        (tmp_path / f"m0{k}").mkdir()
        for image in ("th.ome.zarr", "auto.ome.zarr"):
            (tmp_path / f"m0{k}" / image).mkdir()
    study = read_study(tmp_path / "study.yaml")
    assert [one.animal for one in study.animals] == [f"m0{k}" for k in range(1, 7)]


def message_of(folder, entry, **options):
    with pytest.raises(InputError) as caught:
        read_study(written(folder, entry, **options))
    assert "study.yaml" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("key", ["study", "atlas", "orientation", "animals", "design"])
def test_a_missing_key_is_named(tmp_path, key):
    entry = an_entry()
    del entry[key]
    assert f"{key}: this key is needed" in message_of(tmp_path, entry)


@pytest.mark.parametrize("key", ["animal", "signal", "drug", "dose_mg_per_kg", "days"])
def test_a_missing_key_of_an_animal_is_named_with_its_number(tmp_path, key):
    entry = an_entry()
    del entry["animals"][2][key]
    assert f"animals[3].{key}: this key is needed" in message_of(tmp_path, entry)


def test_all_faults_are_told_at_once(tmp_path):
    entry = an_entry()
    entry["orientaton"] = entry.pop("orientation")
    entry["detection"] = {"soma_diamter_um": 15}
    entry["voxel_um"] = [5, 0, 2]
    entry["animals"][0]["dose_mg_per_kg"] = "high"
    entry["animals"][1]["animal"] = "m0"
    entry["animals"][2]["signal"] = "nowhere.tif"
    entry["animals"][3]["backgroud"] = "m3.tif"
    for one in entry["animals"]:
        if one["signal"] != "nowhere.tif":
            (tmp_path / one["signal"]).touch()
    message = message_of(tmp_path, entry, images=False)
    for part in (
        "orientation: this key is needed",
        "orientaton: not a known key; did you mean 'orientation'?",
        "detection.soma_diamter_um: not a known key; did you mean 'soma_diameter_um'?",
        "voxel_um[2]: input should be greater than 0",
        "animals[1].dose_mg_per_kg: input should be a valid number",
        "animals: 'm0' is there 2 times",
        f"animals[3].signal: there is no image {tmp_path / 'nowhere.tif'}",
        "animals[4].backgroud: not a known key; did you mean 'background'?",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"orientation": "pss"}, "Orientation 'pss' is not valid"),
        ({"detection": {"soma_diameter_um": 9000}}, "soma_diameter_um must lie between"),
        ({"registration": {"iterations": [0, 0, 0]}}, "not all zero"),
        ({"design": {"control": 0}}, "names either 'factor'"),
        ({"design": {"dose": "dose_mg_per_kg", "control": "saline"}}, "a dose is needed"),
        ({"extent": "top"}, "extent: input should be 'whole', 'left' or 'right'"),
        ({"animals": []}, "animals: list should have at least 1 item"),
    ],
)
def test_impossible_values_are_told(tmp_path, change, words):
    assert words in message_of(tmp_path, {**an_entry(), **change})


@pytest.mark.parametrize("name", ["../m0", "a/b", ".hidden", ""])
def test_an_animal_whose_name_cannot_be_a_folder_is_refused(tmp_path, name):
    entry = an_entry()
    entry["animals"][0]["animal"] = name
    assert "animals[1].animal" in message_of(tmp_path, entry)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "study.yaml").write_text("study: a\natlas: b\nstudy: c\n")
    with pytest.raises(InputError, match="'study' is there twice"):
        read_study(tmp_path / "study.yaml")


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1", "study", "", "a: !!python/object:x {}"])
def test_what_is_no_study_file_is_refused(tmp_path, content):
    (tmp_path / "study.yaml").write_text(content)
    with pytest.raises(InputError, match=r"study\.yaml"):
        read_study(tmp_path / "study.yaml")
    with pytest.raises(MissingInputError, match=r"other\.yaml is not there"):
        read_study(tmp_path / "other.yaml")


def test_a_group_of_one_animal_is_refused(tmp_path):
    entry = an_entry()
    entry["animals"][3]["dose_mg_per_kg"] = 100
    message = message_of(tmp_path, entry)
    assert "has one animal" in message
    assert "100" in message


def test_groups_that_are_numbered_stay_names(tmp_path):
    entry = an_entry()
    for k, one in enumerate(entry["animals"]):
        one["cohort"] = k // 2
    entry["design"] = {"factor": "cohort", "control": 0}
    study = read_study(written(tmp_path, entry))
    assert animals_table(study)["cohort"].tolist() == ["0", "0", "1", "1"]
    assert study.design.control == "0"


def a_study(tmp_path, **design):
    return replace(read_study(written(tmp_path, an_entry())), design=Design(**design))


@pytest.mark.parametrize(
    ("design", "words"),
    [
        ({"factor": "sex", "control": "F"}, None),
        ({"factor": "group", "control": "vehicle 10 d"}, None),
        ({"dose": "dose_mg_per_kg", "duration": "days", "control": 0.0}, None),
        ({"factor": "group", "control": "saline"}, "'saline' is not in group"),
        ({"factor": "strain", "control": "B6"}, "no column 'strain'"),
        ({"factor": "animal", "control": "m0"}, "has one animal"),
        ({"factor": "drug", "control": "ketamine"}, "nothing to compare"),
        ({"dose": "dose_mg_per_kg", "control": 0.0, "batch": "day"}, "no column 'day'"),
    ],
)
def test_groups_are_checked_against_the_design(tmp_path, design, words):
    study = a_study(tmp_path, **design)
    if words is None:
        check_groups(study)
    else:
        with pytest.raises(DesignError, match=words):
            check_groups(study)


def test_the_animals_table_has_one_row_per_animal(tmp_path):
    table = animals_table(read_study(written(tmp_path, an_entry())))
    assert list(table.columns) == [
        "animal", "drug", "dose_mg_per_kg", "days", "sex", "batch", "group", "weight_g",
    ]  # fmt: skip
    assert table["group"].tolist() == ["vehicle 10 d"] * 2 + ["30 mg/kg 10 d"] * 2
    assert table["weight_g"].tolist() == [20.0, 21.0, 22.0, 23.0]


def test_a_design_file_becomes_a_design(tmp_path):
    (tmp_path / "d.yaml").write_text(
        "factor: group\ncontrol: saline\nalpha: 0.1\nformula: '~ group'\n"
    )
    assert read_design(tmp_path / "d.yaml") == Design(
        factor="group", control="saline", alpha=0.1, formula="~ group"
    )
    (tmp_path / "d.yaml").write_text("factr: group\ncontrol: saline\n")
    with pytest.raises(InputError, match="factr: not a known key; did you mean 'factor'"):
        read_design(tmp_path / "d.yaml")


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ("", ()),
        ("measure: cells", ("cells",)),
        ("measure: [axon_length_mm, cells]", ("axon_length_mm", "cells")),
    ],
)
def test_a_design_names_one_measure_or_several_or_none(tmp_path, stated, found):
    (tmp_path / "d.yaml").write_text(f"factor: group\ncontrol: saline\n{stated}\n")
    assert read_design(tmp_path / "d.yaml").measures == found


def test_a_measure_is_named_once(tmp_path):
    (tmp_path / "d.yaml").write_text("factor: group\ncontrol: a\nmeasure: [cells, cells]\n")
    with pytest.raises(InputError, match="each measure once"):
        read_design(tmp_path / "d.yaml")


@pytest.mark.parametrize("measures", [(), ("cells",), ("cells", "axon_length_mm")])
def test_measures_and_permutations_of_a_study_survive_writing(tmp_path, measures):
    design = replace(
        read_study(written(tmp_path, an_entry())).design, measures=measures, permutations=500
    )
    study = replace(read_study(tmp_path / "study.yaml"), design=design)
    write_study(tmp_path / "study.yaml", study)
    assert read_study(tmp_path / "study.yaml").design == design


def traced(path, lines):
    """Write a small study with a ``tracing`` key before its animals."""
    text = MINIMAL_TRACED.format(tracing=lines)
    for name in ("a", "b", "c", "d"):
        (path / f"{name}.tif").write_bytes(b"x")
    (path / "study.yaml").write_text(text, encoding="utf-8")
    return path / "study.yaml"


MINIMAL_TRACED = """
study: s
atlas: phantom_mouse_100um
orientation: psl
detection: {{soma_diameter_um: 22}}
{tracing}
animals:
  - {{animal: a, signal: a.tif, drug: k, dose_mg_per_kg: 0, days: 1}}
  - {{animal: b, signal: b.tif, drug: k, dose_mg_per_kg: 0, days: 1}}
  - {{animal: c, signal: c.tif, drug: k, dose_mg_per_kg: 9, days: 1}}
  - {{animal: d, signal: d.tif, drug: k, dose_mg_per_kg: 9, days: 1}}
design: {{dose: dose_mg_per_kg, control: 0}}
"""


def test_axons_are_traced_where_the_key_stands(tmp_path):
    assert read_study(traced(tmp_path, "")).tracing is None
    study = read_study(traced(tmp_path, "tracing: {}"))
    assert study.tracing.soma_diameter_um == 22  # that of detection, unless said otherwise
    (tmp_path / "trace.json").write_text("{}")
    full = "tracing: {fibre_sigma_um: 3, calibration: trace.json, pictures: [PL, CP]}"
    study = read_study(traced(tmp_path, full))
    assert study.tracing.fibre_sigma_um == 3
    assert study.trace_calibration == tmp_path / "trace.json"
    assert study.trace_regions == ("PL", "CP")
    write_study(tmp_path / "again.yaml", study)
    assert read_study(tmp_path / "again.yaml") == study


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("tracing: {fibre_sigma_um: -1}", "tracing: fibre_sigma_um must lie between"),
        ("tracing: {fiber_sigma_um: 2}", "did you mean 'fibre_sigma_um'"),
        ("tracing: {calibration: nowhere.json}", "tracing.calibration: there is no file"),
    ],
)
def test_faults_of_tracing_are_told_with_their_place(tmp_path, lines, words):
    with pytest.raises(InputError, match=words):
        read_study(traced(tmp_path, lines))


def test_somata_are_planted_unless_the_study_says_otherwise(tmp_path):
    entry = an_entry()
    assert read_study(written(tmp_path, entry)).detection.spike_ins == 200
    entry["detection"] = {"spike_ins": 0}
    assert read_study(written(tmp_path, entry)).detection.spike_ins == 0
    entry["detection"] = {"spike_ins": -1}
    with pytest.raises(InputError, match="spike_ins"):
        read_study(written(tmp_path, entry))


def test_a_score_model_is_found_relative_to_the_study_file(tmp_path):
    entry = {**an_entry(), "detection": {"model": "../mine.json"}}
    folder = tmp_path / "study"
    folder.mkdir()
    with pytest.raises(InputError, match=r"detection\.model: there is no file"):
        read_study(written(folder, entry))
    (tmp_path / "mine.json").touch()
    study = read_study(written(folder, entry))
    assert study.score_model == tmp_path / "mine.json"
    write_study(folder / "again.yaml", study)
    assert read_study(folder / "again.yaml") == study


def test_cells_are_told_by_the_backgrounds_only_where_the_study_says_so(tmp_path):
    entry = an_entry()
    assert not read_study(written(tmp_path, entry)).detect_with_background
    entry["detection"] = {"background": True}
    with pytest.raises(InputError, match="none: m0, m1, m2, m3"):
        read_study(written(tmp_path, entry))
    for one in entry["animals"]:
        one["background"] = one["signal"]
    study = read_study(written(tmp_path, entry))
    assert study.detect_with_background
    write_study(tmp_path / "again.yaml", study)
    assert read_study(tmp_path / "again.yaml") == study
