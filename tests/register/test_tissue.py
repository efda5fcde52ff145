"""ketamap.register.tissue: parts left behind at dissection are found, parts that are there kept."""

from dataclasses import replace

import numpy as np
import pytest

from ketamap.core.atlas import Structures
from ketamap.core.settings import RegistrationSettings
from ketamap.core.space import ATLAS_ORIENTATION
from ketamap.register.align import align
from ketamap.register.engine import Picture
from ketamap.register.reference import reference_at
from ketamap.register.tissue import find_missing_parts
from tests.register.scenes import toy_atlas, warped

QUICK = RegistrationSettings(resolution_um=200.0, iterations=(30, 30, 10), refits=0)


@pytest.fixture(scope="module")
def atlas():
    """A toy with bulbs in front, and a cerebellum behind that holds a vermis."""
    toy = toy_atlas(200.0)
    annotation = toy.annotation.copy()
    brain = annotation > 0
    annotation[:9][brain[:9]] = 6
    annotation[-14:][brain[-14:]] = 8
    old = toy.structures
    tree = Structures(
        ids=np.arange(1, 9),
        acronyms=(*old.acronyms, "MOB", "CB", "VERM"),
        names=(*old.names, "bulb", "cerebellum", "vermis"),
        parent_ids=np.append(old.parent_ids, [1, 1, 7]),
        colors=np.zeros((8, 3), dtype=np.uint8),
    )
    return replace(toy, annotation=annotation, structures=tree)


def cut(atlas, acronym):
    """A warped brain without a part."""
    volume, to_atlas = warped(atlas, orientation=ATLAS_ORIENTATION, spacing_um=200.0)
    image = volume.load().copy()
    points = volume.grid.to_um(np.indices(image.shape).reshape(3, -1).T)
    kept = atlas.without([acronym]) if acronym else atlas
    there = kept.regions_at(to_atlas(points)).reshape(image.shape) > 0
    outside = atlas.regions_at(to_atlas(points)).reshape(image.shape) <= 0
    return replace(volume, data=np.where(there | outside, image, image.min())), to_atlas


@pytest.mark.parametrize("acronym", [None, "CB"])
def test_what_is_missing_is_named_and_what_is_there_is_not(atlas, acronym):
    volume, _ = cut(atlas, acronym)
    found = find_missing_parts(
        Picture(image=volume.load().astype(np.float32), grid=volume.grid),
        reference_at(atlas, 200.0),
        atlas,
    )
    assert found == ((acronym,) if acronym else ())


def test_a_brain_without_cerebellum_is_aligned_where_there_is_tissue(atlas):
    volume, to_atlas = cut(atlas, "CB")
    registration = align(volume, atlas, orientation=ATLAS_ORIENTATION, settings=QUICK)
    assert registration.missing == ("CB",)
    assert registration.quality.verdict == "look"
    assert any("not to show CB" in reason for reason in registration.quality.reasons)
    points = atlas.grid.to_um(np.argwhere(atlas.without(["CB"]).brain_mask)[::5])
    sample = registration.transform.to_sample(points)
    error = np.linalg.norm(registration.transform.to_atlas(sample) - to_atlas(sample), axis=1)
    assert np.nanmedian(error) < 50.0
    assert registration.quality.least_jacobian > 0.1


def test_an_atlas_without_these_names_misses_nothing():
    toy = toy_atlas(200.0)
    volume, _ = warped(toy, orientation=ATLAS_ORIENTATION, spacing_um=200.0)
    picture = Picture(image=volume.load().astype(np.float32), grid=volume.grid)
    assert find_missing_parts(picture, reference_at(toy, 200.0), toy) == ()
