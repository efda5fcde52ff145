"""How far each output can be believed, why, and on what grounds.

*predicted* follows from parts calibrated elsewhere; *compatible* means that the model's
spread contains the data, no more; *encoded* is a table look-up or a size put in by hand, no
mechanism claimed; *known failure* contradicts a fact.  A plan can weaken a label, never
strengthen it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import pandas as pd

from ketamap.core.dosing import DosingPlan
from ketamap.core.errors import InputError
from ketamap.simulate.model import state_table
from ketamap.simulate.species import STRESS_EVIDENCE, STRESS_NAMES

LabelKind: TypeAlias = Literal["predicted", "compatible", "encoded", "known failure"]
"""What a value is worth."""

LABEL_KINDS: tuple[LabelKind, ...] = ("predicted", "compatible", "encoded", "known failure")
"""From the strongest claim to none."""

LATE_DAYS = 60.0
"""Days after which the contradiction with the three-month study (C022) is shown."""

HIGH_SPRAY_MG = 28.0
"""Intranasal amount above which the measured exposure (A073, A075) is overestimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What an output is worth."""

    kind: LabelKind
    """One of `LABEL_KINDS`."""

    reason: str
    """One sentence for the reader of a page."""

    sources: str
    """Rows of the facts, separated by spaces; may be empty."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """Label of all outputs whose whole name matches a pattern."""

    pattern: str
    label: Label


def _rule(pattern: str, kind: LabelKind, sources: str, reason: str) -> _Rule:
    return _Rule(pattern, Label(kind=kind, reason=reason, sources=sources))


_RULES: tuple[_Rule, ...] = (
    _rule(
        r"size|flow|total_[SR]|total_drug|lost_[SR]|unabsorbed_[SR]",
        "predicted", "A102", "Book-keeping of body size and amounts; exact by construction.",
    ),
    _rule(
        r"(depot_\w+|from_gut|portal|absorbed|first_pass|central|peripheral[12]|to_p[12]|cleared|plasma"
        r"|venous|auc|brain)_[SR]|(plasma_[SR]|plasma_ketamine|venous_ketamine)_\w+"
        r"|auc_ketamine_uM_h|effect_site",
        "predicted", "A017 A018 A019 A020 A021 A022 A039 A041",
        "Follows from human kinetics measured elsewhere, within about a factor of two.",
    ),
    _rule(
        r"(transit[12]|nk_\w+|auc_nk|brain_nk|hnk_\w+)_[SR]|plasma_norketamine_\w+"
        r"|plasma_hnk_\w+|auc_norketamine_uM_h|brain_norketamine_uM",
        "compatible", "A024 A026 A029 A032 A070 A072",
        "Metabolites of the parent study; other studies differ widely.",
    ),
    _rule(
        r"brain_(ketamine|total_ketamine|positive)_uM",
        "compatible", "A084 A090", "Unbound part from memory, total ratio from rats only.",
    ),
    _rule(
        r"w_\w+|block_drive|occupancy_receptor",
        "compatible", "B001 B002 B004 B008 B009",
        "Half-occupancy was measured in rats; human occupancy at 0.5 mg/kg lies in the spread.",
    ),
    _rule(
        r"(blocked|trapped|occupancy|release|blockade)_(pv|pyr|vta_gaba|lhb)",
        "compatible", "B019 B022 C031",
        "Differences between cell classes are guesses; habenula trapping is fitted to the 24 h "
        "that it then shows.",
    ),
    _rule(
        r"depressant", "compatible", "B037 B046",
        "A second target put in so that glutamate can fall at anaesthetic doses.",
    ),
    _rule(
        r"rate_pv|gaba|rate_pyr|glutamate|ampa_drive",
        "compatible", "C001 C002 C003 C023",
        "Direction at 10 to 50 mg/kg is one of several the spread allows; the fall at "
        "anaesthetic doses is predicted.",
    ),
    _rule(
        r"rate_md|gamma_power", "compatible", "C025 C026",
        "The signs are nearly forced by the wiring.",
    ),
    _rule(
        r"coupling_cortex_md", "encoded", "C025",
        "Built so that it cannot rise with block.",
    ),
    _rule(
        r"lhb_\w+|rmtg\w*|burst_habitual|vta_\w+|da_burst|d2_feedback",
        "compatible", "C011 C014 C015 C016 C018 C031 C032",
        "Population size and the split from bursting lie in the spread; whether the habenula is "
        "needed is disputed.",
    ),
    _rule(
        r"uptake_block", "encoded", "B028 B030",
        "A disputed action, off unless switched on.",
    ),
    _rule(
        r"(pfc|acb|cp)_relative|da_(pfc|acb|cp)", "compatible", "C004 C006 C007 C008",
        "The order cortex, accumbens, striatum appears in about half of the draws.",
    ),
    _rule(
        r"bdnf|mtor|d1_gate|primed[123]", "compatible", "C040 C044 C045 C046 C039",
        "Times are from memory; the direction of BDNF is disputed.",
    ),
    _rule(
        r"glua1|psd95", "compatible", "C040 C042", "Times are from memory, sizes are guesses.",
    ),
    _rule(
        r"spine_\w+|spines_relative|elimination_factor", "compatible", "C043 C047 C050 C051",
        "Late formation and its size are fitted; persistence lies in the spread.",
    ),
    _rule(
        r"stable_relative|ensemble_coordination", "encoded", "C049",
        "Read off stable spines; no measurement gives its size or time.",
    ),
    _rule(
        r"dose_trace|th_response|axon_response", "encoded", "D012",
        "Grows with dose and days by construction; the ten-day rule is put in.",
    ),
    _rule(
        r"th_(DR|DMH|MPN|ZI|SNr)", "encoded", "D001 D002 D003 D004 D005",
        "Direction from the study at 30 mg/kg for 10 days; the size is arbitrary.",
    ),
    _rule(
        r"th_\w+_class", "encoded", "D008 D009",
        "Direction of a class of regions at 100 mg/kg for 10 days; single regions could not be "
        "read.",
    ),
    _rule(
        r"axon_(?!response)\w+", "encoded", "D007 D010 D013",
        "Direction from an article about the study, 100 mg/kg for 10 days; the size is arbitrary.",
    ),
    _rule(
        r"mood_effect", "compatible", "F001 F002 F003",
        "Neither habenula nor spines alone give the measured course; mixtures can.",
    ),
    _rule(
        r"tolerance|tolerated", "encoded", "F027", "Only its direction is known.",
    ),
    _rule(
        r"dissociation_cadss", "encoded", "F036 F039",
        "The straight line with concentration is predicted, its slope in points is put in.",
    ),
    _rule(
        r"pressor|systolic_change_mmhg", "encoded", "F031 F034",
        "Timing is predicted, the size is put in; saturation was chosen after a straight line "
        "had failed at anaesthetic concentrations.",
    ),
    _rule(r"heart_rate_change_percent", "encoded", "F031", "The size is put in."),
    _rule(r"nausea_probability", "encoded", "F020", "The size is put in from one trial."),
    _rule(
        r"liking|dependence|craving", "encoded", "F040 F046",
        "Integrals of exposure; no course was measured.",
    ),
    _rule(
        r"withdrawal", "encoded", "F044 F045",
        "No primary source; off unless switched on.",
    ),
    _rule(r"cognition_deficit", "encoded", "F041 F042 F043", "Integral of exposure."),
    _rule(r"bladder_injury", "encoded", "F040 F041", "Integral of exposure."),
)  # fmt: skip


def label_of(name: str, plan: DosingPlan | None = None) -> Label:
    """Return the label of a column of a simulation.

    Parameters
    ----------
    name
        State or readout.
    plan
        Where given, failures and missing evidence for this species, route, form or length
        count.

    Raises
    ------
    InputError
        If the model has no such column.
    """
    label = next((r.label for r in _RULES if re.fullmatch(r.pattern, name)), None)
    if label is None:
        msg = f"There is no output {name!r}. See units() for all."
        raise InputError(msg)
    if plan is None:
        return label
    weaker = [one for one in (check(name, plan) for check in _EXCEPTIONS) if one is not None]
    return max([label, *weaker], key=lambda one: LABEL_KINDS.index(one.kind))


def label_table(plan: DosingPlan | None = None) -> pd.DataFrame:
    """Return ``name``, ``unit``, ``label``, ``reason`` and ``sources`` of every output."""
    rows = []
    for name, unit in state_table()[["name", "unit"]].itertuples(index=False):
        label = label_of(name, plan)
        rows.append((name, unit, label.kind, label.reason, label.sources))
    return pd.DataFrame(rows, columns=["name", "unit", "label", "reason", "sources"])


def _is_metabolite(name: str) -> bool:
    return bool(re.fullmatch(r"(nk_|auc_nk|transit|brain_nk|plasma_nork|auc_nork)\w*", name))


def _is_parent_plasma(name: str) -> bool:
    return bool(re.fullmatch(r"(plasma|venous|central|auc)_(S|R|ketamine)\w*", name))


def _scaled_species(name: str, plan: DosingPlan) -> Label | None:
    if plan.subject.species == "human" or label_of(name).kind != "predicted":
        return None
    return Label(
        kind="compatible",
        reason="Scaled from man by weight; no concentration in this species was at hand.",
        sources="A087 A102 A103",
    )


def _norketamine_after_iv(name: str, plan: DosingPlan) -> Label | None:
    human = plan.subject.species == "human"
    bolus = any(dose.route == "iv" and dose.duration_h == 0.0 for dose in plan.doses)
    if not (human and bolus and _is_metabolite(name)):
        return None
    return Label(
        kind="known failure",
        reason="After 10 mg i.v. the model gives about ten times the measured norketamine peak.",
        sources="A070",
    )


def _large_sprays(name: str, plan: DosingPlan) -> Label | None:
    high = any(
        dose.route == "in" and dose.amount_mg(plan.subject.kg) > HIGH_SPRAY_MG
        for dose in plan.doses
    )
    if not (plan.subject.species == "human" and high and _is_parent_plasma(name)):
        return None
    return Label(
        kind="known failure",
        reason="Above about 28 mg i.n. the model gives about twice the measured concentrations.",
        sources="A073 A075",
    )


_OCCUPANCY = r"occupancy_(receptor|pv|pyr|vta_gaba)"
"""The mean occupancy that was measured, and the classes it is made of; the habenula is
calibrated on its own."""


def _mouse_occupancy(name: str, plan: DosingPlan) -> Label | None:
    if plan.subject.species != "mouse" or not re.fullmatch(_OCCUPANCY, name):
        return None
    return Label(
        kind="known failure",
        reason="One hour after 30 mg/kg the model still shows occupancy; none was measured.",
        sources="B003",
    )


def _arketamine_spines(name: str, plan: DosingPlan) -> Label | None:
    only_r = bool(plan.doses) and all(dose.form == "R" for dose in plan.doses)
    if not (only_r and re.fullmatch(r"spine\w*", name)):
        return None
    return Label(
        kind="known failure",
        reason="R-ketamine restored spines by 3 h; in the model formation starts after 12 h.",
        sources="C053",
    )


def _months_of_dosing(name: str, plan: DosingPlan) -> Label | None:
    days = max((dose.time_h for dose in plan.doses), default=0.0) / 24.0
    if days < LATE_DAYS or name not in ("th_midbrain_class", "th_DR"):
        return None
    return Label(
        kind="known failure",
        reason="After three months midbrain dopamine and TH were raised; the model says lowered.",
        sources="C022",
    )


_HABENULA_ARM = r"burst_habitual|lhb_burst|rmtg(_habitual)?|vta_(habitual|active)|da_(pfc|acb|cp)"
_SYNAPSE_ARM = r"spine_density|elimination_factor|ensemble_coordination"


def _stress_taken_over(name: str, plan: DosingPlan) -> Label | None:
    """Levels under a protocol in which they were not measured."""
    measured = STRESS_EVIDENCE.get(plan.subject.stress)
    if measured is None:
        return None
    for arm, pattern, others in (
        ("habenula", _HABENULA_ARM, "learned helplessness"),
        ("synapses", _SYNAPSE_ARM, "chronic mild stress and social defeat"),
    ):
        if arm not in measured and re.fullmatch(pattern, name):
            rows = [e[arm] for e in STRESS_EVIDENCE.values() if arm in e]
            return Label(
                kind="encoded",
                reason=f"Not measured under {STRESS_NAMES[plan.subject.stress]}: the level before "
                f"the drug is taken over from {others}.",
                sources=" ".join(dict.fromkeys(" ".join(rows).split())),
            )
    return None


_CHECKED_ROUTES = ("iv", "in")


def _unchecked_route(name: str, plan: DosingPlan) -> Label | None:
    """Blood after routes of which no concentration in people was at hand."""
    others = sorted({dose.route for dose in plan.doses} - set(_CHECKED_ROUTES))
    if plan.subject.species != "human" or not others or not _is_parent_plasma(name):
        return None
    return Label(
        kind="compatible",
        reason=f"No concentration after this route ({', '.join(others)}) was at hand to compare "
        "with; absorption is partly guessed.",
        sources="A043 A080",
    )


_IN_BLOOD = r"(transit|nk_|auc_|brain_nk_|hnk_|plasma_)\w*"


def _targeted(name: str, plan: DosingPlan) -> Label | None:
    """Weaken what follows where the drug reaches only some parts: no such delivery was measured."""
    own = label_of(name)
    if not plan.targets or own.kind != "compatible" or re.fullmatch(_IN_BLOOD, name):
        return None
    return Label(
        kind="encoded",
        reason="That the drug reaches the targets alone is assumed: what follows is the wiring of "
        "the model, a what-if.",
        sources=own.sources,
    )


_EXCEPTIONS: tuple[Callable[[str, DosingPlan], Label | None], ...] = (
    _scaled_species,
    _norketamine_after_iv,
    _large_sprays,
    _mouse_occupancy,
    _arketamine_spines,
    _months_of_dosing,
    _stress_taken_over,
    _targeted,
    _unchecked_route,
)
