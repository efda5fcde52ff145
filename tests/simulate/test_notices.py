"""ketamap.simulate.notices"""

from dataclasses import replace

import pytest

from ketamap.core.dosing import DosingPlan, Subject
from ketamap.simulate.facts import citations
from ketamap.simulate.notices import plan_notices
from ketamap.simulate.species import STRESS_EVIDENCE, STRESS_LEVEL

CALM = DosingPlan(name="p", subject=Subject(species="mouse"), doses=(), end_h=1.0)


def notices(**subject):
    return plan_notices(replace(CALM, subject=replace(CALM.subject, **subject)))


def test_a_plan_without_sex_and_stress_needs_no_notice():
    assert notices() == ()


def test_a_stated_sex_is_said_to_change_nothing():
    (notice,) = notices(sex="F")
    assert "Sex changes nothing" in notice


@pytest.mark.parametrize("protocol", sorted(STRESS_EVIDENCE))
def test_stress_is_said_to_have_one_size_and_what_was_read(protocol):
    (notice,) = notices(stress=protocol)
    assert "same size" in notice
    for rows in STRESS_EVIDENCE[protocol].values():
        assert citations(rows.split())
        assert all(row in notice for row in rows.split())


def test_every_protocol_has_some_evidence():
    assert set(STRESS_EVIDENCE) == set(STRESS_LEVEL) - {"none"}
    assert all(STRESS_EVIDENCE.values())
