"""ketamap.workflow.truth_axons"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.tables import EFFECTS, PLANTED_EFFECTS, POINTS, REGIONS
from ketamap.io.tables import write_table
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.truth_axons import MEASURE, score_axons

TREE = open_atlas("phantom_mouse_200um").structures
CONTROL, TREATED = ("v1", "v2", "v3"), ("k1", "k2", "k3")
ACRONYMS = ("PL", "VISp", "VISl", "VISC", "CP")
"""VISC, the visceral area, is no part of VIS."""

CONTRAST = "k vs v"


def lengths(animal, fold):
    """Planted length (mm) in each region and side of one animal."""
    rng = np.random.default_rng(sum(map(ord, animal)))
    rows = [
        {"region_id": TREE.id_of(name), "acronym": name, "hemisphere": side,
         "length_mm": 10.0 * rng.uniform(0.9, 1.1) * fold.get(name, 1.0), "volume_mm3": 2.0}
        for name in ACRONYMS for side in ("left", "right")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def regions_of(animal, planted, recovery):
    """The region table when so much of the planted length was traced."""
    own = planted.length_mm * recovery
    return pd.DataFrame(
        {"animal": animal, "region_id": planted.region_id, "acronym": planted.acronym,
         "hemisphere": planted.hemisphere, "measure": MEASURE, "own": own, "total": own,
         "volume_own_mm3": 2.0, "volume_total_mm3": 2.0}
    )  # fmt: skip


def effects_of(fold, error_log2=0.0):
    """The planted changes, and estimates that are off by so much."""
    planted = pd.DataFrame(
        {"region_id": [TREE.id_of(n) for n in ACRONYMS], "acronym": ACRONYMS, "measure": MEASURE,
         "contrast": CONTRAST, "planted_log2": [np.log2(fold.get(n, 1.0)) for n in ACRONYMS]}
    )  # fmt: skip
    estimate = planted.planted_log2 + error_log2
    found = planted.drop(columns="planted_log2").assign(
        estimand="absolute", estimate_log2=estimate, ci_low_log2=estimate - 1,
        ci_high_log2=estimate + 1, se_log2=0.5, df=4.0, p=0.5, q=0.5, testable=True, reason="",
    )  # fmt: skip
    return planted, found


@pytest.fixture
def scored(tmp_path):
    """Score a made-up run."""

    def run(fold, recovery=1.0, error_log2=0.0):
        for animal in (*CONTROL, *TREATED):
            planted = lengths(animal, fold if animal in TREATED else {})
            write_table(tmp_path / "truth" / f"{animal}_axons.parquet", planted, POINTS)
            table = regions_of(animal, planted, recovery)
            write_table(tmp_path / "run" / "animals" / animal / "regions.parquet", table, REGIONS)
        planted, found = effects_of(fold, error_log2)
        write_table(tmp_path / "truth" / "effects.parquet", planted, PLANTED_EFFECTS)
        write_table(tmp_path / "run" / "effects.parquet", found, EFFECTS)
        tops = {"PL": fold["PL"], "VIS": fold["VISp"]}
        return score_axons(tmp_path / "run", tmp_path / "truth", (TREATED, CONTROL), tops, TREE)

    return run


FOLD = {"PL": 1.3, "VISp": 0.7, "VISl": 0.7}


def test_an_exact_trace_recovers_everything(scored):
    score = scored(FOLD)
    assert score.length_correlation == pytest.approx(1.0)
    assert score.traced_mm == pytest.approx(score.planted_mm)
    low, middle, high = score.recovery_p10, score.recovery_median, score.recovery_p90
    assert (low, middle, high) == pytest.approx((1.0, 1.0, 1.0))
    assert score.error_points_of_truth == pytest.approx(0.0, abs=1e-9)
    assert score.error_points_median == pytest.approx(0.0, abs=1e-9)
    assert score.planted_changes == len(FOLD)


def test_a_share_that_is_missed_everywhere_changes_no_ratio(scored):
    score = scored(FOLD, recovery=0.8)
    assert score.recovery_median == pytest.approx(0.8)
    assert score.error_points_of_truth == pytest.approx(0.0, abs=1e-9)


def test_a_structure_is_all_its_parts_and_no_namesake(scored):
    """VISC would dilute the change of VIS if acronyms were compared by their beginnings."""
    changes = {one.acronym: one for one in scored(FOLD).group_changes}
    assert changes["VIS"].planted == pytest.approx(-0.3)
    assert changes["VIS"].real == pytest.approx(-0.3, abs=0.08)
    assert changes["PL"].real == pytest.approx(0.3, abs=0.15)


def test_errors_of_estimates_are_in_points_of_an_untreated_animal(scored):
    score = scored(FOLD, error_log2=0.1)
    expected = sorted(100 * fold * (2**0.1 - 1) for fold in FOLD.values())[1]
    assert score.error_points_median == pytest.approx(expected)
