"""Dose x duration shapes, and the contrasts that find them in any design.

References
----------
Bretz F, Pinheiro JC, Branson M (2005) Combining multiple comparisons and modeling techniques
in dose-response studies. Biometrics 61:738 (a contrast for each candidate shape).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ketamap.stats.design import Contrast, DesignMatrix

SAME = 0.999
"""Correlation from which two contrasts say the same; the first is kept."""

LEAST_SHARE = 1e-8
"""Share of a shape that must be left beside the other terms for it to be testable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Dose and days of the comparisons of a design."""

    dose: NDArray[np.float64]
    """Dose of each comparison, shape ``(comparison,)``."""

    day: NDArray[np.float64]
    """Days of each comparison; 0 where the design has no durations."""

    @property
    def doses(self) -> tuple[float, ...]:
        """Doses compared with the control, least first."""
        return tuple(float(d) for d in np.unique(self.dose))

    @property
    def days(self) -> tuple[float, ...]:
        """Days that have a control, first first."""
        return tuple(float(d) for d in np.unique(self.day))


def cells_of(design: DesignMatrix) -> Cells | None:
    """Return the cells of a dose design; None for a design with a factor."""
    doses = [c.dose for c in design.contrasts if c.dose is not None]
    if len(doses) < len(design.contrasts):
        return None
    return Cells(
        dose=np.array(doses, dtype=np.float64),
        day=np.array([c.day or 0.0 for c in design.contrasts], dtype=np.float64),
    )


def dose_shapes(doses: tuple[float, ...]) -> dict[str, NDArray[np.float64]]:
    """Shapes over the doses above the control, each with a largest value of 1.

    Linear in dose, linear in rank, plateau from the least dose, and a peak at one dose with
    nothing at the others: the last is the highest dose alone, those before it umbrellas.
    """
    n = len(doses)
    if n == 1:
        return {"dose": np.ones(1)}
    shapes = {
        "linear": np.array(doses) / max(doses),
        "plateau": np.ones(n),
        "stepwise": np.arange(1, n + 1) / n,
    }
    return shapes | {f"{d:g} alone": np.eye(n)[k] for k, d in enumerate(doses)}


def duration_shapes(days: tuple[float, ...]) -> dict[str, NDArray[np.float64]]:
    """Shapes over the days, each with a largest value of 1.

    The same on all days, growing in steps, fading, from each later day on, and on the first
    day alone.
    """
    n = len(days)
    if n == 1:
        return {"": np.ones(1)}
    shapes = {
        "on all days": np.ones(n),
        "growing": np.arange(1, n + 1) / n,
        "fading": np.arange(n, 0, -1) / n,
    }
    shapes |= {
        f"from day {d:g}": (np.arange(n) >= k).astype(np.float64)
        for k, d in enumerate(days)
        if k > 0
    }
    shapes |= {f"day {days[0]:g} alone": np.eye(n)[0]}
    return shapes


def shape_contrasts(design: DesignMatrix, cells: Cells) -> tuple[Contrast, ...]:
    """Make one contrast for each dose shape x duration shape.

    Returns
    -------
    tuple of Contrast
        Each the most powerful linear test of its shape beside what the design says apart
        from doses (days, covariates, batch).  Shapes whose cells are not there, or that
        another shape repeats (correlation above `SAME`), are left out.
    """
    pairs = design.contrast_matrix
    found: list[Contrast] = []
    kept: list[NDArray[np.float64]] = []
    for over_days, late in duration_shapes(cells.days).items():
        for over_doses, high in dose_shapes(cells.doses).items():
            value = high[np.searchsorted(cells.doses, cells.dose)]
            value = value * late[np.searchsorted(cells.days, cells.day)]
            vector = trend_vector(design.matrix, pairs, profile(design, value))
            if vector is None:
                continue
            weight = np.linalg.pinv(design.matrix).T @ vector
            weight /= np.linalg.norm(weight)
            if any(weight @ other > SAME for other in kept):
                continue
            kept.append(weight)
            name = f"{over_doses} {over_days}".strip()
            found.append(Contrast(name=name, treated="", control="", vector=vector))
    return tuple(found)


def profile(design: DesignMatrix, value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give every animal the value of its cell; 0 for controls and cells not compared.

    Parameters
    ----------
    design
        With a comparison for each value.
    value
        Shape ``(comparison,)``.
    """
    of = {c.treated: v for c, v in zip(design.contrasts, value, strict=True)}
    return np.array([of.get(g, 0.0) for g in design.groups], dtype=np.float64)


def trend_vector(
    matrix: NDArray[np.float64], null: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Contrast that estimates the coefficient of a profile over animals.

    Parameters
    ----------
    matrix
        Shape ``(animal, coefficient)``, full rank.
    null
        Contrasts that are zero without the profile, shape ``(contrast, coefficient)``.
    values
        The profile, shape ``(animal,)``.

    Returns
    -------
    ndarray or None
        Weights of the coefficients; the estimate is the least squares coefficient of the
        profile in the model in which `null` holds.  None where nothing of it is left.
    """
    _, sizes, right = np.linalg.svd(null)
    rank = int(np.sum(sizes > 1e-10 * sizes.max()))
    reduced = matrix @ right[rank:].T
    rest = values - reduced @ (np.linalg.pinv(reduced) @ values) if reduced.size else values
    fitted = matrix @ (np.linalg.pinv(matrix) @ rest)
    size = float(fitted @ values)
    if size <= LEAST_SHARE * float(values @ values):
        return None
    return np.asarray(matrix.T @ fitted / size)
