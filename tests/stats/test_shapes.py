"""ketamap.stats.shapes"""

import numpy as np
import pytest

from ketamap.core.settings import Design
from ketamap.stats.design import build_design
from ketamap.stats.shapes import cells_of, profile, shape_contrasts, trend_vector
from tests.stats.dosing import PLAN, animals_of


def estimate(design, vector, y):
    return float(vector @ np.linalg.pinv(design.matrix) @ y)


@pytest.mark.parametrize("formula", [None, "~ C(dose_mg_per_kg) * C(days) + sex"])
def test_shapes_see_doses_and_neither_days_nor_covariates(formula):
    animals = animals_of(4)
    plan = Design(control=0, dose="dose_mg_per_kg", duration="days", formula=formula)
    design = build_design(animals, plan)
    other = np.sin(animals["days"].to_numpy())
    if formula:
        other = other + 3.0 * (animals["sex"] == "M").to_numpy()
    shapes = shape_contrasts(design, cells_of(design))
    assert len(shapes) > 15
    assert max(abs(estimate(design, c.vector, other)) for c in shapes) < 1e-9


def test_each_shape_estimates_its_own_size():
    design = build_design(animals_of(3), PLAN)
    cells = cells_of(design)
    late = profile(design, (cells.dose == 100.0) * (cells.day == 10.0))
    shape = next(c for c in shape_contrasts(design, cells) if c.name == "100 alone from day 10")
    assert estimate(design, shape.vector, 2.5 * late) == pytest.approx(2.5)


def test_no_two_shapes_say_the_same():
    design = build_design(animals_of(4), PLAN)
    weights = np.stack([c.vector for c in shape_contrasts(design, cells_of(design))])
    weights = weights @ np.linalg.pinv(design.matrix)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    assert np.max(np.triu(weights @ weights.T, 1)) < 0.9995


def test_a_missing_cell_leaves_the_shapes_of_the_others():
    design = build_design(animals_of(4, drop=[(30.0, 5.0), (0.0, 1.0)]), PLAN)
    cells = cells_of(design)
    assert cells.days == (5.0, 10.0)
    y = np.where(np.array(design.groups) == "100 mg/kg 1 d", 9.0, 0.0)
    assert all(abs(estimate(design, c.vector, y)) < 1e-9 for c in shape_contrasts(design, cells))


def test_a_profile_that_the_others_explain_has_no_contrast():
    design = build_design(animals_of(3), PLAN)
    null = design.contrast_matrix
    day = animals_of(3)["days"].to_numpy()
    assert trend_vector(design.matrix, null, day) is None


def test_a_factor_has_no_cells():
    animals = animals_of(3).assign(group=lambda d: d["dose_mg_per_kg"].astype(str))
    assert cells_of(build_design(animals, Design(control="0.0", factor="group"))) is None
