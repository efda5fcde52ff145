"""ketamap.workflow.study_run: a small phantom study, whole; stopped and resumed; few or many workers.

Brains of 100 um voxels with somata of 200 um, aligned at 200 um: everything real, but small.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from distributed import LocalCluster

from ketamap.core.errors import InputError, RegistrationError
from ketamap.core.settings import Design, DetectionSettings, RegistrationSettings
from ketamap.core.study import Animal, Study
from ketamap.core.tables import EFFECTS, REGIONS
from ketamap.io.manifests import read_json
from ketamap.io.ome_zarr import write_image
from ketamap.io.studies import write_study
from ketamap.io.tables import read_table
from ketamap.phantom import BrainSettings, default_cohort, plan_brain
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.study_run import run

pytestmark = pytest.mark.slow

ATLAS = "phantom_mouse_200um"
SETTINGS = BrainSettings(
    voxel_um=(100.0, 100.0, 100.0),
    background_voxel_um=(100.0, 100.0, 100.0),
    soma_diameter_um=200.0,
    lattice_um=100.0,
)
TABLES = ("regions.parquet", "effects.parquet", "values.parquet", "animals.csv")


@pytest.fixture(scope="module")
def study_file(tmp_path_factory):
    """Six brains on disk, three vehicle and three treated, and their study file."""
    folder = tmp_path_factory.mktemp("study")
    atlas = open_atlas(ATLAS)
    plan = default_cohort(seed=5, animals_per_group=3)
    chosen = [one for one in plan.animals if one.group.regimen.dose_mg_per_kg != 30]
    density = np.full(len(atlas.structures), 20.0)
    animals = []
    for one in chosen:
        brain = plan_brain(atlas, one.seed, densities_per_mm3=density, settings=SETTINGS)
        where = folder / "images" / one.animal
        where.mkdir(parents=True)
        for name, grid, paint in (
            ("signal", brain.signal_grid, brain.signal_block),
            ("background", brain.background_grid, brain.background_block),
        ):
            write_image(where / f"{name}.ome.zarr", paint((0, 0, 0), grid.shape), grid)
        animals.append(
            Animal(
                animal=one.animal,
                regimen=one.group.regimen,
                signal=where / "signal.ome.zarr",
                background=where / "background.ome.zarr",
            )
        )
    study = Study(
        name="small",
        atlas=ATLAS,
        orientation=SETTINGS.orientation,
        animals=tuple(animals),
        design=Design(factor="group", control="vehicle 10 d"),
        detection=DetectionSettings(soma_diameter_um=200.0, spike_ins=20),
        registration=RegistrationSettings(resolution_um=200.0, iterations=(40, 20, 0), refits=2),
    )
    write_study(folder / "study.yaml", study)
    return folder / "study.yaml"


@pytest.fixture(scope="module")
def finished(study_file, tmp_path_factory):
    """The study run with two workers."""
    out = tmp_path_factory.mktemp("two") / "run"
    return run(study_file, out=out, workers=2)


def tables_of(folder):
    return {name: (Path(folder) / name).read_bytes() for name in TABLES}


def test_a_study_folder_holds_what_the_contract_says(finished):
    folder = finished.folder
    for name in ("manifest.json", "ledger.sqlite", "report.html", *TABLES):
        assert (folder / name).stat().st_size > 0
    assert len(list(folder.glob("animals/*/cells.parquet"))) == 6
    regions = read_table(folder / "regions.parquet", REGIONS)
    assert regions.animal.nunique() == 6
    known = regions[(regions.measure == "cells") & (regions.total > 0)].detection_efficiency
    assert known.between(0.0, 1.0).all()
    assert len(list(folder.glob("animals/*/detected_spikes.parquet"))) == 6
    assert "Estimated share of such cells found" in (folder / "report.html").read_text("utf-8")
    effects = read_table(folder / "effects.parquet", EFFECTS)
    assert set(effects.estimand) == {"shift", "relative", "absolute"}
    assert (effects[effects.estimand == "shift"].acronym == "root").all()
    manifest = read_json(folder / "manifest.json")
    assert {"versions", "settings", "inputs", "seconds"} <= set(manifest)
    assert manifest["device"] == "cpu"


def test_every_cell_is_in_the_balance_sheet_and_in_the_table(finished):
    regions = pd.read_parquet(finished.folder / "regions.parquet")
    for sheet in finished.folder.glob("animals/*/balance.json"):
        balance = read_json(sheet)
        own = regions[regions.animal == sheet.parent.name].own.sum()
        assert own == balance["in_regions"]
        assert balance["detected"] == sum(
            balance[k] for k in ("in_regions", "outside_brain", "outside_atlas")
        )
        assert balance["in_regions"] > 0.9 * balance["detected"]


def test_the_number_of_workers_changes_nothing(finished, study_file, tmp_path):
    run(study_file, out=tmp_path / "one", workers=1)
    assert tables_of(tmp_path / "one") == tables_of(finished.folder)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # sockets of the cluster's own making
def test_a_dask_cluster_gives_the_same_tables(finished, study_file, tmp_path):
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)
    try:
        run(study_file, out=tmp_path / "cluster", scheduler=cluster.scheduler_address)
    finally:
        cluster.close()
    assert tables_of(tmp_path / "cluster") == tables_of(finished.folder)


def test_a_scheduler_that_does_not_answer_is_named(study_file, tmp_path):
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9"):
        run(study_file, out=tmp_path / "none", scheduler="tcp://127.0.0.1:9")


def test_resuming_a_finished_run_does_nothing_and_gives_the_same(finished, study_file):
    before = tables_of(finished.folder)
    again = run(study_file, out=finished.folder, resume=True, workers=2)
    assert again.outcome.done == ()
    assert len(again.outcome.skipped) == 18
    assert tables_of(finished.folder) == before


def test_a_used_folder_needs_resume(finished, study_file):
    with pytest.raises(InputError, match="--resume"):
        run(study_file, out=finished.folder)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_a_run_stopped_in_the_middle_and_resumed_gives_the_same_tables(
    finished, study_file, tmp_path, how
):
    out = tmp_path / "stopped"
    command = [sys.executable, "-c", "from ketamap.cli.main import main; main()"]
    arguments = ["run", str(study_file), "--out", str(out), "--workers", "2"]
    process = subprocess.Popen(
        [*command, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    wait_for_steps(out / "ledger.sqlite", at_least=4)
    (os.killpg if how == signal.SIGKILL else os.kill)(process.pid, how)
    _, err = process.communicate(timeout=60)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "--resume" in err
        assert "Traceback" not in err
    assert not (out / "report.html").exists()
    again = run(study_file, out=out, resume=True, workers=2)
    assert len(again.outcome.skipped) >= 4
    assert len(again.outcome.done) + len(again.outcome.skipped) == 18
    assert tables_of(out) == tables_of(finished.folder)


def wait_for_steps(ledger, *, at_least):
    """Wait until so many steps are in the ledger (it may not be there yet)."""
    end = time.monotonic() + 240
    while time.monotonic() < end:
        if ledger.exists():
            try:
                with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as db:
                    (n,) = db.execute("select count(*) from steps").fetchone()
            except sqlite3.OperationalError:  # the table is being made
                n = 0
            if n >= at_least:
                return
        time.sleep(0.05)
    pytest.fail("the run made no progress")


def test_a_brain_declared_back_to_front_stops_the_run(study_file, tmp_path):
    content = yaml.safe_load(study_file.read_text())
    content["orientation"] = "asl"
    for animal in content["animals"]:
        for channel in ("signal", "background"):
            animal[channel] = str(study_file.parent / animal[channel])
    wrong = tmp_path / "study.yaml"
    wrong.write_text(yaml.safe_dump(content))
    with pytest.raises(RegistrationError, match="veh_10d_01"):
        run(wrong, out=tmp_path / "out", workers=2)
    assert not (tmp_path / "out" / "report.html").exists()
