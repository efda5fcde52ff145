"""ketamap.simulate.scorecard and its rows, rules and text"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import InputError
from ketamap.simulate.engine import shared_engine
from ketamap.simulate.facts import citations, split_ids
from ketamap.simulate.scorecard import (
    DEFAULT_DRAWS,
    DEFAULT_SEED,
    FIRST_DRAWS,
    first_passes,
    run_scorecard,
)
from ketamap.simulate.scorecard_draws import (
    calibrated_draws,
    condition_ids,
    first_failed,
    measured,
    passes,
    results_of,
    score,
    score_draws,
    scorecard_rows,
)
from ketamap.simulate.scorecard_intervals import INTERVALS
from ketamap.simulate.scorecard_patterns import PATTERNS
from ketamap.simulate.scorecard_results import WhenAsked
from ketamap.simulate.scorecard_scenarios import COLUMNS, all_scenarios
from ketamap.simulate.scorecard_text import COMMAND, scorecard_markdown, scorecard_summary

COMMITTED = Path(__file__).parents[2] / "docs" / "scorecard.md"


def committed_rows():
    """Cells of the committed scorecard by row; 5 is predicted, 6 its verdict, 7 the pass rate."""
    text = COMMITTED.read_text(encoding="utf-8")
    lines = ([cell.strip() for cell in line.split("|")] for line in text.splitlines())
    return {cells[1]: cells for cells in lines if len(cells) > 10}


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
    frame = scorecard_rows().assign(
        pass_percent=np.nan, conditioned_pass_percent=np.nan, nominal_in=False
    )
    summary = scorecard_summary(frame)
    assert summary["prototype_passing"] == 10
    assert summary["prototype_passing_informative"] == 6


def test_calibrated_rows_are_met_nominally(nominal):
    calibrated = nominal[nominal["kind"] == "calibration"]
    assert calibrated["nominal_in"].all(), calibrated.loc[~calibrated["nominal_in"], "id"]


def test_no_row_is_nan(nominal):
    assert all(np.isfinite(v).all() for v in nominal["values"])
    assert nominal["pass_percent"].isna().all()


@pytest.mark.slow
def test_every_experiment_is_read_by_a_row():
    results = results_of(shared_engine(COLUMNS, 1e-6), -1, 0)
    score(results)
    assert set(results.frames._done) == set(all_scenarios())


def test_an_experiment_is_simulated_when_it_is_read_and_once():
    asked = []
    frames = WhenAsked(("a", "b"), lambda name: asked.append(name) or pd.DataFrame())
    assert asked == []
    assert frames["a"] is frames["a"]
    assert asked == ["a"]
    assert list(frames) == ["a", "b"]


def test_only_calibration_rows_condition_and_the_one_that_was_held_out_does_not():
    rows = scorecard_rows().set_index("id")
    conditions = rows.loc[list(condition_ids())]
    assert set(conditions["kind"]) == {"calibration"}
    assert not conditions["counts"].any()
    left_out = set(rows.index[rows["kind"] == "calibration"]) - set(conditions.index)
    assert left_out == {"E3", "M-R24"}  # once held out; true by construction wherever M24 is


@pytest.mark.slow
def test_a_calibrated_draw_passes_every_calibration_row_and_those_before_it_fail_one():
    found, tried = calibrated_draws(1, seed=DEFAULT_SEED)
    assert tried == found[0] + 1
    engine = shared_engine(COLUMNS, 1e-6)
    results = results_of(engine, found[0], DEFAULT_SEED)
    assert all(passes(row, measured(row, results)) for row in condition_ids())
    for draw in range(min(found[0], 3)):
        row = first_failed(draw, DEFAULT_SEED)
        assert row == "unsolved" or not passes(
            row, measured(row, results_of(engine, draw, DEFAULT_SEED))
        )


def test_nothing_passes_on_nan():
    for row in scorecard_rows()["id"]:
        n = 7 if row == "T1" else 6
        assert not passes(row, (float("nan"),) * n)


def test_glutamate_is_judged_by_its_direction_and_dopamine_by_its_order():
    assert passes("C13", (0.2, 0.1, 0.01, -0.01))
    assert not passes("C13", (0.2, 0.1, -0.01, -0.01))
    assert not passes("C123", (0.2, 0.1, 0.01, 0.2, -0.01))
    assert passes("D5", (1.3, 1.3, 0.6))
    assert not passes("D5", (1.3, 0.8, 0.6))
    assert not passes("D5", (1.3, 1.3, 1.4))


@pytest.mark.slow
def test_workers_change_nothing():
    told = []
    one, two = (
        run_scorecard(2, seed=1, workers=w, progress=lambda done, of: told.append(done / of))
        for w in (1, 2)
    )
    pd.testing.assert_frame_equal(one, two)
    assert told[-1] == 1.0
    assert all(0.0 < part <= 1.0 for part in told)


def test_the_text_shows_every_row_and_every_failure(nominal):
    both = {f"{p}pass_percent": 50.0 for p in ("", "conditioned_")}
    frame = nominal.assign(**both, low_95=0.0, high_95=1.0, tried=3)
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
    rows = committed_rows()
    again = f"the model changed: run '{COMMAND}' and say what it cost"
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


@pytest.mark.slow
def test_the_committed_pass_rates_are_those_of_this_model():
    passed = first_passes(score_draws(range(FIRST_DRAWS), DEFAULT_SEED))
    counts = dict(zip(scorecard_rows()["id"], passed, strict=True))
    check = COMMITTED.read_text(encoding="utf-8").split("## Check")[1]
    told = {row: int(n) for row, n in re.findall(r"([\w-]+) (\d+)[,.]", check.split(":")[1])}
    assert set(told) == set(counts)
    # another machine's rounding may put one number on the other side of a limit
    differences = {row: n - told[row] for row, n in counts.items() if n != told[row]}
    assert sum(map(abs, differences.values())) <= 1, f"remake docs/scorecard.md: {differences}"
    rows = committed_rows()
    summary = re.search(r"\*\*(\d+) pass in at least 70 % of draws from the priors, (\d+)",
                        " ".join(COMMITTED.read_text(encoding="utf-8").split()))  # fmt: skip
    assert summary is not None
    counted = scorecard_rows().query("counts")
    shares = [float(rows[row][7].removesuffix("%")) for row in counted["id"]]
    assert sum(share >= 70.0 for share in shares) == pytest.approx(int(summary[1]), abs=1)


def test_impossible_numbers_are_refused():
    with pytest.raises(InputError, match="n_draws"):
        run_scorecard(-1)
    with pytest.raises(InputError, match="workers"):
        run_scorecard(1, workers=0)
