"""Phantom brains: an atlas made in code and animals with planted truth."""

from ketamap.phantom.atlas import phantom_atlas as phantom_atlas
from ketamap.phantom.atlas import phantom_name as phantom_name
from ketamap.phantom.brain import PhantomBrain as PhantomBrain
from ketamap.phantom.brain import PlannedAxons as PlannedAxons
from ketamap.phantom.brain import plan_brain as plan_brain
from ketamap.phantom.cohort import AXONS as AXONS
from ketamap.phantom.cohort import CELLS as CELLS
from ketamap.phantom.cohort import DEFAULT_GROUPS as DEFAULT_GROUPS
from ketamap.phantom.cohort import NOTE as NOTE
from ketamap.phantom.cohort import CohortNoise as CohortNoise
from ketamap.phantom.cohort import CohortPlan as CohortPlan
from ketamap.phantom.cohort import Effect as Effect
from ketamap.phantom.cohort import PhantomGroup as PhantomGroup
from ketamap.phantom.cohort import PlannedAnimal as PlannedAnimal
from ketamap.phantom.cohort import animal_densities as animal_densities
from ketamap.phantom.cohort import animals_frame as animals_frame
from ketamap.phantom.cohort import cohort_table as cohort_table
from ketamap.phantom.cohort import default_cohort as default_cohort
from ketamap.phantom.cohort import effects_log2 as effects_log2
from ketamap.phantom.cohort import planted_effects as planted_effects
from ketamap.phantom.deformation import random_transform as random_transform
from ketamap.phantom.density import base_densities as base_densities
from ketamap.phantom.density import base_lengths as base_lengths
from ketamap.phantom.density import own_volumes_mm3 as own_volumes_mm3
from ketamap.phantom.fibres import FibreSettings as FibreSettings
from ketamap.phantom.imaging import BrainSettings as BrainSettings

__all__ = [
    "AXONS",
    "CELLS",
    "DEFAULT_GROUPS",
    "NOTE",
    "BrainSettings",
    "CohortNoise",
    "CohortPlan",
    "Effect",
    "FibreSettings",
    "PhantomBrain",
    "PhantomGroup",
    "PlannedAnimal",
    "PlannedAxons",
    "animal_densities",
    "animals_frame",
    "base_densities",
    "base_lengths",
    "cohort_table",
    "default_cohort",
    "effects_log2",
    "own_volumes_mm3",
    "phantom_atlas",
    "phantom_name",
    "plan_brain",
    "planted_effects",
    "random_transform",
]
