"""Numbers and names as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
NO_VALUE = "\N{EN DASH}"
"""Shown where there is no number."""


def known(value: float | None) -> bool:
    """Whether there is a finite number."""
    return value is not None and isfinite(value)


def signed(value: float | None, digits: int = 2) -> str:
    """Write a number with its sign; zero has none."""
    if value is None or not isfinite(value):
        return NO_VALUE
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0.0:
        return text
    return (MINUS if value < 0 else "+") + text


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """Write an interval: ``[-0.50, +0.30]``."""
    if not (known(low) and known(high)):
        return NO_VALUE
    return f"[{signed(low, digits)}, {signed(high, digits)}]"


def fold(log2: float | None) -> str:
    """Write a log2 change as a factor: 1 becomes 2.00 and a multiplication sign."""
    if log2 is None or not isfinite(log2):
        return NO_VALUE
    factor = 2.0**log2
    if factor >= 99.5 or factor < 0.01:
        return f"{factor:.2g}{TIMES}"
    digits = 0 if factor >= 9.95 else 2
    return f"{factor:.{digits}f}{TIMES}"


def probability(value: float | None) -> str:
    """Write a p or q value: three decimals, or ``<0.001``."""
    if value is None or not isfinite(value):
        return NO_VALUE
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def equation(name: str, value: float | None) -> str:
    """Write ``p = 0.012`` or ``p < 0.001``."""
    text = probability(value)
    return f"{name} < {text[1:]}" if text.startswith("<") else f"{name} = {text}"


def estimate(value: float | None, low: float | None, high: float | None) -> str:
    """Write an estimate with its interval; never one without the other."""
    return f"{signed(value)} {interval(low, high)}"


def number(value: float | None, digits: int = 0) -> str:
    """Write a number with thousands separated."""
    if value is None or not isfinite(value):
        return NO_VALUE
    return f"{value:,.{digits}f}".replace("-", MINUS)


def plural(count: int, noun: str, many: str = "") -> str:
    """Write a count with its noun: ``1 region``, ``2 regions``."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def percent(share: float) -> str:
    """Write a share as a percentage: 0.05 becomes ``5 %``."""
    return f"{100 * share:.3g}\N{NO-BREAK SPACE}%"


def listing(items: Sequence[str]) -> str:
    """Write a list: ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def shortened(text: str, most: int) -> str:
    """Cut a long text, with an ellipsis."""
    return text if len(text) <= most else text[: most - 1].rstrip(" ,-") + "\N{HORIZONTAL ELLIPSIS}"
