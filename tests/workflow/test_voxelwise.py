"""ketamap.workflow.voxelwise and voxel_inputs: a study folder to maps, clusters and a page."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import (
    DesignError,
    InputError,
    MissingInputError,
    RegistrationError,
    ResourceError,
    TableError,
)
from ketamap.core.progress import silent
from ketamap.core.registration import TissueMask
from ketamap.core.space import VoxelGrid
from ketamap.core.tables import CELLS
from ketamap.io.images import open_image
from ketamap.io.manifests import read_json, write_json
from ketamap.io.registrations import load_registration, save_registration
from ketamap.io.tables import read_table, write_table
from ketamap.workflow.voxel_inputs import Mapping, map_cohort
from ketamap.workflow.voxelwise import voxelwise
from tests.workflow.voxel_studies import CENTRE_UM, RADIUS_UM, make_study

COARSE = Mapping(resolution_um=200.0, kernel_um=250.0)
COARSEST = Mapping(resolution_um=400.0, kernel_um=400.0)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"), cells=8000)


@pytest.fixture(scope="module")
def done(study, tmp_path_factory):
    out = tmp_path_factory.mktemp("maps") / "out"
    return voxelwise(study, out=out, mapping=COARSE, permutations=100, workers=2), out


@pytest.fixture
def copy(study, tmp_path):
    return shutil.copytree(study, tmp_path / "copy")


def test_the_planted_place_is_the_cluster_that_is_found(done):
    result, _ = done
    relative = result.clusters[result.clusters["estimand"] == "relative"]
    best = relative.iloc[0]
    peak = best[["peak_ap_um", "peak_dv_um", "peak_ml_um"]].to_numpy(float)
    assert best["direction"] == "up"
    assert np.linalg.norm(peak - CENTRE_UM) < RADIUS_UM
    assert best["p_fwe"] == pytest.approx(2 / 70)
    # 3-fold, less what the kernel carries over the edge of the ball
    assert 0.7 < best["mean_log2"] < np.log2(3.0) + 0.3
    ball = 4 / 3 * np.pi * (RADIUS_UM / 1000) ** 3
    assert 0.3 * ball < best["size_mm3"] < 2.5 * ball


def test_four_against_four_uses_every_arrangement(done):
    record = read_json(done[1] / "voxelwise.json")
    assert {(m["relabelings"], m["exhaustive"]) for m in record["maps"]} == {(70, True)}
    assert record["n_per_group"] == {"vehicle": 4, "ketamine": 4}


def test_maps_lie_where_the_atlas_does(done):
    result, out = done
    labels = open_image(out / "maps" / "ketamine_vs_vehicle_relative_clusters.ome.zarr")
    assert labels.grid.origin_um == (100.0, 100.0, 100.0)
    assert labels.grid.spacing_um == (200.0, 200.0, 200.0)
    best = result.clusters[result.clusters["estimand"] == "relative"].iloc[0]
    index, _ = labels.grid.nearest_index(
        best[["peak_ap_um", "peak_dv_um", "peak_ml_um"]].to_numpy(float)[None]
    )
    assert labels.load()[tuple(index[0])] == best["cluster"]
    p = open_image(out / "maps" / "ketamine_vs_vehicle_relative_p_fwe.ome.zarr").load()
    assert np.count_nonzero(p < 0.05) == np.count_nonzero(labels.load())
    tested = open_image(out / "maps" / "tested.ome.zarr").load()
    assert np.all(p[tested == 0] == 1)


def test_densities_are_per_mm3_of_the_sample(done, study):
    _, out = done
    density = open_image(out / "maps" / "density_vehicle.ome.zarr").load()
    record = read_json(out / "voxelwise.json")
    vehicle = [p for p in record["points"] if p["animal"].startswith("veh")]
    expected = np.mean([p["used"] / p["volume_mm3"] for p in vehicle])
    assert np.median(density[density > 0]) == pytest.approx(expected, rel=0.1)
    cells = len(read_table(study / "animals" / "veh_00" / "cells.parquet", CELLS))
    assert vehicle[0]["used"] <= cells


def test_the_page_shows_everything_and_asks_for_nothing(done):
    page = done[0].page.read_text(encoding="utf-8")
    assert page.count("data:image/png;base64") >= 20
    for text in ("Small study", "made up", "all 70 distinct relabelings", "250 um standard"):
        assert text in page
    assert "http://" not in page
    assert "<script" not in page


@pytest.mark.slow
def test_it_can_be_done_again_and_workers_change_nothing(done, study):
    result, out = done
    before = (out / "voxelwise.html").read_bytes()
    again = voxelwise(study, out=out, mapping=COARSE, permutations=100, workers=1)
    pd.testing.assert_frame_equal(again.clusters, result.clusters)
    assert (out / "voxelwise.html").read_bytes() == before


@pytest.mark.slow
def test_axons_count_their_length(study, tmp_path):
    what = replace(COARSEST, measure="axon_length_mm")
    voxelwise(study, out=tmp_path / "out", mapping=what, permutations=100)
    record = read_json(tmp_path / "out" / "voxelwise.json")
    cells = read_json(tmp_path / "out" / "voxelwise.json")["points"]
    length = open_image(tmp_path / "out" / "maps" / "density_vehicle.ome.zarr").load()
    vehicle = [p for p in cells if p["animal"].startswith("veh")]
    expected = np.mean([0.02 * p["used"] / p["volume_mm3"] for p in vehicle])
    assert np.median(length[length > 0]) == pytest.approx(expected, rel=0.1)
    assert record["settings"]["measure"] == "axon_length_mm"


def lose_tissue(folder, name):
    """Cut a ball out of an animal: its mask says so, and its cells lie in no structure."""
    place = folder / "animals" / name
    registration = load_registration(place / "registration")
    centre_um = registration.transform.to_sample(CENTRE_UM[None])[0]
    grid = VoxelGrid(shape=(90, 60, 80), spacing_um=(200.0,) * 3)
    far = np.linalg.norm(grid.voxel_centres_um() - centre_um, axis=1)
    mask = TissueMask(grid=grid, present=(far > RADIUS_UM).reshape(grid.shape))
    shutil.rmtree(place / "registration")
    save_registration(place / "registration", replace(registration, tissue=mask))
    cells = read_table(place / "cells.parquet", CELLS)
    there = mask.at(cells[["z_um", "y_um", "x_um"]].to_numpy())
    lost = cells.assign(region_id=np.where(there, cells["region_id"], 0))
    write_table(place / "cells.parquet", lost, CELLS)


def share_near_the_centre(folder):
    """Share of the voxels well within the ball that are tested, and what a reader is told."""
    cohort = map_cohort(
        folder, ["veh_00", "veh_01", "ket_04"], COARSE, atlas_dir=None, memory_bytes=2**30,
        accept_failed=False, progress=silent,
    )  # fmt: skip
    far = np.linalg.norm(cohort.tissue.grid.voxel_centres_um() - CENTRE_UM, axis=1)
    return cohort.mask.ravel()[far < RADIUS_UM - 300.0].mean(), " ".join(cohort.notes)


def test_where_one_animal_has_a_hole_nothing_is_tested(copy):
    share, told = share_near_the_centre(copy)
    assert share > 0.8
    assert not told
    lose_tissue(copy, "veh_00")
    share, told = share_near_the_centre(copy)
    assert share == 0.0
    assert "veh_00: tissue is missing (holes)" in told


def test_a_part_that_one_animal_lacks_is_not_tested(copy):
    place = copy / "animals" / "ket_04" / "registration"
    registration = load_registration(place)
    shutil.rmtree(place)
    save_registration(place, replace(registration, missing=("CTX",)))
    cohort = map_cohort(
        copy, ["veh_00", "ket_04"], COARSE, atlas_dir=None, memory_bytes=2**30,
        accept_failed=False, progress=silent,
    )  # fmt: skip
    tree = cohort.atlas.structures
    root = tree.id_of("CTX")
    assert not np.isin(cohort.tissue.region_id[cohort.mask], [root, *tree.descendants(root)]).any()
    assert "ket_04: tissue is missing (CTX)" in " ".join(cohort.notes)


def fails(folder, error, match, out, **more):
    with pytest.raises(error, match=match):
        voxelwise(folder, out=out / "out", mapping=COARSEST, **{"permutations": 100, **more})
    assert not (out / "out").exists()


def test_missing_animals_are_named_all_at_once(copy, tmp_path):
    shutil.rmtree(copy / "animals" / "veh_00")
    (copy / "animals" / "veh_01" / "cells.parquet").unlink()
    fails(copy, MissingInputError, r"veh_00 \(no folder\), veh_01 \(cells.parquet\)", tmp_path)


def test_an_animal_without_cells_is_refused(copy, tmp_path):
    path = copy / "animals" / "ket_05" / "cells.parquet"
    write_table(path, read_table(path, CELLS).iloc[:0], CELLS)
    fails(copy, TableError, "ket_05 has no cells", tmp_path)


def test_cells_without_atlas_positions_are_refused(copy, tmp_path):
    path = copy / "animals" / "veh_00" / "cells.parquet"
    bare = read_table(path, CELLS)[["z_um", "y_um", "x_um", "score"]]
    write_table(path, bare, CELLS)
    fails(copy, TableError, "ketamap quantify", tmp_path)


def test_two_atlases_do_not_go_together(copy, tmp_path):
    path = copy / "animals" / "ket_06" / "registration" / "registration.json"
    path.write_text(path.read_text().replace("phantom_mouse_200um", "phantom_mouse_100um"))
    fails(copy, InputError, "ket_06 was registered to phantom_mouse_100um", tmp_path)


def test_a_failed_registration_needs_consent(copy, tmp_path):
    path = copy / "animals" / "veh_00" / "registration" / "qc.json"
    write_json(path, read_json(path) | {"verdict": "fail", "reasons": ["made so"]})
    fails(copy, RegistrationError, "--accept-failed", tmp_path)
    result = voxelwise(
        copy, out=tmp_path / "out", mapping=COARSEST, permutations=100, accept_failed=True
    )
    assert any("veh_00: registration fail. made so" in w for w in result.warnings)


def test_designs_and_numbers_that_cannot_work_are_refused_before_any_map(study, copy, tmp_path):
    animals = pd.read_csv(copy / "animals.csv")
    animals[~animals["animal"].isin(["veh_03", "ket_07"])].to_csv(copy / "animals.csv", index=False)
    fails(copy, DesignError, r"20 ways", tmp_path)
    fails(study, DesignError, r"10 permutations cannot reach", tmp_path, permutations=10)
    fails(study, ResourceError, "coarser", tmp_path, memory_bytes=1_000_000)


def test_folders_that_cannot_be_used_are_refused(study, tmp_path):
    with pytest.raises(MissingInputError, match="not a study folder"):
        voxelwise(tmp_path, out=tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        voxelwise(study, out=tmp_path / "full")
    with pytest.raises(InputError, match="cannot be mapped"):
        Mapping(measure="spines")
    with pytest.raises(InputError, match="Widen the kernel"):
        voxelwise(study, out=tmp_path / "o", mapping=Mapping(kernel_um=40.0), permutations=100)
