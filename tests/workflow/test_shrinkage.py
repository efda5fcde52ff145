"""ketamap.workflow.shrinkage: an extra that is asked for, and refused where it is not there."""

import importlib.util

import pytest

from ketamap.core.errors import KetamapError
from ketamap.phantom import animals_frame, cohort_table, default_cohort
from ketamap.workflow import analyse
from ketamap.workflow.atlases import open_atlas

HAS_NUMPYRO = importlib.util.find_spec("numpyro") is not None


@pytest.fixture
def files(tmp_path):
    plan = default_cohort(seed=3, animals_per_group=3)
    cohort_table(plan, open_atlas("phantom_mouse_200um"), 3).to_csv(
        tmp_path / "table.csv", index=False
    )
    animals = animals_frame(plan)
    animals[animals.group != "30 mg/kg 10 d"].to_csv(tmp_path / "animals.csv", index=False)
    (tmp_path / "design.yaml").write_text(
        "factor: group\ncontrol: vehicle 10 d\npermutations: 0\n", encoding="utf-8"
    )
    return tmp_path


def analysed(folder, **options):
    return analyse(
        folder / "table.csv",
        animals=folder / "animals.csv",
        design=folder / "design.yaml",
        out=folder / "out",
        **options,
    )


@pytest.mark.skipif(HAS_NUMPYRO, reason="numpyro is installed")
def test_without_the_extra_nothing_is_written_and_the_remedy_is_told(files):
    with pytest.raises(KetamapError, match=r"ketamap\[bayes\]"):
        analysed(files, shrink=True)
    assert not (files / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(not HAS_NUMPYRO, reason="numpyro is not installed (ketamap[bayes])")
def test_shrunken_effects_change_no_test(files):
    plain = analysed(files).effects
    assert not (files / "out" / "shrunken.parquet").exists()
    found = analysed(files, shrink=True).effects
    assert found.equals(plain)
    assert (files / "out" / "shrunken.parquet").exists()
    page = (files / "out" / "report.html").read_text(encoding="utf-8")
    assert "R-hat is at most" in page
