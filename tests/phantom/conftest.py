"""Fixtures: the phantom atlas, made once, and one small brain."""

import pytest

from ketamap.phantom import BrainSettings, phantom_atlas, plan_brain


@pytest.fixture(scope="session")
def atlas():
    return phantom_atlas(100.0)


@pytest.fixture(scope="session")
def small_settings():
    """Coarse voxels and large somata: a brain that costs little."""
    return BrainSettings(
        voxel_um=(50.0, 50.0, 50.0),
        background_voxel_um=(100.0, 100.0, 100.0),
        soma_diameter_um=100.0,
        lattice_um=100.0,
    )


@pytest.fixture(scope="session")
def brain(atlas, small_settings):
    return plan_brain(atlas, 11, settings=small_settings)
