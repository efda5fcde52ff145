"""Tables of what was planted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ketamap.core.atlas import HEMISPHERES, Structures
from ketamap.core.space import FloatArray
from ketamap.core.tables import ATLAS_POSITION, SAMPLE_POSITION
from ketamap.phantom.planting import Planted


def cells_table(planted: Planted, structures: Structures) -> pd.DataFrame:
    """One row per cell, sorted by sample position: where it is, in sample and atlas."""
    columns: dict[str, Any] = dict(zip(SAMPLE_POSITION, planted.positions_um.T, strict=True))
    columns["region_id"] = structures.ids[planted.units // 2]
    columns["hemisphere"] = np.asarray(HEMISPHERES, dtype=object)[planted.units % 2]
    columns |= dict(zip(ATLAS_POSITION, planted.atlas_um.T, strict=True))
    table = pd.DataFrame(columns)
    return table.sort_values(list(SAMPLE_POSITION), ignore_index=True)


def counts_table(
    planted: Planted,
    structures: Structures,
    volumes: FloatArray,
    density: FloatArray,
    effect: FloatArray,
) -> pd.DataFrame:
    """One row per structure and side that has a volume in the sample."""
    found = np.bincount(planted.units, minlength=2 * len(structures))
    rows = np.repeat(np.arange(len(structures)), 2)
    table = pd.DataFrame(
        {
            "region_id": structures.ids[rows],
            "acronym": np.asarray(structures.acronyms, dtype=object)[rows],
            "hemisphere": np.tile(np.asarray(HEMISPHERES, dtype=object), len(structures)),
            "planted": found,
            "asked": planted.asked,
            "volume_mm3": volumes.ravel(),
            "density_per_mm3": density[rows],
            "effect_log2": effect[rows],
        }
    )
    return table[table["volume_mm3"] > 0].reset_index(drop=True)
