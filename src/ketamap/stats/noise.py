"""How much animals of one group differ: from a pilot table, or from published whole-brain tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ketamap.core.errors import DesignError
from ketamap.core.units import LN2
from ketamap.stats.analyse import Analysis
from ketamap.stats.moderation import moderate, trigamma_inverse

LIBRARY_REGIONS = 300
"""Regions of a noise from the library."""

TYPICAL_SPREAD = 0.44
"""SD of ln(SD) between regions where a table's quantiles are not known: the median of those
that are."""

LIBRARY: dict[str, tuple[float, float, float, float]] = {
    "Davoudian 2023 (c-Fos, light sheet)": (0.43, 0.50, 0.27, 0.87),
    "Aboharb 2025, MDMA (c-Fos, light sheet)": (0.13, 0.20, 0.11, 0.50),
    "Aboharb 2025, ketamine (c-Fos, light sheet)": (0.36, 0.28, 0.12, 0.69),
    "Hu 2024, saline (c-Fos, sections)": (0.64, 1.21, np.nan, np.nan),
    "Hu 2024, ketamine (c-Fos, sections)": (1.22, 0.83, np.nan, np.nan),
    "Dimmock 2025 (c-Fos, sections)": (0.28, 0.29, np.nan, np.nan),
}
"""Animal SD; regional residual SD: median, 10 % and 90 % quantile over regions (ln units).

Measured from tables published with Davoudian et al. 2023 (Cell Reports), Aboharb et al. 2025,
Hu et al. 2024 (eLife 88420) and Dimmock et al. 2025 (eLife), within groups of animals.
"""


@dataclass(frozen=True, eq=False, kw_only=True)
class Noise:
    """Variances between animals of one group."""

    name: str
    """Where it comes from."""

    acronyms: tuple[str, ...]
    """Regions; made up for a noise from the library."""

    variance: NDArray[np.float64]
    """Of ln density beside the animal factor, shape ``(region,)``."""

    prior_df: float
    """Degrees of freedom that moderation adds."""

    factor_variance: float
    """Of the ln animal factor."""

    region_ids: NDArray[np.int64]
    """Shape ``(region,)``."""


def library_noise(name: str) -> Noise:
    """Make the noise of a published table: regions at even quantiles of its SDs.

    Raises
    ------
    DesignError
        If the library has no such table.
    """
    if name not in LIBRARY:
        msg = f"The noise library has no {name!r}; it has {'; '.join(LIBRARY)}."
        raise DesignError(msg)
    factor_sd, median, low, high = LIBRARY[name]
    known = np.isfinite(low)
    spread = np.log(high / low) / (2 * stats.norm.ppf(0.9)) if known else TYPICAL_SPREAD
    at = stats.norm.ppf((np.arange(LIBRARY_REGIONS) + 0.5) / LIBRARY_REGIONS)
    return Noise(
        name=name,
        acronyms=tuple(f"region {k + 1}" for k in range(LIBRARY_REGIONS)),
        variance=(median * np.exp(spread * at)) ** 2,
        prior_df=2.0 * trigamma_inverse(4.0 * float(spread) ** 2),
        factor_variance=factor_sd**2,
        region_ids=np.arange(1, LIBRARY_REGIONS + 1),
    )


def pilot_noise(analysis: Analysis, name: str = "pilot") -> Noise:
    """Take the noise of a table that was analysed, within its groups.

    Parameters
    ----------
    analysis
        Of the pilot; its effects do not count, only its residuals.
    name
        As shown.

    Notes
    -----
    Regions that were tested in any contrast.  Residual variances are moderated as in the
    analysis; covariates of its formula are not taken out, so that the noise is if anything
    too large.
    """
    effects = analysis.effects
    tested = effects.loc[effects["testable"] & (effects["estimand"] == "relative"), "region_id"]
    values = analysis.values[analysis.values["region_id"].isin(set(tested))]
    group = analysis.animal_factors.set_index("animal")["group"]
    wide = values.pivot_table(index="animal", columns="region_id", values="log2_relative") * LN2
    labels = group.loc[wide.index]
    rest = wide - wide.groupby(labels.to_numpy()).transform("mean")
    df = wide.notna().sum() - labels.nunique()
    keep = (df > 0).to_numpy()
    wide, rest, df = wide.loc[:, keep], rest.loc[:, keep], df[keep]
    density = values.pivot_table(index="animal", columns="region_id", values="log2_density") * LN2
    free = df.to_numpy(dtype=np.float64)
    found = moderate(
        (rest**2).sum().to_numpy() / free, free, density.loc[:, keep].mean().to_numpy()
    )
    factor = analysis.animal_factors["factor_log2"] * LN2
    spare = factor - factor.groupby(analysis.animal_factors["group"]).transform("mean")
    first = values.drop_duplicates("region_id")
    name_of = dict(zip(first["region_id"], first["acronym"], strict=True))
    ids = wide.columns.to_numpy(dtype=np.int64)
    return Noise(
        name=name,
        acronyms=tuple(str(name_of[i]) for i in ids),
        variance=found.variance,
        prior_df=found.prior_df,
        factor_variance=float((spare**2).sum() / max(len(spare) - labels.nunique(), 1)),
        region_ids=ids,
    )
