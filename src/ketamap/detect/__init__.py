"""Finding somata in a volume."""

from ketamap.detect.lazy import find_cells as find_cells
from ketamap.detect.lazy import require_alike as require_alike
from ketamap.detect.resources import Resources as Resources
from ketamap.detect.spike_check import Checked as Checked
from ketamap.detect.spike_check import find_and_check as find_and_check

__all__ = ["Checked", "Resources", "find_and_check", "find_cells", "require_alike"]
