"""Shared fixtures: where the real test data is."""

import os
from pathlib import Path

import pytest

for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
"""One thread per test process, set before NumPy loads: as many processes as cores already run."""

_BESIDE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data():
    """Folder with the real test data; skips where it is absent."""
    folder = Path(os.environ.get("KETAMAP_TEST_DATA", _BESIDE_CHECKOUT))
    if not (folder / "README.md").is_file():
        pytest.skip(f"the shared test data is not here ({folder}); set KETAMAP_TEST_DATA")
    return folder
