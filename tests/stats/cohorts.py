"""Small made-up cohorts: a tree of structures, tables of own or total counts, planted effects."""

import numpy as np
import pandas as pd

from ketamap.core.atlas import NO_PARENT, Structures


def tree(rows):
    """Structures from (id, acronym, name, parent id), parents first."""
    return Structures(
        ids=np.array([r[0] for r in rows]),
        acronyms=tuple(r[1] for r in rows),
        names=tuple(r[2] for r in rows),
        parent_ids=np.array([r[3] for r in rows]),
        colors=np.zeros((len(rows), 3), dtype=np.uint8),
    )


SMALL = tree(
    [
        (997, "root", "root", NO_PARENT),
        (1, "CTX", "Cortex", 997),
        (2, "A", "Area A", 1),
        (3, "A1", "Area A, layer 1", 2),
        (4, "A6a", "Area A, Layer 6a", 2),
        (5, "B", "Area B", 1),
        (6, "PAG", "Periaqueductal gray", 997),
        (7, "PRC", "Precommissural nucleus", 6),
        (8, "fiber tracts", "fiber tracts", 997),
        (9, "cc", "corpus callosum", 8),
    ]
)
"""Two levels of nesting, layers, a parent with cells of its own, a fibre tract."""


def flat(n):
    """Make a root with n regions."""
    return tree(
        [(997, "root", "root", 0), *((k, f"R{k}", f"Region {k}", 997) for k in range(1, n + 1))]
    )


def own_counts(structures, n_animals, seed=0, mean=200):
    """Whole counts of each structure itself, ``(animal, structure)``; the root has few."""
    rng = np.random.default_rng(seed)
    return rng.poisson(mean, (n_animals, len(structures))).astype(float) + 20.0


def table_of(values, structures, animals, *, volume=None, side=None):
    """Long table of the values ``(animal, structure)``."""
    n = len(structures)
    size = np.ones(n) if volume is None else np.asarray(volume, dtype=float)
    frame = pd.DataFrame(
        {
            "animal": np.repeat(np.array(animals, dtype=object), n),
            "region_id": np.tile(structures.ids, len(animals)),
            "acronym": list(structures.acronyms) * len(animals),
            "count": values.ravel(),
            "volume_mm3": np.tile(size, len(animals)),
        }
    )
    return frame if side is None else frame.assign(hemisphere=side)


def totals(values, structures):
    """Roll own values up, ``(animal, structure)``."""
    return structures.roll_up(values.T).T


def cohort(rng, groups, *, n_regions=250, factor_sd=0.15, region_sd=0.10, effect=None):
    """Table and animals of a cohort: Poisson counts around animal factor x region noise.

    effect: ``(group, region)`` natural-log changes, groups in order of first appearance.
    """
    structures = flat(n_regions)
    volume = np.exp(rng.normal(-1.0, 1.2, n_regions))
    density = np.exp(rng.normal(5.5, 0.8, n_regions))
    labels = list(dict.fromkeys(groups))
    of = np.array([labels.index(g) for g in groups])
    log = np.log(density) + rng.normal(0, factor_sd, (len(groups), 1))
    log = log + rng.normal(0, region_sd, (len(groups), n_regions))
    log = log if effect is None else log + np.asarray(effect)[of]
    counts = np.c_[np.zeros(len(groups)), rng.poisson(np.exp(log) * volume)]
    names = [f"m{k:02d}" for k in range(len(groups))]
    table = table_of(counts, structures, names, volume=np.r_[0.0, volume])
    return table, pd.DataFrame({"animal": names, "group": groups}), structures
