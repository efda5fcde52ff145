"""ketamap.workflow.power, and the verb"""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from ketamap.cli.main import app
from ketamap.core.errors import InputError
from ketamap.workflow.power import Question, power
from tests.stats.cohorts import cohort


def pilot(folder):
    table, animals, _ = cohort(
        np.random.default_rng(1), ["saline"] * 4 + ["drug"] * 4, n_regions=60, region_sd=0.3
    )
    table = table[table["acronym"] != "root"]
    table.drop(columns="region_id").to_csv(folder / "pilot.csv", index=False)
    animals.to_csv(folder / "animals.csv", index=False)
    (folder / "design.yaml").write_text("factor: group\ncontrol: saline\n", encoding="utf-8")
    return {"animals": folder / "animals.csv", "design": folder / "design.yaml"}


@pytest.mark.slow
def test_a_pilot_gives_tables_curves_and_a_page(tmp_path):
    ask = Question(folds=(2.0,), regions=("R3",), budget=24)
    result = power(tmp_path / "pilot.csv", **pilot(tmp_path), out=tmp_path / "out", question=ask)
    written = {p.name for p in (tmp_path / "out").iterdir()}
    tables = ("power", "power_regions", "animals_needed", "power_budget")
    assert written == {
        "power.html", "power.png", *(f"{t}.{end}" for t in tables for end in ("csv", "parquet")),
    }  # fmt: skip
    again = pd.read_parquet(tmp_path / "out" / "power.parquet")
    np.testing.assert_allclose(again["power"], result.average["power"])
    assert (tmp_path / "out" / "power.png").read_bytes()[:4] == b"\x89PNG"
    assert set(result.needed["acronym"]) == set(result.by_region["acronym"])
    page = (tmp_path / "out" / "power.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page
    assert "The regions asked for" in page
    assert "Splitting the animals" in page


def test_the_verb_prints_power_by_animals_per_group(tmp_path):
    files = pilot(tmp_path)
    told = CliRunner().invoke(
        app,
        [
            "power", str(tmp_path / "pilot.csv"), "--animals", str(files["animals"]),
            "--design", str(files["design"]), "--out", str(tmp_path / "out"),
            "--fold", "2", "--region", "R3",
        ],
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    assert "Relative effects: animals per group for a mean power of 80%: 2-fold" in told.output
    assert "Animals per group for 80 % power" in told.output
    assert "power.html" in told.output


@pytest.mark.slow
def test_published_noise_serves_without_a_pilot(tmp_path):
    result = power(out=tmp_path, noise="mdma", question=Question(folds=(2.0,)))
    assert "MDMA" in result.average["noise"].iloc[0]
    assert (tmp_path / "power.html").is_file()
    relative = result.average[result.average["estimand"] == "relative"]
    assert relative["power"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "either a pilot table"),
        ({"noise": "nothing"}, "it has Davoudian"),
        ({"noise": "Aboharb"}, "it has Davoudian"),
        (
            {"noise": "Dimmock", "question": Question(regions=("ACA",))},
            "does not tell regions apart",
        ),
    ],
)
def test_what_cannot_be_estimated_is_refused(tmp_path, how, message):
    with pytest.raises(InputError, match=message):
        power(out=tmp_path / "out", **how)
    assert not (tmp_path / "out").exists()


def test_no_change_is_no_question():
    with pytest.raises(InputError, match="A fold is a change"):
        Question(folds=(1.0,))
