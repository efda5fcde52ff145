"""ketamap.detect.training"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import InputError
from ketamap.core.settings import DetectionSettings
from ketamap.detect import find_cells
from ketamap.detect.lazy import survey
from ketamap.detect.model import default_model
from ketamap.detect.training import LEAST_OF_A_KIND, learn, pair
from tests.detect.made import cell_image, found_um, spread_centres, volume_of

SMALL = DetectionSettings(soma_diameter_um=3.0)
SHAPE = (30, 60, 66)


def two_kinds(seed):
    """An image with bright and with dim cells, and where they are."""
    spots = spread_centres(SHAPE, 70, least=7.0, seed=seed, margin=3)
    bright, dim = spots[::2], spots[1::2]
    image = cell_image(SHAPE, bright, sigma=1.0, height=400.0, seed=seed)
    image += cell_image(SHAPE, dim, sigma=1.0, height=100.0, base=0.0, noise=0.0)
    return image, bright, dim


def corrected(kept, removed):
    table = pd.DataFrame(np.concatenate([kept, removed]), columns=["z_um", "y_um", "x_um"])
    table["kept"] = np.arange(len(table)) < len(kept)
    return table


def share_found(image, spots, model=None):
    found = found_um(find_cells(volume_of(image), SMALL, model=model))
    return np.mean(pair(spots, found, 1.5) >= 0)


@pytest.fixture(scope="module")
def lesson():
    image, bright, dim = two_kinds(1)
    return learn(volume_of(image), corrected(bright, dim), SMALL)


def test_what_was_removed_in_one_image_is_left_out_of_another(lesson):
    image, bright, dim = two_kinds(2)
    assert min(share_found(image, bright), share_found(image, dim)) > 0.9
    assert share_found(image, bright, lesson.model) > 0.9
    assert share_found(image, dim, lesson.model) < 0.1


def test_corrections_left_out_in_turn_are_told_better_than_by_the_shipped_score(lesson):
    kept = np.arange(len(lesson.score_before)) < len(lesson.score_before) / 2
    before = np.mean((lesson.score_before >= 0.5) == kept)
    after = np.mean((lesson.score_after >= 0.5) == kept)
    assert before < 0.6
    assert after > 0.9


def cells_of_any_contrast(seed):
    spots = spread_centres(SHAPE, 60, least=7.0, seed=seed, margin=3)
    image = cell_image(SHAPE, spots[:30], sigma=1.0, height=100.0, seed=seed)
    return image + cell_image(SHAPE, spots[30:], sigma=1.0, height=14.0, base=0.0, noise=0.0)


def test_corrections_that_agree_with_the_score_leave_it_as_it_is():
    image = volume_of(cells_of_any_contrast(3))
    every = survey(image, SMALL, model=default_model())
    right = every.score >= 0.5
    model = learn(image, corrected(every.um[right], every.um[~right]), SMALL).model
    other = volume_of(cells_of_any_contrast(4))
    one, two = (survey(other, SMALL, model=m).score for m in (default_model(), model))
    sure = np.abs(one - 0.5) > 0.3
    assert min(np.sum(sure & (one < 0.5)), np.sum(sure & (one > 0.5))) >= 10
    assert np.mean((one >= 0.5)[sure] == (two >= 0.5)[sure]) >= 0.95


def test_the_model_knows_its_diameter_and_refuses_another(lesson):
    image, _, _ = two_kinds(2)
    with pytest.raises(InputError, match=r"trained on somata of 3 um.*of 4 um"):
        find_cells(volume_of(image), DetectionSettings(soma_diameter_um=4.0), model=lesson.model)


def test_coarser_voxels_than_it_was_trained_on_are_refused(lesson):
    image, _, _ = two_kinds(2)
    with pytest.raises(InputError, match="Train a model on an image of this voxel size"):
        find_cells(volume_of(image, (1.4, 1.4, 1.4)), SMALL, model=lesson.model)


@pytest.mark.parametrize(("kept", "removed"), [(LEAST_OF_A_KIND - 1, 30), (30, 0)])
def test_too_few_of_a_kind_are_refused_with_both_numbers(kept, removed):
    image, bright, dim = two_kinds(1)
    with pytest.raises(InputError, match=f"{kept} kept and {removed} removed cells given"):
        learn(volume_of(image), corrected(bright[:kept], dim[:removed]), SMALL)


def test_positions_of_another_image_are_refused():
    image, bright, dim = two_kinds(1)
    with pytest.raises(InputError, match=r"None of the .* within 1\.5 um .* this image"):
        learn(volume_of(image), corrected(bright + 1000.0, dim + 1000.0), SMALL)


def test_too_few_at_candidates_are_refused():
    image, bright, dim = two_kinds(1)
    with pytest.raises(InputError, match=r"0 removed cells within 1\.5 um of a candidate"):
        learn(volume_of(image), corrected(bright, dim + 1000.0), SMALL)


def test_corrections_far_from_candidates_teach_nothing_and_have_no_score():
    image, bright, dim = two_kinds(1)
    far = np.array([(500.0, 500.0, 500.0)])
    lesson = learn(volume_of(image), corrected(bright, np.concatenate([dim, far])), SMALL)
    assert not lesson.at_candidate[-1]
    assert np.isnan(lesson.score_before[-1])
    assert lesson.at_candidate[:-1].mean() > 0.9


def test_every_position_has_a_candidate_of_its_own_the_closest_first():
    um = np.array([(0.0, 0, 0), (0.0, 0, 1), (9.0, 9, 9)])
    candidates = np.array([(0.0, 0, 0.9), (0.0, 0, -0.8)])
    np.testing.assert_array_equal(pair(um, candidates, 2.0), [1, 0, -1])
    np.testing.assert_array_equal(pair(um, candidates[:0], 2.0), [-1, -1, -1])
