"""False discovery rates: inside each family of tests, and over the families of a report.

References
----------
Benjamini Y, Hochberg Y (1995) J R Stat Soc B 57:289 (BH).
Bretz F, Maurer W, Brannath W, Posch M (2009) Statistics in Medicine 28:586 (sharing a level
between families, and passing on what is not needed).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

SHIFT_SHARE = 0.2
"""Share of the level that the brain-wide shift gets; the regions get the rest.

One test needs less than hundreds do: at 4/5 of the level the regions lose 0.01 to 0.05 of
their power (``benchmarks/group_statistics.py``), and a report with nothing in it stays within the
level as a whole.
"""


def bh(p: ArrayLike) -> NDArray[np.float64]:
    """Benjamini-Hochberg q values.

    Parameters
    ----------
    p
        P values of one family, any shape; NaN (not tested) does not count as a test.

    Returns
    -------
    ndarray
        Same shape; NaN where `p` is NaN.  Monotone: a smaller p never has a larger q.
    """
    values = np.asarray(p, dtype=np.float64)
    flat = values.ravel()
    q = np.full(flat.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(flat))
    order = tested[np.argsort(flat[tested], kind="stable")]
    stepped = flat[order] * len(order) / np.arange(1, len(order) + 1)
    q[order] = np.minimum(np.minimum.accumulate(stepped[::-1])[::-1], 1.0)
    return q.reshape(values.shape)


class ReportQ(NamedTuple):
    """Q values of the three families of a report."""

    shift: NDArray[np.float64]
    """Shape ``(contrast,)``."""

    relative: NDArray[np.float64]
    """Shape ``(region, contrast)``."""

    absolute: NDArray[np.float64]
    """Shape ``(region, contrast)``."""


def report_q(shift: ArrayLike, relative: ArrayLike, absolute: ArrayLike) -> ReportQ:
    """Q values of shift, relative and absolute effects that are read together.

    Parameters
    ----------
    shift
        P values, shape ``(contrast,)``.
    relative, absolute
        P values, shape ``(region, contrast)``; NaN is not a test.

    Returns
    -------
    ReportQ
        The least level alpha at which each test is rejected.

    Notes
    -----
    One family per estimand, over all regions and contrasts, by BH.  With BH for every
    contrast and estimand alone, two contrasts in three estimands find something in one of
    six reports that hold nothing.  Relative effects are tested at 0.8 alpha and shifts at
    0.2 alpha; once one of the two families has a rejection, the other has the whole alpha.
    Absolute effects are tested at alpha as soon as either has a rejection: where no region
    moves against the others and the brain does not shift, no absolute effect exists.  So
    the false discovery rate of each family is at most alpha, and a report without any
    effect finds something with a probability of at most alpha.
    """
    alone = [bh(p) for p in (shift, relative, absolute)]
    least_shift, least_relative = (np.nanmin(q, initial=1.0) for q in alone[:2])
    q_shift = np.minimum(
        alone[0] / SHIFT_SHARE, np.maximum(alone[0], least_relative / (1.0 - SHIFT_SHARE))
    )
    q_relative = np.minimum(
        alone[1] / (1.0 - SHIFT_SHARE), np.maximum(alone[1], least_shift / SHIFT_SHARE)
    )
    gate = min(np.nanmin(q_shift, initial=1.0), np.nanmin(q_relative, initial=1.0))
    q_absolute = np.maximum(alone[2], gate)
    return ReportQ(*(np.minimum(q, 1.0) for q in (q_shift, q_relative, q_absolute)))
