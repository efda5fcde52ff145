"""From cells, axons and a transform to the region table."""

from ketamap.quantify.axons import SATURATED_OCCUPANCY as SATURATED_OCCUPANCY
from ketamap.quantify.axons import AxonBalance as AxonBalance
from ketamap.quantify.axons import AxonQuantification as AxonQuantification
from ketamap.quantify.axons import add_corrected as add_corrected
from ketamap.quantify.axons import quantify_axons as quantify_axons
from ketamap.quantify.axons import saturated_regions as saturated_regions
from ketamap.quantify.borders import add_border_fraction as add_border_fraction
from ketamap.quantify.cells import Balance as Balance
from ketamap.quantify.cells import place_cells as place_cells
from ketamap.quantify.cells import place_points as place_points
from ketamap.quantify.coverage import Coverage as Coverage
from ketamap.quantify.coverage import measure_coverage as measure_coverage
from ketamap.quantify.efficiency import add_detection_efficiency as add_detection_efficiency
from ketamap.quantify.regions import Quantification as Quantification
from ketamap.quantify.regions import quantify_cells as quantify_cells
from ketamap.quantify.volumes import CarriedAnnotation as CarriedAnnotation
from ketamap.quantify.volumes import annotation_in_sample as annotation_in_sample
from ketamap.quantify.volumes import carry_annotation as carry_annotation
from ketamap.quantify.volumes import measuring_grid as measuring_grid

__all__ = [
    "SATURATED_OCCUPANCY",
    "AxonBalance",
    "AxonQuantification",
    "Balance",
    "CarriedAnnotation",
    "Coverage",
    "Quantification",
    "add_border_fraction",
    "add_corrected",
    "add_detection_efficiency",
    "annotation_in_sample",
    "carry_annotation",
    "measure_coverage",
    "measuring_grid",
    "place_cells",
    "place_points",
    "quantify_axons",
    "quantify_cells",
    "saturated_regions",
]
