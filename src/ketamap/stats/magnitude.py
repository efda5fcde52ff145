"""What is small in a measure: the offset before the logarithm, and what can be tested."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ketamap.stats.factors import LEAST_COUNT, PSEUDO_COUNT

LEAST_MEAN_COUNT = 10.0
"""Mean count over all animals, blind to group, of a region that is tested."""

UNITS = ("mm", "um", "nm", "mm2", "um2", "mm3", "um3")
"""Last parts of the name of a measure that is continuous (``axon_length_mm``)."""

FRACTIONS = 0.5
"""Share of values that are no whole numbers from which a measure is continuous, whatever its
name: a few come from counts that were scaled or averaged."""

LIMIT_QUANTILE = 0.01
"""Of the values above zero: about the least that is measured."""

POOR_QUANTILE = 0.1
"""Of the means of regions: the offset stays small beside nine regions of ten."""

SIDES_OVER_OFFSET = 200.0
"""Least amount in a brain, in offsets, for its sides to be compared: 100 counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Magnitude:
    """What is small in a measure, in its own unit.

    A continuous measure has no least step, so that all four follow from its own small
    values, in the ratios that counts have: results do not depend on the unit.
    """

    is_count: bool = True
    """Whether whole things are counted."""

    offset: float = PSEUDO_COUNT
    """Added before the logarithm, so that zeros are kept."""

    unit: str = ""
    """For messages; empty for counts."""

    @property
    def least_value(self) -> float:
        """Least value, in every animal, of the regions that decide the animal factor."""
        return self.offset * LEAST_COUNT / PSEUDO_COUNT

    @property
    def least_mean(self) -> float:
        """Least mean over animals of a region that is tested."""
        return self.offset * LEAST_MEAN_COUNT / PSEUDO_COUNT

    @property
    def least_sides(self) -> float:
        """Least amount in a brain for its sides to be compared."""
        return self.offset * SIDES_OVER_OFFSET

    @property
    def slack(self) -> float:
        """What sums may differ by: half a count where counts were rounded, else nothing."""
        return 0.5 if self.is_count else 0.0

    def note(self, measure: str) -> str:
        """Say how a continuous measure is treated."""
        return (
            f"{measure} is taken as a continuous measure, not as counts: "
            f"{self.written(self.offset)} is added before logarithms, and regions with a mean "
            f"below {self.written(self.least_mean)} are not tested. Both follow from the table's "
            f"own small values, so that results do not depend on the unit."
        )

    def written(self, value: float) -> str:
        """Write a value with its unit."""
        return f"{value:.3g} {self.unit}".strip()


COUNTS = Magnitude()
"""Of counts."""


def is_count(values: NDArray[np.float64], measure: str) -> bool:
    """Tell counts from a continuous measure.

    Parameters
    ----------
    values
        Any shape; NaN where missing.
    measure
        Name; one that ends in a unit of length, area or volume is continuous.
    """
    if measure.rsplit("_", 1)[-1] in UNITS:
        return False
    positive = values[values > 0]
    broken = positive != np.round(positive)
    return not positive.size or float(broken.mean()) < FRACTIONS


def magnitude_of(values: NDArray[np.float64], measure: str, *, counted: bool) -> Magnitude:
    """Find what is small in a measure.

    Parameters
    ----------
    values
        Of the units, shape ``(animal, region)``; NaN where missing.
    measure
        Name.
    counted
        Whether it is one of counts, see `is_count`.

    Returns
    -------
    Magnitude
        For a continuous measure the offset is half of the least that is measured (the 1 %
        quantile of what is above zero), or 1/20 of the mean of a poor region (the 10 %
        quantile of their means) if that is less.
    """
    if counted:
        return COUNTS
    known = np.nan_to_num(values)
    n = np.maximum((~np.isnan(values)).sum(axis=0), 1)
    means = known.sum(axis=0) / n
    if not np.any(means > 0):
        return Magnitude(is_count=False, offset=PSEUDO_COUNT, unit=_unit(measure))
    least = float(np.quantile(known[known > 0], LIMIT_QUANTILE)) / 2.0
    poor = float(np.quantile(means[means > 0], POOR_QUANTILE))
    offset = min(least, poor * PSEUDO_COUNT / LEAST_MEAN_COUNT)
    return Magnitude(is_count=False, offset=offset, unit=_unit(measure))


def _unit(measure: str) -> str:
    last = measure.rsplit("_", 1)[-1]
    return last if last in UNITS else ""
