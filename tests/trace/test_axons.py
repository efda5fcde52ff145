"""ketamap.trace.axons: properties of the whole trace, then planted lengths."""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import ImageError, InputError, ResourceError
from ketamap.core.settings import TracingSettings
from ketamap.core.tables import AXONS
from ketamap.trace import trace_axons
from ketamap.trace.calibration import LEAST_SCORE
from tests.trace.made import draw, random_walks, straight, volume_of

SPACING = (2.0, 2.0, 2.0)
SHAPE = (40, 48, 150)
SIZE = np.asarray(SHAPE) * 2.0 - 2.0


@pytest.fixture(scope="module")
def planted():
    curves, length = random_walks(SIZE, 2500.0, np.random.default_rng(3))
    return np.rint(draw(curves, SHAPE, SPACING, noise=35.0)).astype(np.uint16), length


@pytest.fixture(scope="module")
def image(planted):
    return planted[0]


@pytest.fixture(scope="module")
def tracing(image):
    return trace_axons(volume_of(image))


def total(tracing):
    return float(tracing.axons.length_um.sum())


@pytest.mark.parametrize(("megabytes", "workers"), [(405, 1), (410, 2), (4096, 3)])
def test_neither_memory_nor_workers_change_the_answer(image, tracing, megabytes, workers):
    blocks = []
    again = trace_axons(
        volume_of(image),
        memory_bytes=megabytes * 2**20,
        workers=workers,
        progress=lambda done, total: blocks.append(total),
    )
    assert (blocks[-1] > 1) == (megabytes < 4096 or workers > 1)
    pd.testing.assert_frame_equal(again.axons, tracing.axons, check_exact=True)
    assert dict(again.quality) == dict(tracing.quality)


def test_the_sink_gets_every_voxel_once_whatever_the_blocks(image, tracing):
    def gather(megabytes):
        share, lines = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, bool)
        seen = np.zeros(SHAPE, int)

        def sink(start, probability, skeleton):
            where = tuple(slice(a, a + n) for a, n in zip(start, skeleton.shape, strict=True))
            share[where], lines[where] = probability, skeleton
            seen[where] += 1

        trace_axons(volume_of(image), memory_bytes=megabytes * 2**20, sink=sink)
        assert np.all(seen == 1)
        return share, lines

    whole, parts = gather(4096), gather(405)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)
    assert 0.3 * total(tracing) < 2.0 * whole[1].sum() < 1.5 * total(tracing)


def test_scaling_and_shifting_intensities_changes_nothing(image, tracing):
    other = trace_axons(volume_of(image.astype(np.float64) * 3.7 + 250.0))
    assert total(other) == pytest.approx(total(tracing), rel=0.005)
    assert other.threshold == pytest.approx(tracing.threshold, rel=0.01)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flipping_hardly_changes_the_length(image, tracing, axis):
    flipped = trace_axons(volume_of(np.flip(image, axis)))
    assert total(flipped) == pytest.approx(total(tracing), rel=0.03)


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 1, 0)])
def test_swapping_axes_with_their_spacing_hardly_changes_the_length(order):
    spacing = (4.0, 2.0, 2.0)
    shape = (28, 60, 64)
    curves, _ = random_walks((np.array(shape) - 1) * spacing, 2500.0, np.random.default_rng(4))
    image = draw(curves, shape, spacing, noise=30.0)
    straightforward = trace_axons(volume_of(image, spacing))
    swapped = trace_axons(volume_of(image.transpose(order), tuple(spacing[a] for a in order)))
    assert total(swapped) == pytest.approx(total(straightforward), rel=0.05)


def test_winding_fibres_have_the_planted_length(planted, tracing):
    assert total(tracing) == pytest.approx(planted[1], rel=0.1)


def test_the_band_holds_the_length(tracing):
    table = tracing.axons
    assert np.all(table.length_low_um <= table.length_um)
    assert np.all(table.length_um <= table.length_high_um)
    assert tracing.threshold_low < tracing.threshold < tracing.threshold_high


def test_the_table_has_the_columns_of_its_schema_and_lies_on_the_fibre():
    points = straight((40.0, 20.0, 10.0), (50.0, 90.0, 110.0))
    image = draw([points], (50, 56, 60), SPACING, noise=15.0)
    table = trace_axons(volume_of(image)).axons
    assert tuple(table.columns) == AXONS.required
    strong = table[table.length_um > 5.0]
    assert len(strong) > 3
    away = [np.linalg.norm(points - row, axis=1).min() for row in strong.iloc[:, :3].to_numpy()]
    assert np.median(away) < 1.0
    assert max(away) < 6.0  # beyond the ends


def test_noise_alone_holds_next_to_no_fibre():
    noise = np.random.default_rng(0).normal(500.0, 30.0, (64, 64, 64))
    table = trace_axons(volume_of(noise)).axons
    assert table.length_um.sum() / (126.0**3) * 1e6 < 20.0


def test_what_lies_in_a_soma_is_not_traced(image, tracing):
    row = tracing.axons.sort_values("length_um").iloc[-1]
    cells = pd.DataFrame({"z_um": [row.z_um], "y_um": [row.y_um], "x_um": [row.x_um]})
    settings = TracingSettings(soma_diameter_um=40.0)
    without = trace_axons(volume_of(image), settings, cells=cells)
    assert total(without) < total(tracing) - 10.0
    assert without.quality["soma_voxels"] > 1000


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 64, 72), (40, 1, 72), (20, 30, 40), (40, 50, 73)])
@pytest.mark.parametrize(
    ("value", "dtype"), [(0, np.uint16), (65535, np.uint16), (7.5, np.float32), (255, np.uint8)]
)
def test_images_without_structure_give_an_empty_table(shape, value, dtype):
    tracing = trace_axons(volume_of(np.full(shape, value, dtype)))
    assert tracing.axons.empty
    assert tuple(tracing.axons.columns) == AXONS.required
    assert tracing.quality["labelled_share"] == 0.0
    assert 1.0 < tracing.threshold_low < tracing.threshold < tracing.threshold_high


def test_rounding_is_no_fibre_where_there_is_no_noise():
    slope = np.broadcast_to(np.arange(150.0), (40, 48, 150)) + 300.0
    tracing = trace_axons(volume_of(slope))
    assert tracing.threshold >= LEAST_SCORE
    assert tracing.quality["labelled_share"] < 0.2


def test_one_saturated_voxel_is_no_fibre():
    image = np.zeros((40, 50, 60), np.uint16)
    image[20, 25, 30] = 65535
    assert total(trace_axons(volume_of(image))) == 0.0


@pytest.mark.parametrize("shape", [(1, 80, 80), (2, 60, 60), (60, 1, 60), (60, 60, 2)])
def test_a_volume_thinner_than_the_filter_is_traced(shape):
    size = (np.array(shape) - 1) * 2.0
    points = straight(size * 0.2, size * 0.8)
    image = draw([points], shape, SPACING, noise=10.0)
    length = trace_axons(volume_of(image)).axons.length_um.sum()
    assert 0.7 < length / np.linalg.norm(size * 0.6) < 1.3


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_refused_by_name(image, value):
    broken = image.astype(np.float32)
    broken[30, 30, 30] = value
    with pytest.raises(ImageError, match=r"test image.*NaN or infinite"):
        trace_axons(volume_of(broken))


def test_what_cannot_be_traced_is_refused_before_anything_is_read(image):
    with pytest.raises(ResourceError, match="--memory"):
        trace_axons(volume_of(image), memory_bytes=2**20)
    with pytest.raises(InputError, match="workers"):
        trace_axons(volume_of(image), workers=0)
    with pytest.raises(InputError, match="cannot be followed"):
        trace_axons(volume_of(image, (30.0, 2.0, 2.0)))
    with pytest.raises(ImageError, match="real numbers"):
        trace_axons(volume_of(image.astype(complex)))
    with pytest.raises(InputError, match="y_um"):
        trace_axons(volume_of(image), cells=pd.DataFrame({"z_um": [1.0]}))


def test_the_share_of_padding_is_told(image, tracing):
    assert tracing.quality["constant_share"] == 0.0
    padded = trace_axons(volume_of(np.concatenate([image, np.zeros_like(image)], axis=0)))
    assert padded.quality["constant_share"] == pytest.approx(0.5, abs=0.05)
