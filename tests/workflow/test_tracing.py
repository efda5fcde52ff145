"""ketamap.workflow.tracing: a folder with the table, how it was made, and the centre lines."""

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import ImageError, InputError, MissingInputError, TableError
from ketamap.core.tables import AXONS, CELLS
from ketamap.io.images import open_image
from ketamap.io.ome_zarr import write_image
from ketamap.io.table_checks import check_frame
from ketamap.io.tables import write_table
from ketamap.io.tracings import PROBABILITY, SKELETON, load_tracing
from ketamap.workflow.tracing import read_calibration, trace
from tests.workflow.traced_images import (
    FIBRES,
    GRID,
    SHAPE,
    fibre_image,
    write_fibres,
    write_labels,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The image, its labels, and a calibrated trace of it."""
    place = tmp_path_factory.mktemp("traced")
    labels = write_labels(place)
    trace(write_fibres(place), out=place / "trace", calibrate=labels, probability=True)
    return place


def test_the_folder_holds_what_was_traced(folder):
    stored = load_tracing(folder / "trace")
    check_frame(stored.axons, AXONS, "axons")
    lines = open_image(folder / "trace" / SKELETON)
    assert lines.grid == GRID
    assert stored.record["length_mm"] == pytest.approx(stored.axons.length_um.sum() / 1000)
    assert stored.record["threshold_low"] < stored.record["threshold"]
    assert stored.record["threshold"] < stored.record["threshold_high"]
    assert (stored.axons.length_low_um <= stored.axons.length_um).all()
    assert (stored.axons.length_um <= stored.axons.length_high_um).all()


def test_the_planted_fibres_are_found_and_their_length_lies_in_the_band(folder):
    planted_um = len(FIBRES) * (SHAPE[2] - 1) * GRID.spacing_um[2]
    axons = load_tracing(folder / "trace").axons
    assert axons.length_low_um.sum() <= planted_um <= axons.length_high_um.sum()
    index = np.argwhere(open_image(folder / "trace" / SKELETON).load() > 0)
    away = np.min([np.hypot(index[:, 0] - z, index[:, 1] - y) for z, y in FIBRES], axis=0)
    assert np.median(away) <= 1.0


def test_probabilities_are_higher_on_fibres_and_written_on_request_only(folder, tmp_path):
    share = open_image(folder / "trace" / PROBABILITY).load()
    on = np.mean([share[z, y].mean() for z, y in FIBRES])
    assert on > 4 * share.mean()
    trace(folder / "image.ome.zarr", out=tmp_path / "plain")
    assert not (tmp_path / "plain" / PROBABILITY).exists()


def test_a_stored_calibration_repeats_the_trace(folder, tmp_path):
    record = folder / "trace" / "trace.json"
    trace(folder / "image.ome.zarr", out=tmp_path / "again", calibration=record)
    first, again = load_tracing(folder / "trace"), load_tracing(tmp_path / "again")
    pd.testing.assert_frame_equal(first.axons, again.axons)
    assert again.record["calibration"] == first.record["calibration"]


def test_a_trace_without_labels_holds_no_calibration(folder, tmp_path):
    trace(folder / "image.ome.zarr", out=tmp_path / "plain")
    assert load_tracing(tmp_path / "plain").record["calibration"] is None
    with pytest.raises(InputError, match="--calibrate"):
        read_calibration(tmp_path / "plain" / "trace.json")


@pytest.mark.parametrize("value", [0, 65535])
def test_an_image_without_structure_gives_an_empty_valid_trace(tmp_path, value):
    write_image(tmp_path / "flat.ome.zarr", np.full(SHAPE, value, np.uint16), GRID)
    trace(tmp_path / "flat.ome.zarr", out=tmp_path / "trace")
    stored = load_tracing(tmp_path / "trace")
    check_frame(stored.axons, AXONS, "axons")
    assert len(stored.axons) == 0
    assert stored.record["length_mm"] == stored.record["length_high_mm"] == 0.0
    assert not open_image(tmp_path / "trace" / SKELETON).load().any()


def test_cell_bodies_are_left_out(folder, tmp_path):
    z, y = FIBRES[0]
    somata = pd.DataFrame([GRID.to_um(np.array([[z, y, 36]]))[0]], columns=["z_um", "y_um", "x_um"])
    write_table(tmp_path / "cells.parquet", somata.assign(score=1.0), CELLS)
    traced = trace(
        folder / "image.ome.zarr",
        out=tmp_path / "without",
        cells=tmp_path / "cells.parquet",
        calibration=folder / "trace" / "trace.json",
    )
    lost = load_tracing(folder / "trace").axons.length_um.sum() - traced.axons.length_um.sum()
    assert lost > 10.0
    assert load_tracing(tmp_path / "without").record["cells_left_out"] == 1


def test_labels_and_a_calibration_are_not_taken_together(folder, tmp_path):
    with pytest.raises(InputError, match="not both"):
        trace(
            folder / "image.ome.zarr",
            out=tmp_path / "out",
            calibrate=folder / "labels.npz",
            calibration=folder / "trace" / "trace.json",
        )
    assert not (tmp_path / "out").exists()


def test_another_folder_is_never_overwritten(folder, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="other files"):
        trace(folder / "image.ome.zarr", out=tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("inputs", "error", "says"),
    [
        ({"image": "nowhere.tif"}, MissingInputError, "nowhere.tif"),
        ({"cells": "nowhere.parquet"}, MissingInputError, "nowhere.parquet"),
        ({"calibrate": "nowhere.npz"}, MissingInputError, "nowhere.npz"),
        ({"cells": "unscored.csv"}, TableError, "score"),
        ({"calibration": "empty.json"}, InputError, "no calibration"),
    ],
)
def test_wrong_input_is_named_and_nothing_is_left_behind(folder, tmp_path, inputs, error, says):
    (tmp_path / "unscored.csv").write_text("z_um,y_um,x_um\n1,2,3\n")
    (tmp_path / "empty.json").write_text("{}")
    given = {name: tmp_path / value for name, value in inputs.items()}
    with pytest.raises(error, match=says):
        trace(given.pop("image", folder / "image.ome.zarr"), out=tmp_path / "out", **given)
    assert not list(tmp_path.glob("*out*"))


def test_a_broken_voxel_is_refused_and_nothing_is_left_behind(tmp_path):
    image = fibre_image().astype(np.float32)
    image[20, 30, 30] = np.nan
    write_image(tmp_path / "broken.ome.zarr", image, GRID)
    with pytest.raises(ImageError, match="NaN"):
        trace(tmp_path / "broken.ome.zarr", out=tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))
