"""False discovery rates: inside each family of tests, and over the families of a report.

References
----------
Benjamini Y, Hochberg Y (1995) J R Stat Soc B 57:289 (BH).
Benjamini Y, Bogomolov M (2014) Selective inference on multiple families of hypotheses.
J R Stat Soc B 76:297 (families are selected first, then tested at a level reduced by the
share selected).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


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


def family_q(families: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], ...]:
    """Q values of several families that are read together in one report.

    Parameters
    ----------
    families
        P values, one array per family; NaN is not a test.

    Returns
    -------
    tuple of ndarray
        One per family, same shapes.

    Notes
    -----
    BH inside each family alone lets every family of a report find something by chance at
    the nominal rate: two contrasts with two estimands make four chances.  Here a family is
    selected by its Simes p value (the least BH q in it), by BH over the m families; with k
    of them selected, the families selected are tested at level alpha * k / m.  The q value
    is the least alpha at which a test is rejected; with all families selected, or only
    one, it is never below plain BH.  A report with nothing in it finds something at most
    at the nominal rate.
    """
    within = [bh(p) for p in families]
    tested = [g for g, q in enumerate(within) if not np.isnan(q).all()]
    simes = np.array([np.nanmin(within[g]) for g in tested])
    selection = bh(simes)
    ordered = np.sort(selection)
    m = len(tested)
    out = [np.full(q.shape, np.nan) for q in within]
    for place, g in enumerate(tested):
        entry = np.maximum(ordered, selection[place])
        levels = [np.maximum(entry[k - 1], within[g] * m / k) for k in range(1, m + 1)]
        out[g] = np.minimum(np.min(levels, axis=0), 1.0)
    return tuple(out)
