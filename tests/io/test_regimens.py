"""ketamap.io.regimens"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ketamap.core.dosing import Block, Dose, DosingPlan, Subject
from ketamap.core.errors import InputError, MissingInputError, TableError
from ketamap.io.regimens import read_event_table, read_regimen, write_regimen

EXAMPLES = Path(__file__).parents[2] / "examples"

BASE = """
regimen: test
species: mouse
doses:
  - {amount: 30 mg/kg, route: ip}
end: 14 d
"""

doses = st.builds(
    Dose,
    time_h=st.floats(0.0, 20.0),
    amount=st.floats(0.0, 100.0),
    unit=st.sampled_from(["mg", "mg/kg", "umol", "umol/kg"]),
    route=st.sampled_from(["iv", "ip", "sc", "im", "in", "po"]),
    duration_h=st.floats(0.0, 3.0),
    form=st.sampled_from(["racemate", "S", "R"]),
)
blocks = st.builds(
    Block,
    kind=st.sampled_from(["ampa_antagonist", "lhb_lesion"]),
    start_h=st.floats(0.0, 10.0),
    end_h=st.floats(11.0, 99.0),
    fraction=st.floats(0.0, 1.0),
)


def read_text(folder, text):
    path = folder / "regimen.yaml"
    path.write_text(text, encoding="utf-8")
    return read_regimen(path)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    given_doses=st.lists(doses, max_size=4),
    given_blocks=st.lists(blocks, max_size=2),
    weight=st.none() | st.floats(0.01, 100.0),
    stress=st.sampled_from(["none", "cms", "defeat", "helpless"]),
    targets=st.sampled_from([(), ("LHb", "PL")]),
)
def test_what_is_written_is_read_back(tmp_path, given_doses, given_blocks, weight, stress, targets):
    subject = Subject(species="human", weight_kg=weight, sex="F", stress=stress)
    plan = DosingPlan(
        name="Größe 1: 7", subject=subject, doses=tuple(given_doses), end_h=24.5,
        blocks=tuple(given_blocks), targets=targets,
    )  # fmt: skip
    write_regimen(tmp_path / "r.yaml", plan)
    assert read_regimen(tmp_path / "r.yaml") == plan


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("regimen_*.yaml")), ids=lambda p: p.stem)
def test_the_examples_are_valid(path):
    plan = read_regimen(path)
    assert plan.treated
    assert plan.end_h > max(dose.time_h for dose in plan.doses)


def test_units_are_understood(tmp_path):
    text = BASE.replace("{amount: 30 mg/kg, route: ip}",
        "{amount: 500 ug/kg, route: iv, time: 30 min, duration: 0.5 h, every: 7 d, additional: 1}"
    ).replace("end: 14 d", "end: 2 weeks\nweight: 22.5 g")  # fmt: skip
    plan = read_text(tmp_path, text)
    first, second = plan.doses
    assert (first.amount, first.unit) == (0.5, "mg/kg")
    assert (first.time_h, first.duration_h, second.time_h) == (0.5, 0.5, 168.5)
    assert plan.end_h == 336.0
    assert plan.subject.weight_kg == pytest.approx(0.0225)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("30 mg/kg", "30", r"doses\[1\].amount: no unit; write for instance 30 mg/kg"),
        ("30 mg/kg", "-30 mg/kg", r"doses\[1\].amount: must not be negative"),
        ("30 mg/kg", "a lot", "not a number with a unit"),
        ("30 mg/kg", "30 grains", "grains is not a unit known here"),
        ("route: ip", "route: oral", r"doses\[1\].route"),
        ("route: ip", "rout: ip", "did you mean 'route'"),
        ("route: ip", "route: ip, additional: 3", "additional doses need it"),
        ("species: mouse", "species: dog", "species: input should be 'mouse', 'rat' or 'human'"),
        ("14 d", "14", "end: no unit"),
        ("14 d", "0 d", "end_h must be positive"),
        ("end: 14 d", "", "end: this key is needed"),
        ("route: ip", "route: ip, time: 20 d", "lies after the end"),
        ("end: 14 d", "end: 14 d\nblocks: [{kind: lhb_lesion, end: 4 h, fraction: 1.2}]",
         "less than or equal to 1"),
        ("end: 14 d", "end: 14 d\nblocks: [{kind: lhb_lesion, start: 5 h, end: 4 h}]",
         "must end after it starts"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place(tmp_path, old, new, words):
    with pytest.raises(InputError, match=words):
        read_text(tmp_path, BASE.replace(old, new))


def test_all_faults_come_at_once(tmp_path):
    text = BASE.replace("30 mg/kg", "30").replace("ip}", "oral}").replace("14 d", "x").replace(
        "species: mouse", "specis: mouse"
    )  # fmt: skip
    with pytest.raises(InputError) as caught:
        read_text(tmp_path, text)
    for words in ("no unit", "doses[1].route", "end:", "did you mean 'species'"):
        assert words in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"nothing\.yaml"):
        read_regimen(tmp_path / "nothing.yaml")
    with pytest.raises(MissingInputError, match=r"nothing\.csv"):
        read_event_table(tmp_path / "nothing.csv")


def event_table(folder, text):
    path = folder / "events.csv"
    path.write_text(text, encoding="utf-8")
    return read_event_table(path)


def test_an_event_table_keeps_identifiers_and_makes_numbers(tmp_path):
    table = event_table(
        tmp_path, "# a comment\nid,time,amt,rate,cmt,dv\n007,0,10,.,1,3\n007,1,,2,1,4\n"
    )
    assert table["ID"].tolist() == ["007", "007"]
    assert table["AMT"].tolist() == [10.0, 0.0]
    assert table["RATE"].tolist() == [0.0, 2.0]
    assert "DV" not in table


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("TIME,CMT\n0,1\n", "column AMT is needed"),
        ("TIME,AMT,DOSE\n0,1,2\n", "column DOSE is not known"),
        ("TIME,AMT\n0,ten\n", "row 2: AMT is 'ten', not a number"),
        ("TIME,AMT,SS\n0,1,1\n", "steady state"),
        ("", "not a comma-separated table"),
    ],
)
def test_a_faulty_event_table_is_refused(tmp_path, text, words):
    with pytest.raises(TableError, match=words):
        event_table(tmp_path, text)
