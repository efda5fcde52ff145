"""ketamap.report.headline"""

import numpy as np
import pytest
from scipy import stats

from ketamap.report.comparisons import comparisons_of
from ketamap.report.headline import finding_of, reach_sentence


@pytest.fixture(scope="module")
def findings(report):
    return [finding_of(c, report.alpha) for c in comparisons_of(report)]


def test_counts_are_those_of_the_frame(report, findings):
    for comparison, finding in zip(comparisons_of(report), findings, strict=True):
        effects = report.effects[report.effects["contrast"] == comparison.contrast]
        rows = effects.query("estimand == 'relative'")
        called = rows[(rows["q"] < report.alpha) & rows["testable"]]
        assert finding.up == (called["estimate_log2"] > 0).sum()
        assert finding.down == (called["estimate_log2"] < 0).sum()
        assert finding.tested == rows["testable"].sum()
        assert finding.untestable == (~rows["testable"]).sum()


def test_nothing_found_is_not_called_no_effect(make_report):
    plain = make_report()
    quiet = make_report(effects=plain.effects.assign(q=1.0))
    finding = finding_of(comparisons_of(quiet)[0], quiet.alpha)
    assert "none of 11 tested regions is called" in finding.found
    assert "not evidence that nothing changed" in finding.found
    assert "would have needed" in finding.reach


def test_an_estimate_of_the_size_needed_just_passes_the_first_step(report):
    comparison = comparisons_of(report)[0]
    rows = comparison.tested
    df, se = rows["relative_df"].median(), rows["relative_se"].median()
    needed = float(reach_sentence(comparison, report.alpha).split("about ±")[1].split(" ")[0])
    p = np.full(len(rows), 0.999)
    p[0] = 2 * stats.t.sf((needed + 0.006) / se, df)
    assert stats.false_discovery_control(p)[0] < report.alpha
    p[0] = 2 * stats.t.sf((needed - 0.006) / se, df)
    assert stats.false_discovery_control(p)[0] > report.alpha


@pytest.mark.parametrize(("shift", "way"), [(3.0, "up"), (-3.0, "down")])
def test_the_composition_warning_names_the_way_the_brain_moved(make_report, shift, way):
    moved = make_report(shift=(0.0, shift))
    still, finding = (finding_of(c, moved.alpha) for c in comparisons_of(moved))
    assert f"moved {way}" in finding.composition
    assert still.composition == ""


def test_every_named_region_carries_an_interval(findings):
    for finding in findings:
        if "Strongest evidence" in finding.found:
            named = finding.found.split("Strongest evidence: ")[1].split(" (log2")[0]
            assert named.count("[") == len(named.replace(" and ", ", ").split("], "))
