"""Parameter uncertainty: draws from the priors, the same whoever makes them.

A prior is log-normal around the table's value (or a member's), with the spread of its
certainty class (column ``prior_sd_ln``: abstract 0.20, secondary 0.25, memory 0.5, guess
0.8), cut at the bounds of its row.  Each number depends on the seed, the draw and the name
of the parameter alone: workers, order and new parameters change nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
from scipy.special import ndtr, ndtri

from ketamap.simulate.parameters import EVERY_SPECIES, parameter_table, parameters_for

NEVER_DRAWN = ("exact", "fixed")
"""Certainty or role of parameters that have no prior."""


def uniform_of(seed: int, draw: int, name: str) -> float:
    """Return the number in (0, 1) that belongs to a seed, a draw and a name."""
    sequence = np.random.SeedSequence([seed, draw, zlib.crc32(name.encode())])
    word = int(sequence.generate_state(1, np.uint64)[0])
    return (word + 0.5) / 2.0**64


def truncated_log_normal(
    centre: float, sd_ln: float, uniform: float, *, lower: float, upper: float
) -> float:
    """Return the quantile of a log-normal around ``centre`` cut at its bounds.

    The sign of ``centre`` is kept; zero stays zero.  Bounds of the other sign do not cut.

    Parameters
    ----------
    centre
        Median before cutting.
    sd_ln
        Standard deviation of ln(value / centre).
    uniform
        Which quantile, in (0, 1).
    lower, upper
        Bounds of the value; infinite where there are none.
    """
    if centre == 0.0 or sd_ln == 0.0:
        return centre
    ends = sorted(np.log(b / centre) / sd_ln for b in (lower, upper) if 0.0 < b / centre < np.inf)
    above = [z for z in ends if z >= 0.0]
    below = [z for z in ends if z < 0.0]
    first = ndtr(below[0]) if below else 0.0
    last = ndtr(above[-1]) if above else 1.0
    z = float(ndtri(first + uniform * (last - first)))
    return float(np.clip(centre * np.exp(sd_ln * z), lower, upper))


def draw_parameters(
    species: str, *, seed: int, draw: int, centre: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Draw every uncertain parameter of a species once.

    Parameters
    ----------
    species
        ``mouse``, ``rat`` or ``human``; a parameter of several species moves alike in all.
    seed, draw
        Which draw.
    centre
        Values of a member (`World.parameters`) around which to draw instead of the table's.

    Returns
    -------
    dict
        Overrides for `Engine.simulate`: the drawn parameters and what ``centre`` holds.
    """
    table = parameter_table()
    ours = table[table["species"].isin([EVERY_SPECIES, species])]
    values = parameters_for(species, centre)
    drawn = dict(centre or {})
    uncertain = ours[~(ours["certainty"].isin(NEVER_DRAWN) | ours["role"].isin(NEVER_DRAWN))]
    columns = (uncertain[name].tolist() for name in ("name", "prior_sd_ln", "lower", "upper"))
    for name, sd_ln, lower, upper in zip(*columns, strict=True):
        drawn[name] = truncated_log_normal(
            values[name], sd_ln, uniform_of(seed, draw, name), lower=lower, upper=upper
        )
    return drawn
