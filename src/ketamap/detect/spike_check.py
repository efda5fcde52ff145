"""How many cells detection misses in a user's own image, from planted ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ketamap.core.errors import InputError
from ketamap.core.progress import Progress, silent
from ketamap.core.settings import DetectionSettings
from ketamap.core.volume import Volume
from ketamap.detect.efficiency import fit_efficiency
from ketamap.detect.kernels import LEAST_Z
from ketamap.detect.lazy import cell_table, survey
from ketamap.detect.model import ScoreModel, default_model
from ketamap.detect.resources import Resources
from ketamap.detect.scale import plan_filters
from ketamap.detect.spikes import Spikes, draw_spikes, response_per_height
from ketamap.detect.windows import Glimpse, Scene, look_again

F64 = NDArray[np.float64]

CROWD_PER_DIAMETER = 5.0
"""Detected cells within this many diameters are a soma's neighbours."""

FEWEST_CELLS = 20
"""With fewer detected cells their contrasts say too little, and somata are planted anywhere."""

CONTRASTS_TO_NOISE = (LEAST_Z, 10.0 * LEAST_Z)
"""Least and greatest contrast then, in standard deviations of the noise; even in its logarithm."""

FOUND_PER_DIAMETER = 0.5
"""A planted soma is found if a cell lies within this many diameters."""

DIMMED_SHARE = 0.5
"""Somata planted beside those like cells, but dimmer: they tell where finding ends."""

DIMMEST = 0.2
"""Least factor by which they are dimmed; even in its logarithm."""

SURVEY_SHARE = 0.8
"""Of the time, for the progress bar."""

SEED = 0
"""Of the places and contrasts: the same image gives the same answer."""

DIMMED = "dimmed"

THIRDS = ("low", "middle", "high")


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Checked:
    """Cells, and how completely such cells are found."""

    cells: pd.DataFrame
    """As of `find_cells`, with ``efficiency``: the estimated share that is found of somata of
    that contrast and crowd."""

    spikes: pd.DataFrame
    """One row per planted soma: ``z_um, y_um, x_um``, ``contrast`` (brightness added, intensity
    units), ``contrast_to_noise`` (response over the noise expected there), ``measured_to_noise``
    (as detection measures it, NaN where not found), ``contrast_from`` (``cells``, ``dimmed``, or
    ``noise`` where fewer than `FEWEST_CELLS` were detected), ``neighbours`` (cells within
    `CROWD_PER_DIAMETER` diameters) and ``found``."""

    @property
    def like_cells(self) -> pd.DataFrame:
        """The planted somata that the recall is stated of, `like_cells`."""
        return like_cells(self.spikes)


def find_and_check(
    volume: Volume,
    settings: DetectionSettings,
    *,
    background: Volume | None = None,
    model: ScoreModel | None = None,
    resources: Resources | None = None,
    progress: Progress = silent,
) -> Checked:
    """Find cells, plant somata like them, and tell which share of such cells is found.

    Each of ``settings.spike_ins`` somata is planted alone, as bright as a detected cell drawn at
    random and near another, and detection looks again at that place only. Where fewer than
    `FEWEST_CELLS` were detected, somata lie anywhere in the brighter half of the image and are
    `CONTRASTS_TO_NOISE` times as strong as the noise there.

    Arguments and errors as in `ketamap.detect.find_cells`.

    Raises
    ------
    InputError
        If ``settings.spike_ins`` is 0.
    """
    if settings.spike_ins < 1:
        msg = f"At least 1 soma must be planted, got {settings.spike_ins}."
        raise InputError(msg)
    resources = resources or Resources()
    plan = plan_filters(volume.grid, settings.soma_diameter_um)
    model = model or default_model(coarse=plan.coarse)
    found = survey(
        volume,
        settings,
        background=background,
        model=model,
        resources=resources,
        progress=lambda done, total: progress(SURVEY_SHARE * done, total),
    )
    scene = Scene(
        volume=volume,
        background=background,
        plan=plan,
        model=model,
        resources=resources,
        found=found,
    )
    rest = 1.0 - SURVEY_SHARE
    spikes = _plant(
        scene,
        settings,
        lambda done, total: progress(SURVEY_SHARE * max(total, 1) + rest * done, max(total, 1)),
    )
    efficiency = _efficiency(scene, settings, spikes)
    return Checked(
        cells=cell_table(found, settings.min_score, efficiency=efficiency), spikes=spikes
    )


def _plant(scene: Scene, settings: DetectionSettings, progress: Progress) -> pd.DataFrame:
    found, d = scene.found, settings.soma_diameter_um
    kept = np.flatnonzero(found.score >= settings.min_score)
    kept = kept[np.lexsort(found.um[kept].T[::-1])]  # blocks must not decide what is drawn
    cells, per_height = found.um[kept], response_per_height(scene.volume.grid, d)
    if len(cells) >= FEWEST_CELLS:
        heights = found.response[kept] / per_height
        spikes, like = _like_cells(scene, settings, cells, heights)
    else:
        spikes = _anywhere(scene, settings, per_height)
        like = np.full(len(spikes.um), "noise", dtype=object)
    seen = look_again(scene, spikes, progress)
    noise = np.array([one.noise for one in seen])
    reach, least = FOUND_PER_DIAMETER * d, settings.min_score
    table = pd.DataFrame(spikes.um, columns=["z_um", "y_um", "x_um"])
    table["contrast"] = spikes.height
    table["contrast_to_noise"] = spikes.height * per_height / noise
    table["measured_to_noise"] = [
        _measured(um, one, cells, reach, least) for um, one in zip(spikes.um, seen, strict=True)
    ]
    table["contrast_from"] = like
    table["neighbours"] = _crowd(cells, spikes.um, d)
    table["found"] = table["measured_to_noise"].notna()
    return table


def _like_cells(
    scene: Scene, settings: DetectionSettings, cells: F64, heights: F64
) -> tuple[Spikes, NDArray[np.object_]]:
    """Near cells and as bright as others, then dimmer ones; and which is which."""
    n = settings.spike_ins
    spikes = draw_spikes(
        scene.volume.grid,
        cells,
        heights,
        n=n + round(DIMMED_SHARE * n),
        diameter_um=settings.soma_diameter_um,
        seed=SEED,
        apart=0.0,
    )
    dimmed = np.arange(len(spikes.um)) >= n
    rng = np.random.default_rng([SEED, 1])
    factor = np.exp(rng.uniform(np.log(DIMMEST), 0.0, len(dimmed)))
    dim = replace(spikes, height=np.where(dimmed, factor, 1.0) * spikes.height)
    return dim, np.where(dimmed, DIMMED, "cells").astype(object)


def _measured(um: F64, glimpse: Glimpse, cells: F64, reach_um: float, least: float) -> float:
    """Tell the response over noise of a planted soma, NaN if it did not come back.

    A cell within reach counts unless it lies nearer to one that was there before.
    """
    around = glimpse.around
    far = np.linalg.norm(around.um - um, axis=1)
    near = (around.score >= least) & (far <= reach_um)
    if len(cells) and near.any():
        near[near] = far[near] <= cKDTree(cells).query(around.um[near])[0]
    if not near.any():
        return float("nan")
    best = np.argmin(np.where(near, far, np.inf))
    return float(np.exp(around.noise_rows[best, 0]))


def _anywhere(scene: Scene, settings: DetectionSettings, per_height: float) -> Spikes:
    """Places in the brighter half of the tiles, and heights in terms of the noise there."""
    rng = np.random.default_rng(SEED)
    plan, tiles, grid = scene.plan, scene.found.noise.tiles, scene.volume.grid
    filled = np.argwhere(np.isfinite(tiles.sigma))
    if not len(filled):
        return Spikes(
            um=np.empty((0, 3)), height=np.empty(0), diameter_um=settings.soma_diameter_um
        )
    level = tiles.level[tuple(filled.T)]
    bright = filled[level >= np.median(level)]
    chosen = bright[rng.integers(len(bright), size=settings.spike_ins)]
    low, high = (
        np.stack([edges[chosen[:, axis] + k] for axis, edges in enumerate(plan.tile_edges)], axis=1)
        for k in (0, 1)
    )
    bins = low + rng.uniform(size=low.shape) * (high - low) - 0.5
    voxels = (bins + 0.5) * np.asarray(plan.bins) - 0.5
    noise = scene.found.noise.expected.at(
        np.asarray(bins, dtype=np.float64), tiles.level[tuple(chosen.T)]
    )
    least, most = np.log(CONTRASTS_TO_NOISE)
    times = np.exp(rng.uniform(least, most, len(bins)))
    return Spikes(
        um=grid.to_um(np.clip(voxels, 0.0, np.asarray(grid.shape) - 1.0)),
        height=times * noise / per_height,
        diameter_um=settings.soma_diameter_um,
    )


def _crowd(cells: F64, places: F64, diameter_um: float) -> NDArray[np.int64]:
    if not len(cells) or not len(places):
        return np.zeros(len(places), dtype=np.int64)
    tree = cKDTree(cells)
    count = tree.query_ball_point(places, CROWD_PER_DIAMETER * diameter_um, return_length=True)
    return np.asarray(count, dtype=np.int64)


def _efficiency(scene: Scene, settings: DetectionSettings, spikes: pd.DataFrame) -> F64:
    """Estimated share found of cells like each, ``(n,)``, in the survey's order."""
    kept = scene.found.score >= settings.min_score
    if spikes.empty:
        return np.full(int(kept.sum()), np.nan)
    model = fit_efficiency(
        spikes["contrast_to_noise"].to_numpy(),
        spikes["measured_to_noise"].to_numpy(),
        spikes["neighbours"].to_numpy(dtype=np.float64),
    )
    um = scene.found.um[kept]
    others = _crowd(um, um, settings.soma_diameter_um) - 1
    ratio = np.exp(scene.found.noise_rows[kept, 0].astype(np.float64))
    return model.probability(ratio, others.astype(np.float64))


def like_cells(spikes: pd.DataFrame) -> pd.DataFrame:
    """Leave out the planted somata (`Checked.spikes`) that were dimmed."""
    return spikes[spikes["contrast_from"] != DIMMED]


def recall_by_thirds(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Recall of planted somata by thirds of a column of `Checked.spikes`.

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
