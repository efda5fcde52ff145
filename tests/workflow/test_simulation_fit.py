"""ketamap.workflow.simulation_fit: data in, tables and a page out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import InputError, MissingInputError, TableError
from ketamap.io.regimens import read_regimen
from ketamap.simulate.engine import simulate
from ketamap.workflow.simulation_fit import _spread, fit, fit_table

EXAMPLES = Path(__file__).parents[2] / "examples"
REGIMEN = EXAMPLES / "regimen_mouse_single.yaml"
TIMES_H = np.array([0.1, 0.25, 0.5, 1.0, 2.0, 4.0])


@pytest.fixture
def one_subject(tmp_path):
    exact = simulate(read_regimen(REGIMEN), parameters={"CL": 0.16}, times_h=TIMES_H)
    value = exact["plasma_ketamine_ng_per_ml"] * np.array([1.05, 0.96, 1.02, 0.95, 1.04, 0.99])
    path = tmp_path / "one.csv"
    pd.DataFrame({"time_h": TIMES_H, "value": value}).to_csv(path, index=False)
    return path


def test_one_subject_is_fitted_and_what_the_data_do_not_tell_is_named(one_subject, tmp_path):
    done = fit(REGIMEN, data=one_subject, parameters=["CL", "gain_bdnf"], out=tmp_path / "o")
    table = pd.read_csv(done.estimates).set_index("parameter")
    assert table.loc["CL", "low_95"] <= 0.16 <= table.loc["CL", "high_95"]
    assert done.lines[-1].startswith("not identifiable: gain_bdnf")
    assert " L/h (" in done.lines[0]
    page = done.page.read_text(encoding="utf-8")
    for told in (
        "L/h",
        "Not identifiable",
        "Raue et al. 2009",
        "For research, not for dosing.",
    ):
        assert told in page
    assert (tmp_path / "o" / "manifest.json").exists()


@pytest.mark.slow
def test_the_example_of_six_mice_is_fitted_together(tmp_path):
    done = fit(
        REGIMEN, data=EXAMPLES / "concentrations_mice.csv", parameters=["CL"], out=tmp_path / "o"
    )
    table = pd.read_csv(done.estimates).set_index("parameter")
    assert table.loc["CL", "identified"]
    assert 0.0 < table.loc["CL", "spread_sd_ln"] < 1.0
    assert len(pd.read_csv(tmp_path / "o" / "animals.csv")) == 6
    assert "Lindstrom and Bates" in done.page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("identified", "says"), [(True, "animals 0.25 (SD of ln)"), (False, "animals not identifiable")]
)
def test_a_spread_that_the_data_do_not_tell_is_not_given_as_a_number(identified, says):
    row = {"spread_sd_ln": 0.25, "spread_identified": identified}
    assert _spread(row).endswith(says)
    assert _spread({}) == ""


def test_wrong_input_is_refused_before_anything_is_written(one_subject, tmp_path):
    out = tmp_path / "o"
    with pytest.raises(InputError, match="no parameter is called CLL"):
        fit(REGIMEN, data=one_subject, parameters=["CLL"], out=out)
    with pytest.raises(InputError, match="plasma_ketamine_ng_per_ml"):
        fit(REGIMEN, data=one_subject, parameters=["CL"], out=out, column="plasma")
    with pytest.raises((MissingInputError, TableError), match=r"no\.csv"):
        fit(REGIMEN, data=tmp_path / "no.csv", parameters=["CL"], out=out)
    with pytest.raises(MissingInputError, match="holds no analysis"):
        fit_table(tmp_path, out=out)
    assert not out.exists()
