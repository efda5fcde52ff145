"""An average of a study's own brains, through which each can be aligned to the atlas.

Brains of one stain look more like each other than like an atlas.  Their average is in the
middle of their shapes and has less noise than any of them; it is aligned to the atlas once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ketamap.core.errors import RegistrationError
from ketamap.core.progress import Progress, silent
from ketamap.core.registration import Registration
from ketamap.core.space import VoxelGrid
from ketamap.core.transform import DisplacementField, Transform, grid_points_um
from ketamap.register.align import Case, close_case, schedule_of, with_margin
from ketamap.register.engine import Picture, Schedule, fit, fit_affine
from ketamap.register.prepare import enhance
from ketamap.register.reference import reference_at

ROUNDS = 3
"""Times that the brains are averaged: once by affine maps, then by deformations."""


LEAST_BRAINS = 2
"""Whole brains that an average needs."""


def cohort_template(
    cases: Sequence[Case], *, rounds: int = ROUNDS, progress: Progress = silent
) -> Picture:
    """Average the whole brains of a study; see `average_brains`.

    Parameters
    ----------
    cases
        All brains, of one atlas, extent and resolution.  Those with missing parts or wide holes
        do not enter the average.

    Raises
    ------
    RegistrationError
        If fewer than `LEAST_BRAINS` are whole.
    """
    brains = [case.moving for case in cases if _is_whole(case)]
    if len(brains) < LEAST_BRAINS:
        msg = (
            f"A template was asked of {len(cases)} brains, of which {len(brains)} are whole; "
            f"{LEAST_BRAINS} are needed. Register each brain by itself (ketamap register)."
        )
        raise RegistrationError(msg)
    schedule = schedule_of(cases[0].settings)
    return average_brains(brains, _atlas_of(cases[0]), schedule, rounds=rounds, progress=progress)


def through_template(cases: Sequence[Case], template: Picture) -> Iterator[Registration]:
    """Align the template to the atlas, and every brain through it.

    Brains with missing parts or wide holes are aligned to what they show of the atlas instead.

    Yields
    ------
    Registration
        One per case, in their order.
    """
    atlas = _atlas_of(cases[0])
    schedule = schedule_of(cases[0].settings)
    onto = widened(fit(atlas, template, schedule))
    for case in cases:
        if _is_whole(case):
            member = widened(fit(template, case.moving, schedule))
            yield close_case(case, compose(onto, member, atlas.grid))
        else:
            yield close_case(case, fit(case.fixed, case.moving, schedule))


def widened(transform: Transform) -> Transform:
    """Let a transform reach `ketamap.register.align.FIELD_MARGIN_UM` beyond its fields."""
    return Transform(
        affine=transform.affine,
        outward=with_margin(transform.outward),
        inward=with_margin(transform.inward),
    )


def _is_whole(case: Case) -> bool:
    return not case.missing and case.moving.hole is None


def _atlas_of(case: Case) -> Picture:
    reference = reference_at(case.atlas, case.settings.resolution_um, case.extent)
    return Picture(image=enhance(reference.template), grid=reference.grid)


def average_brains(
    brains: Sequence[Picture],
    atlas: Picture,
    schedule: Schedule,
    *,
    rounds: int = ROUNDS,
    progress: Progress = silent,
) -> Picture:
    """Make the average brain of a cohort.

    The first average is by affine maps, on the atlas's grid.  In each further round every
    brain is aligned to the average there is; the images carried there are averaged, and the
    mean of their displacements is taken off, so that the average has the cohort's mean shape
    but for an affine map.

    Parameters
    ----------
    brains
        Enhanced images (`ketamap.register.prepare.enhance`) in the atlas's orientation.
    atlas
        The atlas alike: says where the average lies.
    schedule
        Of every fit.
    rounds
        Averages made, the affine one included; 1 or more.

    Returns
    -------
    Picture
        On the atlas's grid.

    References
    ----------
    Guimond et al. 2000, Computer Vision and Image Understanding 77:192 (average shape by the
    inverse of the mean displacement); Avants et al. 2010, NeuroImage 49:2457.
    """
    steps = rounds * len(brains)
    maps = []
    for done, brain in enumerate(brains, start=1):
        affine = fit_affine(atlas, brain, schedule)
        maps.append(Transform.from_affine(affine, atlas.grid))
        progress(done, steps)
    average = _mean_image(brains, maps, atlas.grid)
    for number in range(1, rounds):
        maps = []
        for done, brain in enumerate(brains, start=1 + number * len(brains)):
            maps.append(fit(average, brain, schedule))
            progress(done, steps)
        average = _in_mean_shape(_mean_image(brains, maps, atlas.grid), maps)
    return average


def compose(first: Transform, then: Transform, grid: VoxelGrid) -> Transform:
    """Put two transforms together: atlas -> template by ``first``, template -> sample by ``then``.

    Parameters
    ----------
    grid
        Where the result's displacements are known, atlas um.  Places that either transform
        does not reach have the displacement of the nearest that both do.
    """
    affine = then.affine.after(first.affine)
    back = affine.inverse()
    outward = np.empty((3, *grid.shape), dtype=np.float32)
    inward = np.empty_like(outward)
    for planes, points in grid_points_um(grid):
        shape = outward[:, planes].shape
        out = back(then.to_sample(first.to_sample(points))) - points
        home = first.to_atlas(then.to_atlas(affine(points))) - points
        outward[:, planes] = out.T.reshape(shape)
        inward[:, planes] = home.T.reshape(shape)
    return Transform(
        affine=affine,
        outward=DisplacementField(grid, _filled(outward)),
        inward=DisplacementField(grid, _filled(inward)),
    )


def _mean_image(brains: Sequence[Picture], maps: Sequence[Transform], grid: VoxelGrid) -> Picture:
    total = np.zeros(grid.shape, dtype=np.float64)
    for brain, found in zip(brains, maps, strict=True):
        total += found.image_to_atlas(brain.image, brain.grid, grid)
    return Picture(image=(total / len(brains)).astype(np.float32), grid=grid)


def _in_mean_shape(average: Picture, maps: Sequence[Transform]) -> Picture:
    """Move every place of the average to the mean of its places in the cohort.

    The affine part of the mean is left: the affine maps of the next round would take it up
    again, and the average would shrink from round to round.
    """
    mean = np.zeros((3, *average.grid.shape))
    for one in maps:
        mean += one.outward.vectors_um / len(maps)
    bent = mean - _affine_part(mean, average.image > 0.0)
    return Picture(image=_read_at(average, -bent), grid=average.grid)


def _affine_part(vectors: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fit an affine function of the place to vectors over a mask; its values everywhere."""
    index = np.indices(mask.shape, dtype=np.float64)
    terms = np.concatenate([index, np.ones((1, *mask.shape))]).reshape(4, -1)
    inside = mask.ravel()
    found = np.linalg.lstsq(terms[:, inside].T, vectors.reshape(3, -1)[:, inside].T, rcond=None)[0]
    return np.asarray((found.T @ terms).reshape(vectors.shape))


def _read_at(picture: Picture, moves_um: NDArray[np.floating]) -> NDArray[np.float32]:
    """Read a picture at its own voxels' places plus ``moves_um``; its edges repeat."""
    grid = picture.grid
    index = np.indices(grid.shape) + moves_um / np.reshape(grid.spacing_um, (3, 1, 1, 1))
    values = ndimage.map_coordinates(picture.image, index, order=1, mode="nearest")
    return np.asarray(values, dtype=np.float32)


def _filled(vectors_um: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give places without a vector (NaN) that of the nearest place with one."""
    unknown = np.isnan(vectors_um[0])
    if not unknown.any():
        return vectors_um
    nearest = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
    return np.ascontiguousarray(vectors_um[:, *nearest])
