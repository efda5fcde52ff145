"""Align a brain to an atlas, and say how far that can be trusted."""

from ketamap.register.align import align as align
from ketamap.register.align import open_case as open_case
from ketamap.register.align import require_size as require_size
from ketamap.register.overlay import overlay_slices as overlay_slices
from ketamap.register.prepare import coarse_image as coarse_image
from ketamap.register.quality import lncc as lncc
from ketamap.register.quality import ncc as ncc
from ketamap.register.template import cohort_template as cohort_template
from ketamap.register.template import through_template as through_template

__all__ = [
    "align",
    "coarse_image",
    "cohort_template",
    "lncc",
    "ncc",
    "open_case",
    "overlay_slices",
    "require_size",
    "through_template",
]
