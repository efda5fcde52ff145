"""The tables of an analysis: effects, values, animal factors.  Logarithms of base 2 from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.tables import EFFECTS
from ketamap.core.units import LN2
from ketamap.stats.design import DesignMatrix
from ketamap.stats.families import report_q
from ketamap.stats.model import Estimates, TwoComponentFit
from ketamap.stats.tables import RegionCounts


def effects_frame(
    regions: RegionCounts,
    design: DesignMatrix,
    fit: TwoComponentFit,
    reasons: Sequence[Sequence[str]],
    root_id: int,
) -> pd.DataFrame:
    """Assemble the effects table.

    Parameters
    ----------
    regions
        The partition, all regions.
    design
        Names of the contrasts.
    fit
        Of all regions; NaN for those that were not fitted.
    reasons
        For each contrast one text per region: why it is not tested, or empty.
    root_id
        Id of the root, for the rows of the shift.

    Returns
    -------
    pandas.DataFrame
        Columns of `EFFECTS`: per contrast the shift, then every region relative and
        absolute.  q values take all of them together (`report_q`).
    """
    blocks = []
    for k, contrast in enumerate(design.contrasts):
        root = {"region_id": [root_id], "acronym": ["root"], "reason": [""]}
        numbers = _log2(fit.shift, (slice(k, k + 1),))
        blocks.append(_block(root, contrast.name, "shift", numbers))
        head = {
            "region_id": regions.region_ids,
            "acronym": list(regions.acronyms),
            "reason": list(reasons[k]),
        }
        for estimand, estimates in (("relative", fit.relative), ("absolute", fit.absolute)):
            numbers = _log2(estimates, (slice(None), k))
            blocks.append(_block(head, contrast.name, estimand, numbers))
    p = [block["p"].to_numpy(dtype=np.float64) for block in blocks]
    q = report_q(np.concatenate(p[0::3]), np.stack(p[1::3], axis=1), np.stack(p[2::3], axis=1))
    for k, _ in enumerate(design.contrasts):
        blocks[3 * k]["q"] = q.shift[k]
        blocks[3 * k + 1]["q"], blocks[3 * k + 2]["q"] = q.relative[:, k], q.absolute[:, k]
    frame = pd.concat(blocks, ignore_index=True)
    frame["measure"] = regions.measure
    return frame[[c.name for c in EFFECTS.columns]]


def _log2(estimates: Estimates, pick: tuple[slice | int, ...]) -> dict[str, NDArray[np.float64]]:
    """Numbers of one contrast; the interval is of 95 %."""
    low, high = estimates.interval()
    return {
        "estimate_log2": estimates.estimate[pick] / LN2,
        "ci_low_log2": low[pick] / LN2,
        "ci_high_log2": high[pick] / LN2,
        "se_log2": estimates.se[pick] / LN2,
        "df": estimates.df[pick],
        "p": estimates.p[pick],
    }


def _block(
    head: Mapping[str, object],
    contrast: str,
    estimand: str,
    numbers: Mapping[str, NDArray[np.float64]],
) -> pd.DataFrame:
    """Rows of one contrast and estimand; no numbers where there is a reason."""
    frame = pd.DataFrame({**head, "contrast": contrast, "estimand": estimand, **numbers})
    frame["testable"] = frame["reason"] == ""
    frame.loc[~frame["testable"], list(numbers)] = np.nan
    return frame


def values_frame(
    regions: RegionCounts,
    density_ln: NDArray[np.float64],
    factor_ln: NDArray[np.float64],
) -> pd.DataFrame:
    """List what was measured in every animal and region.

    Parameters
    ----------
    regions
        The counts.
    density_ln
        ln((count + 0.5) / extent), shape ``(animal, region)``.
    factor_ln
        Animal factors, shape ``(animal,)``.

    Returns
    -------
    pandas.DataFrame
        ``log2_relative`` is the log density without the animal factor.
    """
    n_animals, n_regions = regions.counts.shape
    volume = regions.volumes_mm3
    return pd.DataFrame(
        {
            "animal": np.repeat(np.array(regions.animals, dtype=object), n_regions),
            "region_id": np.tile(regions.region_ids, n_animals),
            "acronym": list(regions.acronyms) * n_animals,
            "measure": regions.measure,
            "count": regions.counts.ravel(),
            "volume_mm3": volume.ravel(),
            "density_per_mm3": (regions.counts / volume).ravel(),
            "log2_density": (density_ln / LN2).ravel(),
            "log2_relative": ((density_ln - factor_ln[:, None]) / LN2).ravel(),
        }
    )


def animal_frame(design: DesignMatrix, factor_ln: NDArray[np.float64]) -> pd.DataFrame:
    """List the factor and the group of every animal."""
    return pd.DataFrame(
        {
            "animal": list(design.animals),
            "factor_log2": factor_ln / LN2,
            "group": list(design.groups),
        }
    )
