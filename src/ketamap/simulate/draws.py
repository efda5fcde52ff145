"""Parameter uncertainty: draws from the priors, the same whoever makes them.

Three forms of prior (column ``prior_form``), all with the table's value (or a member's) in
the middle and a normal of spread ``prior_sd_ln`` on: the logarithm (cut at the bounds of the
row), the log odds where the value is a part of one, the logarithm of the excess where the
value must lie above one.  The spread is the relative standard error where the source states
one (``spread_from``), else that of the certainty class (`CLASS_SPREAD`).  Each number depends
on the seed, the draw and the name of the parameter alone: workers, order and new parameters
change nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from ketamap.simulate.parameters import EVERY_SPECIES, parameter_table, parameters_for

CLASS_SPREAD: dict[str, float] = {
    "abstract": 0.20,
    "secondary": 0.25,
    "derived": 0.35,
    "scaled": 0.5,
    "memory": 0.5,
    "guess": 0.8,
}
"""Spread of a certainty class, ln units.  ``scaled`` (from man by weight) is the root mean
square misfit of that scaling for mouse, dog and rabbit (A087, A097, A098: 0.49, taking 15 kg
and 3 kg for the last two); the others are conventions."""

NEVER_DRAWN = ("exact", "fixed")
"""Certainty or role of parameters that have no prior."""


@lru_cache(maxsize=4096)  # parameters of several species are asked for once per species
def uniform_of(seed: int, draw: int, name: str) -> float:
    """Return the number in (0, 1) that belongs to a seed, a draw and a name."""
    sequence = np.random.SeedSequence([seed, draw, zlib.crc32(name.encode())])
    word = int(sequence.generate_state(1, np.uint64)[0])
    return (word + 0.5) / 2.0**64


_FAR = 9.0
"""Standard deviations beyond which a bound cuts nothing that a double could show."""


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
    if centre > 0.0 and lower < centre * np.exp(-_FAR * sd_ln) and upper == np.inf:
        return float(centre * np.exp(sd_ln * ndtri(uniform)))  # nothing to cut
    ends = sorted(np.log(b / centre) / sd_ln for b in (lower, upper) if 0.0 < b / centre < np.inf)
    above = [z for z in ends if z >= 0.0]
    below = [z for z in ends if z < 0.0]
    first = ndtr(below[0]) if below else 0.0
    last = ndtr(above[-1]) if above else 1.0
    z = float(ndtri(first + uniform * (last - first)))
    return float(np.clip(centre * np.exp(sd_ln * z), lower, upper))


def prior_value(
    form: str, centre: float, sd_ln: float, uniform: float, *, lower: float, upper: float
) -> float:
    """Return the quantile of a prior of any form; its median is ``centre``.

    Parameters
    ----------
    form
        ``log``, ``logit`` (parts of one) or ``log above 1``.
    centre, sd_ln, uniform, lower, upper
        As in `truncated_log_normal`, which ``log`` is.
    """
    if form == "logit" and 0.0 < centre < 1.0:
        return float(expit(logit(centre) + sd_ln * ndtri(uniform)))
    if form == "log above 1" and centre > 1.0:
        return 1.0 + (centre - 1.0) * float(np.exp(sd_ln * ndtri(uniform)))
    return truncated_log_normal(centre, sd_ln, uniform, lower=lower, upper=upper)


_PRIOR_COLUMNS = ("name", "value", "prior_form", "prior_sd_ln", "certainty", "spread_from")


@lru_cache(maxsize=4)
def _uncertain(species: str) -> tuple[tuple[Any, ...], ...]:
    """Rows of the parameters that have a prior: `_PRIOR_COLUMNS`, lower, upper."""
    table = parameter_table()
    ours = table[table["species"].isin([EVERY_SPECIES, species])]
    drawn = ours[~(ours["certainty"].isin(NEVER_DRAWN) | ours["role"].isin(NEVER_DRAWN))]
    return tuple(
        zip(*(drawn[name].tolist() for name in (*_PRIOR_COLUMNS, "lower", "upper")), strict=True)
    )


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
    values = parameters_for(species, centre)
    drawn = dict(centre or {})
    for name, usual, form, stated, certainty, spread_from, lower, upper in _uncertain(species):
        # a standard error belongs to the value of the table, not to that of a member
        moved = spread_from != "class" and values[name] != usual
        drawn[name] = prior_value(
            form,
            values[name],
            CLASS_SPREAD[certainty] if moved else stated,
            uniform_of(seed, draw, name),
            lower=lower,
            upper=upper,
        )
    return drawn
