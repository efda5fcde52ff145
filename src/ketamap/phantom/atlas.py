"""`phantom_mouse`: an atlas made in code, with real names, real places and real sizes."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ketamap.core.atlas import OUTSIDE_BRAIN, Atlas, atlas_grid
from ketamap.core.errors import InputError
from ketamap.core.space import Zyx
from ketamap.phantom.ontology import phantom_structures
from ketamap.phantom.pieces import CCF_BOX_UM, CCF_MIDLINE_UM, draw_half, load_pieces
from ketamap.phantom.template import paint_half, smooth

T = TypeVar("T", bound=np.generic)

FINEST_UM, COARSEST_UM = 25.0, 200.0
"""Resolutions the phantom can be made at, um."""

BRAIN_THRESHOLD = 5.0
"""Least squared Mahalanobis distance above which a voxel is outside the brain.

Tuned on the whole-brain Dice against the CCFv3 annotation at 100 um; see
`tests/phantom/test_atlas.py`.
"""

CITATION = (
    "Phantom brain drawn from region sizes and places measured in the Allen Mouse Brain Common "
    "Coordinate Framework (Wang et al. 2020, Cell 181, 936-953). A phantom: for demonstrations, "
    "tests and simulation, not for real brains."
)
"""Whom to cite, and what this is not."""


def phantom_name(resolution_um: float) -> str:
    """Return the name of the phantom atlas at a resolution: ``phantom_mouse_100um``."""
    return f"phantom_mouse_{resolution_um:g}um"


def phantom_atlas(resolution_um: float) -> Atlas:
    """Make the phantom atlas: the same voxels on every call.

    Parameters
    ----------
    resolution_um
        Edge of a voxel, 25 to 200 um.

    Returns
    -------
    Atlas
        Axes (ap, dv, ml), orientation "asr", on the CCFv3 box of 13200 x 8000 x 11400 um
        (the next whole number of voxels where the resolution does not divide it: the
        midline then stays the middle of the volume, and ml moves by less than half a
        voxel).  Both hemispheres are mirror images.

    Raises
    ------
    InputError
        If the resolution is out of range.

    Examples
    --------
    >>> phantom_atlas(200).grid.shape
    (66, 40, 57)
    """
    if not FINEST_UM <= resolution_um <= COARSEST_UM:
        msg = (
            f"The phantom atlas exists from {FINEST_UM:g} to {COARSEST_UM:g} um, "
            f"not at {resolution_um:g} um. Choose a resolution in that range, such as 100."
        )
        raise InputError(msg)
    pieces = load_pieces()
    shape = _shape(resolution_um)
    labels, least_m2 = draw_half(
        pieces, _half(shape), resolution_um, _ml_start_um(shape, resolution_um), BRAIN_THRESHOLD
    )
    image = paint_half(labels, least_m2, pieces.intensities, resolution_um)
    del least_m2
    ids = np.append(pieces.region_ids, OUTSIDE_BRAIN)  # label -1 takes the last
    return Atlas(
        name=phantom_name(resolution_um),
        grid=atlas_grid(shape, (resolution_um,) * 3),
        annotation=ids[_mirrored(labels, shape[2])],
        template=smooth(_mirrored(image, shape[2]), resolution_um),
        structures=phantom_structures(),
        is_phantom=True,
        citation=CITATION,
    )


def _shape(resolution_um: float) -> Zyx[int]:
    ap, dv, ml = (math.ceil(um / resolution_um - 1e-9) for um in CCF_BOX_UM)
    return ap, dv, ml


def _half(shape: Zyx[int]) -> Zyx[int]:
    """Shape of the first half along ml, with the middle plane where there is one."""
    return shape[0], shape[1], (shape[2] + 1) // 2


def _ml_start_um(shape: Zyx[int], resolution_um: float) -> float:
    """CCF position of the outer face along ml when the middle of the volume is the midline."""
    return CCF_MIDLINE_UM - 0.5 * shape[2] * resolution_um


def _mirrored(half: NDArray[T], n_ml: int) -> NDArray[T]:
    """Complete a first half along the last axis; a middle plane is not repeated."""
    return np.concatenate([half, half[..., : n_ml // 2][..., ::-1]], axis=-1)
