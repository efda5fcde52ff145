"""ketamap.core.study and ketamap.core.settings"""

from dataclasses import replace
from pathlib import Path

import pytest

from ketamap.core.errors import InputError
from ketamap.core.settings import Design, DetectionSettings, RegistrationSettings
from ketamap.core.space import Orientation
from ketamap.core.study import Animal, ImageSource, Regimen, Study

REGIMEN = Regimen(drug="ketamine", dose_mg_per_kg=30, days=10)


def animal(name):
    return Animal(animal=name, regimen=REGIMEN, signal=Path("signal.tif"))


def study(animals):
    return Study(
        name="test",
        atlas="tiny",
        animals=animals,
        orientation=Orientation("asr"),
        design=Design(factor="group", control="vehicle"),
    )


def test_groups_are_named_by_dose_and_days():
    assert REGIMEN.group == "30 mg/kg 10 d"
    assert Regimen(drug="ketamine", dose_mg_per_kg=0, days=1).group == "vehicle 1 d"


@pytest.mark.parametrize(
    "change", [{"dose_mg_per_kg": -1}, {"dose_mg_per_kg": float("nan")}, {"days": 0}]
)
def test_an_impossible_regimen_is_refused(change):
    with pytest.raises(InputError):
        Regimen(**{"drug": "ketamine", "dose_mg_per_kg": 0, "days": 1, **change})


def test_an_animal_named_twice_is_refused():
    with pytest.raises(InputError, match="m1"):
        study((animal("m1"), animal("m2"), animal("m1")))


def test_a_study_without_animals_is_refused():
    with pytest.raises(InputError, match="no animals"):
        study(())


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        (DetectionSettings, {"soma_diameter_um": 0.0}),
        (DetectionSettings, {"min_score": 1.5}),
        (RegistrationSettings, {"resolution_um": 0.0}),
        (RegistrationSettings, {"iterations": (0, 0, 0)}),
        (RegistrationSettings, {"threads": 0}),
        (Design, {"control": "v"}),
        (Design, {"control": "v", "factor": "g", "dose": "d"}),
        (Design, {"control": "v", "factor": "g", "duration": "d"}),
        (Design, {"control": "v", "factor": "g", "alpha": 0.0}),
    ],
)
def test_impossible_settings_are_refused(settings, fields):
    with pytest.raises(InputError):
        settings(**fields)


def test_the_background_is_registered_where_there_is_one():
    both = replace(animal("m1"), background=Path("auto.tif"))
    one = replace(
        study((animal("m0"), both)), voxel_um=(5.0, 2.0, 2.0), signal_channel=1,
        background_voxel_um=(10.0, 8.0, 8.0), background_channel=0,
    )  # fmt: skip
    signal, background = (one.registered_image(a) for a in one.animals)
    assert signal == ImageSource(path=Path("signal.tif"), voxel_um=(5.0, 2.0, 2.0), channel=1)
    assert background == ImageSource(path=Path("auto.tif"), voxel_um=(10.0, 8.0, 8.0), channel=0)


def test_cells_are_not_told_by_backgrounds_that_some_animals_lack():
    some = study((animal("m1"), replace(animal("m2"), background=Path("auto.tif"))))
    with pytest.raises(InputError, match=r"none: m1\."):
        replace(some, detect_with_background=True)
