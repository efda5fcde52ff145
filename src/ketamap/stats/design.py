"""From a declared design to a design matrix and named contrasts, or a refusal with reasons."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulaic import Formula, ModelSpec, model_matrix
from numpy.typing import NDArray

from ketamap.core.errors import DesignError
from ketamap.core.settings import Design
from ketamap.stats.rows import listed

LEAST_PER_GROUP = 3
"""Animals in each group compared; fewer cannot tell an effect from an animal."""

ANSI = re.compile(r"\x1b?\[[0-9;]*m")
"""Colours in messages of the formula's reader."""

GROUP = "group_"
"""Internal column with the dose x duration cell of each animal."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Contrast:
    """One comparison: a group against its control."""

    name: str
    """As shown, for instance ``30 mg/kg vs vehicle, 10 d``."""

    treated: str
    """Group label."""

    control: str
    """Group label."""

    vector: NDArray[np.float64]
    """Weights of the coefficients, shape ``(coefficient,)``."""

    dose: float | None = None
    """Dose of the treated group, where the design has doses."""

    day: float | None = None
    """Days of treatment of both groups, where the design has durations."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DesignMatrix:
    """What the model needs to know about the animals."""

    matrix: NDArray[np.float64]
    """Shape ``(animal, coefficient)``, full rank."""

    coefficients: tuple[str, ...]
    """Names of the columns."""

    contrasts: tuple[Contrast, ...]
    """What is estimated."""

    animals: tuple[str, ...]
    """Identifiers, the order of the rows."""

    groups: tuple[str, ...]
    """Group label of each animal."""

    formula: str
    """The model in Wilkinson notation."""

    warnings: tuple[str, ...] = ()
    """Comparisons that could not be made."""

    @property
    def n_per_group(self) -> dict[str, int]:
        """Animals in each group, in order of first appearance."""
        return dict(Counter(self.groups))

    @property
    def contrast_matrix(self) -> NDArray[np.float64]:
        """Shape ``(contrast, coefficient)``."""
        return np.stack([c.vector for c in self.contrasts])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    """Values of the columns that differ between the two sides of a contrast."""

    name: str
    treated: str
    control: str
    treated_values: dict[str, Any]
    control_values: dict[str, Any]
    dose: float | None = None
    day: float | None = None


def build_design(animals: pd.DataFrame, design: Design) -> DesignMatrix:
    """Turn a design into a matrix and contrasts.

    Parameters
    ----------
    animals
        One row per animal: `animal` and the columns the design names.
    design
        A factor with a control level, or doses (with durations) with a control dose.
        Without a formula every group has its own mean.

    Returns
    -------
    DesignMatrix
        A contrast compares the fitted values of all animals given one group with the same
        animals given the control, so that any formula has its contrasts.

    Raises
    ------
    DesignError
        If columns, levels or values are missing, animals repeat, a group is too small,
        the formula leaves the factor out, or effects cannot be told apart.
    """
    formula = _formula(design)
    _require_animals(animals)
    animals = _without_blanks(animals)
    _require_columns(animals, design, formula)
    frame, groups, comparisons, notes = (
        _by_factor(animals, design) if design.factor is not None else _by_dose(animals, design)
    )
    _require_group_sizes(groups)
    for column in _text_columns(frame, design):
        frame[column] = pd.Categorical(frame[column].astype(str))
    matrix = model_matrix(formula, frame, na_action="raise")
    spec: ModelSpec = matrix.model_spec
    values = np.asarray(matrix, dtype=np.float64)
    columns = tuple(str(c) for c in matrix.columns)
    _require_estimable(values, columns, design)
    contrasts = tuple(_contrast(c, frame, spec) for c in comparisons)
    _require_contrasts(contrasts, formula)
    notes = [*notes, *_straight_line_notes(frame, columns, design)]
    return DesignMatrix(
        matrix=values,
        coefficients=columns,
        contrasts=contrasts,
        animals=tuple(frame["animal"].astype(str)),
        groups=groups,
        formula=formula.replace(GROUP, _group_name(design)),
        warnings=tuple(notes),
    )


def _without_blanks(animals: pd.DataFrame) -> pd.DataFrame:
    """Take blanks off the ends of words: "saline " and "saline" are one group."""
    return animals.map(lambda value: value.strip() if isinstance(value, str) else value)


def _straight_line_notes(frame: pd.DataFrame, columns: Sequence[str], design: Design) -> list[str]:
    """Warn that a dose (or duration) written as a number is a straight line in the model."""
    lines = [
        name
        for name in (design.dose, design.duration)
        if name and name in columns and frame[name].nunique() > 2
    ]
    return [
        f"The formula uses {name} as a number, so the model is a straight line in it and every "
        f"comparison follows from one slope. Write C({name}) to give each level its own effect."
        for name in lines
    ]


def _group_name(design: Design) -> str:
    return design.factor or ":".join(c for c in (design.dose, design.duration) if c)


def _formula(design: Design) -> str:
    text = design.formula or f"~ {_quoted(design.factor) if design.factor else GROUP}"
    if "~" not in text:
        text = f"~ {text}"
    if text.split("~")[0].strip():
        msg = f"The formula {text!r} has a left side; write only '~ ...': the counts are fitted."
        raise DesignError(msg)
    try:
        needed = Formula(text).required_variables
    except Exception as err:
        why = ANSI.sub("", " ".join(str(err).split()))
        msg = f"The formula {text!r} cannot be read: {why}"
        raise DesignError(msg) from err
    if design.batch and design.batch not in {str(v) for v in needed}:
        text = f"{text} + C({_quoted(design.batch)})"
    asked = {c for c in (design.factor, design.dose) if c}
    if design.formula and not asked & {str(v) for v in needed}:
        msg = f"The formula {text!r} does not contain {' or '.join(asked)}, which is compared."
        raise DesignError(msg)
    return text


def _quoted(column: str | None) -> str:
    text = column or ""
    return text if text.isidentifier() else f"`{text}`"


def _require_animals(animals: pd.DataFrame) -> None:
    if "animal" not in animals:
        msg = f"The animals table lacks 'animal'; it has {', '.join(map(str, animals.columns))}."
        raise DesignError(msg)
    twice = animals.loc[animals["animal"].astype(str).duplicated(), "animal"].astype(str)
    if len(twice):
        msg = (
            f"Animals {listed(sorted(set(twice)))} stand in the animals table more than once. "
            f"One row is one animal: hemispheres, sections and images are not animals."
        )
        raise DesignError(msg)


def _require_columns(animals: pd.DataFrame, design: Design, formula: str) -> None:
    needed = {str(v) for v in Formula(formula).required_variables} - {GROUP}
    needed |= {c for c in (design.factor, design.dose, design.duration, design.batch) if c}
    missing = sorted(needed - set(animals.columns))
    if missing:
        msg = (
            f"The design needs {listed(missing)}, which the animals table lacks; it has "
            f"{', '.join(map(str, animals.columns))}."
        )
        raise DesignError(msg)
    for column in sorted(needed):
        gone = animals.loc[animals[column].isna(), "animal"].astype(str).tolist()
        if gone:
            msg = f"Column {column!r} of the animals table is empty for {listed(gone)}; fill it in."
            raise DesignError(msg)


def _by_factor(
    animals: pd.DataFrame, design: Design
) -> tuple[pd.DataFrame, tuple[str, ...], list[_Comparison], list[str]]:
    factor = str(design.factor)
    frame = animals.copy()
    labels = [_label(v) for v in animals[factor]]
    control = _label(design.control)
    if control not in labels:
        msg = f"No animal has {factor} {control!r}, the control; there are {listed(sorted(set(labels)))}."
        raise DesignError(msg)
    levels = [control, *(v for v in dict.fromkeys(labels) if v != control)]
    if len(levels) < 2:
        msg = f"All animals have {factor} {control!r}: nothing to compare."
        raise DesignError(msg)
    kind = pd.CategoricalDtype(categories=levels)
    frame[factor] = pd.Series(labels, index=frame.index).astype(kind)
    comparisons = [
        _Comparison(
            name=f"{level} vs {control}",
            treated=level,
            control=control,
            treated_values={factor: level},
            control_values={factor: control},
        )
        for level in levels[1:]
    ]
    return frame, tuple(labels), comparisons, []


def _label(value: object) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _by_dose(
    animals: pd.DataFrame, design: Design
) -> tuple[pd.DataFrame, tuple[str, ...], list[_Comparison], list[str]]:
    dose, duration = str(design.dose), design.duration
    frame = animals.copy()
    frame[dose] = _as_numbers(animals, dose)
    control = _as_dose(design.control)
    days: list[float | None] = [None] * len(frame)
    if duration:
        frame[duration] = _as_numbers(animals, duration)
        days = [float(d) for d in frame[duration]]
    cells = list(zip((float(d) for d in frame[dose]), days, strict=True))
    name = {cell: _cell_name(*cell, control, dose) for cell in cells}
    order = sorted(set(cells), key=lambda c: (c[1] or 0.0, c[0] != control, c[0]))
    kind = pd.CategoricalDtype(categories=[name[c] for c in order])
    frame[GROUP] = pd.Series([name[c] for c in cells], index=frame.index).astype(kind)
    comparisons, alone = [], []
    for cell in (c for c in order if c[0] != control):
        base = (control, cell[1])
        if base not in name and design.formula is None:
            alone.append(name[cell])
            continue
        comparisons.append(_dose_comparison(cell, base, name, design))
    notes = [f"No control animals of the same day for {listed(alone)}: not compared."] * bool(alone)
    if not comparisons:
        have = listed(sorted({f"{d:g}" for d, _ in cells}))
        msg = f"Nothing can be compared with {dose} {control:g}; there are doses {have}."
        raise DesignError(f"{msg} {' '.join(notes)}".strip())
    return frame, tuple(name[c] for c in cells), comparisons, notes


def _dose_comparison(
    cell: tuple[float, float | None],
    base: tuple[float, float | None],
    name: dict[tuple[float, float | None], str],
    design: Design,
) -> _Comparison:
    dose, duration = str(design.dose), design.duration
    control = name.get(base, _cell_name(*base, base[0], dose))
    treated_values: dict[str, Any] = {dose: cell[0], GROUP: name[cell]}
    control_values: dict[str, Any] = {dose: base[0], GROUP: control}
    if duration:
        treated_values[duration] = control_values[duration] = cell[1]
    day = f", {cell[1]:g} d" if cell[1] is not None else ""
    return _Comparison(
        name=f"{_dose_name(cell[0], base[0], dose)} vs {_dose_name(base[0], base[0], dose)}{day}",
        treated=name[cell],
        control=control,
        treated_values=treated_values,
        control_values=control_values,
        dose=cell[0],
        day=cell[1],
    )


def _dose_name(value: float, control: float, column: str) -> str:
    if value == control == 0.0:
        return "vehicle"
    return f"{value:g} mg/kg" if column.endswith("mg_per_kg") else f"{column} {value:g}"


def _cell_name(value: float, day: float | None, control: float, column: str) -> str:
    return _dose_name(value, control, column) + (f" {day:g} d" if day is not None else "")


def _as_numbers(animals: pd.DataFrame, column: str) -> pd.Series[float]:
    values = pd.to_numeric(animals[column], errors="coerce").astype(np.float64)
    wrong = animals.loc[values.isna(), column]
    if len(wrong):
        msg = f"Column {column!r} must hold numbers; it holds {wrong.iloc[0]!r}."
        raise DesignError(msg)
    return values


def _as_dose(control: str | float) -> float:
    try:
        return float(control)
    except ValueError:
        msg = f"With 'dose', control is a dose (usually 0), got {control!r}."
        raise DesignError(msg) from None


def _require_group_sizes(groups: Sequence[str]) -> None:
    small = [f"{g} ({n})" for g, n in Counter(groups).items() if n < LEAST_PER_GROUP]
    if small:
        msg = (
            f"Groups need at least {LEAST_PER_GROUP} animals each; too small: {listed(small)}. "
            f"Add animals, or leave the group out."
        )
        raise DesignError(msg)


def _text_columns(frame: pd.DataFrame, design: Design) -> list[str]:
    held = {design.factor, GROUP, "animal"}
    return [
        c
        for c in frame.columns
        if c not in held and (c == design.batch or not pd.api.types.is_numeric_dtype(frame[c]))
    ]


def _require_estimable(
    matrix: NDArray[np.float64], columns: tuple[str, ...], design: Design
) -> None:
    n, p = matrix.shape
    if not np.all(np.isfinite(matrix)):
        msg = "The design matrix holds values that are not finite; check the covariates."
        raise DesignError(msg)
    if np.linalg.matrix_rank(matrix) < p:
        aliased = _aliased(matrix, columns)
        is_batch = design.batch is not None and any(design.batch in c for c in aliased)
        what = f"Batch ({design.batch}) is aliased with the groups" if is_batch else "Not estimable"
        msg = (
            f"{what}: {listed(aliased)} cannot be told apart from the other terms of the design. "
            f"Every batch needs animals of several groups; leave out what says the same twice."
        )
        raise DesignError(msg)
    if n - p < 2:
        msg = f"{n} animals are too few for {p} coefficients ({listed(list(columns))})."
        raise DesignError(msg)


def _aliased(matrix: NDArray[np.float64], columns: tuple[str, ...]) -> list[str]:
    """Columns that add nothing to those before them."""
    ranks = [0] + [int(np.linalg.matrix_rank(matrix[:, : k + 1])) for k in range(len(columns))]
    return [c for k, c in enumerate(columns) if ranks[k + 1] == ranks[k]]


def _contrast(comparison: _Comparison, frame: pd.DataFrame, spec: ModelSpec) -> Contrast:
    sides = []
    for values in (comparison.treated_values, comparison.control_values):
        other = frame.copy()
        for column, value in values.items():
            if column in frame:
                other[column] = pd.Series([value] * len(frame), index=frame.index).astype(
                    frame[column].dtype
                )
        sides.append(np.asarray(spec.get_model_matrix(other), dtype=np.float64).mean(axis=0))
    return Contrast(
        name=comparison.name,
        treated=comparison.treated,
        control=comparison.control,
        vector=sides[0] - sides[1],
        dose=comparison.dose,
        day=comparison.day,
    )


def _require_contrasts(contrasts: tuple[Contrast, ...], formula: str) -> None:
    dead = [c.name for c in contrasts if not np.any(np.abs(c.vector) > 1e-12)]
    if dead:
        msg = f"The formula {formula!r} says nothing about {listed(dead)}."
        raise DesignError(msg)
