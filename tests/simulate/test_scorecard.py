"""ketamap.simulate.scorecard and its rows, rules and text"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import InputError
from ketamap.simulate.facts import citations, split_ids
from ketamap.simulate.scorecard import (
    DEFAULT_DRAWS,
    DEFAULT_SEED,
    results_of,
    run_scorecard,
    score,
    scorecard_rows,
)
from ketamap.simulate.scorecard_intervals import INTERVALS
from ketamap.simulate.scorecard_patterns import PATTERNS
from ketamap.simulate.scorecard_scenarios import COLUMNS, all_scenarios
from ketamap.simulate.scorecard_text import scorecard_markdown, scorecard_summary

COMMITTED = Path(__file__).parents[2] / "docs" / "scorecard.md"


@pytest.fixture(scope="module")
def nominal():
    return run_scorecard(0)


def test_every_row_has_one_rule_and_every_rule_a_row():
    ids = list(scorecard_rows()["id"])
    assert len(ids) == len(set(ids))
    assert set(ids) == set(INTERVALS) | set(PATTERNS)
    assert not set(INTERVALS) & set(PATTERNS)


def test_rows_with_a_number_have_an_interval_and_patterns_have_none():
    rows = scorecard_rows().set_index("id")
    intervals = rows.loc[list(INTERVALS)]
    assert (intervals["low"] < intervals["high"]).all()
    assert rows.loc[list(PATTERNS), ["low", "high"]].isna().all(axis=None)


def test_every_row_cites_facts_and_has_a_known_kind():
    rows = scorecard_rows()
    assert set(rows["kind"]) == {"calibration", "held out", "near-forced", "encoded"}
    for cell in rows["source_rows"]:
        assert citations(split_ids(cell))


def test_calibration_and_encoded_rows_never_count():
    rows = scorecard_rows()
    assert set(rows.loc[rows["counts"], "kind"]) == {"held out", "near-forced"}


def test_the_prototype_is_counted_as_it_counted_itself():
    frame = scorecard_rows().assign(pass_percent=np.nan, nominal_in=False)
    summary = scorecard_summary(frame)
    assert summary["prototype_passing"] == 10
    assert summary["prototype_passing_informative"] == 6


def test_calibrated_rows_are_met_nominally(nominal):
    calibrated = nominal[nominal["kind"] == "calibration"]
    assert calibrated["nominal_in"].all(), calibrated.loc[~calibrated["nominal_in"], "id"]


def test_no_row_is_nan(nominal):
    assert all(np.isfinite(v).all() for v in nominal["values"])
    assert nominal["pass_percent"].isna().all()


class EveryRead(dict):
    """An engine's stand-in would hide faults; this only notes which experiments are read."""

    def __init__(self, frames):
        super().__init__(frames)
        self.read = set()

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)


@pytest.mark.slow
def test_every_experiment_is_read_by_a_row():
    from dataclasses import replace

    from ketamap.simulate.engine import shared_engine

    results = results_of(shared_engine(COLUMNS, 1e-6), -1, 0)
    frames = EveryRead(results.frames)
    score(replace(results, frames=frames))
    assert frames.read == set(all_scenarios())


@pytest.mark.slow
def test_workers_change_nothing():
    one, two = (run_scorecard(6, seed=1, workers=w) for w in (1, 2))
    pd.testing.assert_frame_equal(one, two)


def test_the_text_shows_every_row_and_every_failure(nominal):
    frame = nominal.assign(pass_percent=50.0, low_95=0.0, high_95=1.0)
    text = scorecard_markdown(frame, n_draws=1, seed=2)
    for name in frame["id"]:
        assert f"| {name} |" in text
    assert "not for dosing" in text
    lost = frame.assign(pass_percent=0.0)
    failures = scorecard_markdown(lost, n_draws=1, seed=2).split("## Known failures")[1]
    for name in lost.loc[~lost["nominal_in"], "id"]:
        assert f"**{name}**" in failures


@pytest.mark.slow
def test_the_committed_scorecard_has_the_nominal_values_of_this_model(nominal):
    text = COMMITTED.read_text(encoding="utf-8")
    rows = {
        cells[1]: cells
        for cells in (
            [cell.strip() for cell in line.split("|")] for line in text.splitlines() if "|" in line
        )
        if len(cells) > 10
    }
    again = (
        "the model changed: run 'python benchmarks/simulation.py --write-scorecard "
        "docs/scorecard.md' and say what it cost"
    )
    for name, predicted, inside in zip(
        nominal["id"], nominal["values"], nominal["nominal_in"], strict=True
    ):
        shown = [float(number) for number in rows[name][5].split(",")]
        np.testing.assert_allclose(
            shown, predicted, rtol=0.02, atol=2e-3, err_msg=f"{name}: {again}"
        )
        assert (rows[name][6] == "in") == inside, f"{name}: {again}"
    made = re.search(r"of (\d+) draws from the priors \(seed (\d+)\)", " ".join(text.split()))
    assert made is not None
    assert int(made[1]) >= DEFAULT_DRAWS
    assert int(made[2]) == DEFAULT_SEED


def test_impossible_numbers_are_refused():
    with pytest.raises(InputError, match="n_draws"):
        run_scorecard(-1)
    with pytest.raises(InputError, match="workers"):
        run_scorecard(1, workers=0)
