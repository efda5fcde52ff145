"""ketamap.cli.parsing"""

import pytest

from ketamap.cli.parsing import parse_bytes, parse_iterations, parse_voxel_um
from ketamap.core.errors import InputError


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("4GB", 4_000_000_000), ("500MB", 500_000_000), ("2GiB", 2**31), ("1.5 kB", 1500), ("64", 64)],
)
def test_sizes_are_read_with_their_units(text, n_bytes):
    assert parse_bytes(text) == n_bytes


def test_one_voxel_size_stands_for_three():
    assert parse_voxel_um("25") == (25.0, 25.0, 25.0)
    assert parse_voxel_um("5,2,1.8") == (5.0, 2.0, 1.8)
    assert parse_voxel_um(None) is None


def test_iterations_are_read_coarse_to_fine():
    assert parse_iterations("100x60x0") == (100, 60, 0)
    with pytest.raises(InputError, match="100x60x60"):
        parse_iterations("100")
