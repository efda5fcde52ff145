"""A registered brain without a real image: one bright, traced line through the middle of the CP."""

import numpy as np
import pandas as pd

from ketamap.core.registration import Registration, RegistrationQuality
from ketamap.core.space import Orientation, VoxelGrid
from ketamap.core.tables import CELLS
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.io.ome_zarr import write_image
from ketamap.io.registrations import save_registration
from ketamap.io.tables import write_table
from ketamap.io.tracings import SKELETON, fill_tracing
from ketamap.quantify import carry_annotation
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.brain import ANNOTATION, HEMISPHERES_IMAGE

ATLAS = "phantom_mouse_200um"
VOXEL_UM = 100.0


def make_traced_brain(folder, *, verdict="pass"):
    """Write ``image.ome.zarr``, ``registration``, ``trace`` and ``cells.parquet``."""
    atlas = open_atlas(ATLAS)
    knots = VoxelGrid(shape=(2, 2, 2), spacing_um=(10_000.0,) * 3)
    still = DisplacementField(knots, np.zeros((3, 2, 2, 2), np.float32))
    transform = Transform(affine=AffineMap(np.eye(4)), outward=still, inward=still)
    shape = [
        round(n * um / VOXEL_UM)
        for n, um in zip(atlas.grid.shape, atlas.grid.spacing_um, strict=True)
    ]
    grid = VoxelGrid(shape=tuple(shape), spacing_um=(VOXEL_UM,) * 3)
    quality = RegistrationQuality(
        ncc=0.95,
        lncc=0.8,
        least_jacobian=0.5,
        inverse_error_p95_um=3.0,
        verdict=verdict,
        reasons=(),
    )
    save_registration(
        folder / "registration",
        Registration(
            transform=transform,
            quality=quality,
            sample_grid=grid,
            orientation=Orientation("asr"),
            atlas=ATLAS,
        ),
    )
    carried = carry_annotation(transform, atlas, grid)
    labels = {ANNOTATION: carried.region_id, HEMISPHERES_IMAGE: carried.hemisphere}
    for name, values in labels.items():
        write_image(folder / "registration" / name, values, carried.grid, labels=True)
    inside = atlas.annotation == atlas.structures.id_of("CP")
    places = transform.to_sample(atlas.grid.to_um(np.argwhere(inside)))
    places = places[places[:, 2] < np.median(places[:, 2])]
    z, y, _ = np.rint(grid.to_index(places.mean(axis=0)[None])[0]).astype(int)
    line = np.zeros(grid.shape, bool)
    line[z, y, :] = True
    rng = np.random.default_rng(0)
    image = (100 + rng.integers(0, 20, grid.shape) + 500 * line).astype(np.uint16)
    write_image(folder / "image.ome.zarr", image, grid)
    (folder / "trace").mkdir()
    write_image(folder / "trace" / SKELETON, line.astype(np.uint8), grid, labels=True)
    rows = pd.DataFrame(grid.to_um(np.argwhere(line)[::2]), columns=["z_um", "y_um", "x_um"])
    lengths = {"length_um": 200.0, "length_low_um": 150.0, "length_high_um": 250.0}
    fill_tracing(folder / "trace", rows.assign(**lengths, volume_um3=1e6), {"threshold": 3.0})
    cells = rows.iloc[::5].reset_index(drop=True).assign(score=1.0)
    write_table(folder / "cells.parquet", cells, CELLS)
    return folder
