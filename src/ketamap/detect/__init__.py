"""Finding somata in a volume."""

from ketamap.detect.lazy import find_cells as find_cells

__all__ = ["find_cells"]
