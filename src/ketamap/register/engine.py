"""The registration engine: PICSL greedy, affine and then deformable, as a core Transform.

Conventions of greedy that this module hides: it works in mm; an image array is (z, y, x)
but its points are (x, y, z); affine matrices are in RAS coordinates and warps in LPS;
both map fixed points to moving points, the warp first.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from picsl_greedy import GreedyFloat3D
from scipy import ndimage

from ketamap.core.errors import RegistrationError
from ketamap.core.space import FloatArray, VoxelGrid
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.core.units import UM_PER_MM
from ketamap.register.quiet import captured_output

SEED = 1234
"""Seed of greedy's sampling jitter and noise: the same input gives the same transform."""

AFFINE_FREEDOMS = (12, 7, 6)
"""Degrees of freedom tried in turn: affine, similarity, rigid."""

MAX_VOLUME_CHANGE = 2.5
"""An affine fit that makes a brain more than so many times larger or smaller ran away:
adult mouse brains differ by a third, shrinkage by clearing by up to a half."""

AFFINE_ITERATIONS = (100, 60, 0)
"""Affine iterations at 4x, 2x and 1x of the image's voxels.

The finest level costs four fifths of the affine's time and gains nothing once the
deformation follows (``benchmarks/registration.py``).
"""

METRIC_RADIUS_VOXELS = 1
"""Radius of the local correlation windows: 3 x 3 x 3 voxels.

Chosen with the two smoothings below on warped CCF templates and the real brain
(``benchmarks/registration.py``): wider windows and less smoothing gave larger errors
and a smaller least Jacobian.
"""

UPDATE_SMOOTHING_VOXELS = 6.0
"""Gaussian sigma that smooths each update of the velocity, at each level.

Broad updates and little smoothing of what they add up to: against 3 and 1.2 the median
error of warped templates falls by a quarter and the real brain fits better, at a least
Jacobian that is still above 0.1 (0.07 with 4 and 0.8, 0.05 with 5 and 0.5).
"""

FIELD_SMOOTHING_VOXELS = 0.6
"""Gaussian sigma that smooths the velocity itself after each update."""

EXPONENT = 5
"""The deformation is 2**EXPONENT small steps of the velocity."""

HOLE_MARGIN_UM = 200.0
"""How far around a hole of the moving picture the fixed one is left out of the metric too: the
affine map says where it lies to about so much."""

LEAST_JACOBIAN = 0.12
"""Where the map would squeeze tissue to less than this part of its volume, it is relaxed: 0.1
is the least that counts as sound (`ketamap.register.quality.LOOK_JACOBIAN`)."""

RELAXING_VOXELS = 2.0
"""Gaussian sigma that smooths the velocity around such places, once a round."""

RELAXED_EXPONENT = 7
"""`EXPONENT` of a relaxed map: where it is steep, its inverse needs smaller steps."""

MAX_RELAXATIONS = 12
"""Rounds after which a map is given back as it is, for the verdict to judge."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_REVERSE_AXES = np.eye(4)[[2, 1, 0, 3]]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Picture:
    """An image and where its voxels are."""

    image: NDArray[np.float32]
    """Intensities, axes (z, y, x)."""

    grid: VoxelGrid
    """Its voxels, um."""

    hole: NDArray[np.bool_] | None = None
    """Where tissue is missing that the other picture may show, shape ``grid.shape``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long the engine works at each level, coarse to fine."""

    affine: tuple[int, ...] = AFFINE_ITERATIONS
    """Affine iterations."""

    deformable: tuple[int, ...] = (100, 60, 60)
    """Deformable iterations."""

    smoothing_voxels: float = UPDATE_SMOOTHING_VOXELS
    """Gaussian sigma that smooths each update of the velocity, at each level."""

    threads: int = 1
    """Threads; the answer may differ in the last bits between thread counts."""


@dataclass(slots=True)
class _Greedy:
    """One greedy session; it keeps images and matrices by name between commands."""

    session: Any = field(default_factory=GreedyFloat3D)

    def run(self, command: str, **images: Any) -> None:
        said = io.StringIO()
        try:
            with captured_output() as leaked:
                self.session.execute(f"-V 0 {command}", said, said, **images)
        except RuntimeError as err:
            text = (said.getvalue() + "".join(leaked)).strip()
            msg = (
                f"The registration engine stopped: {err}. It was asked 'greedy {command}' and "
                f"said last {text[-500:]!r}. Check that the image shows a brain."
            )
            raise RegistrationError(msg) from err


def centroid_um(picture: Picture) -> FloatArray:
    """Centre of intensity, ``(3,)`` um."""
    return picture.grid.to_um(ndimage.center_of_mass(picture.image.astype(np.float64)))


def centre_shift_um(fixed: Picture, moving: Picture) -> FloatArray:
    """From one centre of intensity to the other, ``(3,)`` um."""
    return centroid_um(moving) - centroid_um(fixed)


def fit_affine(fixed: Picture, moving: Picture, schedule: Schedule) -> AffineMap:
    """Fit the affine map that carries points of ``fixed`` to ``moving``, um.

    Normalised mutual information, 12 degrees of freedom, from the shift that lays one
    centre of intensity on the other.

    Raises
    ------
    RegistrationError
        If greedy fails.
    """
    greedy = _Greedy()
    return _run_affine(greedy, fixed, moving, schedule)


def fit(fixed: Picture, moving: Picture, schedule: Schedule) -> Transform:
    """Fit an affine map (`fit_affine`) and then the deformation that is left.

    Stationary velocity field (so the map has an inverse and does not fold), driven by
    weighted local correlation, outside the hole of ``moving`` if it has one.  Where that
    squeezes tissue to less than `LEAST_JACOBIAN`, the velocity is smoothed until it does not.

    Returns
    -------
    Transform
        ``to_sample`` carries points of ``fixed`` to ``moving``, um; both fields lie on
        ``fixed.grid``.

    Raises
    ------
    RegistrationError
        If greedy fails.
    """
    greedy = _Greedy()
    affine = _run_affine(greedy, fixed, moving, schedule)
    seen = {} if moving.hole is None else _seen(fixed, moving, affine)
    _deform(greedy, schedule, f"-exp {EXPONENT} -n {_levels(schedule.deformable)}", seen)
    finer = 2.0 ** (EXPONENT - RELAXED_EXPONENT)
    found = _transform(greedy, affine, fixed.grid)
    for _ in range(MAX_RELAXATIONS):
        squeezed = (found.jacobian_determinant() < LEAST_JACOBIAN) & (fixed.image > 0.0)
        if not squeezed.any():
            break
        with TemporaryDirectory() as folder:
            root = Path(folder) / "root.nrrd"  # greedy takes vector images from files only
            sitk.WriteImage(relaxed(greedy.session["root"], squeezed, finer), str(root))
            start = f"-exp {RELAXED_EXPONENT} -n 0 -id '{root.as_posix()}'"
            _deform(greedy, schedule, start, seen)
        finer = 1.0
        found = _transform(greedy, affine, fixed.grid)
    return found


def relaxed(root: sitk.Image, squeezed: NDArray[np.bool_], scale: float = 1.0) -> sitk.Image:
    """Smooth a velocity by `RELAXING_VOXELS` around some voxels, and leave it elsewhere.

    Parameters
    ----------
    root
        Vectors, axes of ``squeezed``.
    scale
        All vectors are multiplied by it: a half makes of a root the root of that root.
    """
    vectors = scale * sitk.GetArrayFromImage(root)
    reach = ndimage.binary_dilation(squeezed, iterations=round(2.0 * RELAXING_VOXELS))
    share = ndimage.gaussian_filter(reach.astype(np.float32), RELAXING_VOXELS)[..., None]
    smooth = ndimage.gaussian_filter(vectors, RELAXING_VOXELS, axes=(0, 1, 2))
    out = sitk.GetImageFromArray(vectors + share * (smooth - vectors), isVector=True)
    out.CopyInformation(root)  # type: ignore[no-untyped-call]
    return out


def _deform(greedy: _Greedy, schedule: Schedule, work: str, seen: dict[str, sitk.Image]) -> None:
    """Leave warp, inverse and root (of the velocity) in the session that ran the affine."""
    radius = METRIC_RADIUS_VOXELS
    masked = "-gm seen_fixed -mm seen_moving " if seen else ""
    greedy.run(
        f"-d 3 -sv -i fixed moving -it affine {work} {masked}"
        f"-m WNCC {radius}x{radius}x{radius} "
        f"-s {schedule.smoothing_voxels}vox {FIELD_SMOOTHING_VOXELS}vox "
        f"-seed {SEED} -threads {schedule.threads} -wp 0 -o warp -oinv inverse -oroot root",
        warp=None,
        inverse=None,
        root=None,
        **seen,
    )


def _transform(greedy: _Greedy, affine: AffineMap, grid: VoxelGrid) -> Transform:
    return Transform(
        affine=affine,
        outward=_field(greedy.session["warp"], grid),
        inward=_field(greedy.session["inverse"], grid),
    )


def greedy_matrix(affine: AffineMap) -> FloatArray:
    """Our map of (z, y, x) um points as greedy's RAS matrix of (x, y, z) mm points."""
    matrix = affine.matrix.copy()
    matrix[:3, 3] /= UM_PER_MM
    matrix = _REVERSE_AXES @ matrix @ _REVERSE_AXES
    return np.asarray(_LPS_TO_RAS @ matrix @ _LPS_TO_RAS, dtype=np.float64)


def _run_affine(greedy: _Greedy, fixed: Picture, moving: Picture, schedule: Schedule) -> AffineMap:
    """Leave fixed, moving and affine in the session; the moving image is shifted there.

    Greedy takes a starting matrix from files only, so the start is given by moving the
    image's origin, and taken off again.  With 12 degrees of freedom the fit of a half or
    cropped brain can run away; one that changes the volume beyond reason is done again
    with fewer.
    """
    shift_um = centre_shift_um(fixed, moving)
    centred = Picture(image=moving.image, grid=_moved(moving.grid, -shift_um))
    for freedom in AFFINE_FREEDOMS:
        greedy.run(
            f"-d 3 -a -dof {freedom} -i fixed moving -ia-identity -n {_levels(schedule.affine)} "
            f"-m NMI -seed {SEED} -threads {schedule.threads} -o affine",
            fixed=_to_itk(fixed),
            moving=_to_itk(centred),
            affine=None,
        )
        fitted = _from_greedy(np.array(greedy.session["affine"], dtype=np.float64))
        if 1 / MAX_VOLUME_CHANGE <= abs(fitted.determinant) <= MAX_VOLUME_CHANGE:
            break
    shift = np.eye(4)
    shift[:3, 3] = shift_um
    return AffineMap(shift).after(fitted)


def _seen(fixed: Picture, moving: Picture, affine: AffineMap) -> dict[str, sitk.Image]:
    """Masks of both pictures without the hole of ``moving``, where `_run_affine` left them."""
    hole = np.asarray(moving.hole, dtype=np.uint8)
    flat = Transform.from_affine(affine, fixed.grid)
    carried = flat.image_to_atlas(hole, moving.grid, fixed.grid, order=0) > 0
    near = ndimage.distance_transform_edt(~carried, sampling=fixed.grid.spacing_um)
    centred = _moved(moving.grid, -centre_shift_um(fixed, moving))
    return {
        "seen_fixed": _to_itk(Picture(image=near > HOLE_MARGIN_UM, grid=fixed.grid)),
        "seen_moving": _to_itk(Picture(image=hole == 0, grid=centred)),
    }


def _moved(grid: VoxelGrid, shift_um: FloatArray) -> VoxelGrid:
    z, y, x = (float(v) for v in np.asarray(grid.origin_um) + shift_um)
    return replace(grid, origin_um=(z, y, x))


def _levels(iterations: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in iterations)


def _to_itk(picture: Picture) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(picture.image, dtype=np.float32))
    _place(image, picture.grid)
    return image


def _place(image: sitk.Image, grid: VoxelGrid) -> None:
    image.SetSpacing([um / UM_PER_MM for um in grid.spacing_um[::-1]])  # type: ignore[no-untyped-call]
    image.SetOrigin([um / UM_PER_MM for um in grid.origin_um[::-1]])  # type: ignore[no-untyped-call]


def _from_greedy(ras_mm: FloatArray) -> AffineMap:
    matrix = _REVERSE_AXES @ _LPS_TO_RAS @ ras_mm @ _LPS_TO_RAS @ _REVERSE_AXES
    matrix[:3, 3] *= UM_PER_MM
    return AffineMap(matrix)


def _field(warp: sitk.Image, grid: VoxelGrid) -> DisplacementField:
    """Greedy's (x, y, z) LPS mm vectors as our (z, y, x) um vectors."""
    vectors = np.moveaxis(sitk.GetArrayFromImage(warp), -1, 0)[::-1] * UM_PER_MM
    return DisplacementField(grid, np.ascontiguousarray(vectors, dtype=np.float32))
