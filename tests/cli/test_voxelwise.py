"""ketamap.cli.voxelwise"""

import pytest

from tests.workflow.voxel_studies import make_study


@pytest.mark.slow
def test_the_verb_says_what_it_found_and_where(ketamap, tmp_path):
    folder = make_study(tmp_path / "study", cells=1500)
    code, out, err = ketamap(
        "voxelwise", folder, "--out", tmp_path / "out", "--resolution-um", "400",
        "--kernel-um", "400", "--permutations", "100", "--workers", "1",
    )  # fmt: skip
    assert code == 0, err
    assert "ketamine vs vehicle, relative:" in out
    assert "70 relabelings" in out
    assert "voxelwise.html" in out
    assert "density maps of 8 animals" in err


def test_a_wrong_folder_is_one_line(ketamap, tmp_path):
    code, _, err = ketamap("voxelwise", tmp_path, "--out", tmp_path / "out")
    assert code == 1
    assert err.startswith("Error: ")
    assert "Traceback" not in err
