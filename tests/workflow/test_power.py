"""ketamap.workflow.power, and the verb"""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from ketamap.cli.main import app
from ketamap.workflow.power import power
from tests.stats.cohorts import cohort


def pilot(folder):
    table, animals, _ = cohort(
        np.random.default_rng(1), ["saline"] * 4 + ["drug"] * 4, n_regions=60, region_sd=0.3
    )
    table.drop(columns="region_id").to_csv(folder / "pilot.csv", index=False)
    animals.to_csv(folder / "animals.csv", index=False)
    (folder / "design.yaml").write_text("factor: group\ncontrol: saline\n", encoding="utf-8")
    return {"animals": folder / "animals.csv", "design": folder / "design.yaml"}


@pytest.mark.slow
def test_a_pilot_gives_tables_and_curves(tmp_path):
    result = power(tmp_path / "pilot.csv", **pilot(tmp_path), out=tmp_path / "out", budget=24)
    written = {p.name for p in (tmp_path / "out").iterdir()}
    assert written == {
        "power.parquet", "power_regions.parquet", "animals_needed.parquet",
        "power_budget.parquet", "power.png",
    }  # fmt: skip
    again = pd.read_parquet(tmp_path / "out" / "power.parquet")
    np.testing.assert_allclose(again["power"], result.average["power"])
    assert (tmp_path / "out" / "power.png").read_bytes()[:4] == b"\x89PNG"
    assert set(result.needed["acronym"]) == set(result.by_region["acronym"])


def test_the_verb_prints_power_by_animals_per_group(tmp_path):
    files = pilot(tmp_path)
    told = CliRunner().invoke(
        app,
        [
            "power", str(tmp_path / "pilot.csv"), "--animals", str(files["animals"]),
            "--design", str(files["design"]), "--out", str(tmp_path / "out"),
        ],
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    assert "2-fold, relative: mean power by animals per group 3:" in told.output
    assert "power.png" in told.output
