"""A small study folder, made without images: registrations, cells, animals and a design."""

import shutil

import numpy as np
import pandas as pd

from ketamap.core.registration import Registration, RegistrationQuality
from ketamap.core.space import Orientation
from ketamap.core.tables import AXONS, CELLS
from ketamap.io.manifests import write_json
from ketamap.io.registrations import save_registration
from ketamap.io.tables import write_table
from ketamap.phantom import random_transform
from ketamap.phantom.deformation import sample_grid
from ketamap.workflow.atlases import open_atlas

ATLAS = "phantom_mouse_200um"
CENTRE_UM = np.array([5200.0, 2600.0, 3300.0])
"""Where cells are planted: in one hemisphere."""

RADIUS_UM = 900.0


SHAPES = 2
"""Brains of different shape; the others are their copies."""


def make_study(folder, *, per_group=4, fold=3.0, cells=6000):
    """Write animals whose treated group has so many times as many cells about `CENTRE_UM`."""
    atlas = open_atlas(ATLAS)
    transforms = [random_transform(atlas, k, displacement_um=60.0) for k in range(SHAPES)]
    places = atlas.grid.to_um(np.argwhere(atlas.brain_mask))
    near = np.linalg.norm(places - CENTRE_UM, axis=1) < RADIUS_UM
    names, groups = [], []
    for k in range(2 * per_group):
        treated = k >= per_group
        name = f"{'ket' if treated else 'veh'}_{k:02d}"
        rng = np.random.default_rng(k)
        transform = transforms[k % SHAPES]
        weight = np.exp(0.1 * rng.normal()) * np.where(near & treated, fold, 1.0)
        count = rng.poisson(cells * np.exp(0.1 * rng.normal()) * weight.mean())
        picked = places[rng.choice(len(places), count, p=weight / weight.sum())]
        atlas_um = picked + rng.uniform(-99.0, 99.0, picked.shape)
        one = folder / "animals" / name
        _register(folder, one, atlas, transform, k)
        sample_um = transform.to_sample(atlas_um)
        points = pd.DataFrame(sample_um, columns=["z_um", "y_um", "x_um"])
        points[["ap_um", "dv_um", "ml_um"]] = atlas_um
        points["region_id"] = np.maximum(atlas.regions_at(atlas_um), 0)
        points["hemisphere"] = np.where(atlas.is_left(atlas_um), "left", "right")
        write_table(one / "cells.parquet", points.assign(score=1.0), CELLS)
        axons = points.assign(length_um=20.0, length_low_um=10.0, length_high_um=30.0)
        write_table(one / "axons.parquet", axons.assign(volume_um3=50.0), AXONS)
        names.append(name)
        groups.append("ketamine" if treated else "vehicle")
    pd.DataFrame({"animal": names, "group": groups}).to_csv(folder / "animals.csv", index=False)
    design = {"factor": "group", "control": "vehicle", "alpha": 0.05, "formula": None}
    about = {"title": "Small study", "note": "made up", "settings": {"design": design}}
    write_json(folder / "analysis.json", about)
    return folder


def _register(folder, one, atlas, transform, k):
    """Write the registration of a shape once, and copy it for the animals that share it."""
    first = folder / "animals" / f"veh_{k % SHAPES:02d}" / "registration"
    if first.exists():
        shutil.copytree(first, one / "registration")
        return
    quality = RegistrationQuality(
        ncc=0.95, lncc=0.8, least_jacobian=0.5, inverse_error_p95_um=3.0, verdict="pass", reasons=()
    )
    save_registration(
        one / "registration",
        Registration(
            transform=transform,
            quality=quality,
            sample_grid=sample_grid(atlas, transform, (50.0, 50.0, 50.0)),
            orientation=Orientation("psl"),
            atlas=ATLAS,
        ),
    )
