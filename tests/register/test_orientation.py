"""ketamap.register.orientation"""

from dataclasses import replace

import numpy as np
import pytest

from ketamap.core.space import ATLAS_ORIENTATION, Orientation
from ketamap.register.orientation import (
    check_orientation,
    check_orientations,
    mirrored,
    rotations,
)
from ketamap.register.prepare import coarse_image
from ketamap.register.reference import reference_at
from tests.register.scenes import toy_atlas, warped


def test_there_are_24_rotations_of_one_hand():
    for code in ("asr", "psl", "lpi"):
        found = rotations(Orientation(code))
        assert len(set(found)) == 24
        assert code in found
        assert mirrored(Orientation(code)).code not in found
    assert set(rotations(Orientation("asr"))) == set(rotations(Orientation("psl")))


@pytest.fixture(scope="module")
def scene():
    atlas = toy_atlas(200.0)
    return atlas, [reference_at(atlas, 200.0)]


@pytest.mark.parametrize("code", ["asr", "psl", "ial"])
def test_the_right_orientation_is_not_refuted(scene, code):
    atlas, references = scene
    volume, _ = warped(
        atlas,
        orientation=Orientation(code),
        amplitude_um=150.0,
        turn_deg=8.0,
        spacing_um=200.0,
    )
    image, grid = coarse_image(volume, 200.0)
    check = check_orientation(image, grid, Orientation(code), references)
    assert not check.refuted
    assert check.declared_ncc > 0.8


@pytest.mark.parametrize("declared", ["psl", "ail", "lai", "prs"])
def test_a_wrong_rotation_is_refuted_and_the_right_one_named(scene, declared):
    atlas, references = scene
    volume, _ = warped(atlas, orientation=ATLAS_ORIENTATION, spacing_um=200.0)
    image, grid = coarse_image(volume, 200.0)
    check = check_orientation(image, grid, Orientation(declared), references)
    found = {check.rival.code, mirrored(check.rival).code}
    assert "asr" in found
    assert check.refuted
    assert declared in check.reason


def test_a_front_to_back_mirror_is_refuted_too(scene):
    atlas, references = scene
    volume, _ = warped(atlas, orientation=ATLAS_ORIENTATION, spacing_um=200.0)
    image, grid = coarse_image(volume, 200.0)
    flipped = np.ascontiguousarray(image[::-1])
    assert check_orientation(flipped, grid, ATLAS_ORIENTATION, references).refuted


def test_a_front_that_was_left_behind_hides_no_turn(scene):
    atlas, references = scene
    cut = replace(references[0], template=references[0].template.copy())
    cut.template[:22] = 0.0  # a third of the brain
    volume, to_atlas = warped(atlas, orientation=ATLAS_ORIENTATION, spacing_um=200.0)
    image, grid = coarse_image(volume, 200.0)
    ahead = to_atlas(grid.to_um(np.indices(image.shape).reshape(3, -1).T))[:, 0] < 4300.0
    image = np.where(ahead.reshape(image.shape), image.min(), image)
    declared = [Orientation(code) for code in ("asr", "psl", "ail")]
    alone = check_orientation(image, grid, ATLAS_ORIENTATION, references)
    right, *wrong = check_orientations(image, grid, declared, [*references, cut])
    assert right.declared_ncc > alone.declared_ncc + 0.1
    assert not right.refuted
    assert all(check.refuted for check in wrong)
