"""What all figures share: fonts, lines, axes in log2 with factors beside them.

Figures are plain dictionaries in plotly's schema (``{"data": [...], "layout": {...}}``):
the page hands them to plotly.js as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from math import ceil, floor, isfinite
from typing import Any, TypeAlias

from ketamap.report.palette import INK, LINE, SOFT_INK
from ketamap.report.words import MINUS, TIMES, equation, fold, interval, signed

Figure: TypeAlias = dict[str, Any]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

TICKS_AT_MOST = 5


def base_layout(height_px: int, **more: Any) -> dict[str, Any]:
    """Layout every figure starts from."""
    layout: dict[str, Any] = {
        "height": height_px,
        "margin": {"l": 56, "r": 16, "t": 36, "b": 56},
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": "#ffffff",
            "bordercolor": SOFT_INK,
            "align": "left",
            "font": {"family": FONT, "size": 13, "color": INK},
        },
        "showlegend": False,
        "dragmode": False,
    }
    layout.update(more)
    return layout


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """Return a quiet axis with a light grid."""
    found: dict[str, Any] = {
        "title": {"text": title, "font": {"size": 13, "color": SOFT_INK}, "standoff": 10},
        "gridcolor": LINE,
        "zeroline": False,
        "showline": False,
        "ticks": "",
        "fixedrange": True,
        "automargin": False,
        "tickangle": 0,
    }
    found.update(more)
    return found


def log2_axis(
    low: float, high: float, title: str, *, beside: bool = False, **more: Any
) -> dict[str, Any]:
    """Axis of log2 changes, each tick with its factor beneath or ``beside`` it."""
    ticks = log2_ticks(low, high)
    form = "{} ({})" if beside else "{}<br><span style='font-size:11px'>{}</span>"
    text = [form.format(tick_text(t), fold_tick(t)) for t in ticks]
    zero = {"zeroline": True, "zerolinecolor": SOFT_INK, "zerolinewidth": 1.2}
    return axis(title, range=[low, high], tickvals=ticks, ticktext=text, **zero, **more)


def log2_ticks(low: float, high: float) -> list[float]:
    """Round places between two ends, zero among them if it lies between."""
    step = next(
        (s for s in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0) if (high - low) / s <= TICKS_AT_MOST), 16.0
    )
    return [k * step for k in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def tick_text(value: float) -> str:
    """Write a tick: no sign for zero, no needless decimals."""
    text = f"{abs(value):g}"
    return text if value == 0 else (MINUS if value < 0 else "+") + text


def fold_tick(value: float) -> str:
    """Write the factor of a tick, two digits and a multiplication sign."""
    factor = 2.0**value
    return f"{factor:.0f}{TIMES}" if factor >= 9.95 else f"{factor:.2g}{TIMES}"


def reach(values: Iterable[float], least: float = 0.5) -> tuple[float, float]:
    """Find the ends of an axis that holds all finite values and zero, with a margin."""
    finite = [float(v) for v in values if isfinite(v)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    margin = 0.06 * (high - low)
    return round(min(low - margin, -least), 3), round(max(high + margin, least), 3)


def region_hover(name: str, acronym: str) -> str:
    """First line of a region's hover text."""
    title = name if name == acronym else f"{name} ({acronym})"
    return f"<b>{escape(title)}</b>"


def effect_hover(label: str, row: Any, estimand: str) -> str:
    """Lines of an effect: estimate, interval, factor, q."""
    value, low, high, q = (
        getattr(row, f"{estimand}_{x}") for x in ("estimate", "low", "high", "q")
    )
    return (
        f"{label}: {signed(value)} log2 ({fold(value)})<br>"
        f"95 % interval {interval(low, high)}<br>{equation('q', q)}"
    )


def caption(text: str, x: float, y: float = 1.0, **more: Any) -> dict[str, Any]:
    """Heading of a panel, in paper coordinates, above the panel."""
    found: dict[str, Any] = {
        "text": text, "x": x, "y": y, "xref": "paper", "yref": "paper", "xanchor": "left",
        "yanchor": "bottom", "showarrow": False, "yshift": 8, "font": {"size": 14, "color": INK},
    }  # fmt: skip
    found.update(more)
    return found
