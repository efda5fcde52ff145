"""ketamap.workflow.analysis: tables from elsewhere, and folders that must not be mixed."""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import InputError, TableError
from ketamap.phantom import animals_frame, cohort_table, default_cohort
from ketamap.workflow import analyse
from ketamap.workflow.atlases import open_atlas

ATLAS = open_atlas("phantom_mouse_200um")


@pytest.fixture
def files(tmp_path):
    """Animals and design of a small cohort, and its table as other programs write it."""
    plan = default_cohort(seed=3, animals_per_group=3)
    frame = cohort_table(plan, ATLAS, 3)
    animals_frame(plan).to_csv(tmp_path / "animals.csv", index=False)
    (tmp_path / "design.yaml").write_text(
        "factor: group\ncontrol: vehicle 10 d\npermutations: 0\n", encoding="utf-8"
    )
    total = frame.rename(columns={"total": "count", "volume_total_mm3": "volume_mm3"})
    return tmp_path, total[["animal", "region_id", "acronym", "hemisphere", "count", "volume_mm3"]]


@pytest.fixture
def no_page(monkeypatch):
    """Leave the page out where numbers are the point: it takes most of the time."""
    monkeypatch.setattr("ketamap.workflow.analysis.report", lambda folder: folder / "report.html")


def shift_of(folder, table, name="out", **options):
    table.to_csv(folder / "table.csv", index=False)
    result = analyse(
        folder / "table.csv",
        animals=folder / "animals.csv",
        design=folder / "design.yaml",
        out=folder / name,
        **options,
    )
    effects = result.effects
    return effects[effects.estimand == "shift"].estimate_log2.to_numpy(), result


@pytest.mark.usefixtures("no_page")
def test_acronyms_alone_give_the_same_as_ids(files):
    folder, table = files
    by_id, first = shift_of(folder, table, "a")
    by_acronym, second = shift_of(folder, table.drop(columns="region_id"), "b")
    np.testing.assert_allclose(by_acronym, by_id, atol=1e-12)
    assert len(second.effects) == len(first.effects)


@pytest.mark.usefixtures("no_page")
def test_an_empty_id_column_is_as_good_as_none(files):
    folder, table = files
    by_id, _ = shift_of(folder, table, "a")
    empty, _ = shift_of(folder, table.assign(region_id=np.nan), "b")
    np.testing.assert_allclose(empty, by_id, atol=1e-12)


def test_a_nested_table_of_unknown_structures_is_refused(files):
    folder, table = files
    strange = table.drop(columns="region_id")
    strange["acronym"] = np.where(
        strange.acronym == "root", "root", "x" + strange.acronym.astype(str)
    )
    with pytest.raises(TableError, match="--atlas"):
        shift_of(folder, strange)


@pytest.mark.usefixtures("no_page")
def test_volumes_can_come_from_the_atlas(files):
    folder, table = files
    with_volumes, _ = shift_of(folder, table, "a", atlas="phantom_mouse_200um")
    without, result = shift_of(
        folder, table.drop(columns="volume_mm3"), "b", atlas="phantom_mouse_200um"
    )
    np.testing.assert_allclose(without, with_volumes, atol=0.2)  # brains differ in size
    assert any("volume" in line for line in result.warnings)


def test_an_analysis_does_not_overwrite_a_study_or_other_files(files):
    folder, table = files
    (folder / "study").mkdir()
    (folder / "study" / "ledger.sqlite").write_bytes(b"")
    (folder / "study" / "analysis.json").write_text("{}")
    (folder / "other").mkdir()
    (folder / "other" / "thesis.txt").write_text("precious")
    for name in ("study", "other"):
        with pytest.raises(InputError, match="something else"):
            shift_of(folder, table, name)


@pytest.mark.usefixtures("no_page")
def test_an_analysis_may_be_repeated_in_its_folder(files):
    folder, table = files
    once, _ = shift_of(folder, table)
    again, _ = shift_of(folder, table)
    np.testing.assert_array_equal(once, again)


@pytest.mark.usefixtures("no_page")
def test_a_table_without_hierarchy_needs_no_atlas(files):
    """Regions of another species: nothing nests, nothing is known."""
    folder, table = files
    leaves = pd.unique(table.region_id)[-40:]
    flat = table[table.region_id.isin(leaves)].drop(columns="region_id")
    flat["acronym"] = "rat" + flat.acronym.astype(str)
    _, result = shift_of(folder, flat, counts="own")
    assert result.effects.testable.any()


@pytest.mark.usefixtures("no_page")
def test_the_answers_of_a_dose_and_duration_design_are_written(files):
    folder, table = files
    groups = [(dose, days) for dose in (0, 30, 100) for days in (1, 5, 10) for _ in range(3)]
    animals = pd.DataFrame(groups, columns=["dose_mg_per_kg", "days"])
    animals["animal"] = [f"m{k}" for k in range(len(animals))]
    animals.to_csv(folder / "animals.csv", index=False)
    (folder / "design.yaml").write_text(
        "dose: dose_mg_per_kg\nduration: days\ncontrol: 0\npermutations: 0\n"
    )
    del table
    whole = cohort_table(default_cohort(seed=3, animals_per_group=3), ATLAS, 3)
    one = whole[whole.animal == whole.animal.iloc[0]].rename(
        columns={"own": "count", "volume_own_mm3": "volume_mm3"}
    )[["animal", "region_id", "acronym", "hemisphere", "count", "volume_mm3"]]
    rng = np.random.default_rng(8)
    copies = [
        one.assign(animal=name, count=np.round(one["count"] * rng.lognormal(0, 0.1)))
        for name in animals.animal
    ]
    _, result = shift_of(folder, pd.concat(copies), counts="own")
    for name in ("any_dose", "interaction", "onset"):
        frame = pd.read_parquet(folder / "out" / f"{name}.parquet")
        assert len(frame) == len(result.further(name))


@pytest.mark.usefixtures("no_page")
def test_permutations_can_be_asked_for_and_forbidden(files):
    folder, table = files
    _, asked = shift_of(folder, table, permutations=300)
    assert asked.permutations == 300
    assert (folder / "out" / "permutation.parquet").exists()
    _, forbidden = shift_of(folder, table, permutations=0)
    assert forbidden.further("permutation") is None
    assert not (folder / "out" / "permutation.parquet").exists()


@pytest.mark.slow
def test_two_measures_and_the_animals_stand_in_one_report(files):
    folder, table = files
    both = pd.concat(
        [table.assign(measure="cells"), table.assign(measure="axon_length_mm")], ignore_index=True
    )
    shift_of(folder, both)
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "Density of cells and length density of axons in every brain region" in page
    assert page.count('data-figure="factors-') == 2
    assert "veh_10d_01" in page
    assert len(pd.read_csv(folder / "out" / "animals.csv")) == 9
