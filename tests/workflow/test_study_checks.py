"""ketamap.workflow.study_checks: telling cells from what the background image shows too."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from ketamap.core.errors import ImageError, MissingExtraError
from ketamap.core.settings import Design, DetectionSettings
from ketamap.core.space import Orientation
from ketamap.core.study import Animal, Regimen, Study
from ketamap.detect.device import on_cpu
from ketamap.io.studies import write_study
from ketamap.io.tables import read_points
from ketamap.workflow.study_run import brain_tasks, detect_animal, run

SHAPE, VOXEL_UM = (24, 90, 90), (5.0, 5.0, 5.0)
CELL, SHARED = (12, 30, 30), (12, 60, 60)


def blobs(folder, name, places, seed):
    """Tissue, the same in all images, with somata of 15 um and noise, as a TIFF stack."""
    light = np.random.default_rng(0).normal(200.0, 250.0, SHAPE)
    for place in places:
        light[place] += 9000.0
    image = 100.0 + ndimage.gaussian_filter(light, 1.3)
    path = folder / f"{name}.tif"
    tifffile.imwrite(path, np.random.default_rng(seed).poisson(image).astype(np.uint16))
    return path


def a_study(folder, *, background=True, background_um=VOXEL_UM):
    animals = tuple(
        Animal(
            animal=f"m{k}",
            regimen=Regimen(drug="ketamine", dose_mg_per_kg=30.0 * (k // 3), days=10),
            signal=blobs(folder, f"s{k}", (CELL, SHARED), k),
            background=blobs(folder, f"b{k}", (SHARED,), 50 + k),
        )
        for k in range(6)
    )
    return Study(
        name="A test",
        atlas="phantom_mouse_200um",
        animals=animals,
        orientation=Orientation("psl"),
        design=Design(dose="dose_mg_per_kg", control=0.0),
        voxel_um=VOXEL_UM,
        background_voxel_um=background_um,
        detection=DetectionSettings(spike_ins=0),
        detect_with_background=background,
    )


def found(study, folder):
    """Whether the cell and what both images show are among the detected cells."""
    folder.mkdir()
    animal = study.animals[0]
    detect_animal(study=study, animal=animal, folder=folder, memory_bytes=2**30)
    cells = read_points(folder / "detected.parquet")
    at = cells[["z_um", "y_um", "x_um"]].to_numpy() / VOXEL_UM
    return [bool(np.any(np.linalg.norm(at - spot, axis=1) < 1.0)) for spot in (CELL, SHARED)]


def test_what_both_images_show_is_a_cell_only_where_the_background_is_not_asked(tmp_path):
    study = a_study(tmp_path)
    assert found(study, tmp_path / "told") == [True, False]
    alone = replace(study, detect_with_background=False)
    assert found(alone, tmp_path / "alone") == [True, True]


def test_a_changed_background_means_detecting_again(tmp_path):
    study = a_study(tmp_path)

    def inputs():
        tasks = brain_tasks(study, study.animals[0], tmp_path / "run", memory_bytes=2**30)
        return next(task for task in tasks if task.step == "detect").inputs()

    before = inputs()
    assert inputs() == before
    blobs(tmp_path, "b0", (CELL,), 99)
    assert inputs() != before


def test_a_background_that_is_sampled_otherwise_is_refused_before_any_work(tmp_path):
    write_study(tmp_path / "study.yaml", a_study(tmp_path, background_um=(10.0, 10.0, 10.0)))
    with pytest.raises(ImageError, match=r"detection\.background, animal m0: .*sampled alike"):
        run(tmp_path / "study.yaml", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_device_is_no_reason_to_detect_again(tmp_path):
    study = a_study(tmp_path)
    inputs = [
        task.inputs()
        for device in ("cpu", "gpu")
        for task in brain_tasks(
            study, study.animals[0], tmp_path / "run", memory_bytes=2**30, device=device
        )
        if task.step == "detect"
    ]
    assert inputs[0] == inputs[1]


def test_a_gpu_that_is_not_there_stops_a_study_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("ketamap.detect.gpu.find_spec", lambda name: None)
    write_study(tmp_path / "study.yaml", a_study(tmp_path))
    with pytest.raises(MissingExtraError, match=r"ketamap\[gpu\]"):
        run(tmp_path / "study.yaml", out=tmp_path / "run", device="gpu")
    assert not (tmp_path / "run").exists()


def test_the_device_of_a_study_is_that_of_its_animals(tmp_path, monkeypatch):
    asked = []

    def open_device(name):
        asked.append(name)
        return on_cpu

    monkeypatch.setattr("ketamap.detect.gpu.open_device", open_device)
    study = a_study(tmp_path)
    (task,) = [
        task
        for task in brain_tasks(study, study.animals[0], tmp_path, memory_bytes=2**30, device="gpu")
        if task.step == "detect"
    ]
    task.call(**task.arguments)
    assert asked == ["gpu"]
