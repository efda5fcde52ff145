"""ketamap.report.quality_figures: every brain is shown, and those unlike the others are named."""

from dataclasses import replace

import numpy as np
import pytest

from ketamap.core.registration import RegistrationQuality
from ketamap.report.contents import BrainQuality
from ketamap.report.groups import Groups
from ketamap.report.quality import brain_cards
from ketamap.report.quality_figures import PANELS, registration_outliers, usual_range

USUAL = RegistrationQuality(
    ncc=0.9, lncc=0.6, least_jacobian=0.4, inverse_error_p95_um=3.0, verdict="pass",
    error_median_um=50.0,
)  # fmt: skip


def cohort(n=8, **last):
    """Brains that differ a little; the last one as told."""
    found = [
        replace(USUAL, **{p.name: getattr(USUAL, p.name) * factor for p in PANELS})
        for factor in np.linspace(0.96, 1.04, n)
    ]
    found[-1] = replace(found[-1], **last)
    return [BrainQuality(animal=f"m{k}", quality=q) for k, q in enumerate(found)]


def drawn(brains):
    names = [b.animal for b in brains]
    groups = Groups(of_animal=dict.fromkeys(names, "all"), names=("all",))
    return registration_outliers(brains, groups)


def named(figure):
    return [a["text"] for a in figure["layout"]["annotations"] if a["xref"] == "x"]


def test_every_brain_is_a_dot_in_every_panel():
    brains = cohort(verdict="look")
    figure = drawn(brains)
    for row, panel in enumerate(PANELS):
        axis = f"y{row + 1 if row else ''}"
        dots = {
            x: y
            for t in figure["data"] if t["yaxis"] == axis
            for x, y in zip(t["x"], t["y"], strict=True)
        }  # fmt: skip
        assert sorted(dots) == list(range(len(brains)))
        values = [getattr(b.quality, panel.name) for b in brains]
        np.testing.assert_allclose([dots[k] for k in range(len(brains))], values, atol=1e-4)
    assert {t["name"] for t in figure["data"]} == {"pass", "look at it"}


@pytest.mark.parametrize("panel", [p.name for p in PANELS])
def test_a_brain_unlike_the_others_is_named(panel):
    assert named(drawn(cohort())) == []
    assert named(drawn(cohort(**{panel: 2.0 * getattr(USUAL, panel)}))) == ["m7"]


def test_what_was_not_estimated_has_no_panel():
    brains = [
        BrainQuality(animal=b.animal, quality=replace(b.quality, error_median_um=np.nan))
        for b in cohort()
    ]
    figure = drawn(brains)
    assert len([k for k in figure["layout"] if k.startswith("yaxis")]) == len(PANELS) - 1


def test_one_brain_or_none_makes_no_figure():
    assert drawn(cohort(1)) is None
    assert drawn([BrainQuality(animal="m1"), BrainQuality(animal="m2")]) is None


def test_the_usual_range_does_not_know_one_wild_value():
    values = np.random.default_rng(2).normal(10.0, 1.0, 30)
    low, high = usual_range(values)
    assert 5.0 < low < 8.0
    assert 12.0 < high < 15.0
    wild = usual_range(np.append(values, 1e6))
    np.testing.assert_allclose(wild, (low, high), atol=0.7)
    assert usual_range(values[:4]) is None
    assert usual_range(np.ones(9)) is None


@pytest.mark.parametrize(("covered", "shown"), [(0.875, "87.5"), (1.0, "100"), (None, None)])
def test_the_card_says_how_much_of_the_brain_is_shown(covered, shown):
    brain = BrainQuality(animal="m1", quality=USUAL, covered=covered)
    (card,) = brain_cards([brain], Groups(of_animal={"m1": "all"}, names=("all",)))
    figures = dict(card.figures)
    assert ("Part of the brain shown" in figures) == (shown is not None)
    if shown:
        assert figures["Part of the brain shown"].startswith(shown)
