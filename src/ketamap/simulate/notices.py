"""What a plan asks for that the model does not know: said in words, with the facts."""

from __future__ import annotations

from ketamap.core.dosing import DosingPlan
from ketamap.simulate.species import STRESS_EVIDENCE, STRESS_NAMES

_SEX = (
    "Sex changes nothing in this model. Males had more ketamine and norketamine in plasma (people "
    "A085, mice A086) and BDNF fell in male rats only (C046), but no size was read, so none is "
    "put in."
)


def plan_notices(plan: DosingPlan) -> tuple[str, ...]:
    """Return what a reader of this plan's results should know, one sentence or two each.

    Parameters
    ----------
    plan
        Regimen.

    Returns
    -------
    tuple of str
        A notice where the sex is stated, and one where there is stress; may be empty.
    """
    notices = [_SEX] if plan.subject.sex else []
    measured = STRESS_EVIDENCE.get(plan.subject.stress)
    if measured is not None:
        rows = ", ".join(" ".join(measured.values()).split())
        what = "loss of spines" if "synapses" in measured else "habenula bursting and VTA"
        other = "habenula bursting and VTA" if "synapses" in measured else "loss of spines"
        notices.append(
            f"Stress protocols have the same size in this model. For "
            f"{STRESS_NAMES[plan.subject.stress]} {what} was read ({rows}); {other} is taken over "
            f"from the other protocols."
        )
    return tuple(notices)
