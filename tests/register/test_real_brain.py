"""ketamap.register on a real brain, against what a peer made of the same one"""

import numpy as np
import pytest
import tifffile
from brainglobe_atlasapi import BrainGlobeAtlas

from ketamap.core.atlas import Atlas, Structures, atlas_grid
from ketamap.core.settings import RegistrationSettings
from ketamap.core.space import Orientation, VoxelGrid
from ketamap.core.volume import Volume
from ketamap.register import align, coarse_image, lncc
from ketamap.register.orientation import check_orientations, rotations
from ketamap.register.reference import reference_at
from ketamap.register.tissue import single_losses

pytestmark = [pytest.mark.data, pytest.mark.slow]
PSL = Orientation("psl")


@pytest.fixture(scope="module")
def ccf(shared_data):
    """The Allen atlas with a flat tree: this room needs places, not names."""
    source = BrainGlobeAtlas(
        "allen_mouse_100um", brainglobe_dir=shared_data / "brainglobe", check_latest=False
    )
    annotation = np.asarray(source.annotation).astype(np.int64)
    ids = np.unique(annotation[annotation > 0])
    root = int(ids.max()) + 1
    names = ("root", *(str(i) for i in ids))
    return Atlas(
        name="allen_mouse_100um",
        grid=atlas_grid(annotation.shape, source.resolution),
        annotation=annotation,
        template=np.asarray(source.template).astype(np.float32),
        structures=Structures(
            ids=np.r_[root, ids],
            acronyms=names,
            names=names,
            parent_ids=np.r_[0, np.full(ids.size, root)],
            colors=np.zeros((ids.size + 1, 3), dtype=np.uint8),
        ),
    )


@pytest.fixture(scope="module")
def brain(shared_data):
    data = tifffile.imread(shared_data / "brain" / "mouse_brain_50x40x40um_psl.tif")
    return Volume(data=data, grid=VoxelGrid(shape=data.shape, spacing_um=(50.0, 40.0, 40.0)))


def test_the_real_brain_fits_better_than_the_peers_own_result(ccf, brain, shared_data):
    peer = tifffile.imread(shared_data / "brain" / "peer_registered_100um_asr.tif")
    quality = align(brain, ccf, orientation=PSL).quality
    assert quality.lncc > lncc(peer, ccf.template, ccf.brain_mask) + 0.1
    assert quality.lncc > 0.62
    assert quality.least_jacobian > 0.1
    assert quality.inverse_error_p95_um < 10.0
    assert quality.verdict == "pass"


def test_the_real_brain_flipped_front_to_back_fails(ccf, brain):
    flipped = Volume(data=np.ascontiguousarray(brain.load()[::-1]), grid=brain.grid)
    light = RegistrationSettings(resolution_um=200.0, iterations=(30, 30, 10), refits=0)
    quality = align(flipped, ccf, orientation=PSL, settings=light).quality
    assert quality.verdict == "fail"
    assert "orientation" in quality.reasons[0]


def test_all_wrong_rotations_of_the_real_brain_are_refuted_and_only_those(ccf, brain):
    image, grid = coarse_image(brain, 200.0)
    references = [reference_at(ccf, 200.0, missing=parts) for parts in single_losses(ccf)]
    declared = [Orientation(code) for code in rotations(PSL)]
    for check in check_orientations(image, grid, declared, references):
        assert check.refuted == (check.declared != PSL), check.reason
        if check.declared != PSL:
            assert check.rival == PSL


SHORT = RegistrationSettings(iterations=(30, 30, 5), refits=0)


@pytest.mark.parametrize(("extent", "part"), [("left", slice(0, 136)), ("right", slice(136, None))])
def test_half_a_brain_cut_at_the_midline_fits(ccf, brain, extent, part):
    half = np.ascontiguousarray(brain.load()[:, :, part])
    grid = VoxelGrid(shape=half.shape, spacing_um=brain.grid.spacing_um)
    result = align(
        Volume(data=half, grid=grid), ccf, orientation=PSL, extent=extent, settings=SHORT
    )
    assert 0.8 < abs(result.transform.affine.determinant) < 1.4
    assert result.quality.lncc > 0.6
    assert result.quality.least_jacobian > 0.1
    assert result.quality.verdict == "pass"


def test_half_a_brain_flipped_front_to_back_fails(ccf, brain):
    half = np.ascontiguousarray(brain.load()[::-1, :, 136:])
    grid = VoxelGrid(shape=half.shape, spacing_um=brain.grid.spacing_um)
    result = align(
        Volume(data=half, grid=grid), ccf, orientation=PSL, extent="right", settings=SHORT
    )
    assert result.quality.verdict == "fail"
