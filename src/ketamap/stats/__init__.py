"""Group statistics on region tables: which regions change, and does the whole brain shift."""

from ketamap.stats.analyse import Analysis as Analysis
from ketamap.stats.analyse import analyse as analyse
from ketamap.stats.budget import budget_frame as budget_frame
from ketamap.stats.classical import t_tests as t_tests
from ketamap.stats.design import build_design as build_design
from ketamap.stats.families import bh as bh
from ketamap.stats.families import report_q as report_q
from ketamap.stats.model import fit_two_components as fit_two_components
from ketamap.stats.moderation import moderate as moderate
from ketamap.stats.noise import library_noise as library_noise
from ketamap.stats.noise import pilot_noise as pilot_noise
from ketamap.stats.power import PowerPlan as PowerPlan
from ketamap.stats.power import animals_needed as animals_needed
from ketamap.stats.power import power_frames as power_frames
from ketamap.stats.structures import structures_from_table as structures_from_table
from ketamap.stats.tables import RegionCounts as RegionCounts
from ketamap.stats.tables import region_counts as region_counts

__all__ = [
    "Analysis",
    "PowerPlan",
    "RegionCounts",
    "analyse",
    "animals_needed",
    "bh",
    "budget_frame",
    "build_design",
    "fit_two_components",
    "library_noise",
    "moderate",
    "pilot_noise",
    "power_frames",
    "region_counts",
    "report_q",
    "structures_from_table",
    "t_tests",
]
