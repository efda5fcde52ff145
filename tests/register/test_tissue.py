"""ketamap.register.tissue: what is missing is found, what is there kept."""

from dataclasses import replace

import numpy as np
import pytest

from ketamap.core.atlas import Structures
from ketamap.core.settings import RegistrationSettings
from ketamap.core.space import ATLAS_ORIENTATION
from ketamap.core.transform import AffineMap, Transform
from ketamap.register.align import align
from ketamap.register.engine import Picture
from ketamap.register.prepare import enhance
from ketamap.register.reference import reference_at
from ketamap.register.tissue import LEAST_HOLE_MM3, find_holes, find_missing_parts, seen_picture
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


@pytest.mark.slow
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


def still(atlas):
    """The atlas aligned to itself."""
    return Transform.from_affine(AffineMap(np.eye(4)), atlas.grid)


def photographed(atlas, seed=0, offset=90.0):
    """The template with a camera's offset and noise."""
    noise = np.random.default_rng(seed).normal(offset, 5.0, atlas.grid.shape)
    return (3.0 * atlas.template + noise).astype(np.float32)


def ball(atlas, centre_um, radius_um):
    points = atlas.grid.to_um(np.indices(atlas.grid.shape).reshape(3, -1).T)
    near = np.linalg.norm(points - np.array(centre_um), axis=1) < radius_um
    return near.reshape(atlas.grid.shape)


@pytest.fixture(scope="module")
def toy():
    return toy_atlas(200.0)


@pytest.mark.parametrize("offset", [0.0, 90.0])
def test_a_brain_without_holes_has_none(toy, offset):
    assert (
        find_holes(photographed(toy, offset=offset), toy.grid, still(toy), reference_at(toy, 200.0))
        is None
    )


def test_a_hole_is_found_where_it_is(toy):
    image = photographed(toy)
    hole = ball(toy, (6000.0, 4000.0, 3500.0), 1000.0)
    image[hole] = photographed(replace(toy, template=np.zeros_like(toy.template)))[hole]
    found = ~find_holes(image, toy.grid, still(toy), reference_at(toy, 200.0)).present
    assert (found & hole).sum() > 0.9 * hole.sum()
    assert not (found & ~hole).any()


def test_a_spot_smaller_than_the_least_hole_is_no_hole(toy):
    image = photographed(toy)
    spot = ball(toy, (6100.0, 4100.0, 3500.0), 250.0)
    assert 0 < spot.sum() * toy.grid.voxel_volume_mm3 < LEAST_HOLE_MM3
    image[spot] = 90.0
    assert find_holes(image, toy.grid, still(toy), reference_at(toy, 200.0)) is None


def test_the_side_that_a_half_brain_lacks_is_no_hole(toy):
    image = photographed(toy)
    image[:, :, : image.shape[2] // 2] = 90.0
    assert find_holes(image, toy.grid, still(toy), reference_at(toy, 200.0, "left")) is None
    assert find_holes(image, toy.grid, still(toy), reference_at(toy, 200.0)) is not None


def test_an_image_without_background_tells_no_holes(toy):
    """Cropped to tissue: nothing shows what nothing looks like."""
    lo, hi = (25, 15, 20), (40, 25, 27)
    inner = tuple(slice(a, b) for a, b in zip(lo, hi, strict=True))
    image = photographed(toy)[inner]
    image[:4, :4, :4] = 90.0
    assert find_holes(image, toy.grid.cropped(lo, hi), still(toy), reference_at(toy, 200.0)) is None


def test_only_wide_holes_are_kept_from_the_fit(toy):
    """A ball of 3 mm is; a cleft 600 um wide, and the empty space around the brain, are not."""
    image = photographed(toy)
    nothing = photographed(replace(toy, template=np.zeros_like(toy.template)), seed=1)
    wide = ball(toy, (6000.0, 4000.0, 3500.0), 1500.0)
    cleft = np.zeros_like(wide)
    cleft[40:43, :20, 30:] = True
    image[wide | cleft] = nothing[wide | cleft]
    for lost in (None, wide | cleft | (toy.annotation == 0)):
        seen = seen_picture(Picture(image=image, grid=toy.grid), reference_at(toy, 200.0), lost)
        hole = seen.hole
        assert (hole & wide).sum() > 0.7 * wide.sum()
        assert not (hole & ~wide).any()
    image = photographed(toy)
    image[cleft] = nothing[cleft]
    seen = seen_picture(Picture(image=image, grid=toy.grid), reference_at(toy, 200.0))
    assert seen.hole is None
    assert seen.grid == toy.grid


def test_a_brain_cut_by_the_edge_of_the_image_goes_on_as_a_hole(toy):
    image = photographed(toy)[20:]
    grid = toy.grid.cropped((20, 0, 0), toy.grid.shape)
    seen = seen_picture(Picture(image=image, grid=grid), reference_at(toy, 200.0))
    added = round((grid.origin_um[0] - seen.grid.origin_um[0]) / 200.0)
    assert added > 3
    assert seen.hole[:added].any()
    assert not seen.hole[added:].any()
    np.testing.assert_array_equal(seen.image[added : added + len(image)] > 0, enhance(image) > 0)


@pytest.mark.slow
def test_a_hole_does_not_draw_the_tissue_around_it(toy):
    """The error beside a ball that was cut out is halved by leaving it out of the metric."""
    volume, to_atlas = warped(toy, orientation=ATLAS_ORIENTATION, spacing_um=200.0)
    image = volume.load().copy()
    centre = (6500.0, 2500.0, 8500.0)
    places = to_atlas(volume.grid.to_um(np.indices(image.shape).reshape(3, -1).T))
    away = (np.linalg.norm(places - np.array(centre), axis=1) - 2000.0).reshape(image.shape)
    image[away < 0.0] = image.min()
    registration = align(
        replace(volume, data=image), toy, orientation=ATLAS_ORIENTATION, settings=QUICK
    )
    near = (away > 0.0) & (away < 700.0) & (toy.regions_at(places).reshape(image.shape) > 0)
    error = registration.transform.to_atlas(volume.grid.to_um(np.argwhere(near)))
    error = np.linalg.norm(error - places[near.ravel()], axis=1)
    assert np.nanmedian(error) < 100.0
    lost = ~registration.tissue.at(volume.grid.to_um(np.argwhere(away < -300.0)))
    inside = toy.regions_at(places).reshape(image.shape)[away < -300.0] > 0
    assert lost[inside].mean() > 0.8
