"""ketamap.workflow.quantification: cells and axons of one brain to its region table."""

import shutil

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import InputError, MissingInputError, RegistrationError
from ketamap.core.tables import AXONS, CELLS, REGIONS
from ketamap.io.manifests import read_json
from ketamap.io.tables import read_table, write_table
from ketamap.io.tracings import fill_tracing, load_tracing
from ketamap.workflow.quantification import quantify
from tests.workflow.traced_brains import make_traced_brain


@pytest.fixture(scope="module")
def brain(tmp_path_factory):
    return make_traced_brain(tmp_path_factory.mktemp("brain"))


@pytest.fixture(scope="module")
def both(brain, tmp_path_factory):
    """Cells and axons of the brain, and the folder of what was written."""
    out = tmp_path_factory.mktemp("both")
    return counted(brain, out, "cells", "axons"), out


def counted(brain, out, *what, registration=None, **options):
    given = {"cells": brain / "cells.parquet", "axons": brain / "trace"}
    return quantify(
        registration=registration or brain / "registration",
        out=out / "regions.parquet",
        animal="m1",
        **{name: given[name] for name in what},
        **options,
    )


def test_cells_and_axons_share_one_table_and_its_volumes(both):
    quantified, out = both
    table = read_table(out / "regions.parquet", REGIONS)
    assert set(table.measure) == {"cells", "axon_length_mm"}
    key = ["region_id", "hemisphere"]
    volumes = table.pivot_table(index=key, columns="measure", values="volume_total_mm3")
    np.testing.assert_allclose(volumes["cells"], volumes["axon_length_mm"])
    assert len(quantified.regions) == len(table)


@pytest.mark.parametrize("one", ["cells", "axons"])
def test_either_alone_gives_its_part_of_the_same_table(brain, both, tmp_path, one):
    alone = counted(brain, tmp_path, one).regions
    measure = {"cells": "cells", "axons": "axon_length_mm"}[one]
    whole = both[0].regions
    mine = whole[whole.measure == measure].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, mine[alone.columns], check_dtype=False)
    assert len(list(tmp_path.glob("*balance.json"))) == 1


def test_all_length_is_in_the_balance_sheet(brain, both):
    balance = read_json(both[1] / "regions_axon_balance.json")
    traced_mm = load_tracing(brain / "trace").axons.length_um.sum() / 1000
    assert balance["traced_mm"] == pytest.approx(traced_mm)
    parts = ("in_regions_mm", "outside_brain_mm", "outside_atlas_mm")
    assert sum(balance[name] for name in parts) == pytest.approx(traced_mm)
    placed = read_table(both[1] / "regions_axons.parquet", AXONS)
    inside = placed.region_id > 0
    assert placed.length_um[inside].sum() / 1000 == pytest.approx(balance["in_regions_mm"])


def test_each_length_has_its_band_its_occupancy_and_a_correction_beside_it(both):
    regions = both[0].regions
    mine = regions[(regions.measure == "axon_length_mm") & (regions.own > 0)]
    np.testing.assert_allclose(mine.own_low / mine.own, 0.75)
    np.testing.assert_allclose(mine.own_high / mine.own, 1.25)
    assert mine.occupancy_own.between(0.0, 1.0).all()
    assert (mine.own_corrected >= mine.own).all()
    root = regions[(regions.measure == "axon_length_mm") & (regions.acronym == "root")]
    assert root.total.sum() == pytest.approx(mine.own.sum())
    assert root.total_corrected.sum() == pytest.approx(mine.own_corrected.sum())


def test_structures_full_of_fibres_are_flagged(brain, both, tmp_path):
    assert both[0].saturated == ()
    dense = load_tracing(brain / "trace").axons.assign(volume_um3=1e11)
    fill_tracing(tmp_path, dense, {"threshold": 3.0})
    quantified = quantify(
        registration=brain / "registration", axons=tmp_path, out=tmp_path / "r.parquet"
    )
    assert "CP" in quantified.saturated
    assert read_json(tmp_path / "r_axon_balance.json")["saturated"] == list(quantified.saturated)
    raw = both[0].regions
    np.testing.assert_allclose(
        quantified.regions.own.to_numpy(), raw[raw.measure == "axon_length_mm"].own.to_numpy()
    )


def test_nothing_to_quantify_is_refused(brain, tmp_path):
    with pytest.raises(InputError, match="--cells"):
        counted(brain, tmp_path)


def test_a_folder_that_is_no_trace_is_refused(brain, tmp_path):
    with pytest.raises(MissingInputError, match="ketamap trace"):
        quantify(
            registration=brain / "registration", axons=tmp_path, out=tmp_path / "regions.parquet"
        )
    assert not (tmp_path / "regions.parquet").exists()


def test_a_failed_registration_is_not_counted_unless_accepted(brain, tmp_path):
    shutil.copytree(brain / "registration", tmp_path / "registration")
    path = tmp_path / "registration" / "qc.json"
    path.write_text(path.read_text().replace('"pass"', '"fail"'))
    with pytest.raises(RegistrationError, match="--accept-failed"):
        counted(brain, tmp_path, "axons", registration=tmp_path / "registration")
    options = {"registration": tmp_path / "registration", "accept_failed": True}
    assert len(counted(brain, tmp_path, "axons", **options).regions)


def moved_cells(brain, folder, by_um, n):
    cells = read_table(brain / "cells.parquet", CELLS).head(n)
    cells[["z_um", "y_um", "x_um"]] += by_um
    write_table(folder / "moved.parquet", cells, CELLS)
    return folder / "moved.parquet"


@pytest.mark.parametrize("n", [3, 12])
def test_cells_that_all_lie_outside_the_atlas_are_an_error_that_says_why(brain, tmp_path, n):
    cells = moved_cells(brain, tmp_path, 1e6, n)
    options = {"registration": brain / "registration", "cells": cells}
    with pytest.raises(RegistrationError, match="micrometres, or a wrong --orientation"):
        quantify(out=tmp_path / "regions.parquet", **options)
    assert not (tmp_path / "regions.parquet").exists()
    counted_anyway = quantify(out=tmp_path / "regions.parquet", accept_failed=True, **options)
    assert counted_anyway.cells.balance.outside_atlas == n


def test_the_efficiency_of_cells_becomes_that_of_regions_and_counts_stay(brain, both, tmp_path):
    assert "detection_efficiency" not in both[0].regions
    cells = read_table(brain / "cells.parquet", CELLS).assign(efficiency=0.8)
    write_table(tmp_path / "cells.parquet", cells, CELLS)
    quantify(
        registration=brain / "registration",
        cells=tmp_path / "cells.parquet",
        out=tmp_path / "regions.parquet",
        animal="m1",
    )
    written = read_table(tmp_path / "regions.parquet", REGIONS)
    share = written.detection_efficiency
    np.testing.assert_allclose(share[written.total > 0], 0.8)
    assert share[~(written.total > 0)].isna().all()
    plain = both[0].regions
    plain = plain[plain.measure == "cells"].reset_index(drop=True)
    np.testing.assert_array_equal(written.total, plain.total)
