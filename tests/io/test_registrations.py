"""ketamap.io.registrations"""

from pathlib import Path

import numpy as np
import pytest

from ketamap.core.errors import InputError, MissingInputError
from ketamap.core.registration import (
    ErrorMap,
    Registration,
    RegistrationQuality,
    TissueMask,
)
from ketamap.core.settings import RegistrationSettings
from ketamap.core.space import Orientation, VoxelGrid
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.io.manifests import read_json
from ketamap.io.registrations import load_quality, load_registration, save_registration


def a_registration(seed=0, ncc=0.9):
    rng = np.random.default_rng(seed)
    outward = VoxelGrid(shape=(3, 4, 5), spacing_um=(100, 100, 100), origin_um=(50, 50, 50))
    inward = VoxelGrid(shape=(2, 4, 5), spacing_um=(150, 100, 100), origin_um=(75, 50, 50))
    matrix = np.eye(4)
    matrix[:3] += rng.normal(0, 0.1, (3, 4))
    return Registration(
        transform=Transform(
            affine=AffineMap(matrix),
            outward=DisplacementField(outward, rng.normal(size=(3, 3, 4, 5)).astype(np.float32)),
            inward=DisplacementField(inward, rng.normal(size=(3, 2, 4, 5)).astype(np.float32)),
        ),
        quality=RegistrationQuality(
            ncc=ncc, lncc=0.5, least_jacobian=0.2, inverse_error_p95_um=3.0, verdict="look",
            reasons=("the brain is cut",),
        ),
        sample_grid=VoxelGrid(shape=(9, 8, 7), spacing_um=(50, 40, 40)),
        orientation=Orientation("psl"),
        atlas="allen_mouse_100um",
        atlas_dir=Path("atlases"),
        extent="left",
        missing=("CB", "MY"),
        tissue=TissueMask(grid=inward, present=rng.random(inward.shape) > 0.3),
        error=ErrorMap(
            grid=outward, error_um=np.arange(60.0, dtype=np.float32).reshape(outward.shape)
        ),
        settings=RegistrationSettings(iterations=(1, 2, 3)),
    )  # fmt: skip


def test_loading_gives_back_what_was_saved(tmp_path):
    saved = a_registration()
    save_registration(tmp_path / "reg", saved)
    loaded = load_registration(tmp_path / "reg")
    for name in (
        "quality",
        "sample_grid",
        "orientation",
        "atlas",
        "atlas_dir",
        "extent",
        "missing",
        "settings",
    ):
        assert getattr(loaded, name) == getattr(saved, name), name
    np.testing.assert_array_equal(loaded.transform.affine.matrix, saved.transform.affine.matrix)
    assert loaded.error.grid == saved.error.grid
    np.testing.assert_array_equal(loaded.error.error_um, saved.error.error_um)
    assert loaded.tissue.grid == saved.tissue.grid
    np.testing.assert_array_equal(loaded.tissue.present, saved.tissue.present)
    for way in ("outward", "inward"):
        ours, theirs = getattr(loaded.transform, way), getattr(saved.transform, way)
        assert ours.grid == theirs.grid
        np.testing.assert_array_equal(ours.vectors_um, theirs.vectors_um)
        assert ours.vectors_um.dtype == np.float32


def test_figures_that_are_not_known_stay_unknown(tmp_path):
    save_registration(tmp_path / "reg", a_registration(ncc=float("nan")))
    assert np.isnan(load_registration(tmp_path / "reg").quality.ncc)
    assert read_json(tmp_path / "reg" / "qc.json")["ncc"] is None


def test_the_quality_can_be_read_without_the_fields(tmp_path):
    save_registration(tmp_path / "reg", a_registration())
    (tmp_path / "reg" / "transform.npz").unlink()
    assert load_quality(tmp_path / "reg") == a_registration().quality


def test_equal_registrations_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        save_registration(tmp_path / name, a_registration())
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def test_an_older_registration_is_replaced(tmp_path):
    save_registration(tmp_path / "reg", a_registration(0))
    save_registration(tmp_path / "reg", a_registration(1, ncc=0.1))
    assert load_registration(tmp_path / "reg").quality.ncc == 0.1


def test_a_folder_with_other_files_is_never_replaced(tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(InputError, match="holds other files"):
        save_registration(tmp_path, a_registration())
    assert (tmp_path / "thesis.doc").read_text() == "years of work"


def test_a_folder_that_is_no_registration_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(MissingInputError, match=r"not a registration.*ketamap register"):
        load_registration(tmp_path)
    with pytest.raises(MissingInputError, match="There is no folder"):
        load_registration(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["transform.npz", "registration.json", "qc.json"])
def test_a_damaged_file_is_refused(tmp_path, name):
    save_registration(tmp_path / "reg", a_registration())
    file = tmp_path / "reg" / name
    file.write_bytes(file.read_bytes()[:30])
    with pytest.raises(InputError, match="reg"):
        load_registration(tmp_path / "reg")
