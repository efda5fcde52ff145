"""ketamap.stats.independence: parts of one animal under names that do not tell"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import DesignError
from ketamap.core.settings import Design
from ketamap.stats import analyse
from ketamap.stats.independence import likeness, require_independent
from tests.stats.cohorts import cohort

GROUPS = ["a"] * 6 + ["b"] * 6
DESIGN = np.c_[np.ones(12), np.repeat([0.0, 1.0], 6)]
NAMES = [f"n{k}" for k in range(12)]


def brains(rng, n, regions=60):
    """Animals whose regions are correlated, as real ones are."""
    common = rng.normal(size=(4, regions)) * 0.4
    return rng.normal(size=(n, 4)) @ common + 0.7 * rng.normal(size=(n, regions))


def parts(rng, animals, each, icc=0.5):
    """Each animal `each` times, with noise of its own."""
    whole = np.repeat(brains(rng, animals), each, axis=0) * np.sqrt(icc)
    return whole + 0.9 * np.sqrt(1 - icc) * rng.normal(size=whole.shape)


def test_pairs_of_hemispheres_with_opaque_names_are_refused():
    rng = np.random.default_rng(1)
    with pytest.raises(DesignError, match=r"12 animals come in pairs.*add them up to one row"):
        require_independent(parts(rng, 6, 2), DESIGN, GROUPS, NAMES)


def test_clusters_are_warned_of_with_the_remedy():
    rng = np.random.default_rng(2)
    (warning,) = require_independent(parts(rng, 4, 3), DESIGN, GROUPS, NAMES)
    assert "come in clusters" in warning
    assert "'batch'" in warning


def test_pairs_named_as_a_batch_pass():
    rng = np.random.default_rng(3)
    x = parts(rng, 6, 2)
    treated = np.tile([0.0, 1.0], 6)
    litters = np.repeat(np.eye(6), 2, axis=0)
    groups = ["ab"[int(t)] for t in treated]
    require_independent(x, np.c_[litters, treated], groups, NAMES)


def test_independent_animals_are_rarely_suspected():
    rng = np.random.default_rng(4)
    found = [likeness(brains(rng, 12), DESIGN, GROUPS) for _ in range(60)]
    assert sum(f.paired or f.clustered for f in found) <= 1


def test_effects_of_treatment_and_missing_regions_do_not_look_like_kinship():
    rng = np.random.default_rng(5)
    x = brains(rng, 12)
    x[6:] += 3.0 * rng.normal(size=60)
    x[rng.uniform(size=x.shape) < 0.1] = np.nan
    assert require_independent(x, DESIGN, GROUPS, NAMES) == []


def test_one_animal_under_two_names_is_refused():
    rng = np.random.default_rng(6)
    x = brains(rng, 12)
    x[7] = x[2]
    with pytest.raises(DesignError, match="n2 and n7 have the same values"):
        require_independent(x, DESIGN, GROUPS, NAMES)


def test_the_analysis_refuses_a_copied_animal():
    table, animals, tree = cohort(np.random.default_rng(7), ["a"] * 3 + ["b"] * 3)
    copy = table[table["animal"] == "m00"].assign(animal="m01")
    table = pd.concat([table[table["animal"] != "m01"], copy])
    with pytest.raises(DesignError, match="one animal under two names"):
        analyse(table, animals, Design(control="a", factor="group"), structures=tree)


@pytest.mark.data
def test_hemispheres_of_a_real_table_with_opaque_names_are_refused(shared_data):
    table = pd.read_csv(shared_data / "tables" / "aboharb2025_B3.csv.gz")
    who = table["animal"] + table["hemisphere"]
    name = {w: f"sample{k}" for k, w in enumerate(sorted(set(who), key=hash_free))}
    table = table.assign(animal=who.map(name), hemisphere="")
    animals = table[["animal", "group"]].drop_duplicates()
    with pytest.raises(DesignError, match="24 animals come in pairs"):
        analyse(table, animals, Design(control="MDMA", factor="group"))


def hash_free(name):
    """An order that tells nothing and is always the same."""
    return name[::-1]
