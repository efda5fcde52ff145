"""From a region table to effects, and from a result folder to its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from ketamap.core.atlas import Atlas, Structures
from ketamap.core.errors import InputError, MissingInputError, TableError
from ketamap.core.settings import Design
from ketamap.core.study import Study
from ketamap.core.tables import (
    ANIMAL_FACTORS,
    ANIMALS,
    ANSWERS,
    EFFECTS,
    PLANTED_EFFECTS,
    REGIONS,
    VALUES,
)
from ketamap.io.files import replacing
from ketamap.io.manifests import read_json, write_json
from ketamap.io.overlays import load_overlays
from ketamap.io.registrations import load_quality
from ketamap.io.studies import read_design
from ketamap.io.tables import read_animals, read_any_table, read_table, write_table
from ketamap.io.trace_pictures import TRACE_PICTURES, load_trace_pictures
from ketamap.io.tracings import TRACE, load_trace_record
from ketamap.workflow.answers import FURTHER_TABLES, Answers, answer, rows_of
from ketamap.workflow.atlases import DEFAULT_ATLAS, open_atlas
from ketamap.workflow.manifest import MANIFEST, study_settings, versions
from ketamap.workflow.progress import Quiet, Reporter
from ketamap.workflow.shrinkage import SHRUNKEN, shrunken

if TYPE_CHECKING:
    from ketamap.report.contents import BrainQuality

ANALYSIS = "analysis.json"
"""What was analysed and how, in a result folder."""

LEAST_SHARE_KNOWN = 0.5
"""A table of which so many structures are in the default atlas is read with its tree."""

TRACING_FIGURES = (
    "threshold",
    "threshold_low",
    "threshold_high",
    "length_low_mm",
    "length_high_mm",
)
"""Figures of a trace that the report shows."""

TRUTH = "truth.parquet"
"""Planted effects of a phantom study, in its result folder."""


def analyse(
    table: Path,
    *,
    animals: Path,
    design: Path,
    out: Path,
    counts: Literal["own", "total"] | None = None,
    atlas: str | None = None,
    atlas_dir: Path | None = None,
    title: str | None = None,
    permutations: int | None = None,
    shrink: bool = False,
    reporter: Reporter | None = None,
) -> Answers:
    """Estimate and test the effects in a region table and write a report.

    Parameters
    ----------
    table
        Region table: ours, or one from elsewhere.
    animals
        Animals table.
    design
        Design, as YAML.
    out
        Folder to write.
    counts
        Whether a structure's row of a table from elsewhere includes its descendants;
        left out: found from the hierarchy.
    atlas
        Atlas whose structure tree and maps to use; left out: the tree in the table if it
        has one, else the phantom's.
    atlas_dir
        Folder with atlases in BrainGlobe's layout.
    title
        Of the report; left out: the table's name.
    permutations
        Of the second opinion on relative effects; left out: the design's number.
    shrink
        Also draw effects towards those of their division, for ranking (`ketamap[bayes]`).
    reporter
        Shows progress.
    """
    show = reporter or Quiet()
    _require_analysis_folder(out)
    atlas_dir = None if atlas_dir is None else atlas_dir.resolve()
    frame = read_any_table(table)
    plan = read_design(design)
    if permutations is not None:
        plan = replace(plan, permutations=permutations)
    who = read_animals(animals)
    reference = open_atlas(atlas or DEFAULT_ATLAS, atlas_dir=atlas_dir)
    with show.stage("analyse and report") as progress:
        result = _write_analysis(
            out,
            frame,
            who,
            plan,
            structures=reference.structures if atlas else _tree_for(frame, reference, counts),
            atlas_volumes=own_volumes_mm3(reference) if atlas else None,
            counts=counts,
            shrink=shrink,
            about={
                "title": title or table.name.split(".")[0],
                "note": "",
                "atlas": reference.name,
                "atlas_dir": None if atlas_dir is None else str(atlas_dir),
                "settings": {
                    "design": asdict(plan),
                    "counts": counts or "found from the hierarchy",
                },
            },
        )
        report(out)
        progress(1, 1)
    return result


def analyse_study(out: Path, study: Study) -> Answers:
    """Analyse the region table of a study folder and write its report."""
    reference = open_atlas(study.atlas, atlas_dir=study.atlas_dir)
    result = _write_analysis(
        out,
        read_table(out / "regions.parquet", REGIONS),
        read_animals(out / "animals.csv"),
        study.design,
        structures=reference.structures,
        counts=None,
        about={
            "title": study.name,
            "note": study.note,
            "atlas": study.atlas,
            "atlas_dir": None if study.atlas_dir is None else str(study.atlas_dir),
            "settings": study_settings(study),
        },
    )
    report(out)
    return result


def report(folder: Path, *, atlas_dir: Path | None = None) -> Path:
    """Write ``report.html`` of a result folder from what lies in it.

    Parameters
    ----------
    folder
        Written by `ketamap.workflow.run` or `analyse`.
    atlas_dir
        Where the atlas is now; left out: where it was.

    Raises
    ------
    MissingInputError
        If the folder holds no analysis.
    """
    from ketamap.report import StudyReport, render_report

    if not (folder / ANALYSIS).exists():
        msg = (
            f"{folder} holds no analysis (no {ANALYSIS}). Give a folder written by "
            f"'ketamap run' or 'ketamap analyse'."
        )
        raise MissingInputError(msg)
    about = read_json(folder / ANALYSIS)
    atlas = _atlas_for_maps(about, atlas_dir)
    animals = read_table(folder / "animals.csv", ANIMALS)
    contents = StudyReport(
        title=about["title"],
        note=about["note"],
        design_text=tuple(about["design_text"]),
        animals=animals,
        effects=read_table(folder / "effects.parquet", EFFECTS),
        values=read_table(folder / "values.parquet", VALUES),
        animal_factors=read_table(folder / "animal_factors.parquet", ANIMAL_FACTORS),
        partition=about["partition"],
        warnings=tuple(about["warnings"]),
        alpha=about["alpha"],
        atlas=atlas,
        brains=_brains(folder, [str(name) for name in animals["animal"]]),
        cells=_dosed_cells(about.get("cells", [])),
        further=_further(folder),
        models=tuple(about.get("models", ())),
        truth=read_table(folder / TRUTH, PLANTED_EFFECTS) if (folder / TRUTH).exists() else None,
        versions=about["versions"],
        settings=about["settings"],
    )
    with replacing(folder / "report.html") as temporary:
        temporary.write_text(render_report(contents), encoding="utf-8")
    return folder / "report.html"


def _dosed_cells(cells: list[dict[str, Any]]) -> pd.DataFrame:
    """Return doses and days as numbers; a study of one duration has no day: NaN."""
    frame = pd.DataFrame(cells)
    return frame.astype({"dose": float, "day": float}) if cells else frame


def _further(folder: Path) -> dict[str, pd.DataFrame]:
    """Answers beside the effects that lie in a folder."""
    paths = {name: folder / f"{name}.parquet" for name in (*FURTHER_TABLES, SHRUNKEN)}
    return {name: read_table(p, ANSWERS) for name, p in paths.items() if p.exists()}


def _write_analysis(
    out: Path,
    frame: pd.DataFrame,
    animals: pd.DataFrame,
    design: Design,
    *,
    structures: Structures | None,
    counts: Literal["own", "total"] | None,
    atlas_volumes: Mapping[int, float] | None = None,
    shrink: bool = False,
    about: dict[str, Any],
) -> Answers:
    result = answer(
        frame,
        animals,
        design,
        structures=structures,
        counts=counts,
        atlas_volumes=atlas_volumes,
    )
    further = {name: result.further(name) for name in FURTHER_TABLES}
    notes: list[str] = []
    if shrink:
        further[SHRUNKEN], notes = shrunken(result, _trees(frame, result, structures))
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "effects.parquet", result.effects, EFFECTS)
    write_table(out / "values.parquet", result.values, VALUES)
    write_table(out / "animal_factors.parquet", result.animal_factors, ANIMAL_FACTORS)
    for name in (*FURTHER_TABLES, SHRUNKEN):
        found = further.get(name)
        if found is None:
            (out / f"{name}.parquet").unlink(missing_ok=True)
        else:
            write_table(out / f"{name}.parquet", found, ANSWERS)
    kept = animals[animals["animal"].isin(result.animal_factors["animal"])]
    write_table(out / "animals.csv", kept.reset_index(drop=True), ANIMALS)
    write_json(
        out / ANALYSIS,
        {
            **about,
            "design_text": _design_text(design, result),
            "partition": result.partition,
            "warnings": [*result.warnings, *notes],
            "alpha": design.alpha,
            "models": result.models,
            "cells": list(result.cells),
            "contrasts": list(result.contrasts),
            "n_per_group": dict(result.n_per_group),
            "versions": versions(),
        },
    )
    return result


def _trees(
    frame: pd.DataFrame, result: Answers, structures: Structures | None
) -> dict[str, Structures]:
    """Tree of each measure: the atlas's, else the one that its rows tell."""
    from ketamap.stats import structures_from_table
    from ketamap.stats.rows import with_plain_names

    table = with_plain_names(frame)
    return {
        name: structures_from_table(rows_of(table, name)) if structures is None else structures
        for name in result.measures
    }


def _tree_for(
    frame: pd.DataFrame, reference: Atlas, counts: Literal["own", "total"] | None
) -> Structures | None:
    """Choose the tree of a table: the atlas's, or the one the table itself tells (None).

    Raises
    ------
    TableError
        If the structures nest, as a row called root shows, and nothing says how.
    """
    if "parent_region_id" in frame.columns and frame["parent_region_id"].notna().any():
        return None
    if _share_known(frame, reference.structures) >= LEAST_SHARE_KNOWN:
        return reference.structures
    acronyms = frame["acronym"].astype(str) if "acronym" in frame.columns else pd.Series(dtype=str)
    if counts != "own" and "own" not in frame.columns and (acronyms.str.lower() == "root").any():
        msg = (
            "The table has a row called root, so its structures nest, but nothing says how. Name "
            "an atlas with --atlas, add a column parent_region_id, or say --counts own if no row "
            "includes another."
        )
        raise TableError(msg)
    return None


def _share_known(frame: pd.DataFrame, tree: Structures) -> float:
    """Share of a table's structures that a tree has, by id or, without ids, by acronym."""
    if "region_id" in frame.columns and frame["region_id"].notna().any():
        ids = pd.to_numeric(frame["region_id"], errors="coerce").dropna().astype("int64").unique()
        return float((tree.rows_of(ids[ids > 0]) >= 0).mean())
    if "acronym" in frame.columns:
        known = {acronym.lower() for acronym in tree.acronyms}
        return float(
            frame["acronym"].dropna().astype(str).str.lower().drop_duplicates().isin(known).mean()
        )
    return 0.0


def own_volumes_mm3(atlas: Atlas) -> dict[int, float]:
    """Volume of each structure itself in an atlas, both sides, mm3, by id."""
    ids, counts = np.unique(atlas.annotation[atlas.brain_mask], return_counts=True)
    volumes = counts * atlas.grid.voxel_volume_mm3
    return dict(zip(ids.tolist(), volumes.tolist(), strict=True))


def _require_analysis_folder(out: Path) -> None:
    """Refuse to write an analysis over anything but an earlier one.

    Raises
    ------
    InputError
        If ``out`` is a file, a study folder, or holds other files.
    """
    if out.is_file():
        msg = f"{out} is a file; --out needs a folder."
        raise InputError(msg)
    if not out.is_dir() or not any(out.iterdir()):
        return
    if (out / "ledger.sqlite").exists() or not (out / ANALYSIS).exists():
        msg = f"{out} holds something else than an analysis. Give a new folder with --out."
        raise InputError(msg)


def _design_text(design: Design, result: Answers) -> list[str]:
    lines = [
        f"Model: {result.formula}.",
        f"Regions are called at a false discovery rate of {design.alpha:g} (Benjamini-Hochberg).",
    ]
    if design.batch:
        lines.insert(1, f"Batch ({design.batch}) is in the model.")
    return lines


def _atlas_for_maps(about: dict[str, Any], atlas_dir: Path | None) -> Atlas:
    where = atlas_dir or about["atlas_dir"]
    return open_atlas(about["atlas"], atlas_dir=None if where is None else Path(where))


def _axons_of(animal: Path) -> dict[str, Any]:
    """Gather what the report says of one animal's axons; nothing where none were traced."""
    if not (animal / "axon_balance.json").exists():
        return {}
    balance = read_json(animal / "axon_balance.json")
    record = load_trace_record(animal / TRACE)
    return {
        "axon_balance": {k: v for k, v in balance.items() if k.endswith("_mm")},
        "saturated": tuple(balance["saturated"]),
        "tracing": {k: record[k] for k in TRACING_FIGURES},
        "traces": load_trace_pictures(animal / TRACE_PICTURES),
    }


def _covered(units: pd.DataFrame) -> float | None:
    """Part of the brain that an image shows: the root's, both sides alike."""
    root = units[units["acronym"] == "root"]
    if "covered_fraction" not in units or root.empty:
        return None
    return float(root["covered_fraction"].mean())


def _brains(folder: Path, animals: Sequence[str]) -> tuple[BrainQuality, ...]:
    """Gather the quality of each brain of a study folder; none for a bare table."""
    from ketamap.report.contents import BrainQuality
    from ketamap.report.efficiency import region_efficiencies

    seconds = read_json(folder / MANIFEST)["seconds"] if (folder / MANIFEST).exists() else {}
    brains = []
    for name in animals:
        one = folder / "animals" / name
        if not (one / "balance.json").exists():
            continue
        balance = read_json(one / "balance.json")
        regions = read_table(one / "regions.parquet", REGIONS)
        units = regions.drop_duplicates(["region_id", "hemisphere"])
        brains.append(
            BrainQuality(
                animal=one.name,
                quality=load_quality(one / "registration"),
                overlays=load_overlays(one / "registration"),
                balance=balance,
                n_cells=balance["detected"],
                volume_mm3=float(units.volume_own_mm3.sum()),
                covered=_covered(units),
                seconds=sum(by.get(one.name, 0.0) for by in seconds.values()),
                efficiency=region_efficiencies(regions),
                **_axons_of(one),
            )
        )
    return tuple(brains)
