"""Region tables as they come: spelling, gaps, missing parents and sides, what cannot be read"""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import DesignError, TableError
from ketamap.core.settings import Design
from ketamap.stats import analyse, region_counts
from tests.stats.cohorts import SMALL, cohort, flat, own_counts, table_of, totals, tree

PLAN = Design(control="saline", factor="group")
GROUPS = ["saline"] * 4 + ["drug"] * 4
NAMES = [f"m{k}" for k in range(8)]


def shares(table):
    """Per cent of each animal's sum, as tables print them."""
    return (100 * table["count"] / table.groupby("animal")["count"].transform("sum")).round(3)


@pytest.fixture(scope="module")
def plain():
    return cohort(np.random.default_rng(0), GROUPS, n_regions=40)


def same_effects(a, b):
    numbers = ["estimate_log2", "p", "q"]
    np.testing.assert_allclose(a.effects[numbers], b.effects[numbers])


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.rename(columns={"animal": "Animal", "count": " Count "}),
        lambda t: t.assign(animal=" " + t["animal"] + " "),
        lambda t: t.assign(animal=t["animal"].astype("category")),
        lambda t: t.assign(count=t["count"].astype(str)),
        lambda t: t.iloc[::-1],
    ],
)
def test_spelling_and_order_do_not_matter(plain, change):
    table, animals, tree = plain
    one = analyse(table, animals, PLAN, structures=tree)
    same_effects(one, analyse(change(table), animals, PLAN, structures=tree))


def test_numbers_as_identifiers_match_whether_or_not_they_have_decimals(plain):
    table, animals, tree = plain
    number = table["animal"].str[1:].astype(float)
    who = animals.assign(animal=animals["animal"].str[1:].astype(int))
    same_effects(
        analyse(table, animals, PLAN, structures=tree),
        analyse(table.assign(animal=number), who, PLAN, structures=tree),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[:0], "has no rows"),
        (lambda t: t.drop(columns="animal"), "lacks 'animal'"),
        (
            lambda t: t.pivot(index="animal", columns="acronym", values="count").reset_index(),
            "melt",
        ),
        (
            lambda t: t.assign(count=shares(t[t["acronym"] != "root"])),
            "shares of a total",
        ),
        (lambda t: pd.concat([t, t[["count"]]], axis=1), "two columns named count"),
        (lambda t: t.assign(count=[f"{v:,.0f}" for v in 1000 + t["count"]]), "without separators"),
        (lambda t: t.assign(count=t["count"].where(t.index != 5, -3.0)), r"-3.0 \(m00, R5, 5\)"),
        (
            lambda t: t.assign(count=t["count"].where(t["animal"] != "m02", 0.0)),
            "every region: m02",
        ),
        (lambda t: t.assign(count=t["count"].where(t["animal"] != "m02")), "tested: m02"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_place(plain, change, message):
    table, animals, tree = plain
    with pytest.raises(TableError, match=message):
        analyse(change(table), animals, PLAN, structures=tree)


@pytest.mark.parametrize("regions", [1, 2, 5])
def test_a_few_regions_are_enough(plain, regions):
    table, animals, tree = plain
    rich = table.groupby("region_id")["count"].min().nlargest(regions).index
    effects = analyse(table[table["region_id"].isin(rich)], animals, PLAN, structures=tree).effects
    absolute = effects[effects["estimand"] == "absolute"]
    assert absolute["testable"].sum() == regions


def test_an_animal_without_any_testable_row_is_named(plain):
    table, animals, tree = plain
    with pytest.raises(DesignError, match="m03"):
        analyse(table[table["animal"] != "m03"], animals, PLAN, structures=tree)


def nested(drop=None):
    volume = SMALL.roll_up(np.ones((len(SMALL), 1)))[:, 0]
    table = table_of(totals(own_counts(SMALL, 8), SMALL), SMALL, NAMES, volume=volume)
    return (
        table if drop is None else table[~((table["animal"] == "m3") & (table["acronym"] == drop))]
    )


@pytest.mark.parametrize("lost", ["CTX", "A", "PAG", "root"])
def test_a_parent_missing_in_one_animal_is_named_and_touches_nothing_else(lost):
    whole = region_counts(nested(), SMALL, counts="total")
    holed = region_counts(nested(lost), SMALL, counts="total")
    assert any(f"parts of the structure have rows: {lost} in m3" in w for w in holed.warnings)
    gone = np.isnan(holed.counts) & ~np.isnan(whole.counts)
    assert not gone[np.arange(8) != 3].any()
    above = {"CTX": {"CTX", "root"}, "A": {"A", "CTX"}, "PAG": {"PAG", "root"}, "root": {"root"}}
    assert {holed.acronyms[k] for k in np.flatnonzero(gone[3])} <= above[lost]
    np.testing.assert_array_equal(holed.counts[~gone], whole.counts[~gone])
    assert "add up to the root" in holed.partition


def test_an_animal_with_one_side_has_the_density_of_that_side():
    own = 2.0 * own_counts(SMALL, 8)
    half = np.ones(len(SMALL)) / 2
    sides = [table_of(own / 2, SMALL, NAMES, volume=half, side=s) for s in ("left", "right")]
    table = pd.concat(sides)
    one = table[~((table["animal"] == "m1") & (table["hemisphere"] == "left"))]
    both, single = (region_counts(t, SMALL, counts="own").in_order_of(NAMES) for t in (table, one))
    np.testing.assert_allclose(
        single.counts[1] / single.extents[1], both.counts[1] / both.extents[1]
    )
    assert any("one side only: m1 (right)" in w for w in single.warnings)
    assert not any("one side only" in w for w in both.warnings)


def test_volumes_of_an_atlas_are_halved_for_an_animal_with_one_side():
    own = 2.0 * own_counts(SMALL, 8)
    sides = [table_of(own / 2, SMALL, NAMES, side=s) for s in ("left", "right")]
    table = pd.concat(sides).drop(columns="volume_mm3")
    one = table[~((table["animal"] == "m1") & (table["hemisphere"] == "left"))]
    volumes = {int(i): 1.0 for i in SMALL.ids}
    found = region_counts(one, SMALL, counts="own", atlas_volumes=volumes).in_order_of(NAMES)
    np.testing.assert_allclose(found.extents[1], found.extents[0] / 2)


def test_blanks_around_the_name_of_a_group_do_not_matter(plain):
    table, animals, tree = plain
    blank = animals.assign(group=[f"{g} " if k % 2 else g for k, g in enumerate(animals["group"])])
    one, two = (analyse(table, who, PLAN, structures=tree) for who in (animals, blank))
    same_effects(one, two)
    assert one.n_per_group == two.n_per_group


def test_densities_of_nested_structures_are_refused():
    rng = np.random.default_rng(3)
    tops = range(1, 10)
    parts = [(10 * t + k, f"D{t}{k}", f"Part {k} of {t}", t) for t in tops for k in range(4)]
    brain = tree(
        [(997, "root", "root", 0), *((t, f"D{t}", f"Division {t}", 997) for t in tops), *parts]
    )
    leaves = rng.lognormal(5, 0.5, (8, 9, 4))
    means = leaves.mean(axis=2)
    values = np.hstack([means.mean(axis=1, keepdims=True), means, leaves.reshape(8, -1)])
    with pytest.raises(TableError, match="densities or means"):
        region_counts(table_of(values, brain, NAMES), brain)
    leaves = leaves.round()
    own = np.hstack([np.full((8, 1), 3.0), np.full((8, 9), 2.0), leaves.reshape(8, -1)])
    assert region_counts(table_of(own, brain, NAMES), brain).counts.shape == (8, 46)


def test_a_root_over_structures_that_nest_unseen_is_refused():
    rng = np.random.default_rng(4)
    leaves = rng.poisson(100, (8, 20))
    tops = leaves.reshape(8, 5, 4).sum(axis=2)
    values = np.hstack([tops.sum(axis=1, keepdims=True), tops, leaves]).astype(float)
    brain = flat(25)
    table = table_of(values, brain, NAMES)
    with pytest.raises(TableError, match="parent_region_id"):
        region_counts(table, brain)
    assert region_counts(table, brain, counts="own").counts.shape[1] == 26
