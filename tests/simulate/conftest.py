"""What several modules' tests use: plans, and an ear for progress."""

import pytest

from tests.simulate.regimens import ten_plans


@pytest.fixture(scope="session")
def plans():
    """Ten regimens by name."""
    return {one.name: one for one in ten_plans()}


class Ear:
    """Hears progress, and tells whether it rose to its end."""

    def __init__(self):
        self.parts = []

    def __call__(self, done, total):
        self.parts.append(done / total)

    def heard_all(self):
        return len(self.parts) > 1 and self.parts == sorted(self.parts) and self.parts[-1] == 1.0


@pytest.fixture
def ear():
    """An ear that has heard nothing."""
    return Ear()
