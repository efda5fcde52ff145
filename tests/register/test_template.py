"""ketamap.register.template: the average has the mean shape, and transforms add up."""

import numpy as np
import pytest

from ketamap.core.errors import RegistrationError
from ketamap.core.settings import RegistrationSettings
from ketamap.core.space import ATLAS_ORIENTATION, VoxelGrid
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.core.volume import Volume
from ketamap.register.align import open_case
from ketamap.register.engine import Picture, Schedule
from ketamap.register.prepare import enhance
from ketamap.register.template import average_brains, cohort_template, compose, through_template
from tests.register.scenes import toy_atlas, warped, waves

QUICK = RegistrationSettings(resolution_um=200.0, iterations=(30, 30, 10), refits=0)
GRID = VoxelGrid(shape=(30, 24, 28), spacing_um=(200.0,) * 3, origin_um=(100.0,) * 3)


def bent(amplitude_um, turn):
    """An affine map and a smooth displacement, with its first-order inverse."""
    matrix = np.eye(4)
    matrix[:3, :3] += turn * np.array([[0.03, 0.05, 0.0], [-0.05, 0.02, 0.01], [0.0, 0.0, -0.04]])
    matrix[:3, 3] = 100.0 * turn
    field = waves(GRID, amplitude_um)
    return Transform(
        affine=AffineMap(matrix),
        outward=field,
        inward=DisplacementField(GRID, -field.vectors_um),
    )


def inner_points(n=500):
    size = np.asarray(GRID.shape) * GRID.spacing_um
    return np.random.default_rng(3).uniform(0.25 * size, 0.75 * size, (n, 3))


@pytest.mark.parametrize(
    ("first", "then"), [((150.0, 1.0), (80.0, -1.0)), ((0.0, 0.0), (60.0, 1.0))]
)
def test_composed_points_go_where_one_after_the_other_takes_them(first, then):
    a, b = bent(*first), bent(*then)
    both = compose(a, b, GRID)
    points = inner_points()
    np.testing.assert_allclose(
        both.to_sample(points), b.to_sample(a.to_sample(points)), atol=8.0
    )  # linear between 200 um voxels
    sample = b.to_sample(a.to_sample(points))
    np.testing.assert_allclose(both.to_atlas(sample), a.to_atlas(b.to_atlas(sample)), atol=8.0)


def test_with_affine_maps_alone_composition_is_exact():
    a, b = bent(0.0, 1.0), bent(0.0, -0.5)
    both = compose(a, b, GRID)
    points = inner_points()
    np.testing.assert_allclose(both.to_sample(points), b.to_sample(a.to_sample(points)), atol=0.01)
    np.testing.assert_allclose(both.to_atlas(both.to_sample(points)), points, atol=0.01)


def test_places_beyond_either_transform_have_a_displacement_all_the_same():
    shifted = AffineMap(np.array([[1, 0, 0, 900.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    far = Transform.from_affine(shifted, GRID)
    both = compose(far, bent(100.0, 0.0), GRID)
    assert np.isfinite(both.outward.vectors_um).all()
    assert np.isfinite(both.inward.vectors_um).all()


@pytest.fixture(scope="module")
def atlas():
    return toy_atlas(200.0)


@pytest.fixture(scope="module")
def cohort(atlas):
    """Two brains bent by opposite displacements: their mean shape is about the atlas's."""
    field = waves(atlas.grid, 250.0)
    fixed = Picture(image=enhance(atlas.template), grid=atlas.grid)
    brains = []
    for sign in (1.0, -1.0):
        moved = DisplacementField(atlas.grid, (sign * field.vectors_um).astype(np.float32))
        straight = Transform(affine=AffineMap(np.eye(4)), outward=moved, inward=moved)
        image = straight.image_to_sample(fixed.image, atlas.grid, atlas.grid)
        brains.append(Picture(image=image, grid=atlas.grid))
    return fixed, brains


def likeness(a, b, mask):
    return np.corrcoef(a[mask], b[mask])[0, 1]


@pytest.mark.slow
def test_the_average_has_the_mean_shape_and_is_the_same_each_time(cohort, atlas):
    fixed, brains = cohort
    schedule = Schedule(deformable=(30, 30, 10))
    average = average_brains(brains, fixed, schedule, rounds=2)
    flat = average_brains(brains, fixed, schedule, rounds=1)
    mask = atlas.brain_mask
    found = likeness(average.image, fixed.image, mask)
    assert found > max(likeness(b.image, fixed.image, mask) for b in (*brains, flat)) + 0.02
    again = average_brains(brains, fixed, schedule, rounds=2)
    np.testing.assert_array_equal(again.image, average.image)


def opened(atlas, amplitudes_um):
    """Cases of warped brains, with the true map of each."""
    cases, truths = [], []
    for amplitude, turn in amplitudes_um:
        volume, to_atlas = warped(
            atlas, amplitude_um=amplitude, turn_deg=turn, orientation=ATLAS_ORIENTATION,
            spacing_um=200.0,
        )  # fmt: skip
        cases.append(case_of(volume, atlas))
        truths.append(to_atlas)
    return cases, truths


def case_of(volume, atlas):
    return open_case(
        volume, atlas, orientation=ATLAS_ORIENTATION, extent="whole", tissue=None, settings=QUICK
    )


@pytest.mark.slow
def test_brains_aligned_through_their_template_are_where_they_belong(atlas):
    cases, truths = opened(atlas, ((100.0, 4.0), (-100.0, -3.0)))
    template = cohort_template(cases, rounds=2)
    points = atlas.grid.to_um(np.argwhere(atlas.brain_mask)[::7])
    for registration, to_atlas in zip(through_template(cases, template), truths, strict=True):
        sample = registration.transform.to_sample(points)
        back = registration.transform.to_atlas(sample)
        assert np.nanmedian(np.linalg.norm(back - to_atlas(sample), axis=1)) < 60.0
        assert np.nanpercentile(np.linalg.norm(back - points, axis=1), 95) < 25.0
        assert registration.quality.verdict == "pass"
        assert registration.quality.least_jacobian > 0.1


def test_a_template_of_one_brain_is_refused(atlas):
    volume = Volume(data=atlas.template, grid=atlas.grid)
    with pytest.raises(RegistrationError, match="asked of 1 brains, of which 1 are whole"):
        cohort_template([case_of(volume, atlas)])
