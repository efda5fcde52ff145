"""A table of any kind as arrays over animal, side and structure, nothing yet interpreted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import Structures
from ketamap.core.errors import TableError
from ketamap.stats.structures import BACKGROUND, UNMAPPED, match_structures

SIDES = ("left", "right", "both")
"""Order of the side axis; ``both`` where a table does not tell sides apart."""

SIDE_SPELLINGS = {
    "l": "left", "lh": "left", "left": "left",
    "r": "right", "rh": "right", "right": "right",
    "": "both", "both": "both", "nan": "both", "none": "both", "lr": "both", "whole": "both",
}  # fmt: skip
"""Accepted spellings, lower case."""

OWN_FORM = ("own", "total", "volume_own_mm3", "volume_total_mm3")
"""Columns that mark the program's own region table."""

COLUMNS = (
    *("animal", "region_id", "acronym", "hemisphere", "count", "value", "measure"),
    *("volume_mm3", "area_mm2", "parent_region_id", "name"),
    *OWN_FORM,
)
"""Columns that are known whatever their case and blanks."""

NAMED = 8
"""Names given in a message before it says how many more there are."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Cells:
    """Values over (animal, side, structure); NaN where the table has no row or no value."""

    animals: tuple[str, ...]
    """In order of first appearance."""

    counts: NDArray[np.float64]
    """Shape ``(animal, 3, structure)``: as stated by the table, own or total."""

    extents: NDArray[np.float64]
    """Same shape: volume in mm3, or area in mm2 (see `extent_unit`)."""

    extent_unit: str
    """``mm3``, ``mm2`` (sampled area), or ``none``."""

    root_totals: NDArray[np.float64] | None
    """Shape ``(animal,)``: the root's total by the table's own statement, if it has both kinds."""

    present: NDArray[np.bool_]
    """Shape ``(structure,)``: structures with a value in any animal."""

    is_own_form: bool
    """Whether it came from the program's own table, so that `counts` are own."""

    warnings: tuple[str, ...]
    """What was left out, and why."""

    unmapped: pd.DataFrame
    """Rows that map to no structure: acronym, parent_region_id, count (summed)."""


def listed(names: list[str]) -> str:
    """Join names for a message, the first few and how many more."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def tally(value: float) -> str:
    """Write a sum for a message: whole from a thousand on."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def with_plain_names(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with known columns by their names and plain identifiers of animals.

    Names may differ in case and in blanks around them ("Animal", " count "); identifiers
    lose blanks around them, and whole numbers their ".0".

    Raises
    ------
    TableError
        If there are no rows, or two columns have one name.
    """
    if table.empty:
        msg = "The region table has no rows."
        raise TableError(msg)
    plain = {c: str(c).strip().lower() for c in table.columns}
    taken = set(table.columns)
    names = {c: p for c, p in plain.items() if p in COLUMNS and p not in taken and p != c}
    frame = table.rename(columns=names)
    twice = sorted({str(c) for c in frame.columns[frame.columns.duplicated()]})
    if twice:
        msg = f"The table has two columns named {listed(twice)}; keep one."
        raise TableError(msg)
    return with_plain_identifiers(frame) if "animal" in frame else frame


def with_plain_identifiers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose `animal` is text without blanks around it and without ".0"."""
    names = {a: _identifier(a) for a in frame["animal"].unique()}
    text = frame["animal"].astype(object).map(names, na_action="ignore")
    return frame.assign(animal=text)


def _identifier(animal: object) -> str:
    whole = isinstance(animal, float | np.floating) and float(animal).is_integer()
    return str(int(float(str(animal)))) if whole else str(animal).strip()


def read_cells(table: pd.DataFrame, structures: Structures, measure: str) -> Cells:
    """Bring a table into arrays.

    Parameters
    ----------
    table
        The program's own region table, or one with `animal`, `region_id` or `acronym`,
        `count` (or `value`) and optionally `hemisphere`, `volume_mm3`, `area_mm2`,
        `measure`.
    structures
        The tree to which rows are matched.
    measure
        The measure to take where the table has a column of that name.

    Returns
    -------
    Cells

    Raises
    ------
    TableError
        If columns are missing, values are impossible, a side is spelt in an unknown way,
        or an animal has several rows for one structure and side.
    """
    rows = _of_measure(with_plain_names(table), measure)
    own_form = set(OWN_FORM) <= set(rows.columns)
    frame = _plain(rows, own_form=own_form)
    frame["row"] = match_structures(
        frame["region_id"].to_numpy(dtype=np.float64),
        frame["acronym"].to_numpy(dtype=object),
        structures,
    )
    warnings = [*_background_warnings(frame), *_unmapped_warnings(frame)]
    unmapped = frame[frame["row"] == UNMAPPED]
    animals = tuple(dict.fromkeys(frame["animal"]))
    kept = frame[frame["row"] >= 0]
    if kept.empty:
        msg = "No row of the table maps to a structure of the atlas; check region_id and acronym."
        raise TableError(msg)
    _require_single_rows(kept, structures)
    _require_sides_once(kept)
    shape = (len(animals), len(SIDES), len(structures))
    index = (
        pd.Categorical(kept["animal"], categories=list(animals)).codes.astype(np.int64),
        kept["side"].to_numpy(dtype=np.int64),
        kept["row"].to_numpy(dtype=np.int64),
    )
    unit = (
        "mm3" if kept["volume"].notna().any() else "mm2" if kept["area"].notna().any() else "none"
    )
    counts = _spread(kept["count"], index, shape)
    return Cells(
        animals=animals,
        counts=counts,
        present=np.asarray(~np.isnan(counts).all(axis=(0, 1))),
        extents=_spread(kept["area" if unit == "mm2" else "volume"], index, shape),
        extent_unit=unit,
        root_totals=_root_totals(_spread(kept["total"], index, shape)) if own_form else None,
        is_own_form=own_form,
        warnings=tuple(warnings),
        unmapped=unmapped.groupby(["acronym", "parent"], dropna=False)["count"].sum().reset_index(),
    )


def _of_measure(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    if "measure" not in table:
        return table
    rows = table[table["measure"].astype(str) == measure]
    if rows.empty:
        have = sorted(set(table["measure"].astype(str)))
        msg = f"The table has no measure {measure!r}; it has {', '.join(have)}."
        raise TableError(msg)
    return rows


def _plain(rows: pd.DataFrame, *, own_form: bool) -> pd.DataFrame:
    value = "own" if own_form else next((c for c in ("count", "value") if c in rows), None)
    missing = [c for c in ("animal",) if c not in rows]
    if not {"region_id", "acronym"} & set(rows.columns):
        missing.append("region_id or acronym")
    if value is None:
        missing.append("count")
    if missing or value is None:
        msg = f"The table lacks {', '.join(missing)}; it has {', '.join(map(str, rows.columns))}."
        raise TableError(msg)
    if rows["animal"].isna().any():
        msg = f"{int(rows['animal'].isna().sum())} rows of the table name no animal."
        raise TableError(msg)
    blank = pd.Series("", index=rows.index)
    return pd.DataFrame(
        {
            "animal": rows["animal"].astype(str),
            "region_id": _numeric(rows, "region_id"),
            "acronym": _text(rows["acronym"]) if "acronym" in rows else blank,
            "side": _sides(rows.get("hemisphere", blank)),
            "count": _numeric(rows, value, least=0.0),
            "total": _numeric(rows, "total") if own_form else np.nan,
            "volume": _numeric(rows, "volume_own_mm3" if own_form else "volume_mm3", least=0.0),
            "area": _numeric(rows, "area_mm2", least=0.0),
            "parent": _numeric(rows, "parent_region_id"),
        }
    )


def _numeric(rows: pd.DataFrame, column: str, least: float | None = None) -> pd.Series[float]:
    if column not in rows:
        return pd.Series(np.nan, index=rows.index, dtype=np.float64)
    values = pd.to_numeric(rows[column], errors="coerce").astype(np.float64)
    words = rows.loc[values.isna() & rows[column].notna(), column]
    if len(words):
        msg = (
            f"Column {column!r} holds {str(words.iloc[0])!r}, which is not a number. Write 1234.5 "
            f"without separators or words, and leave what is missing empty."
        )
        raise TableError(msg)
    wrong = np.isinf(values) | (False if least is None else values < least)
    if wrong.any():
        at = rows.loc[wrong].iloc[0]
        where = ", ".join(str(at[c]) for c in ("animal", "acronym", "region_id") if c in rows)
        msg = (
            f"Column {column!r} holds negative or infinite values in {int(wrong.sum())} rows, for "
            f"instance {at[column]} ({where}). Correct them, or leave them empty."
        )
        raise TableError(msg)
    return values


def _text(values: pd.Series[str]) -> pd.Series[str]:
    """Text without surrounding blanks; empty where there is none."""
    return values.astype(object).where(values.notna(), "").astype(str).str.strip()


def _sides(spelt: pd.Series[str]) -> pd.Series[int]:
    lower = _text(spelt).str.lower()
    unknown = sorted(set(lower) - set(SIDE_SPELLINGS))
    if unknown:
        msg = f"Column 'hemisphere' holds {listed(unknown)}; use left and right (or L and R)."
        raise TableError(msg)
    return lower.map(lambda side: SIDES.index(SIDE_SPELLINGS[side])).astype(np.int64)


def _background_warnings(frame: pd.DataFrame) -> list[str]:
    outside = frame["row"] == BACKGROUND
    if not outside.any():
        return []
    count = float(frame.loc[outside, "count"].sum())
    return [
        f"{count:,.0f} counts lie outside the brain ({int(outside.sum())} background rows); "
        f"they are left out."
    ]


def _unmapped_warnings(frame: pd.DataFrame) -> list[str]:
    lost = frame[frame["row"] == UNMAPPED]
    if lost.empty:
        return []
    name = lost["acronym"].where(
        lost["acronym"] != "", lost["region_id"].map(lambda i: f"id {i:.0f}")
    )
    sums = lost["count"].groupby(name).sum()
    text = listed([f"{a} ({n:,.0f})" for a, n in sums.items()])
    return [
        f"{len(sums)} structures of the table are not in the atlas tree; their rows (counts in "
        f"brackets) are not used; where rows are totals, their cells stay in the structure above: "
        f"{text}."
    ]


def _require_single_rows(kept: pd.DataFrame, structures: Structures) -> None:
    repeated = kept[kept.duplicated(["animal", "side", "row"], keep=False)]
    if repeated.empty:
        return
    first = repeated.iloc[0]
    same = repeated[(repeated["animal"] == first["animal"]) & (repeated["row"] == first["row"])]
    msg = (
        f"{repeated['animal'].nunique()} animals have several rows for one structure and side, for "
        f"instance {first['animal']}, {structures.acronyms[int(first['row'])]}: {len(same)} rows. "
        f"Sections, images or repeats are not animals: add their counts (and volumes) up so that "
        f"each animal has one row per structure and hemisphere."
    )
    raise TableError(msg)


def _require_sides_once(kept: pd.DataFrame) -> None:
    both = set(kept.loc[kept["side"] == SIDES.index("both"), "animal"])
    split = set(kept.loc[kept["side"] != SIDES.index("both"), "animal"])
    if both & split:
        msg = (
            f"Animals {listed(sorted(both & split))} have rows with and without a hemisphere: "
            f"their cells would be counted twice. Keep one kind."
        )
        raise TableError(msg)


def _spread(
    values: pd.Series[float],
    index: tuple[NDArray[np.int64], ...],
    shape: tuple[int, int, int],
) -> NDArray[np.float64]:
    out = np.full(shape, np.nan)
    out[index] = values.to_numpy(dtype=np.float64)
    return out


def _root_totals(total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up the sides of the first structure (the root); NaN where no side has a value."""
    root = total[:, :, 0]
    return np.where(np.isnan(root).all(axis=1), np.nan, np.nansum(root, axis=1))
