"""Colours, each with one meaning throughout the report.

Direction is blue (down) to orange (up): told apart under every common colour vision
deficiency, and by lightness only in strength.  Groups of animals use other hues.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

DOWN = ("#d6e6f4", "#9cc3e4", "#4a8cc5", "#0d4f94")
"""Lower than the reference: weak to strong."""

UP = ("#fde5d3", "#f6b68a", "#df7336", "#9e3606")
"""Higher than the reference: weak to strong."""

DOWN_MARK = "#1f6bb0"
UP_MARK = "#cc5a1a"
"""Marks and bars of regions that were called."""

NO_CALL_MARK = "#8b929c"
"""Marks of regions that were tested and not called."""

NO_CALL_FILL = "#d3d7dc"
"""Map fill of regions that were tested and not called."""

NOT_ANALYSED_FILL = "#f4f5f7"
"""Map fill of places that belong to no analysed region."""

HATCH = "#8b929c"
"""Lines of the hatching of regions that could not be tested."""

INK = "#16191d"
SOFT_INK = "#5b636e"
LINE = "#e1e4e8"

GROUPS = ("#5b6470", "#8a55a3", "#16877a", "#b28a12", "#c65f95", "#5b7f1e", "#3d55a8", "#7d5a3c")
"""Groups of animals, in order; repeated if there are more."""


DAYS = re.compile(r"^(?P<dose>.+) (?P<days>[0-9.]+) d$")
"""Groups that are named by a treatment and its days."""

PALEST = 0.6
"""Share of white in the colour of a treatment after the fewest days."""


def group_colours(groups: Sequence[str]) -> dict[str, str]:
    """Give each group its colour: one per treatment, paler after fewer days."""
    named = [DAYS.match(group) for group in groups]
    if not all(named):
        return {group: GROUPS[i % len(GROUPS)] for i, group in enumerate(groups)}
    doses = list(dict.fromkeys(m["dose"] for m in named if m))
    days = sorted({float(m["days"]) for m in named if m})
    steps = max(len(days) - 1, 1)
    return {
        m.string: _mix(
            GROUPS[doses.index(m["dose"]) % len(GROUPS)],
            "#ffffff",
            PALEST * (len(days) - 1 - days.index(float(m["days"]))) / steps,
        )
        for m in named
        if m
    }


def direction_mark(estimate_log2: float, *, called: bool) -> str:
    """Colour of a mark: its direction if it was called, grey if not."""
    if not called:
        return NO_CALL_MARK
    return UP_MARK if estimate_log2 > 0 else DOWN_MARK


def effect_fill(estimate_log2: float, limit_log2: float) -> str:
    """Map fill of a called effect.

    Parameters
    ----------
    estimate_log2
        log2 change; zero counts as up.
    limit_log2
        Size at which the colour is strongest; positive.
    """
    stops = DOWN if estimate_log2 < 0 else UP
    place = min(abs(estimate_log2) / limit_log2, 1.0) * (len(stops) - 1)
    first = min(int(place), len(stops) - 2)
    return _mix(stops[first], stops[first + 1], place - first)


def _mix(a: str, b: str, share: float) -> str:
    def channel(at: int) -> int:
        low, high = int(a[at : at + 2], 16), int(b[at : at + 2], 16)
        return round(low + (high - low) * share)

    return "#" + "".join(f"{channel(at):02x}" for at in (1, 3, 5))
