"""Check the declared orientation against all others an image could have been turned to.

A turned brain can be told from its insides.  A mirrored one cannot: only the 24
rotations of the declared orientation are tried, and the side stays the user's word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ketamap.core.space import ATLAS_ORIENTATION, Orientation, VoxelGrid
from ketamap.core.transform import AffineMap
from ketamap.register.engine import Picture, Schedule, centre_shift_um, fit_affine
from ketamap.register.prepare import as_array, enhance, isotropic_grid, resample_to
from ketamap.register.reference import Reference

CHECK_RESOLUTION_UM = 400.0
"""Voxel size of the check: a brain is then 33 x 20 x 28 voxels."""

REFINED_RIVALS = 5
"""Rivals that get an affine fit of their own: the best by centring alone."""

REFINING_ITERATIONS = (30,)
"""Affine iterations of the check, at `CHECK_RESOLUTION_UM`."""

LEAST_ADVANTAGE = 0.05
"""A rival must correlate better by this much.

``benchmarks/registration.py turns`` shows by how much the right orientation beats all others.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrientationCheck:
    """The declared orientation and its best rival."""

    declared: Orientation
    """What the user said."""

    declared_ncc: float
    """Correlation with the template after an affine fit."""

    rival: Orientation
    """The rotation of `declared` that fits best of the others."""

    rival_ncc: float
    """Its correlation."""

    @property
    def refuted(self) -> bool:
        """Whether the rival fits better by more than `LEAST_ADVANTAGE`."""
        return self.rival_ncc > self.declared_ncc + LEAST_ADVANTAGE

    @property
    def reason(self) -> str:
        """One sentence for the user."""
        code = self.rival.code
        mirror = mirrored(self.rival).code
        return (
            f"The image was declared {self.declared.code} (correlation with the atlas "
            f"{self.declared_ncc:.2f}) but fits better as {code} ({self.rival_ncc:.2f}), or as "
            f"its mirror image {mirror}, which an image cannot tell apart: check --orientation."
        )


def check_orientation(
    image: NDArray[np.float32],
    grid: VoxelGrid,
    declared: Orientation,
    references: Sequence[Reference],
) -> OrientationCheck:
    """Compare the declared orientation with its 23 rotations.

    Parameters
    ----------
    image, grid
        The sample in its own orientation, at any spacing up to `CHECK_RESOLUTION_UM`.
    declared
        What the user said.
    references
        What the image may show, on one grid of such a spacing: the atlas first, and then
        without the parts that may be missing.  A turned brain without a cerebellum fits a
        whole atlas as badly as an upright one does.

    Raises
    ------
    ImageError
        If the image is constant.
    """
    return check_orientations(image, grid, [declared], references)[0]


def check_orientations(
    image: NDArray[np.float32],
    grid: VoxelGrid,
    declared: Sequence[Orientation],
    references: Sequence[Reference],
) -> list[OrientationCheck]:
    """Check several declarations of one image, all of one hand; see `check_orientation`."""
    sample = coarse_picture(image, grid)
    turned = {code: _turned(sample, Orientation(code)) for code in rotations(declared[0])}
    fixed = [coarse_picture(one.template, one.grid) for one in references]
    whole = references[0]
    mask = resample_to(whole.mask.astype(np.float32), whole.grid, fixed[0].grid) > 0.5
    around = ndimage.binary_dilation(mask)
    rough = {code: _best(moving, fixed, around, _shift) for code, moving in turned.items()}
    order = sorted(rough, key=lambda code: -rough[code])
    refined = {
        code: _best(turned[code], fixed, around, coarse_affine)
        for code in {*order[: REFINED_RIVALS + 1], *(d.code for d in declared)}
    }
    checks = []
    for one in declared:
        best = max(
            [code for code in order if code != one.code][:REFINED_RIVALS],
            key=lambda code: refined[code],
        )
        checks.append(
            OrientationCheck(
                declared=one,
                declared_ncc=refined[one.code],
                rival=Orientation(best),
                rival_ncc=refined[best],
            )
        )
    return checks


def rotations(declared: Orientation) -> tuple[str, ...]:
    """Return the 24 codes that a rotation can turn into ``declared``, itself included."""
    unit = VoxelGrid(shape=(1, 1, 1), spacing_um=(1.0, 1.0, 1.0))
    codes = (
        "".join(letters) for axes in permutations(("ap", "si", "lr")) for letters in product(*axes)
    )
    return tuple(
        code
        for code in codes
        if np.linalg.det(Orientation(code).map_to(declared).matrix(unit)[:3, :3]) > 0.0
    )


def mirrored(orientation: Orientation) -> Orientation:
    """Return the orientation of the image reflected left to right."""
    return Orientation(orientation.code.translate(str.maketrans("lr", "rl")))


def coarse_picture(image: NDArray[np.float32], grid: VoxelGrid) -> Picture:
    """Bring an image to `CHECK_RESOLUTION_UM`, its stain evened out."""
    target = isotropic_grid(grid, CHECK_RESOLUTION_UM)
    return Picture(image=enhance(resample_to(image, grid, target)), grid=target)


def _best(
    moving: Picture,
    fixed: Sequence[Picture],
    around: NDArray[np.bool_],
    fit: Callable[[Picture, Picture], AffineMap],
) -> float:
    return max(carried_ncc(one, moving, around, fit(one, moving)) for one in fixed)


def _turned(sample: Picture, orientation: Orientation) -> Picture:
    turn = orientation.map_to(ATLAS_ORIENTATION)
    return Picture(image=as_array(turn.array(sample.image)), grid=turn.grid(sample.grid))


def _shift(fixed: Picture, moving: Picture) -> AffineMap:
    matrix = np.eye(4)
    matrix[:3, 3] = centre_shift_um(fixed, moving)
    return AffineMap(matrix)


def coarse_affine(fixed: Picture, moving: Picture) -> AffineMap:
    """Fit a quick affine map between coarse pictures."""
    return fit_affine(fixed, moving, Schedule(affine=REFINING_ITERATIONS))


def carried_ncc(
    fixed: Picture, moving: Picture, mask: NDArray[np.bool_], affine: AffineMap
) -> float:
    """Correlate coarse pictures over a mask of ``fixed``; -1 where nothing is carried there."""
    origin = moving.grid.to_index(affine([fixed.grid.origin_um])[0])
    carried = ndimage.affine_transform(  # both grids are cubic and of one spacing
        moving.image,
        affine.matrix[:3, :3],
        offset=origin,
        output_shape=fixed.grid.shape,
        order=1,
    )
    if not np.ptp(carried[mask]) > 0.0:
        return -1.0
    return float(np.corrcoef(carried[mask], fixed.image[mask])[0, 1])
