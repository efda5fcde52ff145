"""ketamap.core.settings.TracingSettings"""

import pytest

from ketamap.core.errors import InputError
from ketamap.core.settings import TracingSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"fibre_sigma_um": 0.0},
        {"box_um": 0.0},
        {"min_length_um": -1.0},
        {"soma_diameter_um": 0.0},
        {"threshold": 0.0},
    ],
)
def test_impossible_settings_are_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(InputError, match=name):
        TracingSettings(**wrong)


def test_the_defaults_are_valid():
    assert TracingSettings().threshold is None
