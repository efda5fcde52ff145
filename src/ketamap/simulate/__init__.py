"""A dosing plan in silico: from the regimen to blood, receptors, circuits and synapses."""

from ketamap.simulate.engine import Engine as Engine
from ketamap.simulate.engine import simulate as simulate
from ketamap.simulate.engine import units as units
from ketamap.simulate.parameters import parameter_table as parameter_table
from ketamap.simulate.parameters import parameters_for as parameters_for

__all__ = ["Engine", "parameter_table", "parameters_for", "simulate", "units"]
