"""From cells and a transform to the region table."""

from ketamap.quantify.cells import Balance as Balance
from ketamap.quantify.cells import place_cells as place_cells
from ketamap.quantify.regions import Quantification as Quantification
from ketamap.quantify.regions import quantify_cells as quantify_cells
from ketamap.quantify.volumes import CarriedAnnotation as CarriedAnnotation
from ketamap.quantify.volumes import carry_annotation as carry_annotation
from ketamap.quantify.volumes import measuring_grid as measuring_grid

__all__ = [
    "Balance",
    "CarriedAnnotation",
    "Quantification",
    "carry_annotation",
    "measuring_grid",
    "place_cells",
    "quantify_cells",
]
