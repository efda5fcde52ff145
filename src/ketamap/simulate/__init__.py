"""A dosing plan in silico: from the regimen to blood, receptors, circuits and synapses."""

from ketamap.simulate.engine import Engine as Engine
from ketamap.simulate.engine import SolveError as SolveError
from ketamap.simulate.engine import shared_engine as shared_engine
from ketamap.simulate.engine import simulate as simulate
from ketamap.simulate.engine import units as units
from ketamap.simulate.exchange import events_from_plan as events_from_plan
from ketamap.simulate.exchange import parameters_from_sbml as parameters_from_sbml
from ketamap.simulate.exchange import plans_from_events as plans_from_events
from ketamap.simulate.exchange import sbml_of as sbml_of
from ketamap.simulate.labels import Label as Label
from ketamap.simulate.labels import label_of as label_of
from ketamap.simulate.labels import label_table as label_table
from ketamap.simulate.model import antimony_text as antimony_text
from ketamap.simulate.model import sbml_text as sbml_text
from ketamap.simulate.nca import Exposure as Exposure
from ketamap.simulate.nca import exposure as exposure
from ketamap.simulate.notices import plan_notices as plan_notices
from ketamap.simulate.parameters import parameter_table as parameter_table
from ketamap.simulate.parameters import parameters_for as parameters_for

__all__ = [
    "Engine",
    "Exposure",
    "Label",
    "SolveError",
    "antimony_text",
    "events_from_plan",
    "exposure",
    "label_of",
    "label_table",
    "parameter_table",
    "parameters_for",
    "parameters_from_sbml",
    "plan_notices",
    "plans_from_events",
    "sbml_of",
    "sbml_text",
    "shared_engine",
    "simulate",
    "units",
]
