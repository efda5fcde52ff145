"""ketamap.trace.calibration: round trips, planted shares, and labels that cannot be used."""

import json

import numpy as np
import pytest

from ketamap.core.errors import ImageError, InputError
from ketamap.core.settings import TracingSettings
from ketamap.trace import Calibration, calibrate, trace_axons
from ketamap.trace.calibration import DEFAULT, estimate_prevalence
from tests.trace.made import draw, random_walks, volume_of

SPACING = (2.0, 2.0, 2.0)
SHAPE = (40, 64, 64)


@pytest.fixture(scope="module")
def labelled():
    curves, _ = random_walks((np.array(SHAPE) - 1) * 2.0, 1500.0, np.random.default_rng(1))
    image = draw(curves, SHAPE, SPACING, noise=30.0)
    clean = draw(curves, SHAPE, SPACING, noise=0.0) - 300.0
    label = np.where(clean > 120.0, 2, np.where(clean > 30.0, 4, 1)).astype(np.uint8)
    planes = np.zeros_like(label)
    planes[[10, 30]] = label[[10, 30]]
    return volume_of(image), planes, label


def test_a_calibration_survives_json():
    text = json.dumps(DEFAULT.to_dict())
    assert Calibration.from_dict(json.loads(text)).to_dict() == json.loads(text)


def test_an_unknown_calibration_is_refused():
    with pytest.raises(InputError, match="slope"):
        Calibration.from_dict({"threshold": 3.0})


def test_probability_rises_with_score_and_share():
    z = np.linspace(0.0, 20.0, 50)
    p = DEFAULT.probability(z)
    assert np.all(np.diff(p) >= 0)
    assert np.all(DEFAULT.probability(z, 0.01) < p)
    assert DEFAULT.score_of(0.4, 0.1) == pytest.approx(
        np.interp(0.4, DEFAULT.probability(z, 0.1), z), rel=0.02
    )


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_the_share_of_fibre_is_recovered_from_unlabelled_scores(share):
    rng = np.random.default_rng(0)
    z = np.exp(rng.normal(0.6, 0.7, 400_000))
    is_fibre = rng.uniform(size=len(z)) < DEFAULT.probability(z)
    base = is_fibre.mean()
    map_ = Calibration(slope=DEFAULT.slope, intercept=DEFAULT.intercept, prevalence=base)
    n = 50_000
    mixed = np.concatenate(
        [rng.choice(z[is_fibre], int(share * n)), rng.choice(z[~is_fibre], int((1 - share) * n))]
    )
    assert estimate_prevalence(map_, mixed) == pytest.approx(share, rel=0.15)


def test_labels_of_two_planes_calibrate_the_volume(labelled):
    volume, planes, label = labelled
    fit = calibrate(volume, planes)
    assert fit.f1 > 0.75
    assert fit.n_axon == np.count_nonzero(planes == 2)
    tracing = trace_axons(volume, calibration=fit)
    assert tracing.threshold_low < tracing.threshold < tracing.threshold_high
    found = tracing.quality["labelled_share"]

    assert np.mean(label == 2) < found < 1.5 * np.mean(label != 1)


def test_settings_may_state_the_threshold(labelled):
    tracing = trace_axons(labelled[0], TracingSettings(threshold=6.0))
    assert tracing.threshold == 6.0


def test_labels_that_do_not_fit_are_refused(labelled):
    volume, planes, _ = labelled
    with pytest.raises(ImageError, match="shape"):
        calibrate(volume, planes[1:])
    with pytest.raises(ImageError, match="value 9"):
        calibrate(volume, np.where(planes == 2, 9, planes))
    with pytest.raises(InputError, match="at least"):
        calibrate(volume, np.zeros(SHAPE, np.uint8))
