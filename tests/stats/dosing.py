"""Made-up dose x duration cohorts, without a table."""

import numpy as np
import pandas as pd

from ketamap.core.settings import Design

DOSES, DAYS = (0.0, 30.0, 100.0), (1.0, 5.0, 10.0)
PLAN = Design(control=0, dose="dose_mg_per_kg", duration="days")


def animals_of(n, *, drop=(), doses=DOSES, days=DAYS):
    """n animals in each cell of (dose, day), but for those dropped."""
    cells = [(d, t) for t in days for d in doses if (d, t) not in drop for _ in range(n)]
    return pd.DataFrame(cells, columns=["dose_mg_per_kg", "days"]).assign(
        animal=[f"m{k:02d}" for k in range(len(cells))],
        sex=[("F", "M")[k % 2] for k in range(len(cells))],
    )


def table_of(animals, effect, rng, *, region_sd=0.15, factor_sd=0.2):
    """Region table; effect: function of (region, dose, day) in natural logs, or None."""
    n = 120
    names = [f"R{k}" for k in range(n)]
    level = rng.normal(6.0, 0.5, n)
    rows = []
    for one in animals.itertuples():
        x = level + rng.normal(0, factor_sd) + rng.normal(0, region_sd, n)
        if effect is not None:
            x = x + np.array([effect(k, one.dose_mg_per_kg, one.days) for k in range(n)])
        count = rng.poisson(np.exp(x))
        rows.append(pd.DataFrame({"animal": one.animal, "acronym": names, "count": count}))
    return pd.concat(rows, ignore_index=True).assign(volume_mm3=1.0)
