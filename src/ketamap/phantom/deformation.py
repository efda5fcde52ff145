"""Random brains' shapes: an affine and a smooth deformation, exact both ways."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from ketamap.core.atlas import Atlas
from ketamap.core.errors import InputError
from ketamap.core.space import ATLAS_ORIENTATION, FloatArray, Orientation, VoxelGrid, Zyx
from ketamap.core.transform import AffineMap, DisplacementField, Transform

SAMPLE_ORIENTATION = Orientation("psl")
"""How phantom samples lie unless asked otherwise: not as the atlas, so that users see it handled."""

LEAST_JACOBIAN = 0.3
"""Least local volume change of the deformation; below lies folding."""

MARGIN_UM = 300.0
"""Empty space around the brain in the sample, um."""

_KNOT_UM = 200.0
"""Spacing of the deformation's knots, um: 7 per default smoothness, error below 1 um."""

_PAD_UM = 1600.0
"""How far the deformation reaches beyond the atlas box, um: it covers the sample's corners."""

_TRIES = 8
"""Draws before a displacement is refused as too large for its smoothness."""

_SETTLED_UM = 0.02
"""The inversion stops when no knot moves further than this, um."""

_BRAIN_STRIDE_UM = 200.0
"""Distance between the brain voxels used to measure displacement and extent, um."""


def random_transform(
    atlas: Atlas,
    seed: int,
    *,
    displacement_um: float = 150.0,
    smoothness_um: float = 1500.0,
    scale: float = 0.05,
    rotation_deg: float = 4.0,
    orientation: Orientation = SAMPLE_ORIENTATION,
) -> Transform:
    """Draw the shape and pose of one animal's brain.

    Parameters
    ----------
    atlas
        The undeformed brain.
    seed
        The same seed gives the same transform.
    displacement_um
        Root mean square length of the smooth displacement over the brain (its mean
        removed).  Registrations of real mouse brains to the CCF move 310 to 335.
    smoothness_um
        Standard deviation of the Gaussian that smooths the displacement.
    scale
        Largest change of size along each axis, as a fraction; uniform.
    rotation_deg
        Largest turn about each axis; uniform.
    orientation
        How the sample lies.

    Returns
    -------
    Transform
        The sample's origin is such that the brain starts `MARGIN_UM` from each face;
        see `sample_grid`.

    Raises
    ------
    InputError
        If no draw stays free of folds (local volume change above `LEAST_JACOBIAN`).
    """
    grid = _knots(atlas)
    brain_um = _brain_points_um(atlas)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5A]))
    for _ in range(_TRIES):
        vectors = _smooth_vectors(grid, rng, smoothness_um, displacement_um, brain_um)
        outward = DisplacementField(grid, vectors)
        pose = _random_pose(atlas, rng, scale, rotation_deg, orientation)
        if _least_local_jacobian(outward) > LEAST_JACOBIAN:
            inward = DisplacementField(grid, inverse_vectors(grid, vectors))
            moved = pose(outward.move(brain_um))
            shift = np.eye(4)
            shift[:3, 3] = MARGIN_UM - moved.min(axis=0)
            return Transform(affine=AffineMap(shift).after(pose), outward=outward, inward=inward)
    msg = (
        f"A displacement of {displacement_um:g} um rms that is smooth over {smoothness_um:g} um "
        f"folds the brain in each of {_TRIES} draws. Lower displacement_um or raise smoothness_um."
    )
    raise InputError(msg)


def sample_grid(atlas: Atlas, transform: Transform, voxel_um: Zyx[float]) -> VoxelGrid:
    """Return the grid of the image that just holds the brain and its margin.

    Parameters
    ----------
    atlas, transform
        The brain and where it lies in the sample.
    voxel_um
        Spacing along the sample's (z, y, x).
    """
    extent_um = transform.to_sample(_brain_points_um(atlas)).max(axis=0) + MARGIN_UM
    z, y, x = (int(np.ceil(um / step)) for um, step in zip(extent_um, voxel_um, strict=True))
    return VoxelGrid(shape=(z, y, x), spacing_um=voxel_um)


def inverse_vectors(
    grid: VoxelGrid, vectors_um: NDArray[np.float32], most_steps: int = 100
) -> NDArray[np.float32]:
    """Invert a displacement field on its own knots by fixed-point iteration.

    Solves v(q) = -u(q + v(q)), which converges where u has a slope below 1 in norm.

    Parameters
    ----------
    grid
        Where the vectors are known.
    vectors_um
        Shape ``(3, z, y, x)``; beyond the outermost knots the nearest vector is used.
    most_steps
        Iterations before giving up.

    Raises
    ------
    InputError
        If the iteration does not settle: the field is too steep.

    References
    ----------
    Chen M. et al. (2008), A simple fixed-point approach to invert a deformation field,
    Medical Physics 35, 81-88.
    """
    inverse = -vectors_um
    spacing = np.asarray(grid.spacing_um)
    for _ in range(most_steps):
        if _inversion_step(inverse, vectors_um, spacing) < _SETTLED_UM:
            return inverse
    msg = (
        f"The displacement field could not be inverted in {most_steps} steps: it is too steep. "
        f"Lower the displacement or make it smoother."
    )
    raise InputError(msg)


def _knots(atlas: Atlas) -> VoxelGrid:
    box_um = np.asarray(atlas.grid.shape) * np.asarray(atlas.grid.spacing_um)
    shape = [int(np.ceil((um + 2 * _PAD_UM) / _KNOT_UM)) + 1 for um in box_um]
    return VoxelGrid(
        shape=(shape[0], shape[1], shape[2]), spacing_um=(_KNOT_UM,) * 3, origin_um=(-_PAD_UM,) * 3
    )


def _brain_points_um(atlas: Atlas) -> FloatArray:
    """Centres of brain voxels about `_BRAIN_STRIDE_UM` apart, ``(n, 3)`` atlas um."""
    strides = [max(1, round(_BRAIN_STRIDE_UM / um)) for um in atlas.grid.spacing_um]
    picked = tuple(slice(s // 2, None, s) for s in strides)
    index = np.argwhere(atlas.annotation[picked] != 0)
    return atlas.grid.to_um(index * strides + [s // 2 for s in strides])


def _smooth_vectors(
    grid: VoxelGrid,
    rng: np.random.Generator,
    smoothness_um: float,
    displacement_um: float,
    brain_um: FloatArray,
) -> NDArray[np.float32]:
    noise = rng.standard_normal((3, *grid.shape), dtype=np.float32)
    sigma = (0.0, *(smoothness_um / um for um in grid.spacing_um))
    smooth = np.asarray(ndimage.gaussian_filter(noise, sigma, mode="wrap", truncate=3.0))
    index = grid.to_index(brain_um).T
    inside = np.array([ndimage.map_coordinates(one, index, order=1) for one in smooth])
    smooth -= inside.mean(axis=1)[:, None, None, None]
    inside -= inside.mean(axis=1, keepdims=True)
    rms = float(np.sqrt(np.mean(np.sum(inside**2, axis=0))))
    return np.asarray(smooth * (displacement_um / rms), dtype=np.float32)


def _least_local_jacobian(outward: DisplacementField) -> float:
    """Least volume change by a displacement alone."""
    alone = Transform(
        affine=AffineMap(np.eye(4)), outward=outward, inward=DisplacementField.zero(outward.grid)
    )
    return float(alone.jacobian_determinant().min())


def _random_pose(
    atlas: Atlas,
    rng: np.random.Generator,
    scale: float,
    rotation_deg: float,
    orientation: Orientation,
) -> AffineMap:
    """Scale and turn about the middle of the atlas, then lay the axes as the sample's."""
    centre = atlas.grid.centre_um
    sizes = 1.0 + rng.uniform(-scale, scale, 3)
    turn = Rotation.from_euler("xyz", rng.uniform(-rotation_deg, rotation_deg, 3), degrees=True)
    matrix = np.eye(4)
    matrix[:3, :3] = turn.as_matrix() @ np.diag(sizes)
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre
    laid = AffineMap(ATLAS_ORIENTATION.map_to(orientation).matrix(atlas.grid))
    return laid.after(AffineMap(matrix))


@njit(nogil=True, cache=True)
def _inversion_step(
    inverse: NDArray[np.float32], vectors: NDArray[np.float32], spacing_um: FloatArray
) -> float:
    """Replace ``inverse`` by the next iterate; return the largest move along an axis, um."""
    _, nz, ny, nx = inverse.shape
    largest = 0.0
    for k in range(nz):
        for j in range(ny):
            for i in range(nx):
                z = min(max(k + inverse[0, k, j, i] / spacing_um[0], 0.0), nz - 1.0)
                y = min(max(j + inverse[1, k, j, i] / spacing_um[1], 0.0), ny - 1.0)
                x = min(max(i + inverse[2, k, j, i] / spacing_um[2], 0.0), nx - 1.0)
                z0, y0, x0 = min(int(z), nz - 2), min(int(y), ny - 2), min(int(x), nx - 2)
                fz, fy, fx = z - z0, y - y0, x - x0
                for axis in range(3):
                    v = vectors[axis]
                    low = (v[z0, y0, x0] * (1 - fx) + v[z0, y0, x0 + 1] * fx) * (1 - fy) + (
                        v[z0, y0 + 1, x0] * (1 - fx) + v[z0, y0 + 1, x0 + 1] * fx
                    ) * fy
                    high = (v[z0 + 1, y0, x0] * (1 - fx) + v[z0 + 1, y0, x0 + 1] * fx) * (1 - fy)
                    high += (v[z0 + 1, y0 + 1, x0] * (1 - fx) + v[z0 + 1, y0 + 1, x0 + 1] * fx) * fy
                    new = -(low * (1 - fz) + high * fz)
                    largest = max(largest, abs(new - inverse[axis, k, j, i]))
                    inverse[axis, k, j, i] = new
    return largest
