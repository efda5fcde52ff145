"""A simulated and a measured cohort side by side: match their contrasts and regions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ketamap.core.atlas import Structures
from ketamap.core.errors import InputError, MissingInputError
from ketamap.core.measures import in_order
from ketamap.core.tables import ANIMALS, EFFECTS, PLANTED_EFFECTS
from ketamap.io.files import replacing
from ketamap.io.manifests import read_json
from ketamap.io.tables import read_table
from ketamap.report.simulation_beside import (
    COHORTS,
    ENCODED,
    NOTHING,
    PARTLY,
    ROW_COLUMNS,
    BesideReport,
    Pair,
    agreement,
)
from ketamap.report.simulation_beside_render import render_beside
from ketamap.simulate.study import StudyGroup
from ketamap.workflow.analysis import ANALYSIS, TRUTH
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.manifest import versions

BESIDE = "beside.html"
"""The page, in the folder of the simulated study."""

BESIDE_TABLE = "beside.csv"
"""The same numbers as a table."""

RESULT = "analysis"
"""Folder of the analysis within a simulated study."""

DRUG = "ketamine"
"""What simulated mice get."""

_NUMBERS = {"estimate_log2": "estimate", "ci_low_log2": "low", "ci_high_log2": "high",
            "se_log2": "se", "q": "q"}  # fmt: skip
_CONTRAST = re.compile(r"([\d.]+) mg/kg vs (?:vehicle|0 mg/kg)(?:, (\d+) d)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideResult:
    """What a comparison of two cohorts left behind."""

    page: Path
    """The page."""

    table: Path
    """The rows behind it, as CSV."""

    lines: tuple[str, ...]
    """What agrees, one sentence per pair."""

    unmatched: tuple[str, ...]
    """Contrasts that were not compared, each with the reason."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Cohort:
    side: str
    folder: Path
    about: Mapping[str, Any]
    effects: pd.DataFrame
    animals: pd.DataFrame

    @property
    def contrasts(self) -> list[tuple[str, str]]:
        """Measure and contrast, each once, in order."""
        rows = self.effects[["measure", "contrast"]].drop_duplicates()
        pairs = [(str(m), str(c)) for m, c in rows.itertuples(index=False, name=None)]
        order = in_order(m for m, _ in pairs)
        return sorted(pairs, key=lambda pair: order.index(pair[0]))


def beside(
    simulated: Path,
    measured: Path,
    *,
    out: Path | None = None,
    match: Mapping[str, str] | None = None,
    title: str | None = None,
) -> BesideResult:
    """Set a simulated study beside a measured one, region by region.

    Parameters
    ----------
    simulated
        Folder written by `simulate_study`.
    measured
        Folder written by `ketamap run` or `ketamap analyse`.
    out
        Folder to write ``beside.html`` and ``beside.csv``; left out: the simulated study's.
    match
        Measured contrast to simulated contrast, for names that do not say dose and days
        (``{"treated vs control": "100 mg/kg vs vehicle, 10 d"}``).
    title
        Of the page.

    Raises
    ------
    MissingInputError
        If a folder holds no analysis.
    InputError
        If a matched name does not exist, no contrast has dose and days in common with the
        other cohort, or no region does.
    """
    ours, theirs = _open("simulated", simulated), _open("measured", measured)
    pairs, unmatched = _pairs(ours, theirs, match or {})
    atlas = open_atlas(str(ours.about["atlas"]))
    tree = atlas.structures
    planted = pd.read_csv(simulated / "planted.csv")
    truth = read_table(ours.folder / TRUTH, PLANTED_EFFECTS)
    labels = _labels(truth, planted, tree, ours)
    frames = [_rows(pair, ours, theirs, labels, tree) for pair in pairs]
    rows = pd.concat(frames, ignore_index=True)
    if rows.empty:
        msg = (
            f"{measured} and the simulated study have no region in common: its regions are "
            f"those of {theirs.about['atlas']}, the simulated ones of {ours.about['atlas']}."
        )
        raise InputError(msg)
    contents = BesideReport(
        title=title or f"{theirs.about['title']}, beside a simulation",
        pairs=tuple(pairs),
        rows=rows,
        shifts=_shifts(pairs, ours, theirs),
        only=_only(ours, theirs, labels),
        unmatched=tuple(unmatched),
        about={one.side: _about(one) for one in (ours, theirs)},
        alpha=float(theirs.about["alpha"]),
        versions=versions(),
    )
    folder = out or simulated
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / BESIDE) as temporary:
        temporary.write_text(render_beside(contents), encoding="utf-8")
    with replacing(folder / BESIDE_TABLE) as temporary:
        _named(rows, pairs).to_csv(temporary, index=False)
    return BesideResult(
        page=folder / BESIDE,
        table=folder / BESIDE_TABLE,
        lines=tuple(_line(contents, pair) for pair in pairs),
        unmatched=tuple(unmatched),
    )


def parse_match(texts: Sequence[str]) -> dict[str, str]:
    """Read ``MEASURED=SIMULATED`` texts.

    Raises
    ------
    InputError
        If a text has no equals sign.
    """
    found = {}
    for text in texts:
        measured, sign, simulated = text.partition("=")
        if not (sign and measured.strip() and simulated.strip()):
            msg = (
                f"--match {text!r}: write the measured contrast, an equals sign and the simulated "
                f"one, as in --match 'treated vs control=100 mg/kg vs vehicle, 10 d'."
            )
            raise InputError(msg)
        found[measured.strip()] = simulated.strip()
    return found


def _open(side: str, folder: Path) -> _Cohort:
    inner = folder / RESULT if side == "simulated" else folder
    needs = [ANALYSIS, "effects.parquet", "animals.csv", *([TRUTH] if side == "simulated" else [])]
    missing = [name for name in needs if not (inner / name).exists()]
    if missing:
        verb = {
            "simulated": "ketamap simulate study",
            "measured": "ketamap run' or 'ketamap analyse",
        }
        msg = (
            f"{folder} holds no {side} cohort (no {', '.join(missing)}). Give a folder written by "
            f"'{verb[side]}'."
        )
        raise MissingInputError(msg)
    return _Cohort(
        side=side,
        folder=inner,
        about=read_json(inner / ANALYSIS),
        effects=read_table(inner / "effects.parquet", EFFECTS),
        animals=read_table(inner / "animals.csv", ANIMALS),
    )


def _pairs(
    ours: _Cohort, theirs: _Cohort, match: Mapping[str, str]
) -> tuple[list[Pair], list[str]]:
    """Pair contrasts of equal dose and days, and those matched by name; others with reasons."""
    _check_match(ours, theirs, match)
    designs = {_design_of(contrast, ours): contrast for _, contrast in ours.contrasts}
    have = set(ours.contrasts)
    pairs: list[Pair] = []
    unmatched: list[str] = []
    used: set[tuple[str, str]] = set()
    for measure, contrast in theirs.contrasts:
        partner, how = _partner(contrast, theirs, designs, match)
        if partner and (measure, partner) in have:
            used.add((measure, partner))
            pairs.append(
                Pair(key=f"b{len(pairs)}", measure=measure, simulated=partner, measured=contrast,
                     how=how)
            )  # fmt: skip
        else:
            reason = how if not partner else f"the simulation holds no {measure}"
            unmatched.append(f"{contrast} ({measure}, measured only): {reason}")
    unmatched += [
        f"{contrast} ({measure}, simulated only)" for measure, contrast in ours.contrasts
        if (measure, contrast) not in used
    ]  # fmt: skip
    if not pairs:
        listed = "".join(f"\n  - {one}" for one in unmatched)
        msg = (
            "The designs do not match: no contrast has its dose and days in both cohorts."
            f"{listed}\nSimulate the measured doses and days, or say which contrasts belong "
            "together with --match 'MEASURED=SIMULATED'."
        )
        raise InputError(msg)
    return pairs, unmatched


def _check_match(ours: _Cohort, theirs: _Cohort, match: Mapping[str, str]) -> None:
    for names, cohort in ((match.keys(), theirs), (match.values(), ours)):
        known = list(dict.fromkeys(c for _, c in cohort.contrasts))
        for name in names:
            if name not in known:
                msg = (
                    f"--match: the {cohort.side} cohort has no contrast {name!r}; it has "
                    f"{'; '.join(known)}."
                )
                raise InputError(msg)


def _partner(
    contrast: str,
    theirs: _Cohort,
    designs: Mapping[tuple[float, int] | None, str],
    match: Mapping[str, str],
) -> tuple[str, str]:
    """Return the simulated contrast that belongs to a measured one, and why; or why none."""
    if contrast in match:
        return match[contrast], "Matched by name (--match); dose and days were not compared."
    drugs = _values(theirs.animals, "drug") - {"vehicle", "saline", "control", "none", ""}
    if drugs and drugs != {DRUG}:
        return "", f"the drug is {', '.join(sorted(drugs))}, not {DRUG}"
    design = _design_of(contrast, theirs)
    if design is None:
        return "", "its name and the animals table do not say one dose in mg/kg and its days"
    if design not in designs:
        return "", f"no simulated mice got {design[0]:g} mg/kg for {design[1]} d"
    return designs[design], f"Dose and days are equal ({design[0]:g} mg/kg, {design[1]} d)."


def _design_of(contrast: str, cohort: _Cohort) -> tuple[float, int] | None:
    """Dose in mg/kg and days of a contrast with vehicle, from its name and the animals."""
    found = _CONTRAST.fullmatch(contrast)
    if found is None:
        return None
    if found[2]:
        return float(found[1]), int(found[2])
    days = _values(cohort.animals, "days")
    return (float(found[1]), int(float(next(iter(days))))) if len(days) == 1 else None


def _values(animals: pd.DataFrame, column: str) -> set[str]:
    if column not in animals.columns:
        return set()
    return {str(value).strip().lower() for value in animals[column].dropna().unique()}


def _labels(
    truth: pd.DataFrame, planted: pd.DataFrame, tree: Structures, ours: _Cohort
) -> pd.DataFrame:
    """Label every simulated region: what was put in, with its sources."""
    sources = {
        (str(row["measure"]), str(row["group"]), int(row["region_id"])): str(row["source_rows"])
        for row in planted.to_dict("records")
    }
    designs = {str(c): _design_of(str(c), ours) for c in truth["contrast"].unique()}

    def cited(measure: str, contrast: str, region: int) -> str:
        design = designs[contrast]
        if design is None:
            return ""
        group = StudyGroup(dose_mg_per_kg=design[0], days=design[1]).label
        chain = (region, *tree.ancestors(region)) if region in tree else (region,)
        return next((sources[measure, group, i] for i in chain if (measure, group, i) in sources),
                    "")  # fmt: skip

    changed = truth["planted_log2"] != 0.0
    places = zip(truth["measure"], truth["contrast"], truth["region_id"], changed, strict=True)
    return truth.assign(
        label=np.where(changed, ENCODED, NOTHING),
        sources=[cited(str(m), str(c), int(i)) if yes else "" for m, c, i, yes in places],
    )[["measure", "contrast", "region_id", "planted_log2", "label", "sources"]]


def _rows(
    pair: Pair, ours: _Cohort, theirs: _Cohort, labels: pd.DataFrame, tree: Structures
) -> pd.DataFrame:
    """Return the regions of a pair that both cohorts have."""
    left = _wide(ours, pair.measure, pair.simulated)
    right = _wide(theirs, pair.measure, pair.measured)
    both = left.merge(right.drop(columns="acronym"), on="region_id")
    mine = labels[(labels["measure"] == pair.measure) & (labels["contrast"] == pair.simulated)]
    both = both.merge(mine[["region_id", "planted_log2", "label", "sources"]], "left", "region_id")
    both["label"] = both["label"].fillna(PARTLY)
    both["sources"] = both["sources"].fillna("")
    both["name"] = [
        tree.name_of(int(i)) if int(i) in tree else str(a)
        for i, a in zip(both["region_id"], both["acronym"], strict=True)
    ]
    both["key"] = pair.key
    return both


def _wide(cohort: _Cohort, measure: str, contrast: str) -> pd.DataFrame:
    """Return one row per region with relative and absolute numbers of a cohort."""
    rows = cohort.effects
    rows = rows[(rows["measure"] == measure) & (rows["contrast"] == contrast)]
    found = rows.loc[rows["estimand"] != "shift", ["region_id", "acronym"]].drop_duplicates()
    for estimand in ("relative", "absolute"):
        part = rows[rows["estimand"] == estimand]
        named = part[["region_id", *_NUMBERS]].rename(
            columns={k: f"{cohort.side}_{estimand}_{v}" for k, v in _NUMBERS.items()}
        )
        found = found.merge(named, on="region_id", how="left")
    tested = rows.loc[(rows["estimand"] == "relative") & rows["testable"], "region_id"]
    found[f"{cohort.side}_testable"] = found["region_id"].isin(tested)
    return found


def _shifts(pairs: Sequence[Pair], ours: _Cohort, theirs: _Cohort) -> pd.DataFrame:
    rows = []
    for pair in pairs:
        row: dict[str, object] = {"key": pair.key}
        for cohort, contrast in ((ours, pair.simulated), (theirs, pair.measured)):
            table = cohort.effects
            one = table[(table["estimand"] == "shift") & (table["measure"] == pair.measure)
                        & (table["contrast"] == contrast)]  # fmt: skip
            for column in ("estimate_log2", "ci_low_log2", "ci_high_log2"):
                value = float(one[column].iloc[0]) if len(one) else float("nan")
                row[f"{cohort.side}_{_NUMBERS[column]}"] = value
        rows.append(row)
    return pd.DataFrame(rows)


def _only(ours: _Cohort, theirs: _Cohort, labels: pd.DataFrame) -> pd.DataFrame:
    """Return regions that one cohort lacks, for measures that both have."""
    rows = []
    for measure in in_order({m for m, _ in ours.contrasts} & {m for m, _ in theirs.contrasts}):
        regions = [_regions(cohort, measure) for cohort in (ours, theirs)]
        encoded = set(labels.loc[(labels["measure"] == measure) & (labels["label"] == ENCODED),
                                 "region_id"])  # fmt: skip
        for side, mine, other in zip(COHORTS, regions, reversed(regions), strict=True):
            rows += [
                (measure, side, acronym, ENCODED if region in encoded else NOTHING)
                for region, acronym in mine.items()
                if region not in other
            ]
    return pd.DataFrame(rows, columns=["measure", "side", "acronym", "label"])


def _regions(cohort: _Cohort, measure: str) -> dict[int, str]:
    rows = cohort.effects
    rows = rows[(rows["measure"] == measure) & (rows["estimand"] != "shift")]
    pairs = rows[["region_id", "acronym"]].drop_duplicates()
    return {int(i): str(a) for i, a in pairs.itertuples(index=False, name=None)}


def _about(cohort: _Cohort) -> tuple[str, ...]:
    groups = ", ".join(f"{n} {name}" for name, n in cohort.about["n_per_group"].items())
    lines = [f"{cohort.about['title']}: {len(cohort.animals)} animals ({groups})."]
    if cohort.about["note"]:
        lines.append(str(cohort.about["note"]))
    return tuple(lines)


def _named(rows: pd.DataFrame, pairs: Sequence[Pair]) -> pd.DataFrame:
    """Return the rows with the names of their contrasts in front."""
    about = pd.DataFrame([(p.key, p.measure, p.simulated, p.measured) for p in pairs],
                         columns=["key", "measure", "simulated_contrast", "measured_contrast"])  # fmt: skip
    head = [name for name in ROW_COLUMNS if name != "key"]
    rest = [name for name in rows.columns if name not in ROW_COLUMNS]
    return about.merge(rows[["key", *head, *rest]], on="key").drop(columns="key")


def _line(report: BesideReport, pair: Pair) -> str:
    found = agreement(report.of(pair), report.alpha)
    head = f"{pair.measured} ({pair.measure}): {found.tested} regions in both"
    if not found.encoded:
        return f"{head}; nothing was put into this comparison."
    return (
        f"{head}; of {found.encoded} with an encoded direction {found.same_sign} have it in the "
        f"measured cohort ({found.encoded / 2:g} by chance), {found.called_same} of "
        f"{found.called} that are called."
    )
