"""A small made-up study in the schemas of the report."""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.atlas import Atlas, Structures, atlas_grid
from ketamap.core.registration import RegistrationQuality
from ketamap.report.contents import BrainQuality, StudyReport

ALPHA = 0.05
GROUPS = ("vehicle 10 d", "30 mg/kg 10 d", "100 mg/kg 10 d")
CONTRASTS = tuple(f"{g} vs {GROUPS[0]}" for g in GROUPS[1:])
UNTESTABLE = 111
"""Id of the region with too few cells."""


def ellipsoid_atlas(resolution_um=200.0):
    """Twelve regions in two divisions, mirrored across the midline, one with a child."""
    rng = np.random.default_rng(7)
    shape = tuple(int(um / resolution_um) for um in (8000, 5600, 8000))
    grid = atlas_grid(shape, (resolution_um,) * 3)
    ap, dv, ml = (grid.to_um(np.stack([np.arange(n)] * 3, -1))[:, a] for a, n in enumerate(shape))
    z, y, x = np.meshgrid(ap, dv, abs(ml - 4000), indexing="ij")
    inside = ((z - 4000) / 3700) ** 2 + ((y - 2800) / 2500) ** 2 + (x / 3600) ** 2 < 1
    annotation = np.where(inside, 1, 0).astype(np.int64)
    ids = np.arange(101, 113)
    for k, region in enumerate(ids):
        centre = (900 + 560 * k, rng.uniform(1400, 4200), rng.uniform(500, 2400))
        radii = rng.uniform(600, 1500, 3)
        where = sum(((p - c) / r) ** 2 for p, c, r in zip((z, y, x), centre, radii, strict=True))
        annotation[inside & (where < 1)] = region
    annotation[inside & (annotation == 103) & (y < np.median(y[annotation == 103]))] = 1031
    names = {1: "root", 10: "Front division", 20: "Back division", 1031: "Region 3, upper layer"}
    names |= {int(i): f"Region {i - 100}" for i in ids}
    parents = {1: 0, 10: 1, 20: 1, 1031: 103} | {int(i): 10 if i < 107 else 20 for i in ids}
    order = [1, 10, *(i for k in ids[:6] for i in ((k, 1031) if k == 103 else (k,))), 20, *ids[6:]]
    order = [int(i) for i in order]
    tree = Structures(
        ids=np.array(order),
        acronyms=tuple("root" if i == 1 else f"R{i % 1000}" for i in order),
        names=tuple(names[i] for i in order),
        parent_ids=np.array([parents[i] for i in order]),
        colors=np.full((len(order), 3), 128, np.uint8),
    )
    template = np.where(annotation > 0, 100.0 + annotation % 50, 0.0).astype(np.float32)
    return Atlas(
        name="ellipsoids_200um", grid=grid, annotation=annotation, template=template,
        structures=tree, is_phantom=True, citation="made up",
    )  # fmt: skip


def study_frames(atlas, region_ids, *, planted, shift=(0.0, 0.0), seed=3):
    """Simulate values and take simple least-squares effects from them."""
    rng = np.random.default_rng(seed)
    names = [atlas.structures.acronym_of(i) for i in region_ids]
    animals = pd.DataFrame(
        [
            {"animal": f"{g[:3].strip()}{k}", "group": g, "drug": "ketamine", "days": 10,
             "dose_mg_per_kg": (0.0, 30.0, 100.0)[j], "sex": "FM"[k % 2]}
            for j, g in enumerate(GROUPS) for k in range(4)
        ]
    )  # fmt: skip
    level = rng.normal(0, 0.2, 12) + np.repeat([0.0, *shift], 4)
    change = np.stack([np.zeros(len(region_ids)), *planted], axis=1)
    base = rng.uniform(6, 10, (len(region_ids), 1))
    noise = rng.normal(0, 0.14, (len(region_ids), 12))
    log2_density = base + np.repeat(change, 4, axis=1) + noise + level
    relative = log2_density - level
    factors = pd.DataFrame({"animal": animals.animal, "factor_log2": level, "group": animals.group})
    volume = 0.8
    density = 2.0**log2_density
    values = pd.DataFrame(
        [
            {"animal": a, "region_id": i, "acronym": n, "measure": "cells",
             "count": round(density[r, c] * volume), "volume_mm3": volume,
             "density_per_mm3": density[r, c], "log2_density": log2_density[r, c],
             "log2_relative": relative[r, c]}
            for c, a in enumerate(animals.animal)
            for r, (i, n) in enumerate(zip(region_ids, names, strict=True))
        ]
    )  # fmt: skip
    effects = _effects(region_ids, names, relative, level)
    truth = pd.DataFrame(
        [
            {"region_id": i, "acronym": n, "contrast": c, "planted_log2": planted[k][r]}
            for k, c in enumerate(CONTRASTS)
            for r, (i, n) in enumerate(zip(region_ids, names, strict=True))
        ]
    )
    return animals, values, factors, effects, truth


def _effects(region_ids, names, relative, level):
    from scipy import stats

    rows = []
    columns = ("estimate_log2", "ci_low_log2", "ci_high_log2", "se_log2", "df", "p", "q")

    def add(region, acronym, contrast, estimand, numbers, reason=""):
        rows.append(
            {"region_id": region, "acronym": acronym, "measure": "cells", "contrast": contrast,
             "estimand": estimand, **dict(zip(columns, numbers, strict=True)),
             "testable": not reason, "reason": reason}
        )  # fmt: skip

    def fit(y, k):
        groups = np.reshape(y, (-1, 3, 4))
        estimate = groups[:, k + 1].mean(1) - groups[:, 0].mean(1)
        se = np.sqrt(groups.var(axis=2, ddof=1).mean(axis=1) / 2)
        return estimate, se

    def numbers(estimate, se, df):
        half = stats.t.isf(0.025, df) * se
        p = 2 * stats.t.sf(np.abs(estimate) / se, df)
        q = stats.false_discovery_control(p)
        return np.stack([estimate, estimate - half, estimate + half, se, df + 0 * p, p, q], axis=1)

    for k, contrast in enumerate(CONTRASTS):
        g, g_se = fit(level[None], k)
        add(1, "root", contrast, "shift", numbers(g, g_se, 9)[0])
        estimate, se = fit(relative, k)
        tables = {"relative": numbers(estimate, se, 30.0)}
        tables["absolute"] = numbers(estimate + g, np.hypot(se, g_se), 14.0)
        for estimand, table in tables.items():
            for r, (region, acronym) in enumerate(zip(region_ids, names, strict=True)):
                if region == UNTESTABLE:
                    reason = "mean count 3.2 is below 10"
                    add(region, acronym, contrast, estimand, [np.nan] * 7, reason)
                else:
                    add(region, acronym, contrast, estimand, table[r])
    return pd.DataFrame(rows)


def brain_quality(animal, verdict="pass", shape=(40, 57)):
    rng = np.random.default_rng(len(animal))
    rows, columns = np.indices(shape)
    disc = np.hypot((rows - 20) / 18, (columns - 28) / 26)
    grey = np.where(disc < 1, 90 + 40 * rng.random(shape), 5).astype(np.uint8)
    boundary = (abs(disc - 1) < 0.04) | (abs(disc - 0.5) < 0.04)
    return BrainQuality(
        animal=animal,
        quality=RegistrationQuality(
            ncc=0.951, lncc=0.632, least_jacobian=0.41, inverse_error_p95_um=12.3, verdict=verdict,
            reasons=() if verdict == "pass" else ("The local likeness is low (0.63).",),
        ),
        overlays=tuple((plane, grey, boundary) for plane in ("coronal", "horizontal", "sagittal")),
        balance={"detected": 1000, "in_regions": 960, "outside_brain": 35, "outside_atlas": 5},
        n_cells=1000,
        volume_mm3=402.5,
        seconds=17.0,
    )  # fmt: skip


@pytest.fixture(scope="session")
def atlas():
    return ellipsoid_atlas()


@pytest.fixture(scope="session")
def make_report(atlas):
    ids = list(range(101, 113))
    planted = (np.zeros(12), np.zeros(12))
    for at, log2 in ((0, -0.9), (4, 1.1), (7, 0.8)):
        planted[1][at] = log2

    def make(*, shift=(0.0, 0.0), **changes):
        animals, values, factors, effects, truth = study_frames(
            atlas, ids, planted=planted, shift=shift
        )
        parts = dict(
            title="Ellipsoid study", note="These brains are made up.", alpha=ALPHA,
            design_text=("Two doses of ketamine against vehicle.",), animals=animals,
            effects=effects, values=values, animal_factors=factors, partition="12 ellipsoids",
            warnings=("Animal 1003 has few cells.",), atlas=atlas, truth=truth,
            brains=tuple(brain_quality(a) for a in animals.animal),
            versions={"ketamap": "0.1.0", "numpy": "2.4"},
            settings={"detection": {"soma_diameter_um": 15.0}, "seed": 1},
            image_notes=("Voxels are 25 um.",),
        )  # fmt: skip
        return StudyReport(**(parts | changes))

    return make


@pytest.fixture(scope="session")
def report(make_report):
    return make_report()
