"""How many cells detection misses in a user's own image, from planted ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from ketamap.core.errors import InputError
from ketamap.core.settings import DetectionSettings
from ketamap.core.volume import Volume
from ketamap.detect.lazy import DEFAULT_MEMORY_BYTES, survey
from ketamap.detect.model import ScoreModel, default_model
from ketamap.detect.scale import plan_filters
from ketamap.detect.spikes import draw_spikes, response_per_height, with_spikes

CROWD_PER_DIAMETER = 5.0
"""Detected cells within this many diameters are a spike's neighbours."""

THIRDS = ("low", "middle", "high")


def spike_in(
    volume: Volume,
    settings: DetectionSettings,
    *,
    n: int,
    seed: int = 0,
    model: ScoreModel | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    workers: int = 1,
) -> pd.DataFrame:
    """Plant somata as bright as detected cells, beside them, and detect again.

    Arguments and errors as in `find_cells`; ``n`` somata are wanted (fewer where there is no
    room) and ``seed`` decides where.

    Returns
    -------
    pandas.DataFrame
        One row per planted soma: ``z_um, y_um, x_um``, ``contrast`` (brightness added, intensity
        units), ``neighbours`` (cells within `CROWD_PER_DIAMETER` diameters), ``found`` (a cell
        lies within half a diameter). Without detected cells nothing is planted.

    Raises
    ------
    InputError
        If ``n`` is less than 1.
    """
    if n < 1:
        msg = f"At least 1 soma must be planted, got {n}."
        raise InputError(msg)
    d = settings.soma_diameter_um
    model = model or default_model(coarse=plan_filters(volume.grid, d).coarse)

    def cells(image: Volume) -> tuple[np.ndarray, np.ndarray]:
        every = survey(
            image,
            settings,
            model=model,
            memory_bytes=memory_bytes,
            workers=workers,
        )
        kept = every.score >= settings.min_score
        return every.um[kept], every.response[kept]

    before, response = cells(volume)
    heights = response / response_per_height(volume.grid, d)
    spikes = draw_spikes(volume.grid, before, heights, n=n, diameter_um=d, seed=seed)
    table = pd.DataFrame(spikes.um, columns=["z_um", "y_um", "x_um"])
    table["contrast"] = spikes.height
    table["neighbours"] = 0
    table["found"] = False
    if len(table):
        after, _ = cells(with_spikes(volume, spikes))
        crowd = cKDTree(before).query_ball_point(spikes.um, CROWD_PER_DIAMETER * d)
        table["neighbours"] = [len(one) for one in crowd]
        if len(after):
            table["found"] = cKDTree(after).query(spikes.um)[0] <= 0.5 * d
    return table


def recall_by_thirds(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Recall of planted somata by thirds of a column of `spike_in`'s table.

    Returns
    -------
    pandas.DataFrame
        Columns ``third``, ``least``, ``most`` (of the column), ``planted``, ``recall``.
    """
    ranked = table.sort_values([column, "z_um", "y_um", "x_um"], ignore_index=True)
    rows = []
    for name, part in zip(THIRDS, np.array_split(np.arange(len(ranked)), 3), strict=True):
        some = ranked.iloc[part]
        if len(some):
            span = (float(some[column].min()), float(some[column].max()))
            rows.append((name, *span, len(some), float(some.found.mean())))
    return pd.DataFrame(rows, columns=["third", "least", "most", "planted", "recall"])
