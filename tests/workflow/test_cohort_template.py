"""ketamap.workflow.cohort_template: a study's template, and registrations that can be counted with."""

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml

from ketamap.core.tables import REGIONS
from ketamap.io.images import open_image
from ketamap.io.registrations import load_registration
from ketamap.io.tables import read_table
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.cohort_template import template
from ketamap.workflow.quantification import quantify

ATLAS = "phantom_mouse_200um"


@pytest.mark.slow
def test_a_study_gets_a_template_and_registrations_to_count_with(tmp_path):
    atlas = open_atlas(ATLAS)
    animals = []
    for k in range(4):
        noise = np.random.default_rng(k).normal(100.0, 3.0, atlas.grid.shape)
        tifffile.imwrite(tmp_path / f"m{k}.tif", (5.0 * atlas.template + noise).astype(np.float32))
        animals.append({"animal": f"m{k}", "signal": f"m{k}.tif", "drug": "ketamine",
                        "dose_mg_per_kg": 30 * (k % 2), "days": 1})  # fmt: skip
    study = {
        "study": "made up", "atlas": ATLAS, "orientation": "asr", "voxel_um": [200.0] * 3,
        "registration": {"resolution_um": 200.0, "iterations": [30, 30, 10], "refits": 0},
        "animals": animals, "design": {"factor": "group", "control": "vehicle 1 d"},
    }  # fmt: skip
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    found = template(tmp_path / "study.yaml", out=tmp_path / "out", rounds=1)
    assert {r.quality.verdict for r in found.values()} == {"pass"}
    average = open_image(tmp_path / "out" / "template.ome.zarr").load()
    mask = atlas.brain_mask
    assert np.corrcoef(average[mask], atlas.template[mask])[0, 1] > 0.9
    back = load_registration(tmp_path / "out" / "m1").transform
    points = atlas.grid.to_um(np.argwhere(mask)[::50])
    there = back.to_sample(points)
    assert np.nanmedian(np.linalg.norm(there + 100.0 - points, axis=1)) < 100.0  # half a voxel
    cells = pd.DataFrame(there, columns=["z_um", "y_um", "x_um"]).dropna().assign(score=1.0)
    cells.to_csv(tmp_path / "cells.csv", index=False)
    quantify(
        registration=tmp_path / "out" / "m1", cells=tmp_path / "cells.csv",
        out=tmp_path / "regions.csv",
    )  # fmt: skip
    table = read_table(tmp_path / "regions.csv", REGIONS)
    assert table[table.acronym == "root"].total.sum() > 0.95 * len(cells)
