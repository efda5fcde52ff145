"""Figures of the regions of one comparison: forest, volcano, animals."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd

from ketamap.report.axes import (
    Figure,
    axis,
    base_layout,
    caption,
    log2_axis,
    reach,
)
from ketamap.report.comparisons import BOTH, Comparison, records
from ketamap.report.groups import Groups, plain_numbers, spread
from ketamap.report.palette import INK, SOFT_INK, direction_mark, group_colours
from ketamap.report.words import shortened, signed

FOREST_LEAST, FOREST_MOST = 12, 30
"""Regions in a forest: all that were called, within these bounds."""

MULTIPLES = 12
"""Regions whose animals are shown one panel each."""

LABELS = 14
"""Regions named in a volcano, strongest evidence first, where there is room."""

LABEL_ROOM = (0.07, 0.055)
"""Least distance of two names, as a share of the panel's width and height."""

BARS = 40
"""Regions whose intervals are drawn in a volcano, strongest evidence first."""

SMALLEST_P = 1e-16
"""Where the volcano's vertical axis ends: below it p values are not told apart."""

CROWDED = 5
"""Groups from which marks are drawn smaller."""

PANELS = {"relative": (0.0, 0.47), "absolute": (0.53, 1.0)}
TITLES = {
    "relative": "<b>Relative</b> effect",
    "absolute": "<b>Absolute</b> effect",
}


def top_regions(comparison: Comparison) -> pd.DataFrame:
    """Regions for the forest, strongest evidence first."""
    tested = comparison.tested
    called = int((tested["relative_called"] | tested["absolute_called"]).sum())
    return tested.head(min(max(FOREST_LEAST, called), FOREST_MOST))


def forest(comparison: Comparison) -> Figure | None:
    """Draw the top regions, relative left and absolute right, with 95 % intervals."""
    top = top_regions(comparison)
    if top.empty:
        return None
    ends = top[[f"{e}_{x}" for e in BOTH for x in ("low", "high", "estimate")]].to_numpy()
    low, high = reach(ends.ravel())
    rows = list(range(len(top)))
    data = [_forest_panel(top, estimand, at) for at, estimand in enumerate(BOTH, start=1)]
    layout = base_layout(112 + 23 * len(top), margin={"l": 264, "r": 12, "t": 40, "b": 66})
    for at, estimand in enumerate(BOTH, start=1):
        layout[f"xaxis{at if at > 1 else ''}"] = log2_axis(
            low, high, "log2 change (factor beneath)", domain=PANELS[estimand], anchor="y"
        )
    labels = [_row_label(r.acronym, r.name) for r in records(top)]
    layout["yaxis"] = axis(tickvals=rows, ticktext=labels, range=[len(top) - 0.4, -0.6])
    layout["annotations"] = [caption(TITLES[e], PANELS[e][0]) for e in BOTH]
    return {"data": data, "layout": layout}


def volcano(comparison: Comparison) -> Figure | None:
    """Draw estimate against p for all tested regions; called ones carry their interval."""
    tested = comparison.tested
    if tested.empty:
        return None
    low, high = reach(_volcano_ends(tested))
    layout = base_layout(430, margin={"l": 62, "r": 12, "t": 40, "b": 66})
    layout["annotations"] = [caption(TITLES[e], PANELS[e][0]) for e in BOTH]
    layout["shapes"] = []
    data: list[Figure] = []
    for at, estimand in enumerate(BOTH, start=1):
        suffix = str(at) if at > 1 else ""
        data += _volcano_panel(tested, estimand, suffix)
        layout[f"xaxis{suffix}"] = log2_axis(
            low, high, "log2 change (factor beneath)", domain=PANELS[estimand], anchor="y"
        )
        cut = tested.loc[tested[f"{estimand}_called"], f"{estimand}_p"].max()
        if np.isfinite(cut):
            layout["shapes"].append(_cut_line(_height(cut), suffix))
    layout["yaxis"] = axis(
        "strength of evidence, \N{MINUS SIGN}log10 p", range=_volcano_heights(tested)
    )
    return {"data": data, "layout": layout}


def animal_multiples(
    comparison: Comparison, relative: pd.DataFrame, groups: Groups
) -> Figure | None:
    """Draw every animal in the top regions, one small panel per region.

    Parameters
    ----------
    comparison
        Decides which regions are shown.
    relative
        Region x animal, log2; each region is shown about its own mean over animals.
    groups
        Gives the horizontal places and the colours.
    """
    top = comparison.tested.head(MULTIPLES)
    top = top[top["region_id"].isin(relative.index)]
    if top.empty:
        return None
    columns = 4
    lines = -(-len(top) // columns)
    layout = base_layout(20 + 172 * lines, margin={"l": 62, "r": 12, "t": 8, "b": 12})
    layout["annotations"] = []
    data: list[Figure] = []
    centred = relative.loc[top["region_id"]].sub(
        relative.loc[top["region_id"]].mean(axis=1), axis=0
    )
    low, high = reach(centred.to_numpy().ravel())
    for k, row in enumerate(records(top)):
        suffix = str(k + 1) if k else ""
        line, column = divmod(k, columns)
        data += _animals_panel(row, centred.loc[row.region_id], groups, suffix)
        width, height = 1 / columns, 1 / lines
        x = [column * width + (0.0 if column == 0 else 0.014), (column + 1) * width - 0.012]
        y = [1 - (line + 1) * height + 0.03 * height, 1 - line * height - 0.24 * height]
        places: dict[str, Any] = {
            "range": [-0.6, len(groups.names) - 0.4],
            "showgrid": False,
            "anchor": f"y{suffix}",
        }
        layout[f"xaxis{suffix}"] = axis(domain=x, showticklabels=False, **places)
        layout[f"yaxis{suffix}"] = axis(
            "log2, about the mean" if column == 0 else "", domain=y, range=[low, high],
            nticks=4, anchor=f"x{suffix}", showticklabels=column == 0, zeroline=True,
            zerolinecolor="#c4c9d0",
        )  # fmt: skip
        layout[f"yaxis{suffix}"]["title"]["font"]["size"] = 11
        layout["annotations"].append(_panel_caption(row, x[0], y[1]))
    return {"data": data, "layout": layout}


def _forest_panel(top: pd.DataFrame, estimand: str, at: int) -> Figure:
    e = {x: top[f"{estimand}_{x}"] for x in ("estimate", "low", "high", "called")}
    colours = [direction_mark(v, called=c) for v, c in zip(e["estimate"], e["called"], strict=True)]
    # plotly takes one colour for all bars of a trace: the interval is drawn in ink,
    # the mark carries the direction, hollow where the region was not called.
    return {
        "type": "scatter",
        "mode": "markers",
        "x": plain_numbers(e["estimate"]),
        "y": list(range(len(top))),
        "xaxis": f"x{at if at > 1 else ''}",
        "yaxis": "y",
        "customdata": [int(i) for i in top["region_id"]],
        "marker": {
            "size": 10,
            "color": [
                c if called else "#ffffff" for c, called in zip(colours, e["called"], strict=True)
            ],
            "line": {"color": colours, "width": 2},
        },
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": plain_numbers(e["high"] - e["estimate"]),
            "arrayminus": plain_numbers(e["estimate"] - e["low"]),
            "color": SOFT_INK,
            "thickness": 1.4,
            "width": 0,
        },
        "hoverinfo": "text",
    }


def _volcano_panel(tested: pd.DataFrame, estimand: str, suffix: str) -> list[Figure]:
    shown = tested[tested[f"{estimand}_p"].notna() & tested[f"{estimand}_estimate"].notna()]
    called = shown[f"{estimand}_called"].to_numpy(dtype=bool)
    axes = {"xaxis": f"x{suffix}", "yaxis": "y"}
    points = {
        **axes,
        "type": "scatter",
        "mode": "markers+text",
        "x": plain_numbers(shown[f"{estimand}_estimate"]),
        "y": plain_numbers(_height(shown[f"{estimand}_p"])),
        "customdata": [int(i) for i in shown["region_id"]],
        "text": _labels(shown, estimand),
        "textposition": "top center",
        "textfont": {"size": 11, "color": INK},
        "cliponaxis": False,
        "marker": {
            "size": [9 if c else 6 for c in called],
            "opacity": [1.0 if c else 0.55 for c in called],
            "color": [
                direction_mark(v, called=bool(c))
                for v, c in zip(shown[f"{estimand}_estimate"], called, strict=True)
            ],
        },
        "hoverinfo": "text",
    }
    mine = shown[called].nsmallest(BARS, f"{estimand}_p")
    bars = {
        **axes,
        "type": "scatter",
        "mode": "lines",
        "x": [v for r in mine[[f"{estimand}_low", f"{estimand}_high"]].to_numpy()
              for v in (*plain_numbers(r), None)],
        "y": [v for h in plain_numbers(_height(mine[f"{estimand}_p"])) for v in (h, h, None)],
        "line": {"color": "rgba(91,99,110,0.28)", "width": 1.2},
        "hoverinfo": "skip",
    }  # fmt: skip
    return [bars, points]


def _volcano_heights(tested: pd.DataFrame) -> list[float]:
    top = _height(tested[[f"{e}_p" for e in BOTH]].min().min())
    top = max(float(np.nan_to_num(top)), 1.0)
    return [round(-0.04 * top, 3), round(1.1 * top, 3)]


def _volcano_ends(tested: pd.DataFrame) -> list[float]:
    """Values the axis must hold: all estimates, and the intervals of called regions."""
    ends: list[float] = []
    for e in BOTH:
        called = tested[tested[f"{e}_called"]]
        ends += [*tested[f"{e}_estimate"], *called[f"{e}_low"], *called[f"{e}_high"]]
    return ends


def _animals_panel(row: Any, values: pd.Series[float], groups: Groups, suffix: str) -> list[Figure]:
    """Dots of all animals and the means of their groups, one trace each."""
    colours = group_colours(groups.names)
    x: list[float] = []
    y: list[float] = []
    who: list[int] = []
    order = list(groups.of_animal)
    means: dict[int, float] = {}
    for place, group in enumerate(groups.names):
        mine = values[groups.members(group)].dropna()
        if mine.empty:
            continue
        means[place] = float(mine.mean())
        x += [round(place + dx, 3) for dx in spread(len(mine))]
        y += [float(v) for v in mine]
        who += [order.index(str(a)) for a in mine.index]
    of = list(groups.of_animal.values())
    axes = {"type": "scatter", "mode": "markers", "xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
    bars = {
        **axes,
        "x": list(means),
        "y": plain_numbers(list(means.values()), 3),
        "marker": {
            "symbol": "line-ew",
            "size": 13 if len(groups.names) > CROWDED else 22,
            "line": {"width": 2.5, "color": [colours[groups.names[k]] for k in means]},
        },
        "hoverinfo": "skip",
    }
    dots = {
        **axes,
        "x": x,
        "y": plain_numbers(y, 3),
        "meta": {"region": int(row.region_id), "animals": who},
        "marker": {
            "size": 5.5 if len(groups.names) > CROWDED else 7.5,
            "color": [colours[of[k]] for k in who],
            "opacity": 0.85,
        },
        "hoverinfo": "text",
    }
    return [bars, dots]


def _panel_caption(row: Any, x: float, y: float) -> dict[str, Any]:
    value = (
        f"{signed(row.relative_estimate)} [{signed(row.relative_low)}, {signed(row.relative_high)}]"
    )
    text = f"<b>{escape(row.acronym)}</b><br><span style='color:{SOFT_INK}'>{value}</span>"
    return caption(text, x, y, yshift=1, font={"size": 12, "color": INK})


def _labels(shown: pd.DataFrame, estimand: str) -> list[str]:
    """Names of the called regions with the strongest evidence, those that would overlap left out."""
    x, y = shown[f"{estimand}_estimate"], _height(shown[f"{estimand}_p"])
    room_x, room_y = (
        r * (float(np.ptp(v)) or 1.0) for r, v in zip(LABEL_ROOM, (x, y), strict=True)
    )
    called = shown[shown[f"{estimand}_called"]].nsmallest(LABELS, f"{estimand}_p").index
    named: list[int] = []
    for at in called:
        if all(abs(x[at] - x[b]) > room_x or abs(y[at] - y[b]) > room_y for b in named):
            named.append(at)
    return [escape(shown.loc[at, "acronym"]) if at in named else "" for at in shown.index]


def _height(p: Any) -> Any:
    return -np.log10(np.maximum(p, SMALLEST_P))


def _cut_line(height: float, suffix: str) -> dict[str, Any]:
    return {
        "type": "line", "xref": f"x{suffix} domain", "yref": "y", "x0": 0, "x1": 1,
        "y0": round(float(height), 4), "y1": round(float(height), 4),
        "line": {"color": SOFT_INK, "width": 1, "dash": "dot"},
    }  # fmt: skip


def _row_label(acronym: str, name: str) -> str:
    if name == acronym:
        return f"<b>{escape(shortened(acronym, 32))}</b>"
    rest = escape(shortened(name, 33 - len(acronym)))
    return f"<span style='color:{SOFT_INK}'>{rest}</span>  <b>{escape(acronym)}</b>"
