"""ketamap.workflow.truth"""

import numpy as np
import pandas as pd
import pytest

from ketamap.workflow.truth import match_points, score_effects


def scatter(n, seed=0):
    return np.random.default_rng(seed).uniform(0, 1000, size=(n, 3))


def test_the_same_points_match_fully_in_any_order():
    points = scatter(300)
    shuffled = np.random.default_rng(1).permutation(points)
    assert match_points(points, shuffled + 0.1, radius_um=5) == (1.0, 1.0)


def test_a_detected_point_pairs_with_one_planted_point_only():
    planted = np.array([[0.0, 0, 0], [4, 0, 0]])
    assert match_points(planted, np.array([[2.0, 0, 0]]), radius_um=5) == (0.5, 1.0)


def test_pairs_are_as_many_as_possible():
    """A greedy nearest match would pair the middle ones and leave the outer alone."""
    planted = np.array([[0.0, 0, 0], [6, 0, 0]])
    detected = np.array([[5.0, 0, 0], [10, 0, 0]])
    assert match_points(planted, detected, radius_um=5.5) == (1.0, 1.0)


def test_missed_and_false_points_are_counted():
    planted = scatter(200)
    detected = np.concatenate([planted[:150], scatter(50, seed=9) + 5000])
    recall, precision = match_points(planted, detected, radius_um=1)
    assert recall == pytest.approx(0.75)
    assert precision == pytest.approx(0.75)


def test_no_points_are_matched_perfectly_by_none():
    none = np.empty((0, 3))
    assert match_points(none, none, radius_um=1) == (1.0, 1.0)
    assert match_points(none, scatter(3), radius_um=1) == (1.0, 0.0)


def effects(rows):
    frame = pd.DataFrame(rows, columns=["region_id", "estimate_log2", "q", "testable"])
    return frame.assign(estimand="relative", contrast="c", measure="cells")


def test_planted_changes_are_scored_by_sign_and_by_discovery():
    found = effects(
        [
            (1, 0.9, 0.01, True),  # planted up, found
            (2, -0.1, 0.5, True),  # planted up, wrong sign
            (3, 0.7, 0.2, True),  # planted up, right sign, not found
            (4, 0.8, 0.01, True),  # nothing planted, called
            (5, 0.0, 0.9, True),  # nothing planted
            (6, np.nan, np.nan, False),  # not testable
            (7, 0.2, 0.01, True),  # planted below the notable fold
        ]
    )
    planted = [0.8, 0.8, 0.8, 0.0, 0.0, 0.8, 0.3]
    truth = pd.DataFrame({"region_id": range(1, 8), "contrast": "c", "planted_log2": planted})
    (score,) = score_effects(found, truth, alpha=0.05)
    assert (score.planted, score.right_sign, score.found) == (3, 2, 1)
    assert (score.false, score.unplanted) == (1, 2)


def test_each_measure_has_its_own_least_fold():
    """A change of 1.3-fold is one to be found in axons, and too small for cells."""
    found = effects([(1, 0.4, 0.01, True), (2, 0.7, 0.01, True)])
    both = pd.concat([found, found.assign(measure="axon_length_mm")])
    truth = pd.DataFrame(
        {"region_id": [1, 2], "contrast": "c", "planted_log2": [np.log2(1.3), np.log2(1.5)]}
    )
    counted = {
        one.measure: (one.fold, one.planted) for one in score_effects(both, truth, alpha=0.05)
    }
    assert counted == {"cells": (1.5, 1), "axon_length_mm": (1.25, 2)}


def test_the_truth_of_one_measure_is_not_asked_of_another():
    found = effects([(1, 0.9, 0.01, True)])
    both = pd.concat([found, found.assign(measure="axon_length_mm")])
    truth = pd.DataFrame(
        {"region_id": [1], "contrast": ["c"], "planted_log2": [0.8], "measure": ["cells"]}
    )
    assert [one.measure for one in score_effects(both, truth, alpha=0.05)] == ["cells"]
    of_all = score_effects(both, truth.drop(columns="measure"), alpha=0.05)
    assert [one.measure for one in of_all] == ["axon_length_mm", "cells"]
