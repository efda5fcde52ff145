"""What the page of a regimen shows, row by row: quantities of the model and their names."""

from __future__ import annotations

from ketamap.core.dosing import DosingPlan
from ketamap.report.simulation_contents import Layer, Panel

PERCENT_OF_RECEPTORS = "part of receptors"
"""Unit shown for occupancies."""


def layers_for(plan: DosingPlan) -> tuple[Layer, ...]:
    """Return the rows of pictures for a subject: symptoms for people, regions for rodents."""
    human = plan.subject.species == "human"
    return (
        _blood(),
        _receptors(),
        _cortex(),
        _dopamine(),
        _plasticity(),
        *((_symptoms(), _slow()) if human else (_behaviour(), _tyrosine_hydroxylase(), _axons())),
    )


def quantities_of(layers: tuple[Layer, ...]) -> tuple[str, ...]:
    """Return the columns of the model that the rows need, each once."""
    return tuple(dict.fromkeys(panel.quantity for layer in layers for panel in layer.panels))


def _panel(quantity: str, title: str, unit: str = "", baseline: float | None = 1.0) -> Panel:
    return Panel(quantity=quantity, title=title, unit=unit, baseline=baseline)


def _blood() -> Layer:
    return Layer(
        title="Blood and brain",
        text="Both enantiomers together; the brain's is the unbound concentration.",
        panels=(
            _panel("plasma_ketamine_ng_per_ml", "Ketamine", "plasma, ng/ml", None),
            _panel("plasma_norketamine_ng_per_ml", "Norketamine", "plasma, ng/ml", None),
            _panel("plasma_hnk_ng_per_ml", "Hydroxynorketamine", "plasma, ng/ml", None),
            _panel("brain_ketamine_uM", "Ketamine, unbound", "brain, \N{MICRO SIGN}M", None),
        ),
    )


def _receptors() -> Layer:
    return Layer(
        title="NMDA receptors",
        text="Part of the receptors that is blocked or holds trapped drug, by class of cell.",
        panels=(
            _panel("occupancy_pv", "PV interneurons", PERCENT_OF_RECEPTORS, 0.0),
            _panel("occupancy_pyr", "Pyramidal cells", PERCENT_OF_RECEPTORS, 0.0),
            _panel("occupancy_vta_gaba", "VTA GABA cells", PERCENT_OF_RECEPTORS, 0.0),
            _panel("occupancy_lhb", "Lateral habenula", PERCENT_OF_RECEPTORS, 0.0),
        ),
        same_scale=True,
    )


def _cortex() -> Layer:
    return Layer(
        title="Cortex and thalamus",
        text="Relative to the level before the drug, which is 1.",
        panels=(
            _panel("glutamate", "Glutamate"),
            _panel("gaba", "GABA"),
            _panel("gamma_power", "Gamma power"),
            _panel("rate_md", "Mediodorsal thalamus"),
        ),
    )


def _dopamine() -> Layer:
    return Layer(
        title="Habenula and dopamine",
        text="Dopamine relative to an unstressed animal; habenula bursts to the animal's own.",
        panels=(
            _panel("lhb_relative", "Habenula bursts"),
            _panel("da_pfc", "Dopamine, prefrontal"),
            _panel("da_acb", "Dopamine, accumbens"),
            _panel("da_cp", "Dopamine, striatum"),
        ),
        same_scale=True,
    )


def _plasticity() -> Layer:
    return Layer(
        title="Growth factors, synapses and ensembles",
        text="From BDNF and mTOR within hours to spines within days; 1 is an unstressed animal.",
        panels=(
            _panel("bdnf", "BDNF"),
            _panel("mtor", "mTOR"),
            _panel("spine_formation", "Spine formation"),
            _panel("spine_density", "Spine density"),
            _panel("ensemble_coordination", "Ensemble coordination"),
        ),
    )


def _symptoms() -> Layer:
    return Layer(
        title="Mood and side effects",
        text="Mood as a latent score, up is better; side effects as changes from before.",
        panels=(
            _panel("mood_effect", "Mood effect", "latent score", 0.0),
            _panel("dissociation_cadss", "Dissociation", "CADSS points", 0.0),
            _panel("systolic_change_mmhg", "Systolic pressure", "mmHg", 0.0),
            _panel("heart_rate_change_percent", "Heart rate", "%", 0.0),
            _panel("nausea_probability", "Nausea", "probability", None),
        ),
        clinical=True,
    )


def _slow() -> Layer:
    return Layer(
        title="Slow consequences of exposure",
        text="Integrals of exposure without a measured course; sizes are arbitrary.",
        panels=(
            _panel("tolerance", "Tolerance", "arbitrary", 0.0),
            _panel("dependence", "Dependence", "arbitrary", 0.0),
            _panel("cognition_deficit", "Cognitive deficit", "arbitrary", 0.0),
            _panel("bladder_injury", "Bladder injury", "arbitrary", 0.0),
        ),
        clinical=True,
    )


def _behaviour() -> Layer:
    return Layer(
        title="Behaviour and slow consequences",
        text="A latent score of despair-like behaviour (up is better) and integrals of exposure.",
        panels=(
            _panel("mood_effect", "Mood-like effect", "latent score", 0.0),
            _panel("tolerance", "Tolerance", "arbitrary", 0.0),
            _panel("dependence", "Dependence", "arbitrary", 0.0),
            _panel("bladder_injury", "Bladder injury", "arbitrary", 0.0),
        ),
    )


def _tyrosine_hydroxylase() -> Layer:
    return Layer(
        title="Tyrosine hydroxylase per cell",
        text="Directions were put in from the study of 30 mg/kg for ten days; sizes are arbitrary.",
        panels=(
            _panel("th_DR", "DR"),
            _panel("th_DMH", "DMH"),
            _panel("th_MPN", "MPN"),
            _panel("th_ZI", "ZI"),
            _panel("th_SNr", "SNr"),
        ),
        same_scale=True,
    )


def _axons() -> Layer:
    return Layer(
        title="Dopamine axons",
        text="Directions were put in from an article on the study of 100 mg/kg for ten days.",
        panels=(
            _panel("axon_PL", "PL"),
            _panel("axon_ACA", "ACA"),
            _panel("axon_AUD", "AUD"),
            _panel("axon_VIS", "VIS"),
        ),
        same_scale=True,
    )
