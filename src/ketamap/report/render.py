"""Put the page together."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ketamap.core.measures import measure_of
from ketamap.report import palette
from ketamap.report.axes import Figure
from ketamap.report.brain_maps import colour_limit, draw_brain, fill_slices
from ketamap.report.comparisons import Comparison, comparisons_of
from ketamap.report.contents import StudyReport
from ketamap.report.dosing import dose_sections
from ketamap.report.effect_rows import (
    effect_rows,
    effects_csv,
    regions_payload,
    shrunken_quality,
)
from ketamap.report.efficiency import efficiency_rows, efficiency_warnings
from ketamap.report.groups import VALUES_SHOWN, Groups, groups_of, wide_values
from ketamap.report.headline import finding_of
from ketamap.report.methods import methods_paragraphs
from ketamap.report.quality import balance_rows, brain_cards
from ketamap.report.quality_figures import registration_outliers
from ketamap.report.region_figures import animal_multiples, forest, volcano
from ketamap.report.second_opinions import opinions_of
from ketamap.report.shift_figures import factor_dots, factors_of, shift_forest
from ketamap.report.traces import axon_rows, traced_regions
from ketamap.report.truth import truth_checks
from ketamap.report.words import estimate, fold, listing, number, plural, probability, signed

SECTIONS = {
    "headline": "In short",
    "shift": "Brain-wide shift",
    "dose": "Dose and duration",
    "regions": "Ranked regions",
    "volcano": "All regions at a glance",
    "opinions": "By division and by permutation",
    "maps": "Brain maps",
    "table": "All effects",
    "axons": "Axons as traced",
    "quality": "Quality, brain by brain",
    "warnings": "Warnings",
    "truth": "Truth beside the answer",
    "methods": "Methods",
    "versions": "Versions and settings",
}
"""Anchor to title, in the order of the page; some only where there is something to show."""

SCRIPTS = ("regions.js", "doses.js", "report.js")
"""Scripts of the page, in the order they run."""

FEW_COMPARISONS = 3
"""Up to so many comparisons stand one below the other; more are shown one at a time."""


def render_report(report: StudyReport) -> str:
    """Return the page: HTML that opens from disk and asks the network for nothing.

    Equal inputs give equal text: there is no date and nothing random in it.

    Parameters
    ----------
    report
        What to show; parts that are missing are named as missing.

    Returns
    -------
    str
        One HTML document with its styles, scripts and pictures inside.
    """
    groups = groups_of(report)
    comparisons = comparisons_of(report)
    checks = truth_checks(report.truth, comparisons)
    figures = _figures(report, comparisons, groups)
    figures |= {f"truth-{check.key}": check.figure for check in checks}
    doses = dose_sections(report, comparisons)
    opinions = opinions_of(report, comparisons)
    axons = axon_rows(report.brains, groups)
    absent = {
        name
        for name, there in (
            ("truth", report.truth is not None),
            ("dose", bool(doses)),
            ("opinions", bool(opinions)),
            ("axons", bool(axons)),
        )
        if not there
    }
    uneven = efficiency_rows(report.brains, groups)
    payload = regions_payload(report, comparisons, groups)
    payload |= {
        "alpha": report.alpha,
        "measures": measures_in_words(comparisons),
        "groupColours": list(palette.group_colours(groups.names).values()),
        "doseColours": list(palette.GROUPS[1:]),
        "doses": {d.measure: d.payload for d in doses},
    }
    context = {
        "report": report,
        "groups": groups,
        "sections": {k: v for k, v in SECTIONS.items() if k not in absent},
        "many": len(comparisons) > FEW_COMPARISONS,
        "first": first_shown(comparisons),
        "doses": doses,
        "opinions": opinions,
        "comparisons": comparisons,
        "measures": measures_in_words(comparisons),
        "leveled": [k.removeprefix("factors-") for k in figures if k.startswith("factors-")],
        "shrunken": shrunken_quality(report),
        "compared": compared_in_words(report, comparisons),
        "findings": [finding_of(c, report.alpha) for c in comparisons],
        "figures": figures,
        "brain": _maps(report, comparisons),
        "rows": effect_rows(report, comparisons, groups),
        "cards": brain_cards(report.brains, groups),
        "axons": axons,
        "traced": traced_regions(report.brains, groups, _names(report)),
        "balance": balance_rows(report.brains, groups),
        "efficiency": uneven,
        "further_warnings": efficiency_warnings(uneven),
        "checks": checks,
        "methods": methods_paragraphs(report, comparisons, groups),
        "settings": flat_settings(report.settings),
        "animal_columns": [str(c) for c in report.animals.columns],
        "animal_rows": _animal_rows(report.animals),
        "figures_json": script_json(figures),
        "acronyms": {int(i): named[0] for i, named in payload["regions"].items()},
        "payload_json": script_json(payload),
        "csv_json": script_json(packed(effects_csv(report.effects))),
    }
    return _environment().get_template("report.html").render(context)


def first_shown(comparisons: Sequence[Comparison]) -> str:
    """Key of the comparison to show first: most regions called, the last one at ties."""
    if not comparisons:
        return ""
    first = comparisons[0].measure
    mine = [c for c in comparisons if c.measure == first]
    return max(enumerate(mine), key=lambda at: (len(at[1].called("relative")), at[0]))[1].key


def compared_in_words(report: StudyReport, comparisons: Sequence[Comparison]) -> str:
    """Name the comparisons; doses and days once each where the design has both."""
    names = list(dict.fromkeys(c.contrast for c in comparisons))
    days = [] if report.cells.empty else sorted(set(report.cells["day"].dropna()))
    if len(days) < 2:
        return listing(names)
    doses = list(dict.fromkeys(name.split(" vs ")[0] for name in names))
    control = names[0].split(" vs ")[1].split(",")[0]
    return f"{listing(doses)} against {control} after {listing([f'{d:g}' for d in days])} days"


def packed(text: str) -> str:
    """Compress a text for the page: gzip, then base64; equal texts give equal packs."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode("ascii")


def measures_in_words(comparisons: Sequence[Comparison]) -> dict[str, str]:
    """Name what was compared, each measure once: its column value to its words."""
    return {m: measure_of(m).density for m in dict.fromkeys(c.measure for c in comparisons)}


def script_json(value: Any) -> Markup:
    """Write JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(sign, code)
    return Markup(text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def flat_settings(settings: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Write nested settings as ``outer.inner`` and its value."""
    rows: list[tuple[str, str]] = []
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += flat_settings(value, f"{name}.")
        else:
            rows.append((name, _plain(value)))
    return rows


def _figures(
    report: StudyReport, comparisons: tuple[Comparison, ...], groups: Groups
) -> dict[str, Figure]:
    made: dict[str, Figure | None] = {
        "shift": shift_forest(comparisons),
        "registrations": registration_outliers(report.brains, groups),
    }
    for measure in dict.fromkeys(c.measure for c in comparisons):
        factors = factors_of(report.animal_factors, measure)
        made[f"factors-{measure}"] = factor_dots(factors, groups)
    for c in comparisons:
        made[f"forest-{c.key}"] = forest(c)
        made[f"volcano-{c.key}"] = volcano(c)
        relative = wide_values(report, c.measure, VALUES_SHOWN["relative"], groups)
        made[f"animals-{c.key}"] = animal_multiples(c, relative, groups)
    return {name: figure for name, figure in made.items() if figure is not None}


def _maps(report: StudyReport, comparisons: tuple[Comparison, ...]) -> dict[str, Any] | None:
    if report.atlas is None or not comparisons:
        return None
    ids = sorted({int(i) for c in comparisons for i in c.regions["region_id"]})
    called = [int(i) for c in comparisons for i in c.called("relative")["region_id"]]
    drawing = draw_brain(report.atlas, ids, called)
    if drawing is None:
        return None
    limit = colour_limit(comparisons)
    tree = report.atlas.structures
    return {
        "drawing": drawing,
        "limit": limit,
        "ramp": [palette.effect_fill(limit * k / 10, limit) for k in range(-10, 11) if k],
        "filled": {c.key: fill_slices(drawing, c, limit) for c in comparisons},
        "hidden": [tree.acronym_of(i) for i in drawing.hidden if i in tree],
    }


def _names(report: StudyReport) -> dict[str, str]:
    tree = None if report.atlas is None else report.atlas.structures
    return {} if tree is None else dict(zip(tree.acronyms, tree.names, strict=True))


def _animal_rows(animals: pd.DataFrame) -> list[list[str]]:
    return [[_plain(v) for v in row] for row in animals.itertuples(index=False, name=None)]


def _plain(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(v) for v in value)
    return str(value)


def page_environment() -> Environment:
    """Return the template environment of every page: escaped, and strict about names."""
    environment = Environment(
        loader=PackageLoader("ketamap.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["zip"] = zip
    return environment


def _environment() -> Environment:
    environment = page_environment()
    templates = files("ketamap.report") / "templates"
    environment.globals.update(
        palette=palette,
        group_colours=palette.group_colours,
        plural=plural,
        number=number,
        listing=listing,
        signed=signed,
        estimate=estimate,
        fold=fold,
        probability=probability,
        script=Markup(
            "\n".join((templates / name).read_text(encoding="utf-8") for name in SCRIPTS)
        ),
        short=lambda measure: measure_of(measure).short,
        plotly=Markup(_plotly_js()),
    )
    return environment


def _plotly_js() -> str:
    """Return the plotting library's own file, as it comes with the Python package."""
    return (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
