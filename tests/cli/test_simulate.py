"""ketamap.cli.simulate: a file or a verb, one line for errors, light help."""

import subprocess
import sys

import pytest

REGIMEN = """
regimen: One dose
species: mouse
doses:
  - {time: 0 h, amount: 30 mg/kg, route: ip}
end: 1 d
"""


@pytest.fixture
def regimen(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(REGIMEN, encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_file_and_the_named_verb_do_the_same_wherever_options_stand(ketamap, regimen, tmp_path):
    for name, words in (
        ("file", ["simulate", "--draws", "0", regimen]),
        ("verb", ["simulate", "regimen", regimen, "--draws", "0"]),
    ):
        code, printed, _ = ketamap(*words, "--out", tmp_path / name)
        assert code == 0
        assert "For research, not for dosing." in printed
        assert (tmp_path / name / "report.html").exists()


def test_help_names_the_verbs_and_the_file(ketamap):
    code, printed, _ = ketamap("simulate", "--help")
    assert code == 0
    for word in ("REGIMEN.yaml", "study", "scorecard", "sbml"):
        assert word in printed


def test_help_stays_light():
    code = (
        "import sys; from ketamap.cli.main import main\n"
        "heavy = {'pandas', 'roadrunner', 'antimony', 'plotly', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("30 mg/kg", "30", "unit"),
        ("30 mg/kg", "-3 mg/kg", "negative"),
        ("route: ip", "route: magic", "route"),
        ("time: 0 h", "time: 2 d", "after the end"),
        ("species: mouse", "species: dog", "species"),
        (
            "end: 1 d",
            "end: 1 d\nblocks: [{kind: nmda_antagonist, end: 4 h, fraction: 1.1}]",
            "less than or equal to 1",
        ),
    ],
)
def test_a_wrong_regimen_is_one_line_and_leaves_nothing(
    ketamap, regimen, tmp_path, before, after, told
):
    regimen.write_text(REGIMEN.replace(before, after), encoding="utf-8")
    code, printed, errors = ketamap("simulate", regimen, "--out", tmp_path / "o")
    assert code == 1
    assert printed == ""
    lines = [line for line in errors.splitlines() if not line.endswith("...")]
    assert lines[0].startswith("Error: ")
    assert told in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "o").exists()


def test_a_file_that_is_not_there_is_named(ketamap, tmp_path):
    code, _, errors = ketamap("simulate", tmp_path / "no.yaml", "--out", tmp_path / "o")
    assert code == 1
    assert "no.yaml" in errors


def test_the_model_is_written_as_sbml(ketamap, tmp_path):
    code, printed, _ = ketamap("simulate", "sbml", "--out", tmp_path / "m.xml")
    assert code == 0
    assert "m.xml" in printed
    assert "<sbml" in (tmp_path / "m.xml").read_text(encoding="utf-8")


def test_the_scorecard_prints_every_verdict_and_the_count(ketamap, tmp_path):
    code, printed, _ = ketamap("simulate", "scorecard", "--out", tmp_path / "s", "--draws", "0")
    assert code == 0
    assert "PK1" in printed
    assert "held-out rows are in nominally" in printed


def test_too_few_mice_are_refused_in_one_line(ketamap, tmp_path):
    code, _, errors = ketamap("simulate", "study", "--out", tmp_path / "o", "--n", "2")
    assert code == 1
    assert errors.startswith("Error: --n must be at least 3")
