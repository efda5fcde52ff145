"""ketamap.workflow.simulation_sensitivity: a ranked table, and clear refusals."""

import pandas as pd
import pytest

from ketamap.core.errors import InputError
from ketamap.simulate.sensitivity import Outcome
from ketamap.workflow.simulation_sensitivity import sensitivity

REGIMEN = """
regimen: One infusion
species: human
doses:
  - {time: 0 h, amount: 10 mg, route: iv}
end: 3 d
"""
AREA = Outcome(column="auc_ketamine_uM_h", time_h=72.0)


@pytest.fixture
def regimen(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(REGIMEN, encoding="utf-8")
    return path


def test_clearance_leads_what_exposure_depends_on(regimen, tmp_path):
    table = sensitivity(
        regimen, outcome=AREA, out=tmp_path / "o", parameters=["IC50_ketamine", "CL"]
    )
    assert list(table["parameter"]) == ["CL", "IC50_ketamine"]
    assert table["elasticity"].iloc[0] == pytest.approx(-1.0, abs=0.01)
    assert table["certainty"].notna().all()
    written = pd.read_csv(tmp_path / "o" / "sensitivity.csv")
    assert list(written["parameter"]) == list(table["parameter"])
    assert (tmp_path / "o" / "manifest.json").exists()


def test_all_faults_are_named_at_once_and_nothing_is_written(regimen, tmp_path):
    nothing = Outcome(column="happiness", time_h=99.0)
    with pytest.raises(InputError, match=r"(?s)happiness.*0 to 72.*needs --parameters"):
        sensitivity(regimen, outcome=nothing, out=tmp_path / "o", method="sobol")
    with pytest.raises(InputError, match="local, morris, sobol"):
        sensitivity(regimen, outcome=AREA, out=tmp_path / "o", method="guess")
    with pytest.raises(InputError, match="No uncertain parameter is called CLL"):
        sensitivity(regimen, outcome=AREA, out=tmp_path / "o", parameters=["CLL"])
    assert not (tmp_path / "o").exists()
