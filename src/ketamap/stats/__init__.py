"""Group statistics on region tables: which regions change, and does the whole brain shift."""

from ketamap.stats.analyse import Analysis as Analysis
from ketamap.stats.analyse import analyse as analyse
from ketamap.stats.design import build_design as build_design
from ketamap.stats.families import bh as bh
from ketamap.stats.families import report_q as report_q
from ketamap.stats.model import fit_two_components as fit_two_components
from ketamap.stats.moderation import moderate as moderate
from ketamap.stats.structures import structures_from_table as structures_from_table
from ketamap.stats.tables import RegionCounts as RegionCounts
from ketamap.stats.tables import region_counts as region_counts

__all__ = [
    "Analysis",
    "RegionCounts",
    "analyse",
    "bh",
    "build_design",
    "fit_two_components",
    "moderate",
    "region_counts",
    "report_q",
    "structures_from_table",
]
