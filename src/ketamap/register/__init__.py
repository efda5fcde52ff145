"""Align a brain to an atlas, and say how far that can be trusted."""

from ketamap.register.align import align as align
from ketamap.register.overlay import overlay_slices as overlay_slices
from ketamap.register.prepare import coarse_image as coarse_image
from ketamap.register.quality import lncc as lncc
from ketamap.register.quality import ncc as ncc

__all__ = [
    "align",
    "coarse_image",
    "lncc",
    "ncc",
    "overlay_slices",
]
