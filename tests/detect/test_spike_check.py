"""ketamap.detect.spike_check, ketamap.detect.windows"""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from ketamap.core.errors import InputError
from ketamap.core.settings import DetectionSettings
from ketamap.detect import Resources, find_cells
from ketamap.detect.blocks import BASE_BYTES
from ketamap.detect.lazy import survey
from ketamap.detect.model import default_model
from ketamap.detect.scale import plan_filters
from ketamap.detect.spike_check import (
    CONTRASTS_TO_NOISE,
    FEWEST_CELLS,
    find_and_check,
    recall_by_thirds,
)
from ketamap.detect.spikes import Spikes, with_spikes
from ketamap.detect.training import pair
from ketamap.detect.windows import Scene, look_again
from tests.detect.made import cell_image, spread_centres, volume_of

SMALL = DetectionSettings(soma_diameter_um=3.0, spike_ins=30)
SHAPE = (30, 60, 60)
CENTRES = spread_centres(SHAPE, 40, least=7.0, margin=4)
IMAGE = cell_image(SHAPE, CENTRES, sigma=1.0)


def checked(image, settings=SMALL, **options):
    return find_and_check(volume_of(image), settings, **options)


def scene_of(volume, background=None):
    model = default_model(coarse=False)
    return Scene(
        volume=volume,
        background=background,
        plan=plan_filters(volume.grid, 3.0),
        model=model,
        resources=Resources(memory_bytes=BASE_BYTES + 3_000_000),
        found=survey(volume, SMALL, background=background, model=model),
    )


def candidates_within(found, um, reach):
    """Positions and scores of the survey's candidates in a box, in order of position."""
    near = np.all(np.abs(found.um - um) <= reach, axis=1)
    rows = np.column_stack([found.um[near], found.score[near]])
    return rows[np.lexsort(rows.T[::-1])]


@pytest.mark.parametrize("with_background", [False, True])
@pytest.mark.parametrize("stored", [None, (1, 60, 60), (8, 16, 16)])
def test_looking_again_without_planting_gives_the_same_candidates_bit_for_bit(
    stored, with_background
):
    other = cell_image(SHAPE, CENTRES[:5], sigma=1.5, seed=4) if with_background else None
    scene = scene_of(
        volume_of(IMAGE, block_shape=stored), None if other is None else volume_of(other)
    )
    rng = np.random.default_rng(1)
    places = np.concatenate([CENTRES + rng.uniform(-1, 1, CENTRES.shape), [(0, 0, 0), (29, 59, 3)]])
    spikes = Spikes(um=places, height=np.zeros(len(places)), diameter_um=3.0)
    seen = look_again(scene, spikes)
    for um, one in zip(places, seen, strict=True):
        np.testing.assert_array_equal(
            candidates_within(one.around, um, 1.4), candidates_within(scene.found, um, 1.4)
        )
    assert sum(len(one.around.um) for one in seen) >= len(CENTRES)


def test_a_soma_planted_alone_is_found_as_if_the_whole_image_were_detected_again():
    scene = scene_of(volume_of(IMAGE))
    free = spread_centres(SHAPE, 60, least=3.0, seed=3, margin=8) + 0.3
    free = free[cKDTree(CENTRES).query(free)[0] > 5.0][:4]
    assert len(free) == 4
    for um in free:
        spike = Spikes(um=um[None], height=np.array([200.0]), diameter_um=3.0)
        again = find_cells(with_spikes(scene.volume, spike), SMALL)
        near = again[np.linalg.norm(again[["z_um", "y_um", "x_um"]] - um, axis=1) < 1.5]
        (glimpse,) = look_again(scene, spike)
        kept = glimpse.around.score >= 0.5
        assert len(near) == kept.sum() == 1
        np.testing.assert_allclose(glimpse.around.um[kept], near[["z_um", "y_um", "x_um"]])
        assert glimpse.around.score[kept][0] == pytest.approx(near.score.iloc[0], abs=0.02)


def test_bright_somata_in_clean_tissue_come_back():
    result = checked(IMAGE)
    like = result.like_cells
    assert len(like) == 30
    assert len(result.spikes) == 45
    assert like.found.mean() > 0.9
    assert like.contrast.between(100, 2000).all()
    assert set(like.contrast_from) == {"cells"}
    assert result.spikes.found.equals(result.spikes.measured_to_noise.notna())
    ratio = like.measured_to_noise / like.contrast_to_noise
    assert 0.7 < ratio.median() < 1.2
    pd.testing.assert_frame_equal(
        result.cells.drop(columns="efficiency"), find_cells(volume_of(IMAGE), SMALL)
    )


def test_memory_workers_and_storage_do_not_change_the_answer():
    whole = checked(IMAGE)
    cut = find_and_check(
        volume_of(IMAGE, block_shape=(4, 20, 20)),
        SMALL,
        resources=Resources(memory_bytes=BASE_BYTES + 4_000_000, workers=2),
    )
    pd.testing.assert_frame_equal(whole.spikes, cut.spikes, check_exact=True)
    pd.testing.assert_frame_equal(whole.cells, cut.cells, check_exact=True)


def test_the_background_channel_is_used():
    # what both channels show, texture and blobs, is no cell: spikes are like the cells left
    blood = cell_image(SHAPE, CENTRES[::2], sigma=1.0)
    result = checked(IMAGE, background=volume_of(blood))
    assert len(result.cells) < 0.7 * len(CENTRES)
    away = cKDTree(CENTRES[1::2]).query(result.spikes[["z_um", "y_um", "x_um"]])[0]
    assert away.max() <= 4.0 * 3.0 + 1.0


@pytest.mark.parametrize("n_cells", [0, 5])
def test_with_few_cells_contrasts_come_from_the_noise(n_cells):
    image = cell_image(SHAPE, CENTRES[:n_cells], sigma=1.0)
    result = checked(image)
    assert len(result.cells) < FEWEST_CELLS
    assert len(result.spikes) == 30
    assert set(result.spikes.contrast_from) == {"noise"}
    assert result.spikes.contrast_to_noise.between(
        0.7 * CONTRASTS_TO_NOISE[0], 1.3 * CONTRASTS_TO_NOISE[1]
    ).all()
    order = result.spikes.sort_values("contrast_to_noise").found
    assert order[:10].mean() < order[-10:].mean()
    assert order[-10:].mean() > 0.8
    assert result.cells.efficiency.between(0, 1).all()


@pytest.mark.parametrize("value", [0, 65535])
def test_an_image_of_one_value_gets_none(value):
    result = checked(np.full(SHAPE, value, dtype=np.uint16))
    assert len(result.spikes) == len(result.cells) == 0
    assert "efficiency" in result.cells
    assert len(recall_by_thirds(result.spikes, "contrast")) == 0


def test_progress_ends_at_its_total():
    told = []
    checked(IMAGE, progress=lambda done, total: told.append(done / total))
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
    assert len(told) > 40


def thrown(n, least, rng):
    """Positions at least ``least`` apart in 40 x 100 x 100 voxels, otherwise at random."""
    spots = np.empty((0, 3))
    for _ in range(30 * n):
        one = rng.uniform((4, 4, 4), (36, 96, 96))
        if not len(spots) or np.min(np.sum((spots - one) ** 2, axis=1)) >= least**2:
            spots = np.vstack([spots, one])
        if len(spots) == n:
            break
    return spots


def two_halves(halves, seed):
    """Image and truth of somata of the declared diameter, slightly blurred."""
    rng = np.random.default_rng(seed)
    shape, truth, heights = (40, 100, 200), [], []
    for half, (n, least, height) in enumerate(halves):
        truth.append(thrown(n, least, rng) + np.array([0, 0, 100 * half]))
        heights.append(height * np.exp(rng.normal(0, 0.2, len(truth[-1]))))
    um = np.concatenate(truth)
    spikes = Spikes(um=um, height=np.concatenate(heights), diameter_um=5.0)
    dark = volume_of(np.zeros(shape, np.float32))
    light = ndimage.gaussian_filter(with_spikes(dark, spikes).read((0, 0, 0), shape), 0.8)
    return (light + rng.normal(100.0, 12.0, shape)).astype(np.float32), um


@pytest.mark.slow
@pytest.mark.parametrize(
    "halves",
    [((250, 6, 90), (250, 6, 28)), ((150, 6, 45), (600, 5, 45))],
    ids=["dim", "crowded"],
)
def test_the_estimated_efficiency_of_a_half_is_its_true_recall(halves):
    image, truth = two_halves(halves, seed=3)
    cells = checked(image, DetectionSettings(soma_diameter_um=5.0, spike_ins=300)).cells
    um = cells[["z_um", "y_um", "x_um"]].to_numpy(copy=True)
    hit = pair(truth, um, 2.5) >= 0
    true, estimated = [], []
    for low in (0, 100):
        side = cells.x_um.between(low, low + 100)
        true.append(hit[(truth[:, 2] >= low) & (truth[:, 2] < low + 100)].mean())
        estimated.append(side.sum() / np.sum(1.0 / cells.efficiency[side]))
    assert true[1] < true[0] - 0.05  # there is something to estimate
    np.testing.assert_allclose(estimated, true, atol=0.1)


def test_recall_is_told_by_thirds():
    table = pd.DataFrame(
        {"z_um": range(6), "y_um": 0.0, "x_um": 0.0, "contrast": [6, 5, 4, 3, 2, 1]}
    )
    table["found"] = [True, True, True, False, False, False]
    thirds = recall_by_thirds(table, "contrast")
    assert thirds.recall.tolist() == [0.0, 0.5, 1.0]
    assert thirds.planted.tolist() == [2, 2, 2]
    assert thirds.least.tolist() == [1.0, 3.0, 5.0]


def test_no_somata_are_refused():
    with pytest.raises(InputError, match="At least 1"):
        checked(IMAGE, DetectionSettings(soma_diameter_um=3.0))
