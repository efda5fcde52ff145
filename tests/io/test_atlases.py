"""ketamap.io.atlases"""

import csv

import numpy as np
import pytest

from ketamap.core.errors import AtlasNotFoundError, InputError
from ketamap.io.atlases import find_manifest, open_brainglobe_atlas, read_terminology
from ketamap.io.files import hash_file

NAME = "allen_mouse_100um"
HEADER = "identifier,parent_identifier,annotation_value,name,abbreviation,color_hex_triplet,root_identifier_path"


@pytest.fixture(scope="module")
def atlas_dir(shared_data):
    return shared_data / "brainglobe"


@pytest.fixture(scope="module")
def atlas(atlas_dir):
    return open_brainglobe_atlas(NAME, atlas_dir=atlas_dir, download=False)


@pytest.fixture
def no_network(monkeypatch):
    """Fail at once where the network is asked for."""
    import socket

    def refuse(*_, **__):
        raise ConnectionError("the network is switched off in this test")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.data
def test_the_atlas_is_as_the_library_reads_it(atlas, atlas_dir):
    from brainglobe_atlasapi import BrainGlobeAtlas

    theirs = BrainGlobeAtlas(NAME, brainglobe_dir=atlas_dir, check_latest=False)
    np.testing.assert_array_equal(atlas.annotation, theirs.annotation)
    np.testing.assert_array_equal(atlas.template, theirs.template)
    assert atlas.annotation.dtype == np.int64
    assert atlas.template.dtype == np.float32
    assert atlas.grid.spacing_um == (100.0, 100.0, 100.0)
    assert atlas.grid.origin_um == (50.0, 50.0, 50.0)
    assert "Wang" in atlas.citation
    for region_id in (997, 313, 385, 795):
        structure = theirs.structures[region_id]
        assert atlas.structures.acronym_of(region_id) == structure["acronym"]
        assert atlas.structures.name_of(region_id) == structure["name"]
        assert list(atlas.structures.colors[atlas.structures.position(region_id)]) == list(
            structure["rgb_triplet"]
        )
        path = [*reversed(atlas.structures.ancestors(region_id)), region_id]
        assert path == list(structure["structure_id_path"])


@pytest.mark.data
def test_the_sides_are_those_of_the_library(atlas, atlas_dir):
    from brainglobe_atlasapi import BrainGlobeAtlas

    theirs = BrainGlobeAtlas(NAME, brainglobe_dir=atlas_dir, check_latest=False)
    index = np.argwhere(np.ones(atlas.grid.shape, bool))
    ours = atlas.is_left(atlas.grid.to_um(index))
    np.testing.assert_array_equal(ours, theirs.hemispheres.ravel() == theirs.left_hemisphere_value)


@pytest.mark.data
def test_positions_find_the_structure_the_library_finds(atlas, atlas_dir):
    from brainglobe_atlasapi import BrainGlobeAtlas

    theirs = BrainGlobeAtlas(NAME, brainglobe_dir=atlas_dir, check_latest=False)
    points = np.random.default_rng(0).uniform(0, [13200, 8000, 11400], (300, 3))
    expected = [theirs.structure_from_coords(tuple(p), microns=True) for p in points]
    np.testing.assert_array_equal(atlas.regions_at(points), expected)


@pytest.mark.data
def test_opening_prints_nothing_and_writes_nothing(atlas_dir, capfd, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    open_brainglobe_atlas(NAME, atlas_dir=atlas_dir)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.data
@pytest.mark.usefixtures("no_network")
def test_an_unknown_name_gets_the_nearest_ones(atlas_dir):
    with pytest.raises(AtlasNotFoundError) as caught:
        open_brainglobe_atlas("allen_mouse_100", atlas_dir=atlas_dir)
    for part in (
        "'allen_mouse_100' is not in", str(atlas_dir), "there: allen_mouse_100um",
        "Did you mean allen_mouse_100um", "--atlas-dir", "phantom_mouse_100um",
    ):  # fmt: skip
        assert part in str(caught.value)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("download", [True, False])
def test_offline_one_message_names_the_folder_and_the_ways_out(tmp_path, download, capfd):
    with pytest.raises(AtlasNotFoundError) as caught:
        open_brainglobe_atlas(NAME, atlas_dir=tmp_path / "atlases", download=download)
    message = str(caught.value)
    for part in (str(tmp_path / "atlases"), "there: none", "--atlas-dir", "phantom_mouse_100um"):
        assert part in message
    assert ("could not be downloaded" in message) == download
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.rglob("*.json")) == []


@pytest.mark.data
def test_an_atlas_without_its_voxels_is_not_complete(atlas_dir, tmp_path):
    copy_without_voxels(atlas_dir, tmp_path)
    assert find_manifest(atlas_dir, NAME) is not None
    assert find_manifest(tmp_path, NAME) is None


def copy_without_voxels(source, target):
    """Copy what the library fetches first: everything but the blocks under ``c``."""
    for file in source.rglob("*"):
        place = file.relative_to(source)
        if file.is_file() and "c" not in place.parts and "mesh" not in place.parts:
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            (target / place).write_bytes(file.read_bytes())


class LocalFiles:
    """Stands for the remote store: fetches from a folder."""

    fails_at = None

    def __init__(self, **_):
        from fsspec.implementations.local import LocalFileSystem

        self._files = LocalFileSystem(auto_mkdir=True)

    def get(self, source, goal, **options):
        if self.fails_at and self.fails_at in str(source):
            raise ConnectionError("the line went dead")
        if "/annotations.ome.zarr/" in str(source):
            return None  # masks of structures, which the test atlas has none of and we never read
        return self._files.get(str(source), str(goal), **options)

    def __getattr__(self, name):
        return getattr(self._files, name)


@pytest.fixture
def remote(atlas_dir, monkeypatch):
    """Make the library download from the shared data instead of the network."""
    from brainglobe_atlasapi import bg_atlas, core

    store = str(atlas_dir / "brainglobe-atlasapi") + "/{}"
    for module in (bg_atlas, core):
        monkeypatch.setattr(module, "remote_url_s3", store)
        monkeypatch.setattr(module.s3fs, "S3FileSystem", LocalFiles)
    monkeypatch.setattr(bg_atlas, "check_s3_status", lambda **_: True)
    return LocalFiles


@pytest.mark.data
@pytest.mark.usefixtures("remote")
def test_a_download_gives_the_same_atlas_and_tells_how_far_it_is(tmp_path, atlas, capfd):
    told = []
    fetched = open_brainglobe_atlas(
        NAME, atlas_dir=tmp_path, progress=lambda done, total: told.append(done / total)
    )
    np.testing.assert_array_equal(fetched.annotation, atlas.annotation)
    np.testing.assert_array_equal(fetched.structures.parent_ids, atlas.structures.parent_ids)
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)
    assert capfd.readouterr() == ("", "")
    assert [item.name for item in tmp_path.iterdir()] == ["brainglobe-atlasapi"]
    assert open_brainglobe_atlas(NAME, atlas_dir=tmp_path, download=False).name == NAME


@pytest.mark.data
@pytest.mark.parametrize("part", ["manifest.json", "terminolog", "template.ome.zarr/s0"])
def test_a_download_that_breaks_off_leaves_nothing_and_can_be_repeated(
    tmp_path, remote, monkeypatch, part
):
    monkeypatch.setattr(remote, "fails_at", part)
    with pytest.raises(AtlasNotFoundError, match="the line went dead"):
        open_brainglobe_atlas(NAME, atlas_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(remote, "fails_at", None)
    assert open_brainglobe_atlas(NAME, atlas_dir=tmp_path).name == NAME


@pytest.mark.data
@pytest.mark.usefixtures("remote")
def test_a_download_completes_what_the_library_left_half_fetched(tmp_path, atlas_dir, atlas):
    copy_without_voxels(atlas_dir, tmp_path)
    fetched = open_brainglobe_atlas(NAME, atlas_dir=tmp_path)
    np.testing.assert_array_equal(fetched.annotation, atlas.annotation)


def test_parents_with_large_ids_are_kept(tmp_path):
    rows = [
        "997,,997,root,root,#FFFFFF,[997]",
        '312782546,997,312782546,"Visual area, large id",VISa,#009FAC,"[997, 312782546]"',
        '312782554,312782546,312782554,layer,VISa2/3,#009fac,"[997, 312782546, 312782554]"',
    ]
    (tmp_path / "t.csv").write_text("\n".join([HEADER, *rows]))
    tree = read_terminology(tmp_path / "t.csv")
    assert tree.ancestors(312782554) == (312782546, 997)
    assert tree.parent_of(997) == 0
    assert tree.colors.tolist() == [[255, 255, 255], [0, 159, 172], [0, 159, 172]]


@pytest.mark.data
def test_a_damaged_atlas_is_named(atlas_dir, tmp_path):
    import shutil

    shutil.copytree(atlas_dir / "brainglobe-atlasapi", tmp_path / "brainglobe-atlasapi")
    table = next(tmp_path.rglob("terminology.csv"))
    table.chmod(0o644)
    table.parent.chmod(0o755)
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    table.write_text("\n".join(",".join(row[:2]) for row in rows))
    before = hash_file(tmp_path)
    with pytest.raises(InputError, match=f"{NAME}.*Remove it"):
        open_brainglobe_atlas(NAME, atlas_dir=tmp_path)
    assert hash_file(tmp_path) == before
