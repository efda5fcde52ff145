"""How good a registration is: figures with definitions, and a verdict.

The thresholds were derived in ``benchmarks/registration.py`` from brains whose true
error is known; its output lists the cases behind each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ketamap.core.registration import ErrorMap, RegistrationQuality, Verdict
from ketamap.core.space import FloatArray, VoxelGrid
from ketamap.core.transform import Transform
from ketamap.register.reference import Reference

QUALITY_RESOLUTION_UM = 100.0
"""Voxel size at which images are compared."""

LNCC_WINDOW_VOXELS = 7
"""Edge of the window of a local correlation: 700 um."""

CLIP_PERCENTILES = (0.5, 99.5)
"""Both images are clipped to these percentiles of the brain mask before comparison."""

FAIL_LNCC = 0.38
"""Below this the images do not show the same thing.

Halfway between the best wrong case (the real brain turned or flipped: 0.26 to 0.29;
noise and solids: 0.13 to 0.19) and a usable but coarse alignment (a peer's own: 0.47).
"""

LOOK_LNCC = 0.55
"""Below this a person should look: halfway from that coarse alignment to ours (0.64)."""

FAIL_NCC = 0.30
"""Below this the images do not agree at large (right cases 0.54 and more, solids 0.26).

A turned brain reaches 0.34; it depends on the stain, so local correlation has the say.
"""

FAIL_JACOBIAN = 0.0
"""At or below this the map folds: places change order."""

LOOK_JACOBIAN = 0.1
"""Below this tissue is squeezed more than tenfold."""

LOOK_INVERSE_ERROR_UM = 25.0
"""Above this the two directions of the map disagree by more than a cell layer."""

FAIL_INVERSE_ERROR_UM = 150.0
"""Above this the two directions of the map are different maps."""

LOOK_ERROR_UM = 100.0
"""Above this the estimated error of a typical place is as wide as a nucleus of the midbrain.

Between brains with a true median error under 80 um and those over 150 um
(``benchmarks/registration.py errors``).
"""

_LEAST_RELATIVE_VARIANCE = 1e-6
"""Windows with less variance than this share of the image's are left out."""


def ncc(a: NDArray[Any], b: NDArray[Any], mask: NDArray[np.bool_]) -> float:
    """Correlation of two images over a mask, each clipped to `CLIP_PERCENTILES`.

    Zero if either is constant there.
    """
    x, y = (_clipped(image, mask)[mask] for image in (a, b))
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt(np.sum(x * x) * np.sum(y * y))
    return float(np.sum(x * y) / scale) if scale > 0.0 else 0.0


def local_ncc(a: NDArray[Any], b: NDArray[Any], mask: NDArray[np.bool_]) -> FloatArray:
    """Correlation of two images in the window around each voxel.

    Parameters
    ----------
    a, b
        Same shape; each is clipped to `CLIP_PERCENTILES` of the mask.
    mask
        Brain voxels; only the percentiles depend on it.

    Returns
    -------
    ndarray of float64
        Shape of ``a``, from -1 to 1; NaN where a window has no variance.
    """
    x, y = (_clipped(image, mask) for image in (a, b))
    x, y = x - x[mask].mean(), y - y[mask].mean()
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    var_x = _window_mean(x * x) - mean_x**2
    var_y = _window_mean(y * y) - mean_y**2
    valid = (var_x > _LEAST_RELATIVE_VARIANCE * x[mask].var()) & (
        var_y > _LEAST_RELATIVE_VARIANCE * y[mask].var()
    )
    scale = np.sqrt(np.where(valid, var_x * var_y, 1.0))
    local = np.clip((_window_mean(x * y) - mean_x * mean_y) / scale, -1.0, 1.0)
    return np.where(valid, local, np.nan)


def lncc(a: NDArray[Any], b: NDArray[Any], mask: NDArray[np.bool_]) -> float:
    """Mean of `local_ncc` over a mask; zero where no window has variance."""
    local = local_ncc(a, b, mask)[mask]
    local = local[np.isfinite(local)]
    return float(local.mean()) if local.size else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is known of a brain from elsewhere, one sentence each."""

    suspicions: tuple[str, ...] = ()
    """They always mean ``fail`` (a better orientation)."""

    remarks: tuple[str, ...] = ()
    """What a person should look at."""


NOTHING_FOUND = Findings()


def assess(
    image: NDArray[Any],
    grid: VoxelGrid,
    transform: Transform,
    reference: Reference,
    *,
    error: ErrorMap | None = None,
    findings: Findings = NOTHING_FOUND,
) -> RegistrationQuality:
    """Measure a registration and judge it.

    Parameters
    ----------
    image, grid
        The sample at about `QUALITY_RESOLUTION_UM`.
    transform
        Sample <-> atlas.
    reference
        The atlas at `QUALITY_RESOLUTION_UM`.
    error
        The estimated position error.
    findings
        What is known of this brain from elsewhere.
    """
    carried = transform.image_to_atlas(image.astype(np.float32), grid, reference.grid)
    brain_um = reference.grid.to_um(np.argwhere(reference.mask))
    figures = {
        "ncc": ncc(carried, reference.template, reference.mask),
        "lncc": lncc(carried, reference.template, reference.mask),
        "least_jacobian": _least_jacobian(transform, brain_um),
        "inverse_error_p95_um": _inverse_error_p95_um(transform, brain_um),
        "error_median_um": math.nan if error is None else float(np.nanmedian(error.at(brain_um))),
    }
    verdict, reasons = judge(**figures, findings=findings)
    return RegistrationQuality(**figures, verdict=verdict, reasons=reasons)


def judge(
    *,
    ncc: float,
    lncc: float,
    least_jacobian: float,
    inverse_error_p95_um: float,
    error_median_um: float = math.nan,
    findings: Findings = NOTHING_FOUND,
) -> tuple[Verdict, tuple[str, ...]]:
    """Turn figures into a verdict and the reasons for it; suspicions always fail a brain."""
    fails = [*findings.suspicions]
    looks = [*findings.remarks]
    if lncc < FAIL_LNCC:
        fails.append(
            f"Local correlation with the atlas is {lncc:.2f}, below {FAIL_LNCC}: check the "
            f"orientation, the voxel size and the channel."
        )
    elif lncc < LOOK_LNCC:
        looks.append(f"Local correlation with the atlas is only {lncc:.2f} (below {LOOK_LNCC}).")
    if ncc < FAIL_NCC:
        fails.append(f"Correlation with the atlas is {ncc:.2f}, below {FAIL_NCC}.")
    if least_jacobian <= FAIL_JACOBIAN:
        fails.append(f"The map folds (least Jacobian {least_jacobian:.2f}).")
    elif least_jacobian < LOOK_JACOBIAN:
        looks.append(
            f"Tissue is squeezed to {least_jacobian:.2f} of its volume somewhere "
            f"(below {LOOK_JACOBIAN})."
        )
    if not inverse_error_p95_um <= FAIL_INVERSE_ERROR_UM:
        fails.append(f"The map and its inverse differ by {inverse_error_p95_um:.0f} um.")
    elif inverse_error_p95_um > LOOK_INVERSE_ERROR_UM:
        looks.append(f"The map and its inverse differ by {inverse_error_p95_um:.0f} um.")
    if error_median_um > LOOK_ERROR_UM:
        looks.append(
            f"Repeated fits put the typical position error at {error_median_um:.0f} um "
            f"(above {LOOK_ERROR_UM:.0f})."
        )
    if fails:
        return "fail", (*fails, *looks)
    return ("look", tuple(looks)) if looks else ("pass", ())


def _clipped(image: NDArray[Any], mask: NDArray[np.bool_]) -> FloatArray:
    low, high = np.percentile(image[mask], CLIP_PERCENTILES)
    return np.clip(image.astype(np.float64), low, high)


def _window_mean(image: FloatArray) -> FloatArray:
    return np.asarray(ndimage.uniform_filter(image, LNCC_WINDOW_VOXELS, mode="reflect"))


def _least_jacobian(transform: Transform, brain_um: FloatArray) -> float:
    index, inside = transform.outward.grid.nearest_index(brain_um)
    values = transform.jacobian_determinant()[tuple(index[inside].T)]
    return float(values.min())


def _inverse_error_p95_um(transform: Transform, brain_um: FloatArray) -> float:
    error = transform.inverse_error_um(brain_um)
    known = error[np.isfinite(error)]
    return float(np.percentile(known, 95)) if known.size else float("inf")
