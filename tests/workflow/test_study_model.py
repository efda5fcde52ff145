"""ketamap.workflow.study_run: a study's own score of cells."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
import yaml

from ketamap.core.errors import InputError
from ketamap.detect.model import default_model, model_as_dict
from ketamap.io.manifests import write_json
from ketamap.io.studies import read_study
from ketamap.workflow.manifest import study_settings
from ketamap.workflow.study_run import brain_tasks, run


def study_with(folder, **model):
    """Six animals with images of noise and a model of one's own, on disk."""
    write_json(folder / "mine.json", model_as_dict(replace(default_model(), **model)))
    animals = []
    for k in range(6):
        image = np.random.default_rng(k).poisson(100, (6, 20, 20)).astype(np.uint16)
        tifffile.imwrite(folder / f"m{k}.tif", image)
        animals.append(
            {"animal": f"m{k}", "signal": f"m{k}.tif", "drug": "ketamine",
             "dose_mg_per_kg": 30 * (k // 3), "days": 10}
        )  # fmt: skip
    entry = {
        "study": "A test", "atlas": "phantom_mouse_200um", "orientation": "psl",
        "voxel_um": [5, 2, 2], "animals": animals, "detection": {"model": "mine.json"},
        "design": {"dose": "dose_mg_per_kg", "control": 0},
    }  # fmt: skip
    (folder / "study.yaml").write_text(yaml.safe_dump(entry), encoding="utf-8")
    return folder / "study.yaml"


@pytest.mark.parametrize(
    ("model", "words"),
    [({"diameter_um": 40.0}, "somata of 40 um"), ({"coarse": True}, "two or three voxels")],
)
def test_a_model_for_other_somata_is_refused_before_any_work(tmp_path, model, words):
    study = study_with(tmp_path, **model)
    with pytest.raises(InputError, match=rf"mine\.json, animal m0: .*{words}"):
        run(study, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_no_model_is_refused(tmp_path):
    study = study_with(tmp_path)
    write_json(tmp_path / "mine.json", {"kind": "something else"})
    with pytest.raises(InputError, match="score model"):
        run(study, out=tmp_path / "run")


def test_the_model_is_in_the_hash_of_detection_and_in_the_manifest(tmp_path):
    study = read_study(study_with(tmp_path, diameter_um=15.0))

    def detection():
        tasks = brain_tasks(study, study.animals[0], tmp_path / "run", memory_bytes=2**30)
        return next(task for task in tasks if task.step == "detect").inputs()

    before, told = detection(), study_settings(study)["detection"]
    assert told["model"] == "mine.json"
    write_json(tmp_path / "mine.json", model_as_dict(replace(default_model(), diameter_um=16.0)))
    assert detection() != before
    assert study_settings(study)["detection"]["model_digest"] != told["model_digest"]
